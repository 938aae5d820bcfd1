-- What fires when rows are written, by the tables that they are given to: triggers and rules, each with the letter that says when.
-- $1 text[]: schemas
-- given_schema, given_table: of a partitioned table, its root; internal: before 15, what a partition has of its parent's triggers passes
-- for the server's own
SELECT n.nspname AS schema, c.relname AS table, gn.nspname AS given_schema, g.relname AS given_table, f.word, f.name, f.letter, f.internal
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class g ON g.oid = CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_partition_root(c.oid)::oid ELSE c.oid END
JOIN pg_catalog.pg_namespace gn ON gn.oid = g.relnamespace
CROSS JOIN LATERAL (
    SELECT 'TRIGGER', t.tgname::text, t.tgenabled::text, t.tgisinternal
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = c.oid
      -- Those of keys and foreign keys.
      AND NOT (t.tgisinternal AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
               AND (pg_catalog.starts_with(p.proname::text, 'RI_FKey_') OR p.proname = 'unique_key_recheck'))
    UNION ALL
    SELECT 'RULE', w.rulename, w.ev_enabled::text, false
    FROM pg_catalog.pg_rewrite w
    WHERE w.ev_class = c.oid
) AS f (word, name, letter, internal)
WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p')
