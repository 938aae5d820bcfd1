-- What a load does not carry and what does no harm by its absence.
-- $1 text[]: schemas
WITH relation AS (
    SELECT c.*, n.nspname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1)
)
SELECT 'invalid index' AS what, pg_catalog.format('%I.%I', r.nspname, r.relname) AS name
FROM relation r JOIN pg_catalog.pg_index i ON i.indexrelid = r.oid
WHERE NOT i.indisvalid AND r.relkind = 'i'
UNION ALL
SELECT 'statistics of another schema', pg_catalog.format('%I.%I', sn.nspname, s.stxname)
FROM pg_catalog.pg_statistic_ext s
JOIN pg_catalog.pg_namespace sn ON sn.oid = s.stxnamespace
JOIN pg_catalog.pg_class c ON c.oid = s.stxrelid
JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
WHERE (sn.nspname = ANY ($1)) <> (cn.nspname = ANY ($1))
UNION ALL
SELECT 'membership of publication', pg_catalog.format('%I: %I.%I', p.pubname, r.nspname, r.relname)
FROM relation r
JOIN pg_catalog.pg_publication_rel m ON m.prrelid = r.oid
JOIN pg_catalog.pg_publication p ON p.oid = m.prpubid
UNION ALL
SELECT 'user mapping of server', pg_catalog.format('%I for %I', m.srvname, m.usename)
FROM pg_catalog.pg_user_mappings m
WHERE m.srvid IN (SELECT f.ftserver FROM pg_catalog.pg_foreign_table f JOIN relation r ON r.oid = f.ftrelid)
UNION ALL
SELECT 'cast', pg_catalog.format('%s as %s', pg_catalog.format_type(k.castsource, NULL), pg_catalog.format_type(k.casttarget, NULL))
FROM pg_catalog.pg_cast k
JOIN pg_catalog.pg_type s ON s.oid = k.castsource
JOIN pg_catalog.pg_type t ON t.oid = k.casttarget
WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n
              WHERE n.oid IN (s.typnamespace, t.typnamespace) AND n.nspname = ANY ($1))
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass AND d.objid = k.oid AND d.deptype IN ('e', 'i'))
UNION ALL
SELECT 'rows of unpopulated materialized view', pg_catalog.format('%I.%I', nspname, relname)
FROM relation WHERE relkind = 'm' AND NOT relispopulated
UNION ALL
SELECT 'security label', pg_catalog.format('%s on %I.%I', l.provider, r.nspname, r.relname)
FROM relation r
JOIN pg_catalog.pg_seclabel l ON l.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND l.objoid = r.oid
UNION ALL
SELECT 'tablespace', pg_catalog.format('%I of %I.%I', t.spcname, r.nspname, r.relname)
FROM relation r JOIN pg_catalog.pg_tablespace t ON t.oid = r.reltablespace
UNION ALL
SELECT 'rows behind foreign table', pg_catalog.format('%I.%I', nspname, relname)
FROM relation WHERE relkind = 'f'
ORDER BY 1, 2
