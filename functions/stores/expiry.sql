-- What is no longer kept. A row stops naming its file before the file is removed: a crash in between leaves an orphan, which sweep
-- finds, and never a row that names a file which is gone.
--
-- Several jobs may be made from one video, and the rows of all of them name it. So whoever was given a video here, by a statement that
-- is committed, asks find_orphans next, and removes it only if it is one. That is safe: a row comes to name a video only while another
-- one names it and is locked (add_job_again), so a video that no row names is never named again. Of two sweeps that take the last two
-- names at once, the one that asks last is told; it may be both.

-- name: expire_jobs
-- Ends the time in which the audio of a job that ended long ago can be downloaded.
UPDATE jobs SET state = 'expired', expired_at = now()
WHERE id IN (
    SELECT id FROM jobs
    WHERE state IN ('done', 'failed', 'cancelled') AND finished_at < now() - make_interval(secs => %(result_age)s)
    ORDER BY finished_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING id;

-- name: take_old_videos
-- Returns the videos of jobs that ended long enough ago not to be retried, after their rows have stopped naming them.
WITH taken AS (
    SELECT id, video FROM jobs
    WHERE video IS NOT NULL AND state NOT IN ('queued', 'converting')
      AND finished_at < now() - make_interval(secs => %(video_age)s)
    ORDER BY finished_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
), uncovered AS (
    DELETE FROM covers WHERE job IN (SELECT id FROM taken)
)
UPDATE jobs SET video = NULL FROM taken WHERE jobs.id = taken.id
RETURNING taken.video AS file;

-- name: take_expired_audios
-- Returns the audio files of expired jobs, after their rows have stopped naming them; only when no download that began before the
-- job expired can still run.
WITH taken AS (
    SELECT id, audio FROM jobs
    WHERE audio IS NOT NULL AND state = 'expired' AND expired_at < now() - make_interval(secs => %(transfer)s)
    ORDER BY expired_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
), undrawn AS (
    DELETE FROM waveforms WHERE job IN (SELECT id FROM taken)
)
UPDATE jobs SET audio = NULL FROM taken WHERE jobs.id = taken.id
RETURNING taken.audio AS file;

-- name: remove_deleted_jobs
-- Removes the rows of jobs that were deleted so long ago that no transfer of their files can still run, and returns the files.
DELETE FROM jobs
WHERE id IN (
    SELECT id FROM jobs WHERE deleted_at < now() - make_interval(secs => %(transfer)s)
    ORDER BY deleted_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING video, audio;

-- name: forget_keys
-- Forgets idempotency keys and login attempts a day later, and counts the keys.
WITH keys AS (
    UPDATE jobs SET idempotency_key = NULL
    WHERE id IN (
        SELECT id FROM jobs WHERE idempotency_key IS NOT NULL AND created_at < now() - interval '24 hours'
        ORDER BY created_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    RETURNING id
), attempts AS (
    DELETE FROM login_attempts WHERE blocked_until < now() - interval '1 day'
)
SELECT count(*)::integer AS count FROM keys;

-- name: find_orphans
-- Returns those of the files that no row names, each once.
SELECT DISTINCT file FROM unnest(%(files)s::uuid[]) AS file
WHERE NOT EXISTS (SELECT FROM jobs WHERE video = file) AND NOT EXISTS (SELECT FROM jobs WHERE audio = file);

-- name: begin_pass
-- Begins a pass of sweep, for one caller at most in so many seconds.
INSERT INTO passes AS p (name, begun_at) VALUES (%(name)s, now())
ON CONFLICT (name) DO UPDATE SET begun_at = now() WHERE p.begun_at <= now() - make_interval(secs => %(every)s)
RETURNING name;

-- name: add_up_counts
-- Leaves one row for each state of jobs and of notifications. Of two who do so at once, one waits and then finds the other's rows gone.
WITH found AS (DELETE FROM counts RETURNING *)
INSERT INTO counts SELECT kind, state, sum(count) FROM found GROUP BY kind, state HAVING sum(count) <> 0;
