-- What tells a write after the load: counters and files of tables, positions of sequences.
-- $1 oid: the schema
-- $2 boolean: all relations of it; otherwise
-- $3 oid[]: some
SELECT pg_catalog.quote_ident(c.relname) AS name,
       CASE c.relkind
       -- Null where the user may not know.
       WHEN 'S' THEN CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE')
                     THEN coalesce(pg_catalog.pg_sequence_last_value(c.oid)::text, 'never called') END
       ELSE (SELECT (t.n_tup_ins + t.n_tup_upd + t.n_tup_del)::text FROM pg_catalog.pg_stat_all_tables t
             WHERE t.relid = c.oid)
       END AS writes,
       pg_catalog.pg_relation_filenode(c.oid)::bigint AS file,
       c.relkind = 'S' AS is_sequence
FROM pg_catalog.pg_class c
WHERE c.relnamespace = $1
  AND c.relkind IN ('r', 'S')
  AND ($2 OR c.oid = ANY ($3))
ORDER BY 1
