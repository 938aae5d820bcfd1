-- What ANALYZE is run on: tables, materialized views, partitioned roots (their partitions come with them).
-- $1 text[]: schemas; $2: whether ANALYZE can be told not to look below (targets of 18 and newer)
-- skipped: below it lie foreign tables, which ANALYZE would read; only: it is told not to
-- below: the OIDs of it and of everything below it; last: what it collects hangs on other objects
WITH RECURSIVE above (oid) AS (
    SELECT i.inhparent
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE c.relkind = 'f'
    UNION
    SELECT i.inhparent FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.oid
), relation AS (
    SELECT c.*, n.nspname, c.oid IN (SELECT a.oid FROM above a) AS is_above, $2 AND c.relkind = 'r' AS can_be_alone
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1)
), below (top, oid) AS (
    SELECT c.oid, c.oid FROM relation c WHERE c.relkind IN ('r', 'p', 'm')
    UNION
    SELECT b.top, i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid
), member (top, oids, bytes, last) AS (
    SELECT b.top, pg_catalog.array_agg(b.oid), pg_catalog.sum(pg_catalog.pg_relation_size(b.oid))::bigint,
           pg_catalog.bool_or(EXISTS (SELECT 1 FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = b.oid))
    FROM below b
    GROUP BY b.top
)
SELECT c.nspname AS schema, c.relname AS name, m.oids AS below, coalesce(m.bytes, 0) AS bytes,
       m.last OR c.relkind = 'm' AS last,
       c.is_above AND NOT c.can_be_alone AS skipped,
       c.is_above AND c.can_be_alone AS only
FROM relation c
JOIN member m ON m.top = c.oid
WHERE NOT (c.relispartition AND EXISTS (
      SELECT 1
      FROM pg_catalog.pg_partition_ancestors(c.oid) p
      JOIN relation a ON a.oid = p.relid AND a.oid <> c.oid AND NOT a.is_above))
  AND (c.relkind <> 'm' OR c.relispopulated)
  AND NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY m.bytes DESC, 1, 2
