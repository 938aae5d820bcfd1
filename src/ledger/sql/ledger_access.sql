-- Whether there is a ledger, whether the user may read it, and the statements that permit it.
SELECT l.oid IS NOT NULL AS is_there,
       coalesce(pg_catalog.has_schema_privilege(s.oid, 'USAGE') AND pg_catalog.has_table_privilege(l.oid, 'SELECT'), true)
           AS may_read,
       pg_catalog.format(
           'GRANT USAGE ON SCHEMA schemaferry TO %1$I; GRANT SELECT ON schemaferry.load TO %1$I', current_user) AS hint
FROM (SELECT 1) one
LEFT JOIN pg_catalog.pg_namespace s ON s.nspname = 'schemaferry'
LEFT JOIN pg_catalog.pg_class l ON l.relnamespace = s.oid AND l.relname = 'load'
