-- Schemas that loads were made into, and that are there or were taken down to be loaded again.
SELECT l.schema_name
FROM (SELECT DISTINCT ON (schema_name) * FROM schemaferry.load ORDER BY schema_name, id DESC) l
WHERE l.state = 'clearing' AND l.summary ->> 'taken_down' = 'true'
   OR EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n WHERE n.nspname = l.schema_name)
