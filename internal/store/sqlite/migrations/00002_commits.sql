-- +goose Up

-- How many write transactions the store has committed. Each raises it by one, also one of another process; the file
-- batchd.seq beside the database holds the highest that was committed, so that a database that lost time is noticed.
CREATE TABLE commits (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL,
    -- The number up to which the main file is known to hold everything: what the write-ahead log builds on.
    folded INTEGER NOT NULL
) STRICT;

INSERT INTO commits (id, number, folded) VALUES (1, 0, 0);

PRAGMA user_version = 2;
