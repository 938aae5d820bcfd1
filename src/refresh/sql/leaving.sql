-- Foreign keys between the unit and other schemas, as they stand on the target, with the partitions of the unit's end.
-- $1 text[]: schemas
-- is_child: the unit's end is the one that references; members: of that end, as `schema.table` without quotes
SELECT k.oid, pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS table, k.conname::text AS name,
       cn.nspname = ANY ($1) AS is_child,
       ARRAY(SELECT mn.nspname || '.' || m.relname
             FROM (SELECT o.oid UNION SELECT p.relid::oid FROM pg_catalog.pg_partition_tree(o.oid) p) t (oid)
             JOIN pg_catalog.pg_class m ON m.oid = t.oid
             JOIN pg_catalog.pg_namespace mn ON mn.oid = m.relnamespace) AS members,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS may_drop
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
CROSS JOIN LATERAL (SELECT CASE WHEN cn.nspname = ANY ($1) THEN c.oid ELSE f.oid END) AS o (oid)
WHERE k.contype = 'f' AND k.conparentid = 0
  AND (cn.nspname = ANY ($1)) <> (fn.nspname = ANY ($1))
