-- What convert found in the video (functions/model/source.py) and what is known of the finished audio (functions/model/audio.py).
-- Both are null until then, and for jobs that are older.
ALTER TABLE jobs ADD COLUMN source jsonb, ADD COLUMN facts jsonb;
