-- Whose server it is. Each name is one that the service documents, and that nobody needs rights to see.
SELECT pg_catalog.to_regproc('pg_catalog.aurora_version') IS NOT NULL
           OR pg_catalog.to_regproc('public.aurora_version') IS NOT NULL AS is_aurora,
       coalesce(pg_catalog.current_setting('rds.extensions', true),
                pg_catalog.current_setting('rds.force_ssl', true),
                pg_catalog.current_setting('rds.logical_replication', true)) IS NOT NULL AS is_rds
