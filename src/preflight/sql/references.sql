-- What outside of its own schema the objects of each schema are built on: extensions, foreign servers, objects of other schemas.
-- $1 text[]: schemas
-- Foreign keys are left out: they are created later. What a function's body names as text is invisible here.
WITH RECURSIVE namespace AS (
    SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1)
), relation AS (
    SELECT c.oid, c.relnamespace FROM pg_catalog.pg_class c WHERE c.relnamespace IN (SELECT oid FROM namespace)
), unit (classid, objid, namespace) AS (
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, oid, relnamespace FROM relation
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typnamespace FROM pg_catalog.pg_type WHERE typnamespace IN (SELECT oid FROM namespace)
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, pronamespace FROM pg_catalog.pg_proc WHERE pronamespace IN (SELECT oid FROM namespace)
    UNION ALL
    SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, oprnamespace FROM pg_catalog.pg_operator WHERE oprnamespace IN (SELECT oid FROM namespace)
    UNION ALL
    SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, oid, opcnamespace FROM pg_catalog.pg_opclass WHERE opcnamespace IN (SELECT oid FROM namespace)
    UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, oid, stxnamespace FROM pg_catalog.pg_statistic_ext WHERE stxnamespace IN (SELECT oid FROM namespace)
    UNION ALL
    SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid, cfgnamespace FROM pg_catalog.pg_ts_config WHERE cfgnamespace IN (SELECT oid FROM namespace)
    UNION ALL
    SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid, dictnamespace FROM pg_catalog.pg_ts_dict WHERE dictnamespace IN (SELECT oid FROM namespace)
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid, connamespace FROM pg_catalog.pg_constraint
    WHERE connamespace IN (SELECT oid FROM namespace) AND contype <> 'f'
    UNION ALL
    SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, a.oid, r.relnamespace
    FROM pg_catalog.pg_attrdef a JOIN relation r ON r.oid = a.adrelid
    UNION ALL
    SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, r.relnamespace
    FROM pg_catalog.pg_trigger t JOIN relation r ON r.oid = t.tgrelid
    WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid, r.relnamespace
    FROM pg_catalog.pg_rewrite w JOIN relation r ON r.oid = w.ev_class
    UNION ALL
    SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, p.oid, r.relnamespace
    FROM pg_catalog.pg_policy p JOIN relation r ON r.oid = p.polrelid
), own AS (
    -- Members of an extension that lives here bring their own references.
    SELECT u.classid, u.objid, u.namespace FROM unit u
    WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                      WHERE e.classid = u.classid AND e.objid = u.objid AND e.deptype = 'e')
), reference (classid, objid, namespace) AS (
    SELECT d.refclassid, d.refobjid, u.namespace
    FROM own u JOIN pg_catalog.pg_depend d ON d.classid = u.classid AND d.objid = u.objid
    WHERE d.refobjid >= 16384 OR d.refclassid = 'pg_catalog.pg_language'::pg_catalog.regclass
    UNION
    -- What is part of something (array and row types) stands for it.
    SELECT d.refclassid, d.refobjid, r.namespace
    FROM reference r JOIN pg_catalog.pg_depend d ON d.classid = r.classid AND d.objid = r.objid AND d.deptype = 'i'
    WHERE d.refobjid >= 16384
), wrapped AS (
    SELECT classid, objid, namespace FROM reference
    -- What stands beside it needs nothing.
    EXCEPT
    SELECT classid, objid, namespace FROM own
    UNION
    SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, s.srvfdw, r.namespace
    FROM reference r JOIN pg_catalog.pg_foreign_server s
      ON r.classid = 'pg_catalog.pg_foreign_server'::pg_catalog.regclass AND s.oid = r.objid
)
SELECT DISTINCT home.nspname::text AS of_schema, i.type, n.nspname::text AS schema, i.identity, x.extname::text AS extension, xn.nspname::text AS extension_schema,
       CASE WHEN f.oid IS NOT NULL THEN pg_catalog.format(
           '%sCREATE SERVER %I FOREIGN DATA WRAPPER %I%s',
           -- The wrapper may come with an extension that lives in the unit.
           (SELECT pg_catalog.format('CREATE SCHEMA IF NOT EXISTS %1$I; CREATE EXTENSION IF NOT EXISTS %2$I WITH SCHEMA %1$I; ',
                                     hn.nspname, h.extname)
            FROM pg_catalog.pg_depend hd
            JOIN pg_catalog.pg_extension h ON h.oid = hd.refobjid
            JOIN pg_catalog.pg_namespace hn ON hn.oid = h.extnamespace
            WHERE hd.classid = 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass AND hd.objid = w.oid
              AND hd.deptype = 'e' AND hn.nspname = ANY ($1)),
           f.srvname, w.fdwname,
           (SELECT ' OPTIONS (' || pg_catalog.string_agg(pg_catalog.format('%I %L', o.option_name, o.option_value), ', ') || ')'
            FROM pg_catalog.pg_options_to_table(f.srvoptions) o)) END AS create_server
FROM wrapped r
JOIN pg_catalog.pg_namespace home ON home.oid = r.namespace
CROSS JOIN LATERAL pg_catalog.pg_identify_object(r.classid, r.objid, 0) i
-- pg_identify_object quotes names.
LEFT JOIN pg_catalog.pg_namespace n ON pg_catalog.quote_ident(n.nspname) = i.schema
LEFT JOIN pg_catalog.pg_depend e ON e.classid = r.classid AND e.objid = r.objid AND e.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension x
  ON x.oid = e.refobjid OR (r.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND x.oid = r.objid)
LEFT JOIN pg_catalog.pg_namespace xn ON xn.oid = x.extnamespace
LEFT JOIN pg_catalog.pg_foreign_server f
  ON r.classid = 'pg_catalog.pg_foreign_server'::pg_catalog.regclass AND f.oid = r.objid
LEFT JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = f.srvfdw
WHERE i.identity IS NOT NULL AND (x.oid IS NOT NULL
   OR f.oid IS NOT NULL
   OR (n.nspname <> home.nspname AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND i.type <> 'index'))
ORDER BY 1, 2, 3, 4
