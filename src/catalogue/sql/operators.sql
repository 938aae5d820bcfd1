-- Objects that use operators outside of pg_catalog, each with the schemas of those. The server writes some expressions
-- (IS DISTINCT FROM, NULLIF, CASE with an argument, JOIN USING) without the operator, which another search path then
-- finds elsewhere.
-- An expression counts for the relation or the domain that is created with it, too.
WITH used AS (
    SELECT d.classid, d.objid, n.nspname::text AS schema
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_operator o ON o.oid = d.refobjid
    JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
    WHERE d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass
      AND o.oprnamespace <> 'pg_catalog'::pg_catalog.regnamespace
), created (class, oid, schema) AS (
    SELECT u.classid, u.objid, u.schema FROM used u
    UNION
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class, u.schema
    FROM used u JOIN pg_catalog.pg_rewrite r ON r.oid = u.objid
    WHERE u.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    UNION
    SELECT CASE WHEN k.conrelid <> 0 THEN 'pg_catalog.pg_class'::pg_catalog.regclass
                ELSE 'pg_catalog.pg_type'::pg_catalog.regclass END, greatest(k.conrelid, k.contypid), u.schema
    FROM used u JOIN pg_catalog.pg_constraint k ON k.oid = u.objid
    WHERE u.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
    UNION
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, a.adrelid, u.schema
    FROM used u JOIN pg_catalog.pg_attrdef a ON a.oid = u.objid
    WHERE u.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
)
SELECT class, oid, pg_catalog.array_agg(schema ORDER BY schema) AS schemas
FROM created
GROUP BY class, oid
