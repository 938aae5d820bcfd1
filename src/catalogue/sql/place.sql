-- Where the user may make what is rolled back at once: in its session's temporary schema, otherwise in any other, that of the
-- ledger first; NULL if nowhere.
SELECT CASE WHEN pg_catalog.has_database_privilege(d.oid, 'TEMPORARY') THEN 'pg_temp'
            ELSE (SELECT pg_catalog.quote_ident(n.nspname)
                  FROM pg_catalog.pg_namespace n
                  WHERE pg_catalog.has_schema_privilege(n.oid, 'CREATE')
                    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                  ORDER BY n.nspname <> 'schemaferry', n.nspname
                  LIMIT 1) END AS place,
       pg_catalog.pg_is_in_recovery() AS standby,
       pg_catalog.format('GRANT TEMPORARY ON DATABASE %I TO %I', d.datname, current_user) AS grant
FROM pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
