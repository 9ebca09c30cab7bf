-- Every move of a job is one conditional statement: where the row is not in the state that the move needs, it changes nothing
-- and returns nothing. Time is Postgres' clock alone.

-- part: next_hint
-- When sweep sends the event of a row again, if nothing comes of it: 2, 4, 8 … and at most 60 minutes after it was sent.
now() + make_interval(secs => least(3600, 120 * 2 ^ least(hints, 10)))

-- part: last_hint
-- When the event of a row was sent last, by when it is due again.
next_hint_at - make_interval(secs => least(3600, 120 * 2 ^ least(hints - 1, 10)))

-- part: next_turn
-- The turn of a job that an owner queues now (migrations/0008). Two that come at once may get the same one.
greatest((SELECT turn FROM queue),
         (SELECT max(turn) FROM jobs WHERE owner = %(owner)s AND turn IS NOT NULL)
         + (SELECT 1 / share FROM users WHERE id = %(owner)s))

-- name: add_job
-- Adds a queued job; nothing where the owner used that idempotency key before, or is gone. Upload sends the first event itself: sweep sends
-- it only if upload has not noted within 3 seconds that it did.
WITH added AS (
    INSERT INTO jobs (id, owner, fid, filename, container, video, video_size, video_sha256, idempotency_key,
                      options, next_hint_at, traceparent, correlationid, turn)
    SELECT %(id)s, id, %(fid)s, %(filename)s, %(container)s, %(video)s, %(video_size)s, %(video_sha256)s, %(idempotency_key)s,
           %(options)s, now() + interval '3 seconds', %(traceparent)s, %(correlationid)s, {next_turn}
    FROM users WHERE id = %(owner)s
    ON CONFLICT (owner, idempotency_key) DO NOTHING
    RETURNING *
), covered AS (
    INSERT INTO covers (job, image) SELECT id, %(cover)s FROM added WHERE %(cover)s::bytea IS NOT NULL
)
SELECT * FROM added;

-- name: add_job_again
-- Adds a queued job for the video of another one of the same owner, which must still be kept. Nothing where it is not, where the cover
-- that was uploaded is asked for and there is none, where the owner used that idempotency key before, or has `most` such jobs that
-- have not ended. The lock makes it wait for whoever takes the video off that row (expiry.sql), and then find it gone; and whoever
-- comes later finds two rows that name the video.
WITH kept AS (
    SELECT * FROM jobs
    WHERE id = %(origin)s AND owner = %(owner)s AND video IS NOT NULL AND deleted_at IS NULL
      AND (%(options)s::jsonb ->> 'cover' <> 'upload' OR options ->> 'cover' = 'upload')
      AND (SELECT count(*) FROM jobs
           WHERE owner = %(owner)s AND origin IS NOT NULL AND state IN ('queued', 'converting')) < %(most)s
    FOR UPDATE
), added AS (
    INSERT INTO jobs (id, owner, fid, filename, container, video, video_size, video_sha256, source, origin, idempotency_key,
                      options, next_hint_at, traceparent, correlationid, turn)
    SELECT %(id)s, owner, %(id)s, filename, container, video, video_size, video_sha256, source, id, %(idempotency_key)s,
           %(options)s, now() + interval '3 seconds', %(traceparent)s, %(correlationid)s, {next_turn}
    FROM kept
    ON CONFLICT (owner, idempotency_key) DO NOTHING
    RETURNING *
), covered AS (
    INSERT INTO covers (job, image)
    SELECT added.id, image FROM added JOIN covers ON covers.job = added.origin WHERE added.options ->> 'cover' = 'upload'
)
SELECT * FROM added;

-- name: find_cover
-- Finds the cover that was uploaded for a job.
SELECT image FROM covers WHERE job = %(id)s;

-- name: find_waveform
-- Finds the waveform of a job's audio.
SELECT peaks FROM waveforms WHERE job = %(id)s;

-- name: find_job_by_key
-- Finds the job that a request with that idempotency key has made.
SELECT * FROM jobs WHERE owner = %(owner)s AND idempotency_key = %(idempotency_key)s;

-- name: note_hint
-- Notes that the job's event was sent; unless the job has moved on since.
UPDATE jobs SET hints = hints + 1, next_hint_at = {next_hint}
WHERE id = %(id)s AND generation = %(generation)s AND state = 'queued';

-- name: find_job
-- Finds a job, whoever owns it: events name jobs and no owners.
SELECT * FROM jobs WHERE id = %(id)s AND deleted_at IS NULL;

-- name: find_own_job
-- Finds a job for its owner.
SELECT * FROM jobs WHERE id = %(id)s AND owner = %(owner)s AND deleted_at IS NULL;

-- name: list_jobs
-- Lists an owner's jobs, the newest first, below the position (created_at, id), or from the newest on where that is null.
-- The id decides between jobs of the same instant, so a page never repeats or skips one of them.
SELECT * FROM jobs
WHERE owner = %(owner)s AND deleted_at IS NULL
  AND (%(created_at)s::timestamptz IS NULL OR (created_at, id) < (%(created_at)s::timestamptz, %(id)s::uuid))
