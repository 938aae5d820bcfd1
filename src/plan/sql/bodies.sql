-- Schemas that functions of others name in their bodies, which no catalogue records. A word before a dot may be an alias too.
-- $1 text[]: schemas
SELECT n.nspname::text AS of_schema, o.nspname::text AS schema,
       pg_catalog.min(pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)))
           AS example,
       pg_catalog.count(DISTINCT p.oid) AS functions
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname NOT IN ('internal', 'c')
CROSS JOIN LATERAL pg_catalog.regexp_matches(p.prosrc, '(?:([[:alpha:]_][[:alnum:]_$]*)|"([^"]+)")\s*[.]', 'g') m
JOIN pg_catalog.pg_namespace o ON o.nspname = coalesce(m[2], pg_catalog.lower(m[1]))
WHERE n.nspname = ANY ($1) AND o.nspname = ANY ($1) AND o.oid <> n.oid
  AND NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_depend e
      WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid AND e.deptype = 'e')
GROUP BY 1, 2
ORDER BY 1, 2
