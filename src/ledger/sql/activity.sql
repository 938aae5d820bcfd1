-- What tells a write after the load: counters and files of tables, positions of sequences.
-- $1 oid: the schema
SELECT pg_catalog.quote_ident(c.relname) AS name,
       CASE c.relkind
       WHEN 'S' THEN (SELECT s.last_value::text FROM pg_catalog.pg_sequences s
                      WHERE s.schemaname = n.nspname AND s.sequencename = c.relname)
       ELSE (SELECT (t.n_tup_ins + t.n_tup_upd + t.n_tup_del)::text FROM pg_catalog.pg_stat_all_tables t
             WHERE t.relid = c.oid)
       END AS writes,
       pg_catalog.pg_relation_filenode(c.oid)::bigint AS file,
       c.relkind = 'S' AS is_sequence
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relnamespace = $1
  AND c.relkind IN ('r', 'S')
ORDER BY 1
