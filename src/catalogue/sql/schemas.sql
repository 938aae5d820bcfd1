-- Every schema of users, and those that are listed, whatever they hold.
-- $1 text[]: schemas that are listed
-- Schemas that an extension has made are its own, and public is everywhere, also where nobody uses it.
SELECT n.nspname::text AS schema
FROM pg_catalog.pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'schemaferry')
  AND (n.nspname = ANY ($1)
       OR NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                      WHERE e.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND e.objid = n.oid AND e.deptype = 'e')
      AND (n.nspname <> 'public'
           OR EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                      WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = n.oid)))
ORDER BY 1
