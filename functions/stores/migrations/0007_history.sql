-- What runs often must not grow with what was done long ago.

-- How many jobs and notifications there are in each state: the sum of these rows. Every change of a state adds a row here, and sweep
-- adds them up. A row for each state that everybody changes would make those who change it wait for one another.
CREATE TABLE counts (
    kind  text NOT NULL CHECK (kind IN ('jobs', 'notifications')),
    state text NOT NULL,
    count integer NOT NULL
);
INSERT INTO counts SELECT 'jobs', state, count(*) FROM jobs WHERE deleted_at IS NULL GROUP BY state;
INSERT INTO counts SELECT 'notifications', state, count(*) FROM notifications GROUP BY state;

CREATE FUNCTION count_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.deleted_at IS NULL THEN
        INSERT INTO counts VALUES ('jobs', OLD.state, -1);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL THEN
        INSERT INTO counts VALUES ('jobs', NEW.state, 1);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER count_added AFTER INSERT OR DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION count_job();
CREATE TRIGGER count_moved AFTER UPDATE OF state, deleted_at ON jobs FOR EACH ROW
    WHEN (OLD.state <> NEW.state OR (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL)) EXECUTE FUNCTION count_job();

CREATE FUNCTION count_notification() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO counts VALUES ('notifications', OLD.state, -1);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO counts VALUES ('notifications', NEW.state, 1);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER count_added AFTER INSERT OR DELETE ON notifications FOR EACH ROW EXECUTE FUNCTION count_notification();
CREATE TRIGGER count_moved AFTER UPDATE OF state ON notifications FOR EACH ROW
    WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION count_notification();

-- The most tries of each state, and what has been queued the longest.
CREATE INDEX jobs_tries_idx ON jobs (state, tries) WHERE deleted_at IS NULL;
CREATE INDEX jobs_oldest_idx ON jobs (queued_at) WHERE state = 'queued' AND deleted_at IS NULL;

-- What sweep removes, the oldest first.
CREATE INDEX jobs_old_video_idx ON jobs (finished_at) WHERE video IS NOT NULL AND state NOT IN ('queued', 'converting');
CREATE INDEX jobs_old_audio_idx ON jobs (expired_at) WHERE audio IS NOT NULL AND state = 'expired';
CREATE INDEX jobs_old_key_idx ON jobs (created_at) WHERE idempotency_key IS NOT NULL;
CREATE INDEX notifications_old_idx ON notifications (created_at) WHERE state IN ('owed', 'claimed');
CREATE INDEX login_attempts_old_idx ON login_attempts (blocked_until);

-- No query asks who has an address.
DROP INDEX users_email_idx;
