-- Statements that give the user what it may not do with what it owns: an owner may have taken that from itself, and default
-- privileges from every owner. What belongs to an extension stays as it is.
-- $1 text[]: schemas
SELECT pg_catalog.format('GRANT ALL ON TABLE %I.%I TO %I', n.nspname, c.relname, current_user)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1)
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND c.relowner = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
  AND c.relacl IS NOT NULL
  AND EXISTS (SELECT 1
              FROM pg_catalog.aclexplode(pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)) d
              WHERE d.grantee = c.relowner
                AND NOT EXISTS (SELECT 1 FROM pg_catalog.aclexplode(c.relacl) g
                                WHERE g.grantee = d.grantee AND g.privilege_type = d.privilege_type))
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                  WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e')
UNION ALL
SELECT pg_catalog.format('GRANT ALL ON ROUTINE %s TO %I', p.oid::pg_catalog.regprocedure, current_user)
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = ANY ($1)
  AND p.proowner = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
  AND p.proacl IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.aclexplode(p.proacl) g WHERE g.grantee IN (p.proowner, 0))
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                  WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid AND e.deptype = 'e')
