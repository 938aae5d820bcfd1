-- Populated materialized views of the unit that read nothing but tables, views and materialized views, each with all that it
-- reads; those that call functions of the user's own, whatever these read, are left out.
-- $1 text[]: schemas
-- rules: of all that is read, the rules that hold the queries
WITH RECURSIVE reads (top, oid) AS (
    SELECT c.oid, c.oid
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1) AND c.relkind = 'm' AND c.relispopulated
    UNION
    SELECT r.top, x.oid
    FROM reads r CROSS JOIN LATERAL (
        SELECT d.refobjid
        FROM pg_catalog.pg_rewrite w
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
        WHERE w.ev_class = r.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        UNION ALL
        SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = r.oid) AS x (oid)
)
SELECT r.top AS oid, pg_catalog.array_agg(r.oid) AS reads,
       ARRAY(SELECT w.oid FROM pg_catalog.pg_rewrite w WHERE w.ev_class = ANY (pg_catalog.array_agg(r.oid))) AS rules
FROM reads r
JOIN pg_catalog.pg_class c ON c.oid = r.oid
GROUP BY r.top
HAVING pg_catalog.bool_and(c.relkind IN ('r', 'p', 'v', 'm') AND NOT EXISTS (
    SELECT 1
    FROM pg_catalog.pg_rewrite w
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
    WHERE w.ev_class = r.oid
      AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)))
