-- Policies of the schemas' tables.
-- $1 text[]: schemas
-- roles: those that exist, `public` for everyone.
-- operators: those outside of pg_catalog that the expressions use, which their texts may leave out; schemas: theirs
SELECT n.nspname AS schema, c.relname AS table, p.polname AS name, p.polpermissive AS permissive,
       CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END
           AS command,
       ARRAY(SELECT CASE r.oid WHEN 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(r.oid)::text END
             FROM pg_catalog.unnest(p.polroles) AS r (oid) ORDER BY 1) AS roles,
       pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS qual,
       pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS with_check,
       pg_catalog.obj_description(p.oid, 'pg_policy') AS comment,
       o.operators, o.schemas
FROM pg_catalog.pg_policy p
JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.array_agg(o.oid::pg_catalog.regoperator::text ORDER BY o.oid::pg_catalog.regoperator::text), '{}')
               AS operators,
           coalesce(pg_catalog.array_agg(DISTINCT s.nspname::text), '{}') AS schemas
    FROM pg_catalog.regexp_matches(pg_catalog.concat(p.polqual, p.polwithcheck), ':opno (\d{5,})', 'g') AS m (found)
    JOIN pg_catalog.pg_operator o ON o.oid = m.found[1]::oid AND o.oid >= 16384
    JOIN pg_catalog.pg_namespace s ON s.oid = o.oprnamespace) o
WHERE n.nspname = ANY ($1)
ORDER BY 1, 2, 3
