-- Whether every commit that a snapshot has seen outlives a crash, asynchronous ones too: either all of the write-ahead log is on disk,
-- or the writer has had the time that it takes at most. What a standby has replayed was on its primary's disk before.
-- $1 text: the time at which the snapshot was taken
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN true
       ELSE pg_catalog.clock_timestamp() - $1::text::pg_catalog.timestamptz
            >= 3 * pg_catalog.current_setting('wal_writer_delay')::pg_catalog.interval
            OR pg_catalog.pg_current_wal_insert_lsn() <= pg_catalog.pg_current_wal_flush_lsn()
       END AS durable
