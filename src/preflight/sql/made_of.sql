-- What values of some types are made of, and of the types within these.
-- $1 text[]: the types as pg_identify_object names them, $2 text[]: their schemas, which need not be open to the user
-- parts: labels of an enum, attributes of a composite type in their order, what a domain or a range is over; none of what is known by name alone
WITH RECURSIVE type (oid) AS (
    SELECT t.oid
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname = ANY ($2) AND pg_catalog.format_type(t.oid, NULL) = ANY ($1)
    UNION
    SELECT u.oid
    FROM type t
    JOIN pg_catalog.pg_type p ON p.oid = t.oid
    CROSS JOIN LATERAL (
        SELECT p.typelem
        UNION ALL
        SELECT p.typbasetype
        UNION ALL
        SELECT g.rngsubtype FROM pg_catalog.pg_range g WHERE g.rngtypid = p.oid
        UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = p.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS u (oid)
    WHERE u.oid >= 16384
)
SELECT n.nspname::text AS schema, pg_catalog.format_type(p.oid, NULL) AS identity, p.typtype = 'e' AS is_enum,
       CASE p.typtype
       WHEN 'e' THEN ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = p.oid)
       WHEN 'c' THEN ARRAY(SELECT pg_catalog.quote_ident(a.attname) || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
                           FROM pg_catalog.pg_attribute a
                           WHERE a.attrelid = p.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                           ORDER BY a.attnum)
       WHEN 'd' THEN ARRAY[pg_catalog.format_type(p.typbasetype, p.typtypmod)]
       WHEN 'r' THEN ARRAY(SELECT pg_catalog.format_type(g.rngsubtype, NULL) FROM pg_catalog.pg_range g WHERE g.rngtypid = p.oid)
       ELSE '{}' END AS parts
FROM type t
JOIN pg_catalog.pg_type p ON p.oid = t.oid
JOIN pg_catalog.pg_namespace n ON n.oid = p.typnamespace
ORDER BY identity
