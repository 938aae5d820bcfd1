-- The backends of one attempt: when each last changed, whether it works, and what or whom it waits for in which
-- statement.
-- $1 text: prefix of their application_name
SELECT a.pid,
       pg_catalog.split_part(a.application_name, '/', 4) AS role,
       a.state_change::text AS changed,
       a.state = 'active' AND coalesce(a.wait_event_type, '') NOT IN ('Lock', 'Client', 'Activity', 'Extension')
           AND a.wait_event IS DISTINCT FROM 'SyncRep' AS works,
       a.state = 'active' AND coalesce(a.wait_event_type, '') = 'Lock' AS awaits_lock,
       pg_catalog.concat(
           coalesce(a.wait_event_type || ' ' || a.wait_event, a.state, 'unknown'),
           CASE WHEN a.state = 'active' THEN ' in ' ELSE ' after ' END,
           pg_catalog.left(pg_catalog.regexp_replace(a.query, '\s+', ' ', 'g'), 80)) AS waits_for,
       CASE WHEN a.wait_event_type = 'Lock' THEN (
           SELECT pg_catalog.string_agg(
                      pg_catalog.format('pid %s (%s, %s)', b.pid, b.usename, coalesce(nullif(b.application_name, ''), 'unnamed')),
                      ', ')
           FROM pg_catalog.pg_stat_activity b
           WHERE b.pid = ANY (pg_catalog.pg_blocking_pids(a.pid)))
       END AS holder
FROM pg_catalog.pg_stat_activity a
WHERE pg_catalog.starts_with(a.application_name, $1)
  AND a.pid <> pg_catalog.pg_backend_pid()
  AND pg_catalog.split_part(a.application_name, '/', 4) NOT IN ('lock', 'control')
ORDER BY a.pid
