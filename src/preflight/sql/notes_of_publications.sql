-- Publications of whole schemas, which servers have from 15 on.
-- $1 text[]: schemas
SELECT 'schema of publication' AS what, pg_catalog.format('%I: %I', p.pubname, n.nspname) AS name
FROM pg_catalog.pg_publication_namespace m
JOIN pg_catalog.pg_publication p ON p.oid = m.pnpubid
JOIN pg_catalog.pg_namespace n ON n.oid = m.pnnspid
WHERE n.nspname = ANY ($1)
ORDER BY 2
