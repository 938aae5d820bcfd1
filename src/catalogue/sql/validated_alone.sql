-- Checks that are validated where the parent's that they come from is not: a restore gives them the parent's state.
-- $1 text[]: schemas
SELECT n.nspname::text AS schema, c.relname::text AS table, k.conname::text AS name
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1) AND k.contype = 'c' AND k.convalidated AND k.coninhcount > 0
  AND EXISTS (
      SELECT 1
      FROM pg_catalog.pg_inherits i
      JOIN pg_catalog.pg_constraint p
        ON p.conrelid = i.inhparent AND p.contype = 'c' AND p.conname = k.conname AND NOT p.convalidated
      WHERE i.inhrelid = c.oid
        AND coalesce((pg_catalog.to_jsonb(p) ->> 'conenforced')::pg_catalog.bool, true))
ORDER BY 1, 2, 3
