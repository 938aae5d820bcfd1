-- What the backends of a run's streams are at.
-- $1 text: their application_name
SELECT pg_catalog.count(*) AS backends,
       pg_catalog.count(*) FILTER (WHERE a.wait_event = 'ClientRead') AS waiting,
       pg_catalog.count(*) FILTER (WHERE a.state = 'active' AND a.wait_event = 'ClientRead') AS hungry,
       pg_catalog.count(*) FILTER (WHERE a.state = 'active' AND a.wait_event = 'ClientWrite') AS full
FROM pg_catalog.pg_stat_activity a
WHERE a.application_name = $1
