-- What is built after the rows and is neither index nor key, by catalogue and OID, named as on every server.
-- $1 text[]: schemas
SELECT o.classid, o.objid, i.type || ' ' || i.identity AS name
FROM (
    SELECT t.tableoid, t.oid, c.relnamespace FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal
    UNION ALL
    SELECT w.tableoid, w.oid, c.relnamespace FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
    UNION ALL
    SELECT x.tableoid, x.oid, c.relnamespace FROM pg_catalog.pg_statistic_ext x JOIN pg_catalog.pg_class c ON c.oid = x.stxrelid
    UNION ALL
    SELECT k.tableoid, k.oid, k.connamespace FROM pg_catalog.pg_constraint k WHERE k.contype NOT IN ('p', 'u', 'x', 'f', 't')
) o (classid, objid, namespace)
JOIN pg_catalog.pg_namespace n ON n.oid = o.namespace AND n.nspname = ANY ($1)
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
