-- Every move of a job is one conditional statement: where the row is not as the move needs it, nothing moves and nothing is returned.
-- Time is Postgres' clock only. Hints (events) are sent again at growing intervals: 2, 4, 8 … 60 minutes.

-- name: add_job
INSERT INTO jobs (id, owner, fid, filename, container, video, video_size, video_sha256, idempotency_key,
                  options, next_hint_at, traceparent, correlationid)
VALUES (%(id)s, %(owner)s, %(fid)s, %(filename)s, %(container)s, %(video)s, %(video_size)s, %(video_sha256)s, %(idempotency_key)s,
        %(options)s, now() + interval '30 seconds', %(traceparent)s, %(correlationid)s)
ON CONFLICT (owner, idempotency_key) DO NOTHING
RETURNING *;

-- name: find_job_by_key
SELECT * FROM jobs WHERE owner = %(owner)s AND idempotency_key = %(idempotency_key)s;

-- name: note_hint
UPDATE jobs SET hints = hints + 1, next_hint_at = now() + make_interval(secs => least(3600, 120 * 2 ^ least(hints, 10)))
WHERE id = %(id)s AND generation = %(generation)s AND state = 'queued';

-- name: find_job
SELECT * FROM jobs WHERE id = %(id)s AND deleted_at IS NULL;

-- name: find_own_job
SELECT * FROM jobs WHERE id = %(id)s AND owner = %(owner)s AND deleted_at IS NULL;

-- name: list_jobs
SELECT * FROM jobs
WHERE owner = %(owner)s AND deleted_at IS NULL AND (%(before)s::timestamptz IS NULL OR created_at < %(before)s)
ORDER BY created_at DESC LIMIT %(limit)s;

-- name: find_own_audio
SELECT * FROM jobs WHERE fid = %(fid)s AND owner = %(owner)s AND deleted_at IS NULL;

-- name: find_linked_audio
SELECT * FROM jobs WHERE fid = %(fid)s AND deleted_at IS NULL;

-- name: claim_job
UPDATE jobs
SET state = 'converting', fence = fence + 1, tries = tries + 1, progress = 0, started_at = now(),
    lease_until = now() + make_interval(secs => %(lease)s)
WHERE id = %(id)s AND state = 'queued' AND tries < %(max_tries)s AND video IS NOT NULL AND deleted_at IS NULL
RETURNING *;

-- name: renew_lease
UPDATE jobs
SET lease_until = now() + make_interval(secs => %(lease)s), progress = greatest(progress, %(progress)s)
WHERE id = %(id)s AND fence = %(fence)s AND state = 'converting'
RETURNING id;

-- name: finish_job
WITH finished AS (
    UPDATE jobs
    SET state = 'done', audio = %(audio)s, audio_size = %(audio_size)s, duration = %(duration)s, progress = 1,
        lease_until = NULL, finished_at = now(), last_error = NULL
    WHERE id = %(id)s AND fence = %(fence)s AND state = 'converting'
    RETURNING *
), owed AS (
    INSERT INTO notifications (job, generation, outcome, state, next_hint_at)
    SELECT f.id, f.generation, f.state, CASE WHEN u.email IS NULL THEN 'unwanted' ELSE 'owed' END, now() + interval '30 seconds'
    FROM finished f JOIN users u ON u.id = f.owner
)
SELECT * FROM finished;

-- name: fail_job
WITH finished AS (
    UPDATE jobs
    SET state = 'failed', reason = %(reason)s, last_error = %(last_error)s, lease_until = NULL, finished_at = now()
    WHERE id = %(id)s AND fence = %(fence)s AND state = 'converting'
    RETURNING *
), owed AS (
    INSERT INTO notifications (job, generation, outcome, state, next_hint_at)
    SELECT f.id, f.generation, f.state, CASE WHEN u.email IS NULL THEN 'unwanted' ELSE 'owed' END, now() + interval '30 seconds'
    FROM finished f JOIN users u ON u.id = f.owner
)
SELECT * FROM finished;

-- name: hand_back_job
-- Trouble that is not the job's own gives its try back, so that an outage fails nobody's job. A job that is handed back
-- each time (a full disk) is told of ever more seldom, at last every ten minutes.
UPDATE jobs
SET state = 'queued', lease_until = NULL, tries = tries - %(refund)s, last_error = %(last_error)s,
    next_hint_at = now() + make_interval(secs => least(600, 30 * 2 ^ least(hints, 10)))
