-- +goose Up

-- Times are unix nanoseconds; NULL is the zero time. Lists inside a row are JSON; references to blobs and manifests
-- are in the binary form of package batch.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE files (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    tenant       TEXT NOT NULL,
    dialect      TEXT NOT NULL,
    name         TEXT NOT NULL,
    purpose      TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    lines        INTEGER NOT NULL,
    created_at   INTEGER,
    expires_at   INTEGER,
    -- Set when the file was deleted, or its end was noticed: from then on it is absent for its tenant.
    hidden_at    INTEGER,
    content      BLOB,
    content_blob BLOB
) STRICT;

CREATE INDEX files_shown ON files (tenant, seq) WHERE hidden_at IS NULL;
CREATE INDEX files_shown_by_purpose ON files (tenant, purpose, seq) WHERE hidden_at IS NULL;
CREATE INDEX files_ending ON files (expires_at) WHERE hidden_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX files_hidden ON files (hidden_at) WHERE hidden_at IS NOT NULL;

-- Every blob that a file's content rests on.
CREATE TABLE file_blobs (
    blob_key TEXT NOT NULL,
    file     INTEGER NOT NULL REFERENCES files (seq) ON DELETE CASCADE,
    PRIMARY KEY (blob_key, file)
) STRICT, WITHOUT ROWID;

CREATE INDEX file_blobs_by_file ON file_blobs (file);

CREATE TABLE batches (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    tenant          TEXT NOT NULL,
    key_id          TEXT NOT NULL,
    dialect         TEXT NOT NULL,
    endpoint        TEXT NOT NULL,
    input_file_id   TEXT NOT NULL,
    window          TEXT NOT NULL,
    metadata        BLOB,
    output_ttl      INTEGER NOT NULL,
    remark          TEXT NOT NULL,
    status          TEXT NOT NULL,
    stop            TEXT NOT NULL,
    ready           INTEGER NOT NULL DEFAULT 0,
    version         INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER,
    expires_at      INTEGER,
    updated_at      INTEGER,
    in_progress_at  INTEGER,
    finalizing_at   INTEGER,
    completed_at    INTEGER,
    failed_at       INTEGER,
    expired_at      INTEGER,
    cancelling_at   INTEGER,
    cancelled_at    INTEGER,
    model           TEXT NOT NULL DEFAULT '',
    total           INTEGER NOT NULL DEFAULT 0,
    completed       INTEGER NOT NULL DEFAULT 0,
    failed          INTEGER NOT NULL DEFAULT 0,
    usage_input     INTEGER NOT NULL DEFAULT 0,
    usage_cached    INTEGER NOT NULL DEFAULT 0,
    usage_output    INTEGER NOT NULL DEFAULT 0,
    usage_reasoning INTEGER NOT NULL DEFAULT 0,
    usage_total     INTEGER NOT NULL DEFAULT 0,
    errors          TEXT,
    errors_total    INTEGER NOT NULL DEFAULT 0,
    plan            BLOB,
    plan_key        TEXT,
    models          TEXT,
    units           INTEGER NOT NULL DEFAULT 0,
    sealed_units    INTEGER NOT NULL DEFAULT 0,
    in_line_order   INTEGER NOT NULL DEFAULT 0,
    output_file_id  TEXT NOT NULL DEFAULT '',
    error_file_id   TEXT NOT NULL DEFAULT '',
    -- The last lease, never nulled; it is held while node is set.
    lease           BLOB,
    node            TEXT,
    -- What has to happen next, derived so that it cannot disagree with the state; NULL once nothing has.
    stage           TEXT GENERATED ALWAYS AS (CASE
        WHEN status IN ('completed', 'failed', 'expired', 'cancelled') THEN NULL
        WHEN units = 0 THEN 'validate'
        WHEN ready THEN 'finalize'
        ELSE 'run'
    END) VIRTUAL,
    CHECK (completed + failed <= total),
    CHECK (sealed_units <= units)
) STRICT;

CREATE INDEX batches_by_tenant ON batches (tenant, seq);
CREATE INDEX batches_due ON batches (stage, seq) WHERE stage IS NOT NULL;
CREATE INDEX batches_reading ON batches (input_file_id) WHERE stage IS NOT NULL;
CREATE INDEX batches_planned ON batches (plan_key) WHERE stage IS NOT NULL;
CREATE INDEX batches_ending ON batches (expires_at) WHERE stop = 'none' AND status IN ('validating', 'in_progress');
CREATE INDEX batches_leased ON batches (node, lease) WHERE node IS NOT NULL;

CREATE TABLE idempotency_keys (
    tenant      TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    batch       INTEGER NOT NULL REFERENCES batches (seq),
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE units (
    batch           INTEGER NOT NULL REFERENCES batches (seq),
    ordinal         INTEGER NOT NULL,
    first           INTEGER NOT NULL,
    count           INTEGER NOT NULL,
    model           INTEGER NOT NULL,
    bytes           INTEGER NOT NULL,
    -- 0 pending, 1 leased, 2 sealed.
    state           INTEGER NOT NULL DEFAULT 0,
    -- The last lease, never nulled; it is held while state is 1.
    lease           BLOB,
    node            TEXT,
    segment         BLOB,
    segment_key     TEXT,
    output_bytes    INTEGER NOT NULL DEFAULT 0,
    output_lines    INTEGER NOT NULL DEFAULT 0,
    error_bytes     INTEGER NOT NULL DEFAULT 0,
    error_lines     INTEGER NOT NULL DEFAULT 0,
    failed          INTEGER NOT NULL DEFAULT 0,
    usage_input     INTEGER NOT NULL DEFAULT 0,
    usage_cached    INTEGER NOT NULL DEFAULT 0,
    usage_output    INTEGER NOT NULL DEFAULT 0,
    usage_reasoning INTEGER NOT NULL DEFAULT 0,
    usage_total     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (batch, ordinal)
) STRICT, WITHOUT ROWID;

CREATE INDEX units_pending ON units (batch, ordinal) WHERE state = 0;
CREATE INDEX units_leased ON units (node, lease) WHERE state = 1;
CREATE INDEX units_by_segment ON units (segment_key) WHERE segment_key IS NOT NULL;

PRAGMA user_version = 1;
