-- What of the schemas a target may refuse, and would only when the old load is gone.
-- $1 text[]: schemas
-- needs: what the target has to offer: superuser, the right to set a parameter (the reason is its name), lz4, a cast (its identity is the
-- object's), constraints to have no names but those they are given: name; for all others nothing helps, because pg_dump cannot carry it: state. Or it harms nobody who names columns: order.
WITH RECURSIVE namespace AS (
    SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1)
), member AS (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
), routine AS (
    SELECT p.* FROM pg_catalog.pg_proc p
    WHERE p.pronamespace IN (SELECT oid FROM namespace)
      AND NOT EXISTS (SELECT 1 FROM member m
                      WHERE m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND m.objid = p.oid)
), privileged (classid, objid, why) AS (
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass::oid, p.oid, 'is of language ' || l.lanname
    FROM routine p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    -- Every aggregate is of language internal.
    WHERE NOT l.lanpltrusted AND l.lanname <> 'sql' AND p.prokind <> 'a'
      -- Functions that come with a range type belong to it.
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'i')
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 'has a state of type internal'
    FROM routine p JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid
    WHERE 'pg_catalog.internal'::pg_catalog.regtype IN (a.aggtranstype, a.aggmtranstype)
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 'is leakproof' FROM routine p WHERE p.proleakproof
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, 'is a base type'
    FROM pg_catalog.pg_type t
    WHERE t.typnamespace IN (SELECT oid FROM namespace) AND t.typtype = 'b'
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)
    UNION ALL
    SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, f.oid, 'is an operator family'
    FROM pg_catalog.pg_opfamily f WHERE f.opfnamespace IN (SELECT oid FROM namespace)
    UNION ALL
    SELECT 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, o.oid, 'is a text search parser'
    FROM pg_catalog.pg_ts_parser o WHERE o.prsnamespace IN (SELECT oid FROM namespace)
    UNION ALL
    SELECT 'pg_catalog.pg_ts_template'::pg_catalog.regclass, o.oid, 'is a text search template'
    FROM pg_catalog.pg_ts_template o WHERE o.tmplnamespace IN (SELECT oid FROM namespace)
), child AS (
    SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
    WHERE c.relnamespace IN (SELECT oid FROM namespace) AND p.relnamespace IN (SELECT oid FROM namespace)
      AND c.relkind IN ('r', 'p', 'f')
), misplaced (oid) AS (
    -- pg_dump writes what a table inherits before what it has of its own, parent by parent; what inherits from it has the same.
    SELECT p.attrelid
    FROM (SELECT a.attrelid,
                 pg_catalog.row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS stands,
                 pg_catalog.row_number() OVER (PARTITION BY a.attrelid ORDER BY i.inhseqno, i.attnum, a.attnum) AS comes
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN LATERAL (
              SELECT h.inhseqno, p.attnum
              FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_attribute p ON p.attrelid = h.inhparent AND p.attname = a.attname
              WHERE h.inhrelid = c.oid AND p.attnum > 0
              ORDER BY h.inhseqno
              LIMIT 1) i ON true
          WHERE c.relnamespace IN (SELECT oid FROM namespace) AND NOT c.relispartition
            AND EXISTS (SELECT 1 FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid)) AS p
    WHERE p.stands <> p.comes
    UNION
    SELECT h.inhrelid FROM misplaced m JOIN pg_catalog.pg_inherits h ON h.inhparent = m.oid
)
SELECT 'superuser' AS needs, i.type || ' ' || i.identity AS object, p.why AS reason, '' AS hint
FROM privileged p, LATERAL pg_catalog.pg_identify_object(p.classid, p.objid, 0) i
WHERE i.identity IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM member m WHERE m.classid = p.classid AND m.objid = p.objid)

UNION ALL
SELECT 'parameter', pg_catalog.format('function %s', p.oid::pg_catalog.regprocedure), pg_catalog.split_part(c.setting, '=', 1), ''
FROM routine p, pg_catalog.unnest(p.proconfig) c (setting)

UNION ALL
-- A child gets its parent's NOT NULL with the parent's columns.
SELECT 'state', pg_catalog.format('column %s.%I', h.inhrelid::pg_catalog.regclass, a.attname),
       pg_catalog.format('may be null, and its parent''s in %s may not', h.inhparent::pg_catalog.regclass),
       pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', h.inhrelid::pg_catalog.regclass, a.attname)
FROM child h
JOIN pg_catalog.pg_attribute a ON a.attrelid = h.inhrelid AND a.attnum > 0 AND NOT a.attisdropped AND NOT a.attnotnull
JOIN pg_catalog.pg_attribute p ON p.attrelid = h.inhparent AND p.attname = a.attname AND p.attnum > 0 AND p.attnotnull
-- From 18 on a constraint may keep to the parent alone.
WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k
                  WHERE k.conrelid = h.inhparent AND k.contype = 'n' AND k.connoinherit AND p.attnum = ANY (k.conkey))

UNION ALL
-- From 18 on a NOT NULL is a constraint, which is there first.
SELECT 'name', pg_catalog.format('constraint %I of %s', k.conname, c.oid::pg_catalog.regclass),
       pg_catalog.format('has the name that the target gives to the NOT NULL of column %I', a.attname),
       pg_catalog.format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', c.oid::pg_catalog.regclass, k.conname, k.conname || '_1')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull
JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.conname = pg_catalog.format('%s_%s_not_null', c.relname, a.attname)
WHERE c.relnamespace IN (SELECT oid FROM namespace) AND c.relkind IN ('r', 'p')
  -- A check that is validated is made together with the table.
  AND (k.contype IN ('p', 'u', 'x', 'f') OR k.contype = 'c' AND NOT k.convalidated)

