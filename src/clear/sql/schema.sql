-- A schema as it stands on the target.
-- $1 text: its name
SELECT n.oid,
       pg_catalog.pg_get_userbyid(n.nspowner) AS owner,
       pg_catalog.pg_has_role(n.nspowner, 'USAGE') AS may_drop,
       EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
               WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = n.oid
                 AND d.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                 AND d.deptype = 'n') AS has_extension
FROM pg_catalog.pg_namespace n
WHERE n.nspname = $1
