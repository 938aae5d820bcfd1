-- Which objects of other schemas are not there, or not to be used.
-- $1 text[]: types as pg_identify_object names them, $2 text[]: identities, $3 text[]: schemas, all of one length
WITH there (type, identity) AS MATERIALIZED (
    SELECT i.type, i.identity
    FROM (
        SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, oid, collnamespace FROM pg_catalog.pg_collation
        UNION ALL
        SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, oprnamespace FROM pg_catalog.pg_operator
        UNION ALL
        SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, oid, opcnamespace FROM pg_catalog.pg_opclass
        UNION ALL
        SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, oid, opfnamespace FROM pg_catalog.pg_opfamily
        UNION ALL
        SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid, cfgnamespace FROM pg_catalog.pg_ts_config
        UNION ALL
        SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid, dictnamespace FROM pg_catalog.pg_ts_dict
        UNION ALL
        SELECT 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, oid, prsnamespace FROM pg_catalog.pg_ts_parser
        UNION ALL
        SELECT 'pg_catalog.pg_ts_template'::pg_catalog.regclass, oid, tmplnamespace FROM pg_catalog.pg_ts_template
        UNION ALL
        SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, oid, connamespace FROM pg_catalog.pg_conversion
    ) o (class, oid, namespace)
    JOIN pg_catalog.pg_namespace n ON n.oid = o.namespace AND n.nspname = ANY ($3)
    CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) i
)
SELECT o.type, o.identity, o.schema, n.oid IS NULL AS lacks_schema,
       n.oid IS NOT NULL AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS lacks_usage,
       pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', o.schema, current_user) AS usage_hint
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]))
     AS o (type, identity, schema)
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = o.schema
WHERE CASE
      WHEN n.oid IS NULL OR NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') THEN true
      WHEN o.type IN ('table', 'view', 'materialized view', 'foreign table', 'sequence')
          THEN pg_catalog.to_regclass(o.identity) IS NULL
      WHEN o.type IN ('function', 'procedure', 'aggregate') THEN pg_catalog.to_regprocedure(o.identity) IS NULL
      WHEN o.type = 'type' THEN pg_catalog.to_regtype(o.identity) IS NULL
      WHEN o.type IN ('collation', 'operator', 'operator class', 'operator family', 'text search configuration',
                      'text search dictionary', 'text search parser', 'text search template', 'conversion')
          THEN NOT EXISTS (SELECT 1 FROM there t WHERE t.type = o.type AND t.identity = o.identity)
      ELSE false
      END