UNION ALL
SELECT 'state', pg_catalog.format('constraint %I of %s', k.conname, h.inhrelid::pg_catalog.regclass),
       pg_catalog.format('is enforced, and its parent''s in %s is not', h.inhparent::pg_catalog.regclass),
       pg_catalog.format('drop the constraint of %s and add it again, enforced', h.inhparent::pg_catalog.regclass)
FROM child h
JOIN pg_catalog.pg_constraint k ON k.conrelid = h.inhrelid AND k.contype = 'c' AND k.convalidated AND k.coninhcount > 0
JOIN pg_catalog.pg_constraint p ON p.conrelid = h.inhparent AND p.contype = 'c' AND p.conname = k.conname
WHERE NOT (pg_catalog.to_jsonb(p) ->> 'conenforced')::pg_catalog.bool

UNION ALL
-- Its rows are no longer the parent's; pg_dump attaches it.
SELECT 'state', pg_catalog.format('partition %s', h.inhrelid::pg_catalog.regclass),
       pg_catalog.format('is half detached from %s', h.inhparent::pg_catalog.regclass),
       pg_catalog.format('ALTER TABLE %s DETACH PARTITION %s FINALIZE', h.inhparent::pg_catalog.regclass,
                         h.inhrelid::pg_catalog.regclass)
FROM (SELECT false AS inhdetachpending) AS before_14
CROSS JOIN LATERAL (
    SELECT i.inhrelid, i.inhparent
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
    WHERE p.relnamespace IN (SELECT oid FROM namespace) AND inhdetachpending) AS h

UNION ALL
SELECT 'state', pg_catalog.format('replica identity of %s', c.oid::pg_catalog.regclass), 'is an index that was dropped',
       pg_catalog.format('ALTER TABLE %s REPLICA IDENTITY NOTHING', c.oid::pg_catalog.regclass)
FROM pg_catalog.pg_class c
WHERE c.relnamespace IN (SELECT oid FROM namespace) AND c.relkind IN ('r', 'p') AND c.relreplident = 'i'
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisreplident)

UNION ALL
SELECT 'state', pg_catalog.format('sequence %s', q.seqrelid::pg_catalog.regclass),
       pg_catalog.format('is of type %s, and its identity column of another', pg_catalog.format_type(q.seqtypid, NULL)),
       pg_catalog.format('ALTER SEQUENCE %s AS %s', q.seqrelid::pg_catalog.regclass, pg_catalog.format_type(a.atttypid, NULL))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_sequence q ON q.seqrelid = c.oid
JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'i'
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attidentity <> ''
WHERE c.relnamespace IN (SELECT oid FROM namespace) AND q.seqtypid <> a.atttypid

UNION ALL
SELECT 'order', m.oid::pg_catalog.regclass::text, '', '' FROM misplaced m

UNION ALL
-- A value of a row holds its columns by their places.
SELECT 'state', i.type || ' ' || i.identity,
       pg_catalog.format('holds rows of %s, where inherited columns do not come first', c.oid::pg_catalog.regclass),
       pg_catalog.format('build %s anew with the inherited columns first, or hold its columns one by one', c.oid::pg_catalog.regclass)
FROM misplaced m
JOIN pg_catalog.pg_class c ON c.oid = m.oid
JOIN pg_catalog.pg_type t ON t.oid = c.reltype
JOIN pg_catalog.pg_depend d
  ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid IN (t.oid, t.typarray) AND d.deptype = 'n'
LEFT JOIN pg_catalog.pg_class h ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND h.oid = d.objid
CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) i
WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass OR h.relkind IN ('r', 'p', 'm', 'c', 'f')

UNION ALL
SELECT 'lz4', pg_catalog.format('column %s.%I', a.attrelid::pg_catalog.regclass, a.attname), 'is compressed with lz4',
       pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION pglz', a.attrelid::pg_catalog.regclass, a.attname)
FROM (SELECT ''::"char" AS attcompression) AS before_14
CROSS JOIN LATERAL (
    SELECT a.attrelid, a.attname
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace IN (SELECT oid FROM namespace) AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
      AND attcompression = 'l') AS a

UNION ALL
-- A cast that the unit reaches by its function, which is elsewhere. In which schema a cast is nobody says.
SELECT 'cast', i.identity, 'is used',
       pg_catalog.format('CREATE CAST (%s AS %s) WITH FUNCTION %s%s',
                         pg_catalog.format_type(x.castsource, NULL), pg_catalog.format_type(x.casttarget, NULL),
                         x.castfunc::pg_catalog.regprocedure,
                         CASE x.castcontext WHEN 'a' THEN ' AS ASSIGNMENT' WHEN 'i' THEN ' AS IMPLICIT' ELSE '' END)
FROM pg_catalog.pg_cast x
JOIN pg_catalog.pg_proc f ON f.oid = x.castfunc AND f.pronamespace NOT IN (SELECT oid FROM namespace)
CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_cast'::pg_catalog.regclass, x.oid, 0) i
WHERE x.oid >= 16384
  AND NOT EXISTS (SELECT 1 FROM member m WHERE m.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass AND m.objid = x.oid)
  AND EXISTS (
      SELECT 1
      FROM pg_catalog.pg_depend d
      LEFT JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = d.objid
      LEFT JOIN pg_catalog.pg_attrdef v ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND v.oid = d.objid
      LEFT JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = d.objid
      LEFT JOIN pg_catalog.pg_policy y ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND y.oid = d.objid
      JOIN pg_catalog.pg_class c
        ON c.oid = coalesce(w.ev_class, v.adrelid, k.conrelid, y.polrelid,
                            CASE WHEN d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass THEN d.objid END)
      WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid = x.castfunc
        AND c.relnamespace IN (SELECT oid FROM namespace))
ORDER BY 1, 2, 3
