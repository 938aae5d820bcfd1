-- How the target stands to extensions.
-- $1 text[]: extensions
SELECT e.name, n.nspname::text AS schema, a.name IS NOT NULL AS is_available,
       pg_catalog.current_setting('is_superuser') = 'on'
           OR (a.trusted AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'))
           OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles r
                      WHERE r.rolname = 'rds_superuser' AND pg_catalog.pg_has_role(r.oid, 'MEMBER')) AS may_create
FROM pg_catalog.unnest($1::text[]) AS e (name)
LEFT JOIN pg_catalog.pg_extension x ON x.extname = e.name
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = x.extnamespace
LEFT JOIN (
    SELECT v.name, v.trusted
    FROM pg_catalog.pg_available_extension_versions v
    JOIN pg_catalog.pg_available_extensions d ON d.name = v.name AND d.default_version = v.version
) a ON a.name = e.name
