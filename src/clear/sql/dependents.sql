-- What outside of the unit's schemas would be dropped with some objects; what only follows an object that is listed anyway (row types, internal triggers) is left out.
-- $1 oid[]: the unit's schemas
-- $2 oid[], $3 oid[]: the objects to be dropped, each its catalogue and its OID
-- $4 oid[]: schemas whose members among all that goes are listed too, by catalogue and OID
-- $5 oid[]: constraints that may go
WITH RECURSIVE free (oid) AS (
    SELECT k.oid FROM pg_catalog.unnest($5::oid[]) AS k (oid)
    UNION
    -- What partitions have of it.
    SELECT k.oid FROM pg_catalog.pg_constraint k JOIN free ON k.conparentid = free.oid
), d (classid, objid, objsubid) AS (
    SELECT o.classid, o.objid, 0
    FROM ROWS FROM (pg_catalog.unnest($2::oid[]), pg_catalog.unnest($3::oid[])) AS o (classid, objid)
    UNION
    SELECT p.classid, p.objid, p.objsubid
    FROM d
    -- By the index for each, however many the server expects: the next step is as small as this one.
    CROSS JOIN LATERAL (SELECT * FROM pg_catalog.pg_depend p WHERE p.refclassid = d.classid AND p.refobjid = d.objid OFFSET 0) AS p
    WHERE (d.objsubid = 0 OR d.objsubid = p.refobjsubid)
      AND p.deptype IN ('n', 'a', 'i', 'I', 'P', 'S', 'x')
      AND p.classid <> 0
      AND p.classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass
      -- A member goes with its extension, and extensions are not dropped.
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                      WHERE e.classid = p.classid AND e.objid = p.objid AND e.deptype = 'e')
), shown AS (
    -- A view hangs on its rule and an operator class on what it is made of, and those are what people know.
    SELECT CASE WHEN w.oid IS NOT NULL THEN 'pg_catalog.pg_class'::pg_catalog.regclass::oid
                ELSE coalesce(m.refclassid, d.classid) END AS classid,
           coalesce(w.ev_class, m.refobjid, d.objid) AS objid,
           CASE WHEN w.oid IS NULL THEN d.objsubid ELSE 0 END AS objsubid
    FROM d
    LEFT JOIN pg_catalog.pg_rewrite w
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = d.objid AND w.rulename = '_RETURN'
    LEFT JOIN pg_catalog.pg_depend m
      ON d.classid IN ('pg_catalog.pg_amop'::pg_catalog.regclass, 'pg_catalog.pg_amproc'::pg_catalog.regclass)
     AND m.classid = d.classid AND m.objid = d.objid AND m.deptype = 'i'
     AND m.refclassid = 'pg_catalog.pg_opclass'::pg_catalog.regclass
), outside AS (
    SELECT o.type, o.identity,
           -- The name as it is: pg_identify_object quotes it.
           coalesce((SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE pg_catalog.quote_ident(n.nspname) = o.schema),
                    CASE WHEN o.type IN ('table constraint', 'domain constraint', 'trigger', 'rule',
                                                   'policy', 'default value')
                                   THEN (a.object_names)[1] END,
                    -- What was added to an operator family by itself.
                    (SELECT n.nspname
                     FROM pg_catalog.pg_opfamily f JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
                     WHERE f.oid = CASE d.classid
                                   WHEN 'pg_catalog.pg_amop'::pg_catalog.regclass
                                   THEN (SELECT m.amopfamily FROM pg_catalog.pg_amop m WHERE m.oid = d.objid)
                                   WHEN 'pg_catalog.pg_amproc'::pg_catalog.regclass
                                   THEN (SELECT m.amprocfamily FROM pg_catalog.pg_amproc m WHERE m.oid = d.objid) END)) AS schema
    FROM shown d,
         LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) o,
         LATERAL pg_catalog.pg_identify_object_as_address(d.classid, d.objid, d.objsubid) a
    -- Most of the unit is told from what is outside without its identity.
    WHERE NOT coalesce(
              CASE d.classid
              WHEN 'pg_catalog.pg_class'::pg_catalog.regclass
              THEN (SELECT c.relnamespace FROM pg_catalog.pg_class c WHERE c.oid = d.objid)
              WHEN 'pg_catalog.pg_constraint'::pg_catalog.regclass
              THEN (SELECT c.relnamespace FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
                    WHERE k.oid = d.objid)
              WHEN 'pg_catalog.pg_attrdef'::pg_catalog.regclass
              THEN (SELECT c.relnamespace FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_class c ON c.oid = f.adrelid
                    WHERE f.oid = d.objid)
              END = ANY ($1), false)
      AND NOT coalesce(
              CASE d.classid
              WHEN 'pg_catalog.pg_type'::pg_catalog.regclass
              THEN (SELECT t.typrelid <> 0 OR t.typelem <> 0 FROM pg_catalog.pg_type t WHERE t.oid = d.objid)
              WHEN 'pg_catalog.pg_trigger'::pg_catalog.regclass
              THEN (SELECT t.tgisinternal FROM pg_catalog.pg_trigger t WHERE t.oid = d.objid)
              END, false)
      AND NOT (d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass
               AND EXISTS (SELECT 1 FROM pg_catalog.pg_depend i
                           WHERE i.classid = d.classid AND i.objid = d.objid AND i.deptype = 'i'))
      AND NOT (d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid IN (SELECT free.oid FROM free))
)
SELECT DISTINCT type || ' ' || identity AS object, schema, NULL::oid AS classid, NULL::oid AS objid
FROM outside
-- What is gone by now has no identity.
WHERE identity IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n WHERE n.oid = ANY ($1) AND n.nspname = outside.schema)
  AND coalesce(schema, '') !~ '^pg_toast'
  AND type NOT IN ('schema', 'default acl', 'toast table')
UNION ALL
SELECT NULL, NULL, m.classid, m.objid
FROM shown s
CROSS JOIN LATERAL (
    -- Not by way of all that the schema holds: a few objects are looked at, again and again.
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
    WHERE d.classid = s.classid AND d.objid = s.objid
      AND d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid::bigint = ANY ($4::bigint[])
    LIMIT 1) m
ORDER BY 1