WHERE id = %(id)s AND fence = %(fence)s AND state = 'converting'
RETURNING id;

-- name: give_up_jobs
-- Fails what has no try left and no live lease: one job (dead-letter) or, without an id, a batch of them (sweep).
WITH finished AS (
    UPDATE jobs
    SET state = 'failed', reason = 'retries_exhausted', lease_until = NULL, finished_at = now(),
        last_error = coalesce(last_error, 'the worker was lost')
    WHERE id IN (
        SELECT id FROM jobs
        WHERE (%(id)s::uuid IS NULL OR id = %(id)s) AND tries >= %(max_tries)s
          AND (state = 'queued' OR (state = 'converting' AND lease_until < now()))
        LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    RETURNING *
), owed AS (
    INSERT INTO notifications (job, generation, outcome, state, next_hint_at)
    SELECT f.id, f.generation, f.state, CASE WHEN u.email IS NULL THEN 'unwanted' ELSE 'owed' END, now() + interval '30 seconds'
    FROM finished f JOIN users u ON u.id = f.owner
)
SELECT * FROM finished;

-- name: free_lapsed_jobs
-- The generation rises: what is sent for it next is a new event, not a repeat that somebody may have answered already.
UPDATE jobs
SET state = 'queued', lease_until = NULL, generation = generation + 1, hints = 0, next_hint_at = now(),
    last_error = 'the worker was lost'
WHERE id IN (
    SELECT id FROM jobs WHERE state = 'converting' AND lease_until < now() AND tries < %(max_tries)s
    LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING *;

-- name: take_owed_jobs
UPDATE jobs SET hints = hints + 1, next_hint_at = now() + make_interval(secs => least(3600, 120 * 2 ^ least(hints, 10)))
WHERE id IN (
    SELECT id FROM jobs WHERE state = 'queued' AND next_hint_at <= now() AND tries < %(max_tries)s
    ORDER BY next_hint_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING *;

-- name: postpone_hint
UPDATE jobs SET hints = greatest(0, hints - 1), next_hint_at = now() + interval '30 seconds'
WHERE id = %(id)s AND state = 'queued';

-- name: cancel_job
WITH cancelled AS (
    UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = now()
    WHERE id = %(id)s AND owner = %(owner)s AND state IN ('queued', 'converting') AND deleted_at IS NULL
    RETURNING *
)
SELECT * FROM cancelled;

-- name: delete_job
-- Hidden at once; sweep removes the bytes when no transfer of them can still run.
WITH hidden AS (
    UPDATE jobs SET deleted_at = now(), idempotency_key = NULL
    WHERE id = %(id)s AND owner = %(owner)s AND state IN ('done', 'failed', 'cancelled', 'expired') AND deleted_at IS NULL
    RETURNING *
), untold AS (
    UPDATE notifications SET state = 'given_up', last_error = 'the job was deleted'
    WHERE job IN (SELECT id FROM hidden) AND state IN ('owed', 'claimed')
)
SELECT * FROM hidden;

-- name: count_jobs
SELECT state, count(*)::integer AS jobs, max(tries) AS tries,
    coalesce(extract(epoch FROM now() - min(queued_at) FILTER (WHERE state = 'queued')), 0)::float AS oldest_seconds
FROM jobs WHERE deleted_at IS NULL GROUP BY state;

-- name: retry_job
WITH retried AS (
    UPDATE jobs
    SET state = 'queued', generation = generation + 1, tries = 0, hints = 0, next_hint_at = now() + interval '30 seconds',
        reason = NULL, last_error = NULL, progress = 0, queued_at = now(), started_at = NULL, finished_at = NULL
    WHERE id = %(id)s AND owner = %(owner)s AND state IN ('failed', 'cancelled') AND video IS NOT NULL AND deleted_at IS NULL
    RETURNING *
), untold AS (
    UPDATE notifications SET state = 'given_up', last_error = 'the job was tried again'
    WHERE job IN (SELECT id FROM retried) AND state IN ('owed', 'claimed')
)
SELECT * FROM retried;
