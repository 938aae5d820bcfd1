-- The moment: the lowest number of a running transaction, the first that no transaction has, the log's position in bytes.
SELECT pg_catalog.pg_snapshot_xmin(s.now)::text::bigint AS xmin, pg_catalog.pg_snapshot_xmax(s.now)::text::bigint AS xmax,
       (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
        ELSE pg_catalog.pg_current_wal_lsn() END - '0/0'::pg_lsn)::bigint AS lsn
FROM (SELECT pg_catalog.pg_current_snapshot()) AS s (now)
