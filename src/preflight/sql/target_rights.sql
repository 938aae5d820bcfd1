-- What the user may not do to the ledger, and whether it may create schemas.
SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create,
       pg_catalog.format('GRANT CREATE ON DATABASE %I TO %I', pg_catalog.current_database(), current_user) AS create_hint,
       l.oid IS NOT NULL AS has_ledger,
       CASE
       WHEN s.oid IS NULL THEN true
       WHEN l.oid IS NULL THEN pg_catalog.has_schema_privilege(s.oid, 'CREATE')
       ELSE pg_catalog.has_schema_privilege(s.oid, 'USAGE')
            AND pg_catalog.has_table_privilege(l.oid, 'SELECT')
            AND pg_catalog.has_table_privilege(l.oid, 'INSERT')
            AND pg_catalog.has_table_privilege(l.oid, 'UPDATE')
            AND coalesce(pg_catalog.has_table_privilege(r.oid, 'SELECT')
                         AND pg_catalog.has_table_privilege(r.oid, 'INSERT')
                         AND pg_catalog.has_table_privilege(r.oid, 'DELETE'), true)
       END AS may_write_ledger,
       pg_catalog.format(
           CASE WHEN l.oid IS NULL THEN 'GRANT CREATE, USAGE ON SCHEMA schemaferry TO %1$I'
                ELSE 'GRANT USAGE ON SCHEMA schemaferry TO %1$I; GRANT SELECT, INSERT, UPDATE ON schemaferry.load TO %1$I; '
                     'GRANT SELECT, INSERT, DELETE ON schemaferry.landed TO %1$I' END,
           current_user) AS ledger_hint
FROM (SELECT 1) one
LEFT JOIN pg_catalog.pg_namespace s ON s.nspname = 'schemaferry'
LEFT JOIN pg_catalog.pg_class l ON l.relnamespace = s.oid AND l.relname = 'load'
LEFT JOIN pg_catalog.pg_class r ON r.relnamespace = s.oid AND r.relname = 'landed'
