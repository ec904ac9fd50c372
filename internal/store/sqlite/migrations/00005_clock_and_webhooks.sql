-- +goose Up

-- By how much the wall clock was ahead of a clock that takes no steps when the batch was created, while it was not known which
-- clock was right; NULL once that is settled, as it is for most from the beginning. The window ends window_skew after expires_at, which is shown.
ALTER TABLE batches ADD COLUMN clock_ahead INTEGER;
ALTER TABLE batches ADD COLUMN window_skew INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN ends_at INTEGER GENERATED ALWAYS AS (expires_at + window_skew) VIRTUAL;

DROP INDEX batches_ending;
CREATE INDEX batches_ending ON batches (ends_at) WHERE stop = 'none' AND status IN ('validating', 'in_progress');
CREATE INDEX batches_unsettled ON batches (clock_ahead) WHERE clock_ahead IS NOT NULL;

-- Set while nothing is sent to a webhook, since its endpoint answered 410.
ALTER TABLE webhooks ADD COLUMN disabled_at INTEGER;

-- The secret of callbacks before the current one, which signs until then.
ALTER TABLE tenants ADD COLUMN callback_previous TEXT NOT NULL DEFAULT '';
ALTER TABLE tenants ADD COLUMN callback_previous_until INTEGER;

-- 1 while a sender has the delivery; next_at is the end of its lease then.
ALTER TABLE deliveries ADD COLUMN leased INTEGER NOT NULL DEFAULT 0;

PRAGMA user_version = 5;
