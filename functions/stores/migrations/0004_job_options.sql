-- What was asked of the conversion, every option with its value (functions/model/options.py). A job that is older than an
-- option has no value for it here, and gets the option's default when it is read.
ALTER TABLE jobs ADD COLUMN options jsonb NOT NULL DEFAULT '{}';