ORDER BY created_at DESC, id DESC LIMIT %(limit)s;

-- name: find_own_audio
-- Finds the job of an audio file's public id for its owner.
SELECT * FROM jobs WHERE fid = %(fid)s AND owner = %(owner)s AND deleted_at IS NULL;

-- name: find_linked_audio
-- Finds the job of an audio file's public id for whoever holds a signed link to it.
SELECT * FROM jobs WHERE fid = %(fid)s AND deleted_at IS NULL;

-- part: claimable
-- What a queued job needs to be converted.
tries < %(max_tries)s AND video IS NOT NULL AND deleted_at IS NULL

-- name: claim_job
-- Leases a queued job to one worker: that of the event where it has no turn, or else the one whose turn it is. There are as many
-- events as jobs, so each job gets one. What somebody is just changing is passed over, unless the event is about it and nothing else
-- is queued. The fence rises, so that whoever claimed the job before can no longer write to it.
WITH own AS (
    SELECT id FROM jobs WHERE id = %(id)s AND turn IS NULL AND state = 'queued' AND {claimable}
), next AS (
    SELECT id FROM jobs WHERE turn IS NOT NULL AND state = 'queued' AND {claimable}
    ORDER BY turn, queued_at LIMIT 1 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE jobs
    SET state = 'converting', fence = fence + 1, tries = tries + 1, progress = 0, started_at = now(),
        lease_until = now() + make_interval(secs => %(lease)s)
    WHERE id = coalesce((SELECT id FROM own), (SELECT id FROM next), %(id)s) AND state = 'queued' AND {claimable}
    RETURNING *
), served AS (
    UPDATE queue SET turn = claimed.turn FROM claimed WHERE claimed.turn > queue.turn
)
SELECT * FROM claimed;

-- name: renew_lease
-- Prolongs a worker's lease and notes its progress; renewals that arrive out of order do not turn the progress back.
UPDATE jobs
SET lease_until = now() + make_interval(secs => %(lease)s), progress = greatest(progress, %(progress)s)
WHERE id = %(id)s AND fence = %(fence)s AND state = 'converting'
RETURNING id;

-- name: note_source
-- Notes what a worker has found in the video; it stays whatever comes of the conversion.
UPDATE jobs SET source = %(source)s WHERE id = %(id)s AND fence = %(fence)s AND state = 'converting';

-- name: finish_job
-- Names the audio that a worker stored, and owes the owner an email about it.
WITH ended AS (
    UPDATE jobs
    SET state = 'done', audio = %(audio)s, audio_size = %(audio_size)s, duration = %(duration)s, facts = %(facts)s, progress = 1,
        lease_until = NULL, finished_at = now(), last_error = NULL
    WHERE id = %(id)s AND fence = %(fence)s AND state = 'converting'
    RETURNING *
), owed AS ({owe_notification}), drawn AS (
    INSERT INTO waveforms (job, peaks) SELECT id, %(peaks)s FROM ended WHERE octet_length(%(peaks)s) > 0
    ON CONFLICT (job) DO UPDATE SET peaks = excluded.peaks
)
SELECT * FROM ended;

-- name: fail_job
-- Ends a job that its worker cannot convert, and owes the owner an email that says why.
WITH ended AS (
    UPDATE jobs
    SET state = 'failed', reason = %(reason)s, detail = %(detail)s, last_error = %(last_error)s, lease_until = NULL, finished_at = now()
    WHERE id = %(id)s AND fence = %(fence)s AND state = 'converting'
    RETURNING *
), owed AS ({owe_notification})
SELECT * FROM ended;

-- name: hand_back_job
-- Queues a job that its worker could not go on with. It waits for its own event. Trouble that is not the job's own refunds the try, so that an outage fails
-- nobody's job. A job that is handed back each time (the disk is full) is announced after 30, 60, 120 … and at most 600 seconds.
UPDATE jobs
SET state = 'queued', turn = NULL, lease_until = NULL, tries = tries - %(refund)s, last_error = %(last_error)s,
    next_hint_at = now() + make_interval(secs => least(600, 30 * 2 ^ least(hints, 10)))
WHERE id = %(id)s AND fence = %(fence)s AND state = 'converting'
RETURNING id;

