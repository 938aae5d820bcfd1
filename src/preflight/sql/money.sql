-- Whether tables of some schemas hold amounts of money, by themselves or within other values.
-- $1 text[]: schemas
WITH RECURSIVE type (oid) AS (
    SELECT a.atttypid
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT w.oid
    FROM type t
    JOIN pg_catalog.pg_type p ON p.oid = t.oid
    CROSS JOIN LATERAL (
        VALUES (p.typbasetype), (p.typelem)
        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE p.oid IN (r.rngtypid, (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::oid)
        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = p.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS w (oid)
    WHERE w.oid <> 0
)
SELECT EXISTS (SELECT 1 FROM type t WHERE t.oid = 'pg_catalog.money'::pg_catalog.regtype)
