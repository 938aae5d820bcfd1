-- Which of the roles lack a right on a schema that the owner of an object in it needs.
-- $1 text: schema, $2 text[]: roles
SELECT r.role, p.privilege,
       pg_catalog.pg_get_userbyid(n.nspowner)::text AS owner,
       pg_catalog.pg_has_role(n.nspowner, 'USAGE') AS is_owner
FROM pg_catalog.pg_namespace n,
     pg_catalog.unnest($2::text[]) AS r (role),
     pg_catalog.unnest(ARRAY['CREATE', 'USAGE']) AS p (privilege)
WHERE n.nspname = $1
  AND NOT pg_catalog.has_schema_privilege(r.role, n.oid, p.privilege)
