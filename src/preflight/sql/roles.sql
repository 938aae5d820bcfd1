-- Which of the roles exist, and which the user may become.
-- $1 text[]: roles, $2 text: the word of pg_has_role for SET ROLE (SET from 16 on, MEMBER before)
SELECT r.name, o.oid IS NOT NULL AS exists, coalesce(pg_catalog.pg_has_role(o.oid, $2), false) AS may_become,
       pg_catalog.format('CREATE ROLE %I', r.name) AS create_role,
       pg_catalog.format('GRANT %I TO %I', r.name, current_user) AS grant_role
FROM pg_catalog.unnest($1::text[]) AS r (name)
LEFT JOIN pg_catalog.pg_roles o ON o.rolname = r.name
WHERE o.oid IS NULL OR NOT pg_catalog.pg_has_role(o.oid, $2)
ORDER BY 1
