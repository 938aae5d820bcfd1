-- Collations of the operating system or of ICU that the schemas' columns, types and indexes name.
-- $1 text[]: schemas
WITH namespace AS (
    SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1)
), used AS (
    SELECT a.attcollation AS oid
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace IN (SELECT oid FROM namespace) AND NOT a.attisdropped
    UNION
    SELECT t.typcollation FROM pg_catalog.pg_type t WHERE t.typnamespace IN (SELECT oid FROM namespace)
)
SELECT DISTINCT c.collname::text AS name
FROM used u JOIN pg_catalog.pg_collation c ON c.oid = u.oid
WHERE c.collnamespace = 'pg_catalog'::pg_catalog.regnamespace
  AND c.collname NOT IN ('default', 'C', 'POSIX')
ORDER BY 1
