-- Both ends of the foreign keys of some schemas, with the partitions below them.
-- $1 text[]: schemas
SELECT k.oid,
       ARRAY(SELECT k.conrelid UNION SELECT p.relid::oid FROM pg_catalog.pg_partition_tree(k.conrelid) p) AS children,
       ARRAY(SELECT k.confrelid UNION SELECT p.relid::oid FROM pg_catalog.pg_partition_tree(k.confrelid) p) AS parents
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1) AND k.contype = 'f' AND k.conparentid = 0
