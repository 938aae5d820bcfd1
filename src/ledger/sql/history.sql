-- Every complete load that the ledger holds, newest first, with what a forecast needs; refreshes are none. A load of an earlier release has not kept
-- the size of its tables; the bytes that travelled are near to it.
SELECT l.schema_name, l.attempt, extract(epoch FROM l.started_at)::float8 AS started,
       coalesce((l.summary -> 'totals' ->> 'size')::float8, (l.summary -> 'totals' ->> 'bytes')::float8, 0) AS size,
       coalesce(l.variables ->> 'VERIFY', '') AS verify,
       ARRAY(SELECT p.phase ->> 'phase' FROM pg_catalog.jsonb_array_elements(l.summary -> 'phases') WITH ORDINALITY AS p (phase, number)
             ORDER BY p.number) AS phases,
       ARRAY(SELECT (p.phase ->> 'elapsed_ms')::float8 / 1000
             FROM pg_catalog.jsonb_array_elements(l.summary -> 'phases') WITH ORDINALITY AS p (phase, number)
             ORDER BY p.number) AS seconds
FROM schemaferry.load l
WHERE l.state IN ('complete', 'sealed') AND pg_catalog.jsonb_typeof(l.summary -> 'phases') = 'array'
  AND pg_catalog.jsonb_typeof(l.summary -> 'refreshed') IS DISTINCT FROM 'object'
ORDER BY l.id DESC
