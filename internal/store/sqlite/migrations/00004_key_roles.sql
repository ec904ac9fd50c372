-- +goose Up

-- Keys from before roles act for their tenant, as they did. A word that this version does not know gives no right of an
-- admin. opens_content is what an admin's key may do to other tenants' files, 0 for any other key.

ALTER TABLE api_keys ADD COLUMN role TEXT NOT NULL DEFAULT 'tenant';
ALTER TABLE api_keys ADD COLUMN opens_content INTEGER NOT NULL DEFAULT 0;

PRAGMA user_version = 4;
