-- Privileges that objects get when they are created in one of the schemas.
-- $1 text[]: schemas
SELECT n.nspname AS schema, pg_catalog.pg_get_userbyid(d.defaclrole)::text AS role,
       CASE d.defaclobjtype
       WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES'
       END AS objects,
       CASE WHEN g.grantee <> 0 THEN pg_catalog.pg_get_userbyid(g.grantee)::text END AS grantee,
       g.privilege_type AS privilege, g.is_grantable AS grantable
FROM pg_catalog.pg_default_acl d
JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace, LATERAL pg_catalog.aclexplode(d.defaclacl) g
WHERE n.nspname = ANY ($1)
ORDER BY 1, 2, 3, 4, 5
