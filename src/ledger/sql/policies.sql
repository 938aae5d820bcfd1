-- Policies, hashed.
-- LISTED: the catalogue's policies.sql
SELECT 'policy' AS kind,
       pg_catalog.quote_ident(o.schema) || '.' || pg_catalog.quote_ident(o.table) || '.' || pg_catalog.quote_ident(o.name) AS identity,
       pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(o::text, pg_catalog.getdatabaseencoding())), 'hex'), 32) AS hash
FROM LISTED o
