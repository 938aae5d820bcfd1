-- How the rows of each table may travel: columns, binary or text, cut or whole.
-- $1 text[]: schemas
-- $2 int: the target's major version
-- $3 text[]: extensions that have the same version on both sides
-- unsafe: a type that must not travel in binary form; null if all may. OIDs and what stands for them differ between
-- servers (reg* types would arrive as something else, without an error); types without binary functions cannot;
-- servers before 18 do not take an empty tsquery;
-- arrays and composites of types of one's own are refused by targets before 15; another version of an extension may
-- have another form.
-- rows_per_page: as the statistics have it, a guess where there are none; no page holds more than 291.
-- pins: settings that what the target reads depends on; other texts mean the same under all of its settings.
-- ordered: rows lie in an order that someone counts on (a BRIN index, a CLUSTER mark).
-- indexes_values: an index reads a column whose values can be compressed.
WITH RECURSIVE relation AS (
    SELECT c.oid,
           CASE WHEN c.reltuples > 0 AND c.relpages > 0
                THEN greatest(least(c.reltuples / c.relpages, 291), 1) ELSE 64 END::int AS rows_per_page
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1)
      AND c.relkind = 'r'
), root AS (
    SELECT DISTINCT a.atttypid AS oid
    FROM relation r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
), type (root, oid) AS (
    SELECT oid, oid FROM root
    UNION
    SELECT t.root, u.oid
    FROM type t
    JOIN pg_catalog.pg_type p ON p.oid = t.oid
    CROSS JOIN LATERAL (
        SELECT p.typelem WHERE p.typelem <> 0
        UNION ALL
        SELECT p.typbasetype WHERE p.typbasetype <> 0
        UNION ALL
        SELECT g.rngsubtype FROM pg_catalog.pg_range g WHERE g.rngtypid = p.oid
        UNION ALL
        SELECT g.rngtypid FROM pg_catalog.pg_range g
        WHERE (pg_catalog.to_jsonb(g) ->> 'rngmultitypid')::oid = p.oid
        UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute a
        WHERE p.typrelid <> 0 AND a.attrelid = p.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS u (oid)
), unsafe AS (
    SELECT t.root, pg_catalog.min(pg_catalog.format_type(p.oid, NULL)) AS name
    FROM type t
    JOIN pg_catalog.pg_type p ON p.oid = t.oid
    LEFT JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
    LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE p.typsend = 0
       OR p.typreceive = 0
       OR p.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
          AND p.typname IN ('regclass', 'regtype', 'regproc', 'regprocedure', 'regoper', 'regoperator', 'regrole',
                            'regnamespace', 'regconfig', 'regdictionary', 'regcollation', 'regdatabase',
                            'xid', 'cid', 'tid', 'tsquery')
       OR $2 < 15 AND p.oid >= 16384
       OR e.extname <> ALL ($3)
    GROUP BY t.root
), pin AS (
    -- An xml value is parsed in either form; the others are read by their text alone.
    SELECT t.root,
           pg_catalog.array_agg(DISTINCT s.name) FILTER (WHERE s.in_text) AS in_text,
           pg_catalog.array_agg(DISTINCT s.name) FILTER (WHERE NOT s.in_text) AS always
    FROM type t
    JOIN pg_catalog.pg_type p ON p.oid = t.oid
    JOIN (VALUES ('xmloption', false), ('lc_monetary', true), ('array_nulls', true)) AS s (name, in_text)
      ON CASE s.name
         WHEN 'xmloption' THEN p.oid = 'pg_catalog.xml'::pg_catalog.regtype
         WHEN 'lc_monetary' THEN p.oid = 'pg_catalog.money'::pg_catalog.regtype
         ELSE p.typcategory = 'A' END
    GROUP BY t.root
), column_of AS (
    SELECT a.attrelid,
           pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '') AS columns,
           pg_catalog.min(u.name) AS unsafe,
           pg_catalog.string_agg(pg_catalog.array_to_string(p.always, ','), ',') AS always,
           pg_catalog.string_agg(pg_catalog.array_to_string(p.in_text, ','), ',') AS in_text
    FROM relation r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN unsafe u ON u.root = a.atttypid
    LEFT JOIN pin p ON p.root = a.atttypid
    GROUP BY a.attrelid
)
SELECT r.oid,
       coalesce(c.columns, '{}') AS columns,
       c.unsafe,
       pg_catalog.string_to_array(pg_catalog.concat_ws(
           ',', c.always, CASE WHEN c.unsafe IS NOT NULL THEN c.in_text END), ',') AS pins,
       EXISTS (SELECT 1
               FROM pg_catalog.pg_index i
               JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
               JOIN pg_catalog.pg_am m ON m.oid = x.relam
               WHERE i.indrelid = r.oid AND (i.indisclustered OR m.amname = 'brin')) AS ordered,
       EXISTS (SELECT 1
               FROM pg_catalog.pg_index i
               JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND a.attstorage IN ('m', 'x')
               WHERE i.indrelid = r.oid
                 AND (a.attnum = ANY (i.indkey)
                      OR EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                                 WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                                   AND d.objid = i.indexrelid
                                   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                                   AND d.refobjid = r.oid
                                   AND d.refobjsubid = a.attnum))) AS indexes_values,
       coalesce(pg_catalog.pg_relation_filenode(r.oid), 0) AS filenode,
       pg_catalog.pg_relation_size(r.oid) / pg_catalog.current_setting('block_size')::bigint AS pages,
       r.rows_per_page
FROM relation r
LEFT JOIN column_of c ON c.attrelid = r.oid
