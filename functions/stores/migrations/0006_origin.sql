-- The job whose video was converted again by this one; null where the video came with the job. It refers to nothing, for that job may
-- be removed first.
ALTER TABLE jobs ADD COLUMN origin uuid;

-- Those that have not ended: an owner may have so many of them (functions/jobs/again.py).
CREATE INDEX jobs_again_idx ON jobs (owner) WHERE origin IS NOT NULL AND state IN ('queued', 'converting');
