-- Tables of the unit with rows of their own, largest first, members of extensions left out.
-- $1 text[]: schemas
-- build_bytes: what its indexes cost, by their sizes: entries of trees that are not sorted first cost about four times as much, and
-- each build reads the heap, sixteen times as fast as it sorts
-- root_schema and root_name: the partitioned root, if it belongs to the unit. by_root: leaves can't be loaded and compared one by one, because
-- a hash over an enum depends on OIDs and sends the same row to another leaf on another server.
SELECT c.oid, n.nspname AS schema, c.relname AS name,
       pg_catalog.pg_table_size(c.oid) AS size_bytes,
       (SELECT coalesce(pg_catalog.sum(pg_catalog.pg_relation_size(i.indexrelid)
                                       * CASE WHEN a.amname IN ('btree', 'hash', 'brin') THEN 1 ELSE 4 END
                                       + pg_catalog.pg_relation_size(c.oid) / 16), 0)::bigint
        FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
        JOIN pg_catalog.pg_am a ON a.oid = x.relam
        WHERE i.indrelid = c.oid) AS build_bytes,
       rn.nspname AS root_schema, r.relname AS root_name,
       c.relispartition AND EXISTS (
           SELECT 1
           FROM pg_catalog.pg_partition_ancestors(c.oid) a
           JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.relid AND p.partstrat = 'h'
           JOIN pg_catalog.pg_opclass o ON o.oid = ANY (p.partclass::pg_catalog.oid[])
           WHERE o.opcintype = 'pg_catalog.anyenum'::pg_catalog.regtype) AS by_root
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (pg_catalog.pg_class r
           JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace AND rn.nspname = ANY ($1))
  ON r.oid = CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid) END
WHERE n.nspname = ANY ($1)
  AND c.relkind = 'r'
  AND NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY size_bytes DESC, schema, name
