-- Whose turn it is. Without an order of its own the queue is served as it was filled, and who comes behind another's thousand videos
-- waits for all of them.
--
-- This is start-time fair queueing (Goyal, Vin and Cheng 1996): a job's turn is the one that is being served now, or one share behind
-- its owner's last, whichever is later. The lowest turn is served first. So owners take turns, however much each has waiting.
ALTER TABLE users ADD COLUMN share real NOT NULL DEFAULT 1 CHECK (share > 0);  -- with 2, two videos for each one of another

-- Null: the job waits for its own event. So do jobs that were handed back, since their trouble would else hold up all others.
ALTER TABLE jobs ADD COLUMN turn double precision;
CREATE INDEX jobs_turn_idx ON jobs (turn, queued_at) WHERE state = 'queued' AND turn IS NOT NULL;
CREATE INDEX jobs_owners_turn_idx ON jobs (owner, turn) WHERE turn IS NOT NULL;

-- The turn that is being served. One row.
CREATE TABLE queue (turn double precision NOT NULL);
INSERT INTO queue VALUES (0);
