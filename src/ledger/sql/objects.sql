-- Objects with a hash of all that is told of each; columns count as part of their table.
-- LISTED: the catalogue's objects.sql
-- $3 oid[]: constraints that are left out
SELECT (pg_catalog.array_agg(o.kind ORDER BY o.part))[1] AS kind,
       (pg_catalog.array_agg(o.identity ORDER BY o.part))[1] AS identity,
       pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
           pg_catalog.string_agg(pg_catalog.concat_ws(' ', o.kind, o.identity, o.properties, o.comment, o.behind::text), E'\n' ORDER BY o.part), pg_catalog.getdatabaseencoding())), 'hex'), 32) AS hash
FROM LISTED o
WHERE NOT (o.class = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND o.oid = ANY ($3))
GROUP BY o.class, o.oid
