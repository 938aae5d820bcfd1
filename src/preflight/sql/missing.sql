-- Which objects of other schemas are not there, or not to be used.
-- $1 text[]: types as pg_identify_object names them, $2 text[]: identities, $3 text[]: schemas, all of one length
SELECT o.type, o.identity, o.schema, n.oid IS NULL AS lacks_schema,
       n.oid IS NOT NULL AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS lacks_usage,
       pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', o.schema, current_user) AS usage_cure
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]))
     AS o (type, identity, schema)
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = o.schema
WHERE CASE
      WHEN n.oid IS NULL OR NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') THEN true
      WHEN o.type IN ('table', 'view', 'materialized view', 'foreign table', 'sequence')
          THEN pg_catalog.to_regclass(o.identity) IS NULL
      WHEN o.type IN ('function', 'procedure', 'aggregate') THEN pg_catalog.to_regprocedure(o.identity) IS NULL
      WHEN o.type = 'type' THEN pg_catalog.to_regtype(o.identity) IS NULL
      ELSE false
      END
