-- A schema as it stands on the target.
-- $1 text: its name
-- owner_is_ours: the user, a role that it is a member of, or a superuser; who owns a schema may put his own tables and functions in
-- the places of those that a load makes. A superuser has the rights of every role, whether it trusts it or not.
WITH RECURSIVE mine (oid) AS (
    SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
    UNION
    SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN mine ON mine.oid = m.member
)
SELECT n.oid,
       pg_catalog.pg_get_userbyid(n.nspowner) AS owner,
       pg_catalog.pg_has_role(n.nspowner, 'USAGE') AS may_drop,
       o.rolsuper OR o.oid IN (SELECT mine.oid FROM mine) AS owner_is_ours,
       pg_catalog.format('ALTER SCHEMA %I OWNER TO %I', n.nspname, current_user) AS own_hint,
       EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
               WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = n.oid
                 AND d.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                 AND d.deptype = 'n') AS has_extension
FROM pg_catalog.pg_namespace n
JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
-- The database's owner is whom this role stands for.
JOIN pg_catalog.pg_roles o
  ON o.oid = CASE WHEN n.nspowner = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = 'pg_database_owner')
             THEN d.datdba ELSE n.nspowner END
WHERE n.nspname = $1
