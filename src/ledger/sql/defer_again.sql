-- Lets go of the constraints that are no longer there, in the rows of the latest loads: their foreign keys are deferred again.
WITH gone (id) AS (
    SELECT DISTINCT l.id
    FROM schemaferry.load l
    CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(l.deferred) AS d (one)
    WHERE d.one ->> 'oid' IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.oid = (d.one ->> 'oid')::oid)
      AND NOT EXISTS (SELECT 1 FROM schemaferry.load n WHERE n.schema_name = l.schema_name AND n.id > l.id)
)
UPDATE schemaferry.load l
SET deferred = (
    SELECT pg_catalog.jsonb_agg(
               CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.oid = (d.one ->> 'oid')::oid) THEN d.one
                    ELSE d.one - 'oid' END ORDER BY d.position)
    FROM pg_catalog.jsonb_array_elements(l.deferred) WITH ORDINALITY AS d (one, position))
WHERE l.id IN (SELECT g.id FROM gone g)
