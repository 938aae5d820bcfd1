-- The ledger: one row per schema and load. Run under the advisory lock that serialises bookkeeping DDL, where there is
-- none or where an earlier release has made it.
CREATE SCHEMA IF NOT EXISTS schemaferry;
COMMENT ON SCHEMA schemaferry IS 'what schemaferry loaded into this database';
CREATE TABLE IF NOT EXISTS schemaferry.load (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    schema_name     text NOT NULL,
    schema_oid      oid,
    adopted         boolean NOT NULL,
    state           text NOT NULL CHECK (state IN ('clearing', 'loading', 'complete', 'sealed')),
    run_id          text,
    attempt         text NOT NULL,
    source          text NOT NULL,
    variables       jsonb NOT NULL,
    snapshot_at     text,
    snapshot_lsn    text,
    inventory       jsonb,
    activity        jsonb,
    source_activity jsonb,
    deferred        jsonb NOT NULL DEFAULT '[]',
    summary         jsonb,
    started_at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
ALTER TABLE schemaferry.load ADD COLUMN IF NOT EXISTS source_activity jsonb;
CREATE INDEX IF NOT EXISTS load_schema_name ON schemaferry.load (schema_name, id);
