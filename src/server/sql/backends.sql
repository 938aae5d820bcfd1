-- The backends of one attempt: when each last changed, whether it works, and what or whom it waits for in which
-- statement. A prepared transaction has no process: it is found by the lock that it holds.
-- $1 text: prefix of their application_name
SELECT a.pid,
       pg_catalog.split_part(a.application_name, '/', 4) AS role,
       a.state_change::text AS changed,
       a.state = 'active' AND coalesce(a.wait_event_type, '') NOT IN ('Lock', 'Client', 'Activity', 'Extension')
           AND a.wait_event IS DISTINCT FROM 'SyncRep' AS works,
       a.state = 'active' AND coalesce(a.wait_event_type, '') = 'Lock' AS awaits_lock,
       pg_catalog.concat(
           CASE WHEN a.wait_event = 'SyncRep' THEN 'a standby that synchronous_standby_names asks for'
                ELSE coalesce(a.wait_event_type || ' ' || a.wait_event, a.state, 'unknown') END,
           CASE WHEN a.state = 'active' THEN ' in ' ELSE ' after ' END,
           pg_catalog.left(pg_catalog.regexp_replace(a.query, '\s+', ' ', 'g'), 80)) AS waits_for,
       CASE WHEN a.wait_event_type = 'Lock' THEN (
           SELECT pg_catalog.string_agg(h.holder, ', ')
           FROM (SELECT pg_catalog.format('pid %s (%s, %s)', b.pid, b.usename, coalesce(nullif(b.application_name, ''), 'unnamed'))
                 FROM pg_catalog.pg_stat_activity b
                 WHERE b.pid = ANY (pg_catalog.pg_blocking_pids(a.pid))
                 UNION
                 SELECT pg_catalog.format('prepared transaction %L, which COMMIT PREPARED or ROLLBACK PREPARED ends', p.gid)
                 FROM pg_catalog.pg_locks w
                 JOIN pg_catalog.pg_locks l ON l.pid IS NULL AND l.granted AND l.locktype = w.locktype
                      AND (l.database, l.relation, l.transactionid) IS NOT DISTINCT FROM (w.database, w.relation, w.transactionid)
                 JOIN pg_catalog.pg_locks x
                      ON x.pid IS NULL AND x.locktype = 'transactionid' AND x.virtualtransaction = l.virtualtransaction
                 JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid
                 WHERE w.pid = a.pid AND NOT w.granted AND 0 = ANY (pg_catalog.pg_blocking_pids(a.pid))) AS h (holder))
       END AS holder
FROM pg_catalog.pg_stat_activity a
WHERE pg_catalog.starts_with(a.application_name, $1)
  AND a.pid <> pg_catalog.pg_backend_pid()
  AND pg_catalog.split_part(a.application_name, '/', 4) NOT IN ('lock', 'control')
ORDER BY a.pid
