-- Foreign keys that were made of what loads have deferred, in schemas that are not sealed: those of earlier loads too, because
-- what is left of one goes with the next. By name as well: an OID may come to stand for something else.
SELECT DISTINCT k.oid
FROM schemaferry.load l
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(l.deferred) AS d (one)
JOIN pg_catalog.pg_constraint k
  ON k.oid = (d.one ->> 'oid')::oid AND k.contype = 'f' AND k.conname = d.one -> 'foreign_key' ->> 'name'
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid AND c.relname = d.one #>> '{foreign_key,table,name}'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = d.one #>> '{foreign_key,table,schema}'
WHERE NOT EXISTS (SELECT 1 FROM schemaferry.load s WHERE s.schema_name = l.schema_name AND s.state = 'sealed')
