-- What convert found in the video (functions/model/source.py), what is known of the finished audio (functions/model/audio.py), and
-- what its owner should do where the reason of a failure alone does not say it. All are null until then, and for jobs that are older.
ALTER TABLE jobs ADD COLUMN source jsonb, ADD COLUMN facts jsonb, ADD COLUMN detail text;

-- A cover that came with the video: a JPEG or PNG of at most 5 MB.
CREATE TABLE covers (
    job   uuid PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
    image bytea NOT NULL
);

-- The waveform of the finished audio: at most 1,000 peaks, a byte each.
CREATE TABLE waveforms (
    job   uuid PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
    peaks bytea NOT NULL
);
