-- What a load does not carry and what does no harm by its absence.
-- $1 text[]: schemas
WITH RECURSIVE unit AS (
    SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1)
), member AS (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype IN ('e', 'i')
), function AS (
    SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.pronamespace IN (SELECT u.oid FROM unit u)
), relation AS (
    SELECT c.*, n.nspname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1)
), unpopulated (oid, by_itself) AS (
    -- What reads one that holds nothing cannot be filled either.
    SELECT c.oid, true FROM pg_catalog.pg_class c WHERE c.relkind = 'm' AND NOT c.relispopulated
    UNION
    SELECT r.ev_class, false
    FROM unpopulated u
    JOIN pg_catalog.pg_depend d
      ON (d.classid, d.refclassid, d.refobjid)
       = ('pg_catalog.pg_rewrite'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass, u.oid)
    JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid AND r.ev_class <> u.oid
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
SELECT 'event trigger', pg_catalog.quote_ident(e.evtname)
FROM pg_catalog.pg_event_trigger e
WHERE e.evtfoid IN (SELECT f.oid FROM function f)
  AND (e.oid, 'pg_catalog.pg_event_trigger'::pg_catalog.regclass::oid) NOT IN (SELECT m.objid, m.classid FROM member m)
UNION ALL
SELECT 'transform', pg_catalog.format('for %s language %I', pg_catalog.format_type(t.trftype, NULL), l.lanname)
FROM pg_catalog.pg_transform t
JOIN pg_catalog.pg_language l ON l.oid = t.trflang
JOIN pg_catalog.pg_type y ON y.oid = t.trftype
WHERE (y.typnamespace IN (SELECT u.oid FROM unit u)
       OR t.trffromsql IN (SELECT f.oid FROM function f) OR t.trftosql IN (SELECT f.oid FROM function f))
  AND (t.oid, 'pg_catalog.pg_transform'::pg_catalog.regclass::oid) NOT IN (SELECT m.objid, m.classid FROM member m)
UNION ALL
SELECT 'operator of another schema''s family', pg_catalog.format('%s in %I.%I', o.oid::pg_catalog.regoperator, n.nspname, f.opfname)
FROM pg_catalog.pg_amop a
JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr
JOIN pg_catalog.pg_opfamily f ON f.oid = a.amopfamily
JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
WHERE o.oprnamespace IN (SELECT u.oid FROM unit u) AND n.oid NOT IN (SELECT u.oid FROM unit u)
  AND (o.oid, 'pg_catalog.pg_operator'::pg_catalog.regclass::oid) NOT IN (SELECT m.objid, m.classid FROM member m)
UNION ALL
SELECT 'function of another schema''s family', pg_catalog.format('%s in %I.%I', a.amproc::pg_catalog.regprocedure, n.nspname, f.opfname)
FROM pg_catalog.pg_amproc a
JOIN pg_catalog.pg_opfamily f ON f.oid = a.amprocfamily
JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
WHERE a.amproc IN (SELECT p.oid FROM function p) AND n.oid NOT IN (SELECT u.oid FROM unit u)
  AND (a.amproc::oid, 'pg_catalog.pg_proc'::pg_catalog.regclass::oid) NOT IN (SELECT m.objid, m.classid FROM member m)
UNION ALL
SELECT 'access method', pg_catalog.quote_ident(a.amname)
FROM pg_catalog.pg_am a
WHERE a.amhandler IN (SELECT f.oid FROM function f)
  AND (a.oid, 'pg_catalog.pg_am'::pg_catalog.regclass::oid) NOT IN (SELECT m.objid, m.classid FROM member m)
UNION ALL
SELECT 'language', pg_catalog.quote_ident(l.lanname)
FROM pg_catalog.pg_language l
JOIN function f ON f.oid IN (l.lanplcallfoid, l.laninline, l.lanvalidator)
WHERE (l.oid, 'pg_catalog.pg_language'::pg_catalog.regclass::oid) NOT IN (SELECT m.objid, m.classid FROM member m)
UNION
SELECT 'foreign data wrapper', pg_catalog.quote_ident(w.fdwname)
FROM pg_catalog.pg_foreign_data_wrapper w
JOIN function f ON f.oid IN (w.fdwhandler, w.fdwvalidator)
WHERE (w.oid, 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass::oid) NOT IN (SELECT m.objid, m.classid FROM member m)
UNION
SELECT 'grants on members of extension', e.extname::text
FROM (SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.proacl FROM pg_catalog.pg_proc p
      WHERE p.pronamespace IN (SELECT u.oid FROM unit u)
      UNION ALL
      SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, r.oid, r.relacl FROM relation r) AS o (class, oid, acl)
JOIN pg_catalog.pg_depend d ON d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e'
JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
LEFT JOIN pg_catalog.pg_init_privs i ON i.classoid = o.class AND i.objoid = o.oid AND i.objsubid = 0
WHERE o.acl IS DISTINCT FROM i.initprivs
UNION
-- What is made with a range type or a relation is as it is made, and so is what a partition or a child inherits.
SELECT 'changes to function of range type', p.oid::pg_catalog.regprocedure::text
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'i'
JOIN pg_catalog.pg_range r ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = r.rngtypid
WHERE p.pronamespace IN (SELECT u.oid FROM unit u)
  -- The server makes them as its first superuser's, whose OID is 10.
  AND (p.proacl IS NOT NULL OR p.proconfig IS NOT NULL OR p.procost <> 1 OR p.proowner <> 10
       OR pg_catalog.obj_description(p.oid, 'pg_proc') IS NOT NULL)
UNION
SELECT 'grants or comment of type', pg_catalog.format_type(t.oid, NULL)
FROM pg_catalog.pg_type t
LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
WHERE t.typnamespace IN (SELECT u.oid FROM unit u)
  AND (c.relkind IN ('r', 'p', 'v', 'm', 'f') OR t.typtype = 'm' OR EXISTS (SELECT 1 FROM pg_catalog.pg_type e WHERE e.typarray = t.oid))
  AND (t.typacl IS NOT NULL OR pg_catalog.obj_description(t.oid, 'pg_type') IS NOT NULL)
UNION
SELECT 'comment on inherited constraint', pg_catalog.format('%I of %s', k.conname, k.conrelid::pg_catalog.regclass)
FROM relation r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
WHERE k.contype IN ('c', 'f') AND NOT k.conislocal AND pg_catalog.obj_description(k.oid, 'pg_constraint') IS NOT NULL
UNION
SELECT 'comment on inherited trigger', pg_catalog.format('%I of %s', t.tgname, t.tgrelid::pg_catalog.regclass)
FROM relation r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid
WHERE t.tgparentid <> 0 AND pg_catalog.obj_description(t.oid, 'pg_trigger') IS NOT NULL
UNION
SELECT w.what || ' of inherited foreign key', pg_catalog.format('%I of %s', k.conname, k.conrelid::pg_catalog.regclass)
FROM relation r
JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype = 'f'
JOIN pg_catalog.pg_constraint p ON p.oid = k.conparentid AND p.conrelid <> k.conrelid
JOIN (VALUES ('name'), ('validation')) AS w (what)
  ON CASE w.what WHEN 'name' THEN k.conname <> p.conname ELSE k.convalidated AND NOT p.convalidated END
UNION
SELECT 'disabled triggers of foreign key', pg_catalog.format('%I of %s', k.conname, k.conrelid::pg_catalog.regclass)
FROM pg_catalog.pg_trigger t
JOIN relation r ON r.oid = t.tgrelid
JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint AND k.contype = 'f'
WHERE t.tgisinternal AND t.tgenabled <> 'O'
UNION
SELECT 'rows of materialized view over an unpopulated one', pg_catalog.format('%I.%I', r.nspname, r.relname)
FROM relation r
WHERE r.relkind = 'm' AND r.relispopulated AND r.oid IN (SELECT u.oid FROM unpopulated u)
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