-- name: give_up_jobs
-- Fails what has no try left and no live lease: one job (dead-letter) or, without an id, a batch of them (sweep).
WITH ended AS (
    UPDATE jobs
    SET state = 'failed', reason = 'retries_exhausted', lease_until = NULL, finished_at = now(),
        last_error = coalesce(last_error, 'the worker was lost')
    WHERE id IN (
        SELECT id FROM jobs
        WHERE (%(id)s::uuid IS NULL OR id = %(id)s) AND tries >= %(max_tries)s
          AND (state = 'queued' OR (state = 'converting' AND lease_until < now()))
        LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    RETURNING *
), owed AS ({owe_notification})
SELECT * FROM ended;

-- name: free_lapsed_jobs
-- Queues jobs whose worker let its lease lapse. The generation rises, so that what is sent next is a new event and not the repeat
-- of one that somebody may have answered already.
UPDATE jobs
SET state = 'queued', turn = NULL, lease_until = NULL, generation = generation + 1, hints = 0, next_hint_at = now(),
    last_error = 'the worker was lost'
WHERE id IN (
    SELECT id FROM jobs WHERE state = 'converting' AND lease_until < now() AND tries < %(max_tries)s
    LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING *;

-- name: take_owed_jobs
-- Takes queued jobs whose event is due again, the longest overdue first, and notes that it is sent. Two sweeps at once take
-- different ones.
UPDATE jobs SET hints = hints + 1, next_hint_at = {next_hint}
WHERE id IN (
    SELECT id FROM jobs WHERE state = 'queued' AND next_hint_at <= now() AND tries < %(max_tries)s
    ORDER BY next_hint_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING *;

-- name: postpone_hint
-- Takes back that the job's event was sent: the sink was away. It is due again in a second.
UPDATE jobs SET hints = greatest(0, hints - 1), next_hint_at = now() + interval '1 second'
WHERE id = %(id)s AND state = 'queued';

-- name: recall_hints
-- Makes the events of queued jobs due that were sent before the broker lost them, that is so many seconds ago, and not since.
UPDATE jobs SET hints = hints - 1, next_hint_at = now()
WHERE id IN (
    SELECT id FROM jobs
    WHERE state = 'queued' AND next_hint_at > now() AND hints > 0 AND {last_hint} < now() - make_interval(secs => %(lost)s)
    ORDER BY next_hint_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING id;

-- part: kept_turn
-- A turn that was not taken does not count.
CASE WHEN state = 'queued' THEN NULL ELSE turn END

-- name: cancel_job
-- Stops a job that has not ended; its worker finds its lease gone when it next renews it.
UPDATE jobs SET state = 'cancelled', turn = {kept_turn}, lease_until = NULL, finished_at = now()
WHERE id = %(id)s AND owner = %(owner)s AND state IN ('queued', 'converting') AND deleted_at IS NULL
RETURNING *;

-- name: delete_job
-- Hides a job, in whatever state, and cancels it in the same statement if it has not ended. Sweep removes the row and the bytes
-- when no transfer of them can still run; until then a repeat finds the row and changes nothing. A notification that is made in
-- the very moment of the deletion may stay owed: nobody is sent it, for claim_notification passes over hidden jobs.
WITH hidden AS (
    UPDATE jobs
    SET deleted_at = coalesce(deleted_at, now()), idempotency_key = NULL, turn = {kept_turn}, lease_until = NULL,
        state = CASE WHEN state IN ('queued', 'converting') THEN 'cancelled' ELSE state END,
        finished_at = coalesce(finished_at, now())
    WHERE id = %(id)s AND owner = %(owner)s
    RETURNING id
), withdrawn AS (
    UPDATE notifications SET state = 'given_up', last_error = 'the job was deleted'
    WHERE job IN (SELECT id FROM hidden) AND state IN ('owed', 'claimed')
)
SELECT id FROM hidden;

-- name: retry_job
-- Queues a job that failed or was cancelled, with all its tries, under a new generation. An email about the failure is no longer
-- owed. The first event goes out with this request, as in add_job.
WITH retried AS (
    UPDATE jobs
    SET state = 'queued', turn = {next_turn}, generation = generation + 1, tries = 0, hints = 0, next_hint_at = now() + interval '3 seconds',
        reason = NULL, detail = NULL, last_error = NULL, progress = 0, queued_at = now(), started_at = NULL, finished_at = NULL
    WHERE id = %(id)s AND owner = %(owner)s AND state IN ('failed', 'cancelled') AND video IS NOT NULL AND deleted_at IS NULL
    RETURNING *
), withdrawn AS (
    UPDATE notifications SET state = 'given_up', last_error = 'the job was tried again'
    WHERE job IN (SELECT id FROM retried) AND state IN ('owed', 'claimed')
)
SELECT * FROM retried;

-- name: count_jobs
-- Counts the jobs in each state, with the most tries among them and the age of the oldest that is queued, in seconds.
SELECT state, jobs, coalesce((SELECT max(tries) FROM jobs WHERE state = c.state AND deleted_at IS NULL), 0) AS tries,
    CASE WHEN state = 'queued' THEN coalesce(extract(epoch FROM now() - (
        SELECT min(queued_at) FROM jobs WHERE state = 'queued' AND deleted_at IS NULL)), 0) ELSE 0 END::float AS oldest_seconds
FROM (SELECT state, sum(count)::integer AS jobs FROM counts WHERE kind = 'jobs' GROUP BY state HAVING sum(count) > 0) AS c;
