-- Publications that would replicate the load (15 and newer, which publish schemas too).
-- $1 text[]: schemas
SELECT pg_catalog.format('%I of all tables', p.pubname)
FROM pg_catalog.pg_publication p
WHERE p.puballtables
UNION ALL
SELECT pg_catalog.format('%I of schema %I', p.pubname, n.nspname)
FROM pg_catalog.pg_publication p
JOIN pg_catalog.pg_publication_namespace m ON m.pnpubid = p.oid
JOIN pg_catalog.pg_namespace n ON n.oid = m.pnnspid
WHERE n.nspname = ANY ($1)
