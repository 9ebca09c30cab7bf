-- A notification is owed until it is sent or given up; it is unwanted from the start where its owner has no address.
-- Which one an event is about follows from the job's row, never from the event.

-- part: owe_notification
-- Owes the owners of the jobs in `ended` an email each. Convert's reply makes notify write it at once: sweep announces the result
-- only if it is still owed after 30 seconds, for notify may have many to write.
INSERT INTO notifications (job, generation, outcome, state, next_hint_at)
SELECT e.id, e.generation, e.state, CASE WHEN u.email IS NULL THEN 'unwanted' ELSE 'owed' END, now() + interval '30 seconds'
FROM ended e JOIN users u ON u.id = e.owner

-- name: claim_notification
-- Leases what is owed about a job to one worker. Its owner's address may have been taken away since the job ended: then nobody
-- claims it any more.
UPDATE notifications n
SET state = CASE WHEN u.email IS NULL THEN 'unwanted' ELSE 'claimed' END, tries = n.tries + 1,
    lease_until = CASE WHEN u.email IS NOT NULL THEN now() + make_interval(secs => %(lease)s) END
FROM jobs j JOIN users u ON u.id = j.owner
WHERE n.job = %(job)s AND j.id = n.job AND n.outcome = j.state AND n.generation = j.generation AND j.deleted_at IS NULL
  AND (n.state = 'owed' OR (n.state = 'claimed' AND n.lease_until < now()))
RETURNING n.job, n.generation, n.outcome, n.tries, j.fid, j.filename, j.reason, j.detail, j.options, j.facts,
    u.name, u.email,
    (SELECT count(*) FROM notifications s
     WHERE s.state = 'sent' AND s.sent_at > now() - interval '1 hour' AND s.sent_to = lower(u.email))::integer AS mails_this_hour;

-- name: note_sent
-- Notes that the email was sent and where to, so that the emails of an hour can be counted though addresses change.
UPDATE notifications SET state = 'sent', sent_at = now(), sent_to = lower(%(email)s), lease_until = NULL, last_error = NULL
WHERE job = %(job)s AND outcome = %(outcome)s AND generation = %(generation)s AND state = 'claimed'
RETURNING job;

-- name: postpone_notification
-- Leaves a claimed notification owed, and announces it again in so many seconds.
UPDATE notifications
SET state = 'owed', lease_until = NULL, last_error = %(last_error)s, next_hint_at = now() + make_interval(secs => %(seconds)s)
WHERE job = %(job)s AND outcome = %(outcome)s AND generation = %(generation)s AND state = 'claimed';

-- name: give_up_notification
-- Ends a claimed notification unsent.
UPDATE notifications SET state = 'given_up', lease_until = NULL, last_error = %(last_error)s
WHERE job = %(job)s AND outcome = %(outcome)s AND generation = %(generation)s AND state = 'claimed';

-- name: give_up_old_notifications
-- Ends what has been owed for too long, except what a worker is sending right now.
UPDATE notifications SET state = 'given_up', lease_until = NULL
WHERE state IN ('owed', 'claimed') AND created_at < now() - make_interval(secs => %(age)s) AND coalesce(lease_until, now()) <= now()
RETURNING job;

-- name: take_owed_results
-- Takes ended jobs whose owner is still owed an email and whose result is due to be announced again, the longest overdue first,
-- and notes that it is.
WITH taken AS (
    UPDATE notifications SET hints = hints + 1, next_hint_at = {next_hint}
    WHERE (job, outcome, generation) IN (
        SELECT job, outcome, generation FROM notifications
        WHERE next_hint_at <= now() AND (state = 'owed' OR (state = 'claimed' AND lease_until < now()))
        ORDER BY next_hint_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    RETURNING job, outcome, generation
)
SELECT j.* FROM jobs j JOIN taken t ON t.job = j.id AND t.generation = j.generation AND t.outcome = j.state
WHERE j.deleted_at IS NULL;

-- name: postpone_result
-- Takes back that the job's result was announced: the sink was away. It is due again in a second.
UPDATE notifications SET hints = greatest(0, hints - 1), next_hint_at = now() + interval '1 second'
WHERE job = %(job)s AND state = 'owed';

-- name: recall_results
-- Makes results due that were announced before the broker lost that, so many seconds ago, and not since. Of those that
-- have no hint yet, but only convert's reply, the newest are among them that were made in the half minute since.
UPDATE notifications SET hints = greatest(0, hints - 1), next_hint_at = now()
WHERE (job, outcome, generation) IN (
    SELECT job, outcome, generation FROM notifications
    WHERE state = 'owed' AND next_hint_at > now() AND {last_hint} < now() - make_interval(secs => %(lost)s)
    ORDER BY next_hint_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING job;

-- name: count_notifications
-- Counts the notifications in each state.
SELECT state, sum(count)::integer AS notifications FROM counts WHERE kind = 'notifications' GROUP BY state HAVING sum(count) > 0;

-- name: note_dead_letter
-- Notes why a result's event was given up, if the owner is still owed an email about it.
UPDATE notifications SET last_error = %(last_error)s WHERE job = %(job)s AND state IN ('owed', 'claimed') RETURNING job;
