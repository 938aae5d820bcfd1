-- Configuration tables of extensions that live in the schemas, each with the condition that marks a user's own rows.
-- $1 text[]: schemas
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, coalesce(k.condition, '') AS condition
FROM pg_catalog.pg_extension x
CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(x.extconfig), pg_catalog.unnest(x.extcondition)) AS k (oid, condition)
JOIN pg_catalog.pg_class c ON c.oid = k.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1)
  AND c.relkind = 'r'
