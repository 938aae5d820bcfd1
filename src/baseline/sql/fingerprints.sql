-- What the rows of each table mean, apart from the rows: equal only if a stored row still reads as the same values. Labels of
-- enums, attributes of composites and versions of extensions among it, which pg_dump does not show. A default that is stored for
-- rows from before its column was added never changes: a column that is dropped and added again has another number.
-- $1 oid[]: tables
-- by_name: a value may stand for another object, whose name it is read by
WITH RECURSIVE col AS MATERIALIZED (
    SELECT a.* FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
), closure (root, oid) AS (
    SELECT DISTINCT col.atttypid, col.atttypid FROM col
    UNION
    SELECT c.root, z.oid
    FROM closure c
    JOIN pg_catalog.pg_type y ON y.oid = c.oid
    CROSS JOIN LATERAL (
        SELECT nullif(y.typelem, 0) UNION ALL SELECT nullif(y.typbasetype, 0)
        UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute a
        WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT r.rngsubtype FROM pg_catalog.pg_range r
        WHERE r.rngtypid = y.oid OR pg_catalog.to_jsonb(r) ->> 'rngmultitypid' = y.oid::text
    ) AS z (oid)
    WHERE z.oid IS NOT NULL
), described AS MATERIALIZED (
    SELECT y.oid, pg_catalog.jsonb_build_array(
               y.oid, y.typname, y.typtype, y.typbasetype, y.typtypmod,
               (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(e.oid, e.enumlabel) ORDER BY e.oid)
                FROM pg_catalog.pg_enum e WHERE e.enumtypid = y.oid),
               (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(a.attnum, a.attname, a.atttypid, a.attisdropped)
                                            ORDER BY a.attnum)
                FROM pg_catalog.pg_attribute a WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0),
               (SELECT x.extversion FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
                WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = y.oid AND d.deptype = 'e')) AS text
    FROM pg_catalog.pg_type y
    -- The server's own are what they are.
    WHERE y.oid >= 16384 AND y.oid IN (SELECT c.oid FROM closure c)
), type AS MATERIALIZED (
    SELECT c.root AS oid, pg_catalog.jsonb_agg(d.text ORDER BY d.oid) AS text
    FROM closure c JOIN described d ON d.oid = c.oid
    GROUP BY c.root
)
SELECT c.oid, n.nspname AS schema, c.relname AS name,
       EXISTS (SELECT 1 FROM col a JOIN closure u ON u.root = a.atttypid JOIN pg_catalog.pg_type y ON y.oid = u.oid
               WHERE a.attrelid = c.oid AND y.oid < 16384
                 AND (pg_catalog.starts_with(y.typname::text, 'reg') OR y.typname = 'aclitem')) AS by_name,
       pg_catalog.md5(pg_catalog.jsonb_build_array(
           n.nspname, c.relname, c.relkind, c.relpersistence, c.relam,
           pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(
               col.attnum, col.attname, col.atttypid, col.atttypmod, col.attcollation, col.attgenerated,
               type.text) ORDER BY col.attnum))::text) AS fingerprint
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN col ON col.attrelid = c.oid
LEFT JOIN type ON type.oid = col.atttypid
WHERE c.oid = ANY ($1)
GROUP BY c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relam
