-- +goose Up

-- Times are unix nanoseconds; NULL is the zero time. Lists inside a row are JSON; references to blobs and manifests
-- are in the binary form of package batch.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
    id                  TEXT PRIMARY KEY,
    name                TEXT NOT NULL UNIQUE,
    created_at          INTEGER,
    weight              INTEGER NOT NULL DEFAULT 1,
    -- Limits; 0 is none.
    max_stored_bytes        INTEGER NOT NULL DEFAULT 0,
    max_files               INTEGER NOT NULL DEFAULT 0,
    max_open_batches        INTEGER NOT NULL DEFAULT 0,
    max_enqueued_lines      INTEGER NOT NULL DEFAULT 0,
    max_enqueued_tokens     INTEGER NOT NULL DEFAULT 0,
    max_batches_per_hour    INTEGER NOT NULL DEFAULT 0,
    max_requests_per_minute INTEGER NOT NULL DEFAULT 0,
    -- What is neither deleted nor expired, kept by the triggers below so that no verb can forget it.
    stored_bytes        INTEGER NOT NULL DEFAULT 0,
    files               INTEGER NOT NULL DEFAULT 0,
    callback_secret     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    tenant      TEXT NOT NULL REFERENCES tenants (id),
    hash        BLOB NOT NULL,
    dialect     TEXT NOT NULL DEFAULT '',
    created_at  INTEGER,
    expires_at  INTEGER,
    revoked_at  INTEGER
) STRICT;

CREATE INDEX api_keys_by_tenant ON api_keys (tenant, seq);

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

-- +goose StatementBegin
CREATE TRIGGER file_counts AFTER INSERT ON files BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + NEW.bytes, files = files + 1 WHERE id = NEW.tenant;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER hidden_file_counts_no_more AFTER UPDATE OF hidden_at ON files
WHEN OLD.hidden_at IS NULL AND NEW.hidden_at IS NOT NULL BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - NEW.bytes, files = files - 1 WHERE id = NEW.tenant;
END;
-- +goose StatementEnd

CREATE TABLE uploads (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    tenant      TEXT NOT NULL,
    dialect     TEXT NOT NULL,
    name        TEXT NOT NULL,
    purpose     TEXT NOT NULL,
    mime_type   TEXT NOT NULL,
    bytes       INTEGER NOT NULL,
    file_ttl    INTEGER NOT NULL,
    status      TEXT NOT NULL,
    created_at  INTEGER,
    expires_at  INTEGER,
    file_id     TEXT NOT NULL DEFAULT '',
    -- The number of its parts and their bytes, which stay known when these are dropped.
    parts       INTEGER NOT NULL DEFAULT 0,
    received    INTEGER NOT NULL DEFAULT 0,
    CHECK (received <= 2 * bytes)
) STRICT;

CREATE INDEX uploads_ending ON uploads (expires_at) WHERE status = 'pending';
CREATE INDEX uploads_over ON uploads (expires_at) WHERE status != 'pending';

CREATE TABLE upload_parts (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    upload      INTEGER NOT NULL REFERENCES uploads (seq),
    tenant      TEXT NOT NULL,
    content     BLOB NOT NULL,
    blob_key    TEXT NOT NULL,
    bytes       INTEGER NOT NULL,
    -- The line span: 0 or 1 for broken, head and tail.
    broken      INTEGER NOT NULL,
    head        INTEGER NOT NULL,
    tail        INTEGER NOT NULL,
    whole       INTEGER NOT NULL,
    created_at  INTEGER
) STRICT;

CREATE INDEX upload_parts_of ON upload_parts (upload, seq);
CREATE INDEX upload_parts_by_blob ON upload_parts (blob_key);

