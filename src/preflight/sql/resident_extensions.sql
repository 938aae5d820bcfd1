-- Extensions that live in the schemas.
-- $1 text[]: schemas
SELECT x.extname::text AS extension, n.nspname::text AS schema
FROM pg_catalog.pg_extension x JOIN pg_catalog.pg_namespace n ON n.oid = x.extnamespace
WHERE n.nspname = ANY ($1)
ORDER BY 1
