-- Publications that would replicate the load.
-- $1 text[]: schemas
SELECT pg_catalog.format('%I of all tables', p.pubname)
FROM pg_catalog.pg_publication p
WHERE p.puballtables
  AND $1::text[] IS NOT NULL
