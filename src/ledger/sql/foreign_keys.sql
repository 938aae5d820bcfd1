-- Foreign keys that were made of what loads have deferred, in schemas that are not sealed: those of earlier loads too, because
-- what is left of one goes with the next.
SELECT DISTINCT (d.one ->> 'oid')::oid AS oid
FROM schemaferry.load l
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(l.deferred) AS d (one)
WHERE d.one ->> 'oid' IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM schemaferry.load s WHERE s.schema_name = l.schema_name AND s.state = 'sealed')
