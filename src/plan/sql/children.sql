-- Children and partitions of one schema's tables in another. Where the root has indexes, a partition gets its own when it is
-- attached, before its own are built, so that both come from one load.
SELECT pn.nspname::text AS parent_schema, cn.nspname::text AS child_schema,
       pg_catalog.bool_or(c.relispartition AND EXISTS (SELECT 1 FROM pg_catalog.pg_index x WHERE x.indrelid = p.oid)) AS inseparable,
       pg_catalog.min(pg_catalog.format('%I.%I', cn.nspname, c.relname)) AS example
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent AND p.relkind IN ('r', 'p')
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
WHERE pn.oid <> cn.oid
GROUP BY 1, 2
ORDER BY 1, 2
