-- What lives outside of schemas and no load carries: of each its kind, its name, what is told of it, and what is compared.
-- What a setting or a job may hold is compared by its hash alone.
WITH own AS (
    SELECT d.oid, d.datname FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
)
SELECT 'role membership' AS kind,
       pg_catalog.format('%I in %I', m.rolname, r.rolname) AS name,
       CASE WHEN a.admin_option THEN 'with admin option' ELSE '' END AS told,
       CASE WHEN a.admin_option THEN 'with admin option' ELSE '' END AS compared
FROM (SELECT a.member, a.roleid, pg_catalog.bool_or(a.admin_option) AS admin_option
      FROM pg_catalog.pg_auth_members a GROUP BY a.member, a.roleid) a
JOIN pg_catalog.pg_roles m ON m.oid = a.member
JOIN pg_catalog.pg_roles r ON r.oid = a.roleid
WHERE m.rolname !~ '^(pg_|rds)'
UNION ALL
SELECT 'setting',
       CASE WHEN s.setdatabase = 0 THEN pg_catalog.format('ALTER ROLE %I SET %s', r.rolname, e.name)
            WHEN s.setrole = 0 THEN 'ALTER DATABASE … SET ' || e.name
            ELSE pg_catalog.format('ALTER ROLE %I IN DATABASE … SET %s', r.rolname, e.name) END,
       CASE WHEN k.name IS NOT NULL THEN e.value ELSE 'a value that is not shown' END,
       pg_catalog.md5(e.value)
FROM pg_catalog.pg_db_role_setting s
CROSS JOIN own
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
CROSS JOIN LATERAL (SELECT pg_catalog.split_part(c.one, '=', 1) AS name,
                           pg_catalog.substr(c.one, pg_catalog.strpos(c.one, '=') + 1) AS value
                    FROM pg_catalog.unnest(s.setconfig) AS c (one)) e
LEFT JOIN pg_catalog.pg_settings k ON pg_catalog.lower(k.name) = pg_catalog.lower(e.name)
    AND pg_catalog.strpos(k.name, '.') = 0
WHERE s.setdatabase IN (0, own.oid) AND (s.setrole = 0 OR r.rolname !~ '^(pg_|rds)')
UNION ALL
SELECT 'publication', p.pubname,
       CASE WHEN p.puballtables THEN 'all tables'
            ELSE (SELECT pg_catalog.count(*) FROM pg_catalog.pg_publication_tables t WHERE t.pubname = p.pubname) || ' tables' END,
       CASE WHEN p.puballtables THEN 'all tables'
            ELSE (SELECT pg_catalog.count(*) FROM pg_catalog.pg_publication_tables t WHERE t.pubname = p.pubname) || ' tables' END
FROM pg_catalog.pg_publication p
UNION ALL
SELECT 'subscription', s.subname, CASE WHEN s.subenabled THEN 'enabled' ELSE 'disabled' END, ''
FROM pg_catalog.pg_subscription s
JOIN own ON own.oid = s.subdbid
UNION ALL
SELECT 'replication slot', s.slot_name,
       pg_catalog.concat_ws(', ', s.plugin, CASE WHEN s.active THEN 'active' ELSE 'inactive' END), ''
FROM pg_catalog.pg_replication_slots s
CROSS JOIN own
WHERE s.database IS NULL OR s.database = own.datname
UNION ALL
SELECT 'large objects', 'all', pg_catalog.count(*)::text, pg_catalog.count(*)::text
FROM pg_catalog.pg_largeobject_metadata
HAVING pg_catalog.count(*) > 0
UNION ALL
SELECT 'extension', x.extname, x.extversion, x.extversion
FROM pg_catalog.pg_extension x
UNION ALL
SELECT 'prepared transaction', pg_catalog.quote_literal(x.gid),
       pg_catalog.format('of %s, since %s', x.owner, pg_catalog.date_trunc('second', x.prepared)), ''
FROM pg_catalog.pg_prepared_xacts x
JOIN own ON own.datname = x.database
ORDER BY 1, 2
