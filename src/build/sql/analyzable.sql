-- What ANALYZE is run on: tables, materialized views, partitioned roots (their partitions come with them).
-- $1 text[]: schemas
SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'p' OR pg_catalog.pg_relation_size(c.oid) > 8000000 AS large
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1)
  AND c.relkind IN ('r', 'p', 'm')
  AND NOT (c.relispartition AND EXISTS (
      SELECT 1
      FROM pg_catalog.pg_class r
      JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
      WHERE r.oid = pg_catalog.pg_partition_root(c.oid) AND rn.nspname = ANY ($1)))
  AND (c.relkind <> 'm' OR c.relispopulated)
  AND NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relkind = 'p' DESC, pg_catalog.pg_relation_size(c.oid) DESC, 1, 2
