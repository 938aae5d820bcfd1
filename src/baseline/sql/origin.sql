-- Which server and which database this is, and on which timeline it writes or follows. A standby that was promoted a moment ago
-- still shows its old timeline in the last checkpoint: a primary's is read off the name of the file that it writes.
-- started: where one of its processes dies, a server recovers without being started anew, and every recovery lets go of statistics.
SELECT (SELECT s.system_identifier::text FROM pg_catalog.pg_control_system() s) AS system,
       (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) AS database,
       CASE WHEN pg_catalog.pg_is_in_recovery()
       THEN (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline)
             FROM pg_catalog.pg_control_checkpoint() c, pg_catalog.pg_control_recovery() r)
       ELSE ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8))::bit(32)::int
       END AS timeline,
       pg_catalog.concat_ws(', ', pg_catalog.pg_postmaster_start_time(), pg_catalog.pg_stat_get_bgwriter_stat_reset_time()) AS started
