-- How long until every commit that a snapshot has seen outlives a crash, asynchronous ones too: not at all when the write-ahead log
-- is on disk as far as it went then, otherwise until the writer has had the time that it takes at most. What a standby has
-- replayed was on its primary's disk before.
-- $1 text: the time at which the snapshot was taken
-- $2 text: the position in the log at which the next record was to go then, if the server tells
-- wait: milliseconds
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() OR $2::text::pg_catalog.pg_lsn <= pg_catalog.pg_current_wal_flush_lsn() THEN 0
       ELSE greatest(0, ceil(1000 * extract(epoch FROM 3 * pg_catalog.current_setting('wal_writer_delay')::pg_catalog.interval
                - (pg_catalog.clock_timestamp() - $1::text::pg_catalog.timestamptz))))
       END::bigint AS wait
