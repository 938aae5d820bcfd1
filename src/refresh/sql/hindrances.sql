-- What keeps the user from taking what is in some schemas, or from reading it before: roles whose rights it does not have by itself,
-- schemas in which it may create nothing, tables on which row security is forced.
-- $1 text[]: schemas
SELECT DISTINCT pg_catalog.format('%s owns something in %I, and the user does not have that role''s rights by itself',
                                  pg_catalog.pg_get_userbyid(o.owner), n.nspname)
FROM pg_catalog.pg_namespace n
CROSS JOIN LATERAL (
    SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid
    UNION SELECT p.proowner FROM pg_catalog.pg_proc p
          WHERE p.pronamespace = n.oid
            -- Those that come with a range type are the server's, whoever owns the type.
            AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                            WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'i')
    UNION SELECT t.typowner FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid
    UNION SELECT n.nspowner
) AS o (owner)
WHERE n.nspname = ANY ($1) AND NOT pg_catalog.pg_has_role(o.owner, 'USAGE')
UNION ALL
SELECT pg_catalog.format('the user may create nothing in %I', n.nspname)
FROM pg_catalog.pg_namespace n
WHERE n.nspname = ANY ($1) AND NOT pg_catalog.has_schema_privilege(n.oid, 'CREATE')
UNION ALL
SELECT pg_catalog.format('row security is forced on %I.%I, and the user does not bypass it', n.nspname, c.relname)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1) AND c.relforcerowsecurity
  AND NOT (SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
