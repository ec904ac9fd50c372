-- +goose Up

-- How far scrubbing has come: one row, or none before the first time.
CREATE TABLE scrub (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    started_at  INTEGER,
    finished_at INTEGER,
    -- The sequence number of the next file, and how much of it has been read.
    file        INTEGER NOT NULL,
    position    INTEGER NOT NULL
) STRICT;

-- What was found wrong with blobs, by the files that rest on them.
CREATE TABLE damages (
    file     INTEGER NOT NULL REFERENCES files (seq) ON DELETE CASCADE,
    blob_key TEXT NOT NULL,
    problem  TEXT NOT NULL,
    found_at INTEGER NOT NULL,
    seen_at  INTEGER NOT NULL,
    PRIMARY KEY (file, blob_key)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 6;
