-- Populated materialized views of some schemas whose rows depend on who fills them, in the order in which they were made.
-- $1 text[]: schemas
-- Row security counts where a table is read by name, by a view too; who asks for the user, in its query; and where functions are
-- called, whichever of both is in the database at all: what they do no catalogue tells.
WITH RECURSIVE reads (top, oid) AS (
    SELECT c.oid, c.oid
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1) AND c.relkind = 'm' AND c.relispopulated
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e
                      WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e')
    UNION
    SELECT r.top, d.refobjid
    FROM reads r
    JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
    WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
), asks (words) AS (
    VALUES ('\m(CURRENT_USER|CURRENT_ROLE|USER|SQLVALUEFUNCTION|current_setting|row_security_active|pg_has_role|has_\w+_privilege)\M')
), suspect (is_there) AS (
    SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.relrowsecurity)
        OR EXISTS (SELECT 1 FROM pg_catalog.pg_proc p CROSS JOIN asks a
                   WHERE p.pronamespace NOT IN ('pg_catalog'::pg_catalog.regnamespace, 'information_schema'::pg_catalog.regnamespace)
                     AND coalesce(pg_catalog.to_jsonb(p) ->> 'prosqlbody', p.prosrc) ~* a.words)
)
SELECT r.top AS oid
FROM reads r
JOIN pg_catalog.pg_class c ON c.oid = r.oid
GROUP BY r.top
HAVING pg_catalog.bool_or(
    c.relrowsecurity
    OR c.relkind IN ('v', 'm') AND pg_catalog.pg_get_viewdef(c.oid) ~ (SELECT words FROM asks)
    OR (SELECT is_there FROM suspect) AND EXISTS (
        SELECT 1
        FROM pg_catalog.pg_rewrite w
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
        WHERE w.ev_class = c.oid
          AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)))
ORDER BY r.top
