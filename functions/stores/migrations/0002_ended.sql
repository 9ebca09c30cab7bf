-- Expired jobs stay in the table: what sweep reads every minute must not grow with them.
CREATE INDEX jobs_ended_idx ON jobs (finished_at) WHERE state IN ('done', 'failed', 'cancelled');
DROP INDEX jobs_finished_idx;
