-- Constraints of post-data that take time: keys, exclusions, foreign keys.
-- $1 text[]: schemas
-- $2 int: the target's major
-- create_index: the statement for the index of a key, where the key can be made of it afterwards: not for partitioned
-- tables, exclusions, keys without overlaps (18 and newer), and primary keys of children on 18 and newer, which would make
-- the parent's NOT NULL their own.
SELECT k.oid, k.conname::text AS name, k.conrelid AS table, k.confrelid AS references, k.contype::text AS kind,
       k.convalidated AS validated,
       CASE WHEN k.condeferred THEN ' DEFERRABLE INITIALLY DEFERRED' WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END AS timing,
       c.relkind = 'p' OR f.relkind IS NOT DISTINCT FROM 'p' AS partitioned,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS table_name,
       CASE WHEN k.contype IN ('p', 'u') AND c.relkind = 'r'
                 AND NOT k.period
                 AND NOT (k.contype = 'p' AND $2 >= 18 AND NOT c.relispartition
                          AND EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid))
            THEN pg_catalog.pg_get_indexdef(k.conindid) END AS create_index
FROM (SELECT false AS conperiod) AS before_18
CROSS JOIN LATERAL (SELECT k.*, conperiod AS period FROM pg_catalog.pg_constraint k) AS k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
WHERE n.nspname = ANY ($1)
  AND k.contype IN ('p', 'u', 'x', 'f')
