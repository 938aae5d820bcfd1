-- Notes the constraint that was made of a foreign key, in the row of the schema's latest load.
-- $1 bigint: the row
-- $2 jsonb: the foreign key
-- $3 oid: the constraint
UPDATE schemaferry.load l
SET deferred = (
    SELECT pg_catalog.jsonb_agg(CASE WHEN d.one -> 'foreign_key' = $2 THEN d.one || pg_catalog.jsonb_build_object('oid', $3::bigint)
                                     ELSE d.one END ORDER BY d.position)
    FROM pg_catalog.jsonb_array_elements(l.deferred) WITH ORDINALITY AS d (one, position))
WHERE l.id = $1
  AND l.state IN ('complete', 'sealed')
  AND l.deferred @> pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('foreign_key', $2))
  AND NOT EXISTS (SELECT 1 FROM schemaferry.load n WHERE n.schema_name = l.schema_name AND n.id > l.id)
