-- What a build of an index may be given: the server's setting for one, its shared buffers, and whether it is Aurora's.
SELECT (SELECT s.setting::bigint FROM pg_catalog.pg_settings s WHERE s.name = 'maintenance_work_mem') AS setting_kb,
       (SELECT s.setting::bigint * pg_catalog.current_setting('block_size')::bigint / 1024
        FROM pg_catalog.pg_settings s WHERE s.name = 'shared_buffers') AS shared_buffers_kb,
       pg_catalog.to_regproc('pg_catalog.aurora_version') IS NOT NULL
           OR pg_catalog.to_regproc('public.aurora_version') IS NOT NULL AS is_aurora
