-- Who holds the advisory lock of a key, and for how long nothing was heard of it (null: hidden).
-- $1 text: the key's text
SELECT l.pid,
       pg_catalog.format('pid %s, %s, %s, connected %s', l.pid, a.application_name,
                                coalesce(pg_catalog.host(a.client_addr), 'address hidden or local'),
                                coalesce(a.backend_start::text, 'at a time hidden')) AS description,
       a.application_name ~ '^sf/[0-9a-f]{16}/[0-9a-f]{8}/lock$' AS is_worker,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::float8 AS silence_s
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory'
  AND l.granted
  AND l.objsubid = 1
  AND (l.classid::bigint << 32 | l.objid::bigint) = pg_catalog.hashtextextended($1, 0)
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
