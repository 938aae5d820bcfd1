-- What fires when rows of tables are written: triggers and rules, each with the letter that says when.
-- $1 text[]: schemas
-- table: as SQL writes it
SELECT c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS table, f.word, f.name, f.letter
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT 'TRIGGER', t.tgname::text, t.tgenabled::text
    FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT 'RULE', w.rulename, w.ev_enabled::text
    FROM pg_catalog.pg_rewrite w
    WHERE w.ev_class = c.oid
) AS f (word, name, letter)
WHERE n.nspname = ANY ($1) AND c.relkind = 'r'