-- +goose StatementBegin
CREATE TRIGGER part_counts AFTER INSERT ON upload_parts BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + NEW.bytes WHERE id = NEW.tenant;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER dropped_part_counts_no_more AFTER DELETE ON upload_parts BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - OLD.bytes WHERE id = OLD.tenant;
END;
-- +goose StatementEnd

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
    callback_url    TEXT NOT NULL DEFAULT '',
    continued_from  TEXT NOT NULL DEFAULT '',
    -- The lines of the input file, which count as enqueued until validation has its own total; tokens are an estimate.
    enqueued_lines  INTEGER NOT NULL DEFAULT 0,
    enqueued_tokens INTEGER NOT NULL DEFAULT 0,
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
CREATE INDEX batches_by_status ON batches (tenant, status, seq);
CREATE INDEX batches_by_age ON batches (tenant, created_at, seq);
-- It carries what quotas sum up, so that they need not read the rows.
CREATE INDEX batches_open ON batches (tenant, status, enqueued_lines, enqueued_tokens)
    WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling');
CREATE INDEX batches_due ON batches (stage, seq) WHERE stage IS NOT NULL;
CREATE INDEX batches_reading ON batches (input_file_id) WHERE stage IS NOT NULL;
CREATE INDEX batches_planned ON batches (plan_key) WHERE stage IS NOT NULL;
CREATE INDEX batches_ending ON batches (expires_at) WHERE stop = 'none' AND status IN ('validating', 'in_progress');
CREATE INDEX batches_leased ON batches (node, lease) WHERE node IS NOT NULL;

-- How far the clock of a tenant's batches ever went back from one to a later one, so that a list by time of creation
-- knows how far beyond its ends, in order of creation, it has to look. No row is not at all.
CREATE TABLE batch_clocks (
    tenant TEXT PRIMARY KEY,
    back   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER clock_went_back AFTER INSERT ON batches
WHEN NEW.created_at < (SELECT max(created_at) FROM batches WHERE tenant = NEW.tenant) BEGIN
    INSERT INTO batch_clocks (tenant, back)
    SELECT NEW.tenant, max(created_at) - NEW.created_at FROM batches WHERE tenant = NEW.tenant
    ON CONFLICT (tenant) DO UPDATE SET back = excluded.back WHERE excluded.back > back;
END;
-- +goose StatementEnd

CREATE TABLE idempotency_keys (
    tenant      TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    batch       INTEGER NOT NULL REFERENCES batches (seq),
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE webhooks (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT NOT NULL UNIQUE,
    tenant         TEXT NOT NULL REFERENCES tenants (id),
    url            TEXT NOT NULL,
    -- A JSON array; NULL for every event.
    events         TEXT,
    secret         TEXT NOT NULL,
    previous       TEXT NOT NULL DEFAULT '',
    previous_until INTEGER,
    created_at     INTEGER
) STRICT;

CREATE INDEX webhooks_by_tenant ON webhooks (tenant, seq);

-- The outbox: one row for each event and address, written with the change that it tells of.
CREATE TABLE deliveries (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    tenant      TEXT NOT NULL,
    event_id    TEXT NOT NULL,
    event       TEXT NOT NULL,
    batch       TEXT NOT NULL,
    dialect     TEXT NOT NULL,
    -- NULL for the batch's own callback, whose address is in url.
    webhook     INTEGER REFERENCES webhooks (seq) ON DELETE CASCADE,
    named       INTEGER NOT NULL DEFAULT 0,
    url         TEXT NOT NULL DEFAULT '',
    state       TEXT NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER,
    next_at     INTEGER,
    last_status INTEGER NOT NULL DEFAULT 0,
    last_error  TEXT NOT NULL DEFAULT '',
    updated_at  INTEGER
) STRICT;

CREATE INDEX deliveries_due ON deliveries (next_at) WHERE state = 'pending';
CREATE INDEX deliveries_over ON deliveries (updated_at) WHERE state != 'pending';
CREATE INDEX deliveries_by_tenant ON deliveries (tenant, seq);
CREATE INDEX deliveries_by_webhook ON deliveries (webhook, seq) WHERE webhook IS NOT NULL;
CREATE INDEX deliveries_by_batch ON deliveries (batch);

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
