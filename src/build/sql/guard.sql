-- Fails with a division by zero unless tables stand in the schemas that they were made in, and they and their partitions are
-- the user's own, without triggers and rules but such as are disabled. Nobody else can have put a table of the user's into a schema.
-- TABLES: their names as literals, separated by commas; SCHEMAS: the OID of the schema of each
SELECT 1 / CASE WHEN EXISTS (
    SELECT 1
    FROM ROWS FROM (pg_catalog.unnest(ARRAY[TABLES]::pg_catalog.regclass[]), pg_catalog.unnest(ARRAY[SCHEMAS]::oid[]))
         AS w (oid, schema)
    CROSS JOIN LATERAL (
        SELECT w.oid::oid AS oid UNION SELECT p.relid::oid FROM pg_catalog.pg_partition_tree(w.oid) AS p
    ) AS p
    JOIN pg_catalog.pg_class c ON c.oid = p.oid
    WHERE c.relowner <> (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
       OR c.oid = w.oid AND c.relnamespace <> w.schema
       OR EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D')
       OR EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_enabled <> 'D')
) THEN 0 ELSE 1 END
