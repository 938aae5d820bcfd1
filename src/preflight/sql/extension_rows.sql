-- Tables of extensions in the schemas, each with the condition that marks a user's own rows: a configuration table's own, and
-- in any other what none of the extension's scripts has written. Those write members of the extension in the same transaction.
-- $1 text[]: schemas
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
       coalesce(k.condition,
                CASE WHEN k.oid IS NULL THEN pg_catalog.format(
                    'WHERE xmin::text NOT IN (SELECT s.xmin::text FROM pg_catalog.pg_depend s WHERE s.refobjid = %1$s AND s.deptype = ''e''
                                              UNION SELECT s.xmin::text FROM pg_catalog.pg_extension s WHERE s.oid = %1$s)', x.oid) END,
                '') AS condition
FROM pg_catalog.pg_extension x
JOIN pg_catalog.pg_depend d
  ON d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = x.oid
     AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL ROWS FROM (pg_catalog.unnest(x.extconfig), pg_catalog.unnest(x.extcondition)) AS k (oid, condition) ON k.oid = c.oid
WHERE n.nspname = ANY ($1)
