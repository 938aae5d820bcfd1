-- What ANALYZE is run on: tables, materialized views, partitioned roots (their partitions come with them).
-- $1 text[]: schemas
-- skipped: below it lie foreign tables, which ANALYZE would read; only: it can be told not to (18 and newer)
WITH RECURSIVE above (oid) AS (
    SELECT i.inhparent
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE c.relkind = 'f'
    UNION
    SELECT i.inhparent FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.oid
), relation AS (
    SELECT c.*, n.nspname, c.oid IN (SELECT a.oid FROM above a) AS is_above,
           pg_catalog.current_setting('server_version_num')::int >= 180000 AND c.relkind = 'r' AS can_be_alone
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1)
)
SELECT c.nspname AS schema, c.relname AS name,
       c.relkind = 'p' OR pg_catalog.pg_relation_size(c.oid) > 8000000 AS large,
       c.is_above AND NOT c.can_be_alone AS skipped,
       c.is_above AND c.can_be_alone AS only
FROM relation c
WHERE c.relkind IN ('r', 'p', 'm')
  AND NOT (c.relispartition AND EXISTS (
      SELECT 1
      FROM pg_catalog.pg_partition_ancestors(c.oid) p
      JOIN relation a ON a.oid = p.relid AND a.oid <> c.oid AND NOT a.is_above))
  AND (c.relkind <> 'm' OR c.relispopulated)
  AND NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relkind = 'p' DESC, pg_catalog.pg_relation_size(c.oid) DESC, 1, 2
