-- name: ping
-- Fails where the database has none of our tables.
SELECT 1 FROM migrations LIMIT 1;

-- name: add_user
-- Adds a user; nothing where somebody has that username, whatever its case. Not by an error, for which Postgres would write the
-- statement, and the hash in it, to its log.
INSERT INTO users (username, name, email, password_hash)
VALUES (%(username)s, %(name)s, %(email)s, %(password_hash)s)
ON CONFLICT (lower(username)) DO NOTHING
RETURNING id, username, name, email, password_hash;

-- name: find_user
-- Finds the user of a username, whatever its case.
SELECT id, username, name, email, password_hash FROM users WHERE lower(username) = lower(%(username)s);

-- name: find_account
-- Finds the user of an id.
SELECT id, username, name, email, password_hash FROM users WHERE id = %(id)s;

-- name: set_email
-- Changes a user's address; null takes it away.
UPDATE users SET email = %(email)s WHERE id = %(id)s RETURNING id, username, name, email, password_hash;

-- name: count_login_attempt
-- Counts one more attempt to log in as that username, and returns nothing while the username must wait. It runs before the
-- password is looked at, so that of many attempts at once none slips through. After the free ones the wait is 1, 2, 4 … and at
-- most 900 seconds; a quarter of an hour without an attempt forgives all.
INSERT INTO login_attempts AS a (username, attempts, blocked_until)
VALUES (lower(%(username)s), 1, now())
ON CONFLICT (username) DO UPDATE SET
    attempts = CASE WHEN a.blocked_until < now() - interval '15 minutes' THEN 1 ELSE a.attempts + 1 END,
    blocked_until = now() + CASE
        WHEN a.attempts < %(free)s OR a.blocked_until < now() - interval '15 minutes' THEN interval '0'
        ELSE make_interval(secs => least(900, 2 ^ least(a.attempts - %(free)s, 10)))
    END
WHERE a.blocked_until <= now()
RETURNING attempts;

-- name: blocked_for
-- How many seconds that username must still wait.
SELECT greatest(1, ceil(extract(epoch FROM blocked_until - now())))::integer AS seconds
FROM login_attempts WHERE username = lower(%(username)s);

-- name: forget_login_attempts
-- Starts counting anew, after a login that succeeded.
DELETE FROM login_attempts WHERE username = lower(%(username)s);
