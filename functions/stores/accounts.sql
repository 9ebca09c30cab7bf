-- name: ping
SELECT 1 FROM migrations LIMIT 1;

-- name: add_user
INSERT INTO users (username, name, email, password_hash)
VALUES (%(username)s, %(name)s, %(email)s, %(password_hash)s)
RETURNING id, username, name, email, password_hash;

-- name: find_user
SELECT id, username, name, email, password_hash FROM users WHERE lower(username) = lower(%(username)s);

-- name: find_account
SELECT id, username, name, email, password_hash FROM users WHERE id = %(id)s;

-- name: set_email
UPDATE users SET email = %(email)s WHERE id = %(id)s RETURNING id, username, name, email, password_hash;

-- name: count_login_attempt
-- Counted before the password is looked at, so that many at once cannot slip through. Returns nothing while the name is blocked.
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
SELECT greatest(1, ceil(extract(epoch FROM blocked_until - now())))::integer AS seconds
FROM login_attempts WHERE username = lower(%(username)s);

-- name: forget_login_attempts
DELETE FROM login_attempts WHERE username = lower(%(username)s);
