-- What schemas hold.
-- $1 text[]: their names
-- Members of extensions are left out, as a load leaves them out. Sizes in bytes; a table that was never analyzed has no estimate of
-- its rows.
WITH namespace AS (
    SELECT n.oid, n.nspname,
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_depend d
            WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = n.oid) AS objects
    FROM pg_catalog.pg_namespace n
    WHERE n.nspname = ANY ($1)
), stored AS (
    SELECT c.relnamespace, c.relname, c.relkind, c.reltuples, pg_catalog.pg_table_size(c.oid) AS size,
           -- Before 14 a table that was never analyzed has 0 rows in 0 blocks.
           (c.reltuples < 0 OR c.reltuples = 0 AND c.relpages = 0) AND pg_catalog.pg_relation_size(c.oid) > 0 AS unknown,
           CASE c.reltoastrelid WHEN 0 THEN 0 ELSE pg_catalog.pg_total_relation_size(c.reltoastrelid) END AS toast,
           pg_catalog.pg_indexes_size(c.oid) AS indexes
    FROM pg_catalog.pg_class c
    WHERE c.relkind IN ('r', 'm')
      AND c.relnamespace IN (SELECT n.oid FROM namespace n)
      AND NOT EXISTS (
          SELECT 1 FROM pg_catalog.pg_depend d
          WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
), held AS (
    SELECT s.relnamespace,
           pg_catalog.count(*) FILTER (WHERE s.relkind = 'r') AS tables,
           pg_catalog.sum(s.reltuples) FILTER (WHERE s.relkind = 'r' AND s.reltuples > 0)::bigint AS rows,
           pg_catalog.count(*) FILTER (WHERE s.relkind = 'r' AND s.unknown) AS unanalyzed,
           pg_catalog.sum(s.size - s.toast) FILTER (WHERE s.relkind = 'r')::bigint AS heap,
           pg_catalog.sum(s.toast) FILTER (WHERE s.relkind = 'r')::bigint AS toast,
           -- A materialized view is computed on the target, as an index is.
           pg_catalog.sum(s.indexes + CASE s.relkind WHEN 'm' THEN s.size ELSE 0 END)::bigint AS built,
           (pg_catalog.array_agg(s.relname::text ORDER BY s.size DESC, s.relname) FILTER (WHERE s.relkind = 'r'))[1] AS largest,
           pg_catalog.max(s.size) FILTER (WHERE s.relkind = 'r') AS largest_size
    FROM stored s
    GROUP BY s.relnamespace
)
SELECT n.nspname::text AS schema, n.objects,
       coalesce(h.tables, 0) AS tables, coalesce(h.rows, 0) AS rows, coalesce(h.unanalyzed, 0) AS unanalyzed,
       coalesce(h.heap, 0) AS heap, coalesce(h.toast, 0) AS toast, coalesce(h.built, 0) AS built,
       h.largest, coalesce(h.largest_size, 0) AS largest_size
FROM namespace n LEFT JOIN held h ON h.relnamespace = n.oid
ORDER BY 1
