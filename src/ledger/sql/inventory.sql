-- What a schema holds: every object by type and identity, with a hash of its definition. Members of extensions
-- are left out. Rows, owners and privileges do not count.
-- $1 oid: the schema
WITH extension_member AS (
    SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'
), direct AS (
    SELECT d.classid, d.objid
    FROM pg_catalog.pg_depend d
    WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
      AND d.refobjid = $1
      AND d.deptype = 'n'
    EXCEPT
    SELECT classid, objid FROM extension_member
), relation AS (
    SELECT c.* FROM pg_catalog.pg_class c
    JOIN direct d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
), part AS (
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid AS classid, i.indexrelid AS objid,
           pg_catalog.pg_get_indexdef(i.indexrelid) || i.indisvalid::text AS definition
    FROM pg_catalog.pg_index i JOIN relation r ON r.oid = i.indrelid
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid,
           pg_catalog.pg_get_constraintdef(k.oid) || k.convalidated::text
    FROM pg_catalog.pg_constraint k WHERE k.connamespace = $1
    UNION ALL
    SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid,
           pg_catalog.pg_get_triggerdef(t.oid) || t.tgenabled::text
    FROM pg_catalog.pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid, pg_catalog.pg_get_ruledef(w.oid) || w.ev_enabled::text
    FROM pg_catalog.pg_rewrite w JOIN relation r ON r.oid = w.ev_class
), object AS (
    SELECT d.classid, d.objid,
           CASE d.classid
           WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN (
               SELECT pg_catalog.string_agg(
                          pg_catalog.format('%s %s %s %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
                                            a.attnotnull, pg_catalog.pg_get_expr(f.adbin, f.adrelid)),
                          ', ' ORDER BY a.attnum)
               FROM pg_catalog.pg_attribute a
               LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
               WHERE a.attrelid = d.objid AND a.attnum > 0 AND NOT a.attisdropped)
           WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN (
               SELECT p.prosrc || p.prokind::text || pg_catalog.format_type(p.prorettype, NULL)
               FROM pg_catalog.pg_proc p WHERE p.oid = d.objid)
           WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN (
               SELECT pg_catalog.string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder)
               FROM pg_catalog.pg_enum e WHERE e.enumtypid = d.objid)
           END AS definition
    FROM direct d
    UNION ALL
    SELECT classid, objid, definition FROM part
)
SELECT DISTINCT i.type, i.identity, pg_catalog.md5(coalesce(o.definition, '')) AS definition
FROM object o, LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
WHERE i.identity IS NOT NULL
ORDER BY 1, 2
