-- +goose Up

-- Bytes count against their tenant until they are gone from the disk, and no longer until they are deleted. The number of
-- files goes by what can be seen, as before.

DROP TRIGGER hidden_file_counts_no_more;

-- +goose StatementBegin
CREATE TRIGGER hidden_file_is_no_file AFTER UPDATE OF hidden_at ON files
WHEN OLD.hidden_at IS NULL AND NEW.hidden_at IS NOT NULL BEGIN
    UPDATE tenants SET files = files - 1 WHERE id = NEW.tenant;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER purged_file_counts_no_more AFTER DELETE ON files BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - OLD.bytes, files = files - (OLD.hidden_at IS NULL) WHERE id = OLD.tenant;
END;
-- +goose StatementEnd

-- Files that are hidden now were taken off when they were.
UPDATE tenants SET stored_bytes = stored_bytes + (
    SELECT COALESCE(SUM(f.bytes), 0) FROM files f WHERE f.tenant = tenants.id AND f.hidden_at IS NOT NULL);

CREATE INDEX files_going ON files (tenant, hidden_at, bytes, id) WHERE hidden_at IS NOT NULL;

-- Blobs that were somebody's and that no row refers to any more: parts of an upload that is over, the plan of a batch that
-- has ended, segments that were merged. They go by their keys; bytes is what counts against the tenant until then, 0 for
-- what never did.
CREATE TABLE dropped_blobs (
    seq        INTEGER PRIMARY KEY,
    blob_key   TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    dropped_at INTEGER NOT NULL
) STRICT;

CREATE INDEX dropped_blobs_by_key ON dropped_blobs (blob_key);
CREATE INDEX dropped_blobs_by_age ON dropped_blobs (dropped_at);
CREATE INDEX dropped_blobs_going ON dropped_blobs (tenant, dropped_at, bytes) WHERE bytes > 0;

-- +goose StatementBegin
CREATE TRIGGER dropped_blob_counts AFTER INSERT ON dropped_blobs WHEN NEW.bytes > 0 BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes + NEW.bytes WHERE id = NEW.tenant;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER gone_blob_counts_no_more AFTER DELETE ON dropped_blobs WHEN OLD.bytes > 0 BEGIN
    UPDATE tenants SET stored_bytes = stored_bytes - OLD.bytes WHERE id = OLD.tenant;
END;
-- +goose StatementEnd

PRAGMA user_version = 3;
