-- Sessions of the dashboard, and links that open one: looked up by the SHA-256 of their token, and
-- forgotten once they have expired.
CREATE TABLE session (
    digest     BLOB PRIMARY KEY,
    key_id     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_expiry ON session (expires_at);
