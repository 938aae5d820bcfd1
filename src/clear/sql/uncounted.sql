-- Where writes to tables are not counted, so that nobody can tell whether there were any.
SELECT pg_catalog.format('track_counts is off%s%s', ' in database ' || d.datname, ' for role ' || r.rolname) AS where_off
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
WHERE (s.setdatabase = 0 OR d.datname = pg_catalog.current_database())
  AND EXISTS (SELECT 1 FROM pg_catalog.unnest(s.setconfig) c (setting)
              WHERE c.setting ~* '^track_counts=(off|of|f|false|fa|fal|fals|no|n|0)$')
UNION ALL
SELECT 'track_counts is off'
WHERE pg_catalog.current_setting('track_counts') = 'off'
LIMIT 1
