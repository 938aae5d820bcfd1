-- Columns of the system's relations, and of those of extensions, that views are built on: other releases have others.
-- $1 text[]: schemas
SELECT pg_catalog.format('%s %I.%I', CASE v.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END, vn.nspname, v.relname) AS object,
       pg_catalog.format('%I.%I', n.nspname, c.relname) AS relation,
       pg_catalog.array_agg(DISTINCT a.attname::text) AS columns
FROM pg_catalog.pg_namespace vn
JOIN pg_catalog.pg_class v ON v.relnamespace = vn.oid AND v.relkind IN ('v', 'm')
JOIN pg_catalog.pg_rewrite w ON w.ev_class = v.oid
JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> v.oid
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
JOIN pg_catalog.pg_class c ON c.oid = d.refobjid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE vn.nspname = ANY ($1)
  AND (c.oid < 16384
       OR EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                  WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e'))
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                  WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = v.oid AND e.deptype = 'e')
GROUP BY 1, 2
ORDER BY 1, 2
