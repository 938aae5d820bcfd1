-- Statements that take back what default privileges have given to others on what the user has just made.
-- $1 text[]: schemas
SELECT DISTINCT pg_catalog.format(
           'REVOKE ALL ON %s %I.%I FROM %s CASCADE', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname,
           coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC'))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) g
LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
WHERE n.nspname = ANY ($1)
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND g.grantee <> c.relowner
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                  WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e')
