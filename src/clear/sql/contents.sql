-- Objects that stand in a schema by themselves, relations first, extensions and their members left out. Children and partitions,
-- the lowest first: what goes with a parent is looked at by nobody, the parent may be elsewhere, or have more of them than one
-- statement can lock.
-- $1 oid: the schema
WITH RECURSIVE below (oid, depth) AS (
    SELECT h.inhrelid, 1 FROM pg_catalog.pg_inherits h
    UNION
    SELECT h.inhrelid, b.depth + 1 FROM below b JOIN pg_catalog.pg_inherits h ON h.inhparent = b.oid
)
SELECT o.classid, o.objid, i.type, i.identity
FROM (
    SELECT d.classid, d.objid
    FROM pg_catalog.pg_depend d
    WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
      AND d.refobjid = $1
      AND d.deptype = 'n'
      AND d.classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass
      AND NOT EXISTS (
          SELECT 1 FROM pg_catalog.pg_depend e
          WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype IN ('e', 'i', 'a')
            -- A partitioned table is part of itself: its key depends on its columns.
            AND NOT (e.refclassid = e.classid AND e.refobjid = e.objid)
            AND NOT (e.deptype = 'a' AND e.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                     AND EXISTS (SELECT 1 FROM pg_catalog.pg_class c
                                 WHERE c.oid = e.refobjid AND c.relnamespace <> $1
                                    OR e.classid = e.refclassid AND c.oid = e.objid AND c.relispartition)))
) o, LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
-- What is gone by now has none.
WHERE i.identity IS NOT NULL
ORDER BY o.classid <> 'pg_catalog.pg_class'::pg_catalog.regclass,
         (SELECT max(b.depth) FROM below b WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND b.oid = o.objid) DESC NULLS LAST,
         o.objid
