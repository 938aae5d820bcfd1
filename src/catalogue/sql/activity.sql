-- What tells a write: counters and files of tables, positions of sequences.
-- $1 text[], $2 oid[]: schemas, by name or by OID
-- $3 boolean: all relations of them; otherwise
-- $4 oid[]: some
-- never_called: of a sequence that can be read, whose next number stands in itself alone.
-- holds: of what a crash of the server empties, whether a table has a row, or a sequence was called.
-- writes: null where it is unknown. A standby counts nothing: there it is the position up to which it has followed.
SELECT n.nspname AS schema, c.relname AS name, pg_catalog.quote_ident(c.relname) AS within, c.relkind = 'S' AS is_sequence,
       CASE
       WHEN c.relkind = 'S'
       THEN CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE')
            THEN coalesce(pg_catalog.pg_sequence_last_value(c.oid)::text, 'never called') END
       WHEN pg_catalog.pg_is_in_recovery()
       THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_replay_lsn(), '0/0')::text
       ELSE (pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid)
             + pg_catalog.pg_stat_get_tuples_deleted(c.oid))::text
       END AS writes,
       CASE WHEN c.relkind <> 'S' AND NOT pg_catalog.pg_is_in_recovery()
       THEN (pg_catalog.pg_stat_get_tuples_updated(c.oid) + pg_catalog.pg_stat_get_tuples_deleted(c.oid))::text
       END AS rewrites,
       pg_catalog.pg_relation_filenode(c.oid)::bigint AS file,
       CASE WHEN c.relpersistence = 'u' AND NOT pg_catalog.pg_is_in_recovery()
       THEN CASE WHEN c.relkind <> 'S' THEN pg_catalog.pg_relation_size(c.oid) > 0
                 WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE')
                 THEN pg_catalog.pg_sequence_last_value(c.oid) IS NOT NULL END
       END AS holds,
       c.relkind = 'S' AND pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
           AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())
           AND pg_catalog.pg_sequence_last_value(c.oid) IS NULL AS never_called
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (n.nspname = ANY ($1) OR n.oid = ANY ($2))
  AND c.relkind IN ('r', 'S')
  AND ($3 OR c.oid = ANY ($4))
