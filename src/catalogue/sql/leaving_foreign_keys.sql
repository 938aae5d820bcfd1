-- Foreign keys of the unit that reference tables outside of it, each with a query for the rows that it does not allow.
-- $1 text[]: schemas
SELECT k.oid, n.nspname::text AS schema, c.relname::text AS table, k.conname::text AS name,
       fn.nspname::text AS referenced_schema, f.relname::text AS referenced_table, k.convalidated AS validated,
       c.relkind = 'p' OR f.relkind = 'p' AS partitioned,
       pg_catalog.format('SELECT r.* FROM %s%I.%I r WHERE %s AND NOT %s',
                         CASE c.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END, n.nspname, c.relname,
                         CASE k.confmatchtype WHEN 'f' THEN pg_catalog.format('NOT (%s)', x.all_null) ELSE x.none_null END,
                         pg_catalog.format(
                             CASE WHEN pg_catalog.to_jsonb(k) ->> 'conperiod' = 'true'
                             -- All referenced rows together cover the period.
                             THEN 'coalesce((SELECT pg_catalog.range_agg(f.%5$I) OPERATOR(pg_catalog.@>) r.%6$I FROM %1$s%2$I.%3$I f WHERE %4$s), false)'
                             ELSE 'EXISTS (SELECT 1 FROM %1$s%2$I.%3$I f WHERE %4$s)' END,
                             CASE f.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END, fn.nspname, f.relname, x.matches,
                             x.last_referenced, x.last)) AS orphans
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
CROSS JOIN LATERAL (
    SELECT pg_catalog.string_agg(pg_catalog.format('r.%I IS NULL', a.attname), ' AND ' ORDER BY u.position) AS all_null,
           pg_catalog.string_agg(pg_catalog.format('r.%I IS NOT NULL', a.attname), ' AND ' ORDER BY u.position) AS none_null,
           pg_catalog.string_agg(pg_catalog.format('f.%I OPERATOR(%I.%s) r.%I', fa.attname, opn.nspname, o.oprname, a.attname),
                                 ' AND ' ORDER BY u.position) AS matches,
           (pg_catalog.array_agg(fa.attname ORDER BY u.position DESC))[1] AS last_referenced,
           (pg_catalog.array_agg(a.attname ORDER BY u.position DESC))[1] AS last
    FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey), pg_catalog.unnest(k.conpfeqop))
         WITH ORDINALITY AS u (own, referenced, operator, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.own
    JOIN pg_catalog.pg_attribute fa ON fa.attrelid = k.confrelid AND fa.attnum = u.referenced
    JOIN pg_catalog.pg_operator o ON o.oid = u.operator
    JOIN pg_catalog.pg_namespace opn ON opn.oid = o.oprnamespace) x
WHERE k.contype = 'f'
  AND n.nspname = ANY ($1)
  AND fn.nspname <> ALL ($1)
