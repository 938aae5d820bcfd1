-- What each role's new objects are granted, hashed.
-- LISTED: the catalogue's default_privileges.sql
SELECT 'access to new ' || coalesce(pg_catalog.lower(o.objects), 'objects') || ' of role' AS kind,
       o.role AS identity,
       pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
           pg_catalog.string_agg(o::text, ' ' ORDER BY o::text), pg_catalog.getdatabaseencoding())), 'hex'), 32) AS hash
FROM LISTED o
GROUP BY o.role, o.objects
