-- Tables with row security, hashed.
-- LISTED: the catalogue's row_security.sql
SELECT 'row security of' AS kind,
       pg_catalog.quote_ident(o.schema) || '.' || pg_catalog.quote_ident(o.table) AS identity,
       pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(o::text, pg_catalog.getdatabaseencoding())), 'hex'), 32) AS hash
FROM LISTED o
