CREATE TABLE users (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    username      text NOT NULL,
    name          text NOT NULL,
    email         text NOT NULL,
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_username_key ON users (lower(username));
CREATE INDEX users_email_idx ON users (lower(email));

-- Attempts to log in by username, whether or not a user has it: the answer must not tell which.
CREATE TABLE login_attempts (
    username      text PRIMARY KEY,
    attempts      integer NOT NULL,
    blocked_until timestamptz NOT NULL
);

CREATE TABLE jobs (
    id              uuid PRIMARY KEY,
    owner           uuid NOT NULL REFERENCES users,
    fid             uuid NOT NULL UNIQUE,          -- the MP3's public id, chosen when the job is made
    filename        text NOT NULL,
    container       text NOT NULL,
    video           uuid,                          -- GridFS file of the source; null once it is removed
    video_size      bigint NOT NULL,
    video_sha256    text NOT NULL,
    idempotency_key text,
    state           text NOT NULL DEFAULT 'queued'
                    CHECK (state IN ('queued', 'converting', 'done', 'failed', 'cancelled', 'expired')),
    generation      integer NOT NULL DEFAULT 0,    -- part of every event's id: rises when a new event must be a new one
    fence           integer NOT NULL DEFAULT 0,    -- rises with every claim; a write that carries an older one changes nothing
    tries           integer NOT NULL DEFAULT 0,    -- claims since the job was last queued by its owner; MAX_TRIES is the limit
    lease_until     timestamptz,
    progress        real NOT NULL DEFAULT 0,
    audio           uuid,                          -- GridFS file that the worker stored which finished the job
    audio_size      bigint,
    duration        double precision,              -- seconds
    reason          text,
    last_error      text,
    hints           integer NOT NULL DEFAULT 0,    -- how often its event was sent
    next_hint_at    timestamptz,
    traceparent     text,
    correlationid   text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    queued_at       timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    expired_at      timestamptz,
    deleted_at      timestamptz,
    CHECK ((state = 'converting') = (lease_until IS NOT NULL)),
    CHECK (state <> 'done' OR audio IS NOT NULL),
    CHECK (state <> 'failed' OR reason IS NOT NULL)
);
CREATE INDEX jobs_owner_idx ON jobs (owner, created_at DESC);
CREATE UNIQUE INDEX jobs_idempotency_key ON jobs (owner, idempotency_key);
CREATE INDEX jobs_queued_idx ON jobs (next_hint_at) WHERE state = 'queued';
CREATE INDEX jobs_lease_idx ON jobs (lease_until) WHERE state = 'converting';
CREATE INDEX jobs_finished_idx ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_deleted_idx ON jobs (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX jobs_video_idx ON jobs (video);
CREATE INDEX jobs_audio_idx ON jobs (audio);

-- An email to the owner is owed like the conversion itself: the row stays until it is sent or given up.
CREATE TABLE notifications (
    job          uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    generation   integer NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('done', 'failed')),
    state        text NOT NULL DEFAULT 'owed' CHECK (state IN ('owed', 'claimed', 'sent', 'given_up')),
    tries        integer NOT NULL DEFAULT 0,
    lease_until  timestamptz,
    hints        integer NOT NULL DEFAULT 0,
    next_hint_at timestamptz NOT NULL,
    last_error   text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    sent_at      timestamptz,
    PRIMARY KEY (job, outcome, generation)
);
CREATE INDEX notifications_owed_idx ON notifications (next_hint_at) WHERE state IN ('owed', 'claimed');
CREATE INDEX notifications_sent_idx ON notifications (sent_at) WHERE state = 'sent';

-- When sweep last began a pass that costs too much to be made every minute.
CREATE TABLE passes (
    name     text PRIMARY KEY,
    begun_at timestamptz NOT NULL
);
