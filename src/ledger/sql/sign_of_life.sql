-- A sign of life of loads, which waits for nobody.
-- $1 bigint[]: their rows
WITH quiet AS MATERIALIZED (
    SELECT pg_catalog.set_config('synchronous_commit', 'off', true)
), free AS MATERIALIZED (
    SELECT id FROM quiet, schemaferry.load WHERE id = ANY ($1) FOR UPDATE OF load SKIP LOCKED
)
UPDATE schemaferry.load l
SET updated_at = pg_catalog.clock_timestamp()
FROM free
WHERE l.id = free.id
