-- Owner and grants of everything in the schemas, the schemas included; members of extensions left out.
-- $1 text[]: schemas
-- follows: the owner can't be set, it is that of the table. grants: one object per entry of the access control list,
-- of the built-in one where is_default; a grantee of null is PUBLIC.
WITH namespace AS (
    SELECT n.* FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1)
), object (nspname, classid, objid, attname, owner, acl, kind, follows) AS (
    SELECT n.nspname, 'pg_catalog.pg_namespace'::pg_catalog.regclass::oid, n.oid, NULL::name, n.nspowner, n.nspacl, 'n'::"char", false
    FROM namespace n
    UNION ALL
    SELECT n.nspname, 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, NULL, c.relowner, c.relacl,
           (CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char",
           c.relkind = 'S' AND EXISTS (
               SELECT 1 FROM pg_catalog.pg_depend d
               WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
                 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i'))
    FROM pg_catalog.pg_class c JOIN namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT n.nspname, 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, a.attname, c.relowner, a.attacl, 'c', true
    FROM pg_catalog.pg_class c JOIN namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND a.attacl IS NOT NULL
    UNION ALL
    SELECT n.nspname, 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, NULL, t.typowner, t.typacl, 'T', false
    FROM pg_catalog.pg_type t JOIN namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
    -- From 17 on a multirange follows its range.
    WHERE (t.typtype IN ('b', 'c', 'd', 'e', 'r') OR t.typtype = 'm' AND pg_catalog.current_setting('server_version_num')::int < 170000)
      AND (c.oid IS NULL OR c.relkind = 'c')
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid)
    UNION ALL
    SELECT n.nspname, 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, NULL, p.proowner, p.proacl, 'f', false
    FROM pg_catalog.pg_proc p JOIN namespace n ON n.oid = p.pronamespace
    -- Functions that come with a range type belong to it.
    WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'i')
    UNION ALL
    SELECT n.nspname, 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid, NULL, o.oprowner, NULL, NULL, false
    FROM pg_catalog.pg_operator o JOIN namespace n ON n.oid = o.oprnamespace
    UNION ALL
    SELECT n.nspname, 'pg_catalog.pg_opclass'::pg_catalog.regclass, o.oid, NULL, o.opcowner, NULL, NULL, false
    FROM pg_catalog.pg_opclass o JOIN namespace n ON n.oid = o.opcnamespace
    UNION ALL
    SELECT n.nspname, 'pg_catalog.pg_opfamily'::pg_catalog.regclass, o.oid, NULL, o.opfowner, NULL, NULL, false
    FROM pg_catalog.pg_opfamily o JOIN namespace n ON n.oid = o.opfnamespace
    UNION ALL
    SELECT n.nspname, 'pg_catalog.pg_collation'::pg_catalog.regclass, o.oid, NULL, o.collowner, NULL, NULL, false
    FROM pg_catalog.pg_collation o JOIN namespace n ON n.oid = o.collnamespace
    UNION ALL
    SELECT n.nspname, 'pg_catalog.pg_conversion'::pg_catalog.regclass, o.oid, NULL, o.conowner, NULL, NULL, false
    FROM pg_catalog.pg_conversion o JOIN namespace n ON n.oid = o.connamespace
    UNION ALL
    SELECT n.nspname, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, o.oid, NULL, o.stxowner, NULL, NULL, false
    FROM pg_catalog.pg_statistic_ext o JOIN namespace n ON n.oid = o.stxnamespace
    UNION ALL
    SELECT n.nspname, 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, o.oid, NULL, o.dictowner, NULL, NULL, false
    FROM pg_catalog.pg_ts_dict o JOIN namespace n ON n.oid = o.dictnamespace
    UNION ALL
    SELECT n.nspname, 'pg_catalog.pg_ts_config'::pg_catalog.regclass, o.oid, NULL, o.cfgowner, NULL, NULL, false
    FROM pg_catalog.pg_ts_config o JOIN namespace n ON n.oid = o.cfgnamespace
), keyed AS (
    SELECT o.*, pg_catalog.concat_ws(' ', o.kind, o.owner, o.acl) AS key FROM object o
), granted (key, grants) AS MATERIALIZED (
    SELECT c.key,
           coalesce((
               SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                          'grantor', pg_catalog.pg_get_userbyid(g.grantor),
                          'grantee', CASE WHEN g.grantee <> 0 THEN pg_catalog.pg_get_userbyid(g.grantee) END,
                          'privilege', g.privilege_type,
                          'grantable', g.is_grantable))
               FROM pg_catalog.aclexplode(coalesce(c.acl, pg_catalog.acldefault(c.kind, c.owner))) g), '[]')
    -- Most have the same.
    FROM (SELECT DISTINCT ON (k.key) k.key, k.kind, k.owner, k.acl FROM keyed k) c
)
SELECT o.nspname AS schema,
       CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_type m
                         WHERE m.typtype = 'm' AND m.oid = o.objid AND o.classid = 'pg_catalog.pg_type'::pg_catalog.regclass)
            THEN 'multirange' ELSE i.type END AS type,
       i.identity, o.attname::text AS column,
       pg_catalog.pg_get_userbyid(o.owner)::text AS owner, o.follows, o.acl IS NULL AS is_default,
       g.grants
FROM keyed o
JOIN granted g ON g.key = o.key
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
-- What was dropped since the snapshot has no identity.
WHERE i.identity IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                  WHERE e.classid = o.classid AND e.objid = o.objid AND e.deptype = 'e')
ORDER BY o.classid, o.objid, o.attname
