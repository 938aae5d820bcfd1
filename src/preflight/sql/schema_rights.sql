-- What the user may do with a schema that is there.
-- $1 text: schema, $2 text: the word of pg_has_role for SET ROLE
SELECT pg_catalog.has_schema_privilege(n.oid, 'CREATE') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS may_fill,
       pg_catalog.pg_has_role(n.nspowner, 'USAGE') OR pg_catalog.pg_has_role(n.nspowner, $2) AS may_own,
       pg_catalog.format('GRANT CREATE, USAGE ON SCHEMA %I TO %I', n.nspname, current_user) AS fill_hint,
       -- Nobody is made a member of that role but by owning the database.
       CASE WHEN n.nspowner = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = 'pg_database_owner')
            THEN pg_catalog.format('ALTER DATABASE %I OWNER TO %I', pg_catalog.current_database(), current_user)
            ELSE pg_catalog.format('GRANT %I TO %I', pg_catalog.pg_get_userbyid(n.nspowner), current_user) END AS own_hint
FROM pg_catalog.pg_namespace n
WHERE n.nspname = $1
