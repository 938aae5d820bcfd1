-- Members of extensions in some schemas: what an extension's script has made there, and what somebody has added to it.
-- $1 text[]: schemas
SELECT x.extname::text AS extension, x.extversion AS version, i.type, i.identity
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) i
-- pg_identify_object quotes names.
JOIN pg_catalog.pg_namespace n ON pg_catalog.quote_ident(n.nspname) = i.schema
WHERE d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND n.nspname = ANY ($1)
ORDER BY 1, 3, 4
