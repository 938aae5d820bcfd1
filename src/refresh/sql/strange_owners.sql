-- Roles that own something in some schemas and whose rights the user does not have by itself, or schemas in which it may create nothing.
-- $1 text[]: schemas
SELECT DISTINCT pg_catalog.format('%s owns something in %I, and the user does not have that role''s rights by itself',
                                  pg_catalog.pg_get_userbyid(o.owner), n.nspname)
FROM pg_catalog.pg_namespace n
CROSS JOIN LATERAL (
    SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid
    UNION SELECT p.proowner FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid
    UNION SELECT t.typowner FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid
    UNION SELECT n.nspowner
) AS o (owner)
WHERE n.nspname = ANY ($1) AND NOT pg_catalog.pg_has_role(o.owner, 'USAGE')
UNION ALL
SELECT pg_catalog.format('the user may create nothing in %I', n.nspname)
FROM pg_catalog.pg_namespace n
WHERE n.nspname = ANY ($1) AND NOT pg_catalog.has_schema_privilege(n.oid, 'CREATE')
