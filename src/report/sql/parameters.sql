-- Parameters by which statements mean or do something else, as the user's new sessions have them.
-- $1 text[]: their names
SELECT 'parameter' AS kind, s.name, coalesce(s.reset_val, '') || coalesce(s.unit, '') AS told,
       coalesce(s.reset_val, '') || coalesce(s.unit, '') AS compared
FROM pg_catalog.pg_settings s
WHERE s.name = ANY ($1)
UNION ALL
SELECT 'parameter', p.name, p.value, p.value
FROM pg_catalog.pg_database d,
     LATERAL (VALUES ('encoding', pg_catalog.pg_encoding_to_char(d.encoding)), ('lc_collate', d.datcollate::text),
                     ('lc_ctype', d.datctype::text)) AS p (name, value)
WHERE d.datname = pg_catalog.current_database()
ORDER BY 2
