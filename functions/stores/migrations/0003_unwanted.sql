-- A user without an address gets no emails: the notifications of their jobs are unwanted.
ALTER TABLE users ALTER COLUMN email DROP NOT NULL;
ALTER TABLE notifications
    DROP CONSTRAINT notifications_state_check,
    ADD CONSTRAINT notifications_state_check CHECK (state IN ('owed', 'claimed', 'sent', 'given_up', 'unwanted'));

-- An address can now be changed, so emails are counted by the address they went to, not by whose address it is today.
ALTER TABLE notifications ADD COLUMN sent_to text;
UPDATE notifications n SET sent_to = lower(u.email)
FROM jobs j JOIN users u ON u.id = j.owner
WHERE j.id = n.job AND n.state = 'sent' AND n.sent_at > now() - interval '1 hour';
CREATE INDEX notifications_sent_to_idx ON notifications (sent_to, sent_at) WHERE state = 'sent';
DROP INDEX notifications_sent_idx;
