-- Event triggers that would fire on the load's own statements.
-- $1 text[]: schemas, which do not matter here
SELECT pg_catalog.format('%I on %s', e.evtname, e.evtevent)
FROM pg_catalog.pg_event_trigger e
WHERE e.evtenabled IN ('O', 'A')
  AND e.evtevent <> 'login'
  AND $1::text[] IS NOT NULL
