-- Foreign keys from one schema to another. Those of a partitioned table's leaves are their root's.
SELECT n.nspname::text AS of_schema, fn.nspname::text AS schema, pg_catalog.count(*) AS keys
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND n.oid <> fn.oid
GROUP BY 1, 2
ORDER BY 1, 2
