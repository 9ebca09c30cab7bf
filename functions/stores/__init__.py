"""Where state lives: Postgres for the truth, GridFS for the bytes, a mail server for emails."""
