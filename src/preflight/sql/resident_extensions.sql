-- Extensions that live in the schemas, or have members there.
-- $1 text[]: schemas
SELECT x.extname::text AS extension, n.nspname::text AS schema
FROM pg_catalog.pg_extension x JOIN pg_catalog.pg_namespace n ON n.oid = x.extnamespace
WHERE n.nspname = ANY ($1)
   OR EXISTS (SELECT 1
              FROM pg_catalog.pg_depend d
              CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) i
              JOIN pg_catalog.pg_namespace m ON pg_catalog.quote_ident(m.nspname) = i.schema
              WHERE d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = x.oid
                AND m.nspname = ANY ($1))
ORDER BY 1
