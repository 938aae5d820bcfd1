-- What the user may not read, each with the statement that permits it.
-- $1 text[]: schemas
WITH namespace AS (
    SELECT n.* FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1)
), relation AS MATERIALIZED (
    -- By itself: the questions below would be asked about every relation of the database otherwise.
    SELECT c.oid, n.oid AS namespace, n.nspname, c.relname, c.relkind = 'S' AS is_sequence
    FROM pg_catalog.pg_class c JOIN namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S')
), unreadable AS (
    SELECT r.nspname, r.relname, r.is_sequence,
           pg_catalog.count(*) OVER (PARTITION BY r.namespace, r.is_sequence) AS of_this_kind
    FROM relation r
    WHERE NOT pg_catalog.has_table_privilege(r.oid, 'SELECT')
      AND NOT EXISTS (
          SELECT 1 FROM pg_catalog.pg_depend d
          WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = r.oid AND d.deptype = 'e')
)
SELECT pg_catalog.format('no USAGE on schema %I', n.nspname) AS reason,
       pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, current_user) AS hint
FROM namespace n
WHERE NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
UNION ALL
SELECT pg_catalog.format('no SELECT on %I.%I', nspname, relname),
       pg_catalog.format('GRANT SELECT ON %s %I.%I TO %I', CASE WHEN is_sequence THEN 'SEQUENCE' ELSE 'TABLE' END,
                         nspname, relname, current_user)
FROM unreadable WHERE of_this_kind <= 3
UNION ALL
SELECT DISTINCT
       pg_catalog.format('no SELECT on %s %s of schema %I', of_this_kind, CASE WHEN is_sequence THEN 'sequences' ELSE 'tables' END, nspname),
       pg_catalog.format('GRANT SELECT ON ALL %s IN SCHEMA %I TO %I', CASE WHEN is_sequence THEN 'SEQUENCES' ELSE 'TABLES' END,
                         nspname, current_user)
FROM unreadable WHERE of_this_kind > 3
UNION ALL
SELECT pg_catalog.format('row security would hide rows of %s', pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, c.relname), ', ')),
       pg_catalog.format('ALTER ROLE %I BYPASSRLS', current_user)
FROM pg_catalog.pg_class c JOIN namespace n ON n.oid = c.relnamespace
WHERE c.relrowsecurity AND pg_catalog.row_security_active(c.oid)
HAVING pg_catalog.count(*) > 0
