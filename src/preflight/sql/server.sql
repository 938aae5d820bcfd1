-- What kind of server this is, and how much room it has.
SELECT pg_catalog.pg_is_in_recovery() AS in_recovery,
       pg_catalog.current_setting('transaction_read_only') = 'on' AS read_only,
       pg_catalog.current_setting('hot_standby_feedback') AS feedback,
       pg_catalog.current_setting('max_standby_streaming_delay') AS delay,
       pg_catalog.current_setting('server_encoding') AS encoding,
       d.datcollate, d.datctype,
       pg_catalog.to_jsonb(d) ->> 'datlocprovider' AS provider,
       coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale') AS locale,
       -- MaxBackends and prepared transactions, as the server sizes its table.
       (SELECT pg_catalog.sum(s.setting::int)::int + 1 FROM pg_catalog.pg_settings s
        WHERE s.name IN ('max_connections', 'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions')
           OR s.name = CASE WHEN pg_catalog.current_setting('autovacuum_worker_slots', true) IS NULL
                       THEN 'autovacuum_max_workers' ELSE 'autovacuum_worker_slots' END) AS lockers,
       pg_catalog.current_setting('max_locks_per_transaction')::int AS locks_each,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks WHERE NOT fastpath) AS locks_used,
       pg_catalog.current_setting('max_connections')::int AS max_connections,
       pg_catalog.current_setting('max_connections')::int
           - pg_catalog.current_setting('superuser_reserved_connections')::int
           - coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int AS connections_all,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend')::int AS connections_used,
       d.datconnlimit AS database_limit, d.datname::text AS database,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid AND a.backend_type = 'client backend')::int
           AS connections_there,
       (SELECT r.rolconnlimit FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) AS connection_limit,
       current_user::text AS user_name,
       pg_catalog.current_setting('is_superuser') = 'on' AS is_superuser
FROM pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
