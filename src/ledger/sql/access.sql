-- Owner and grants of each object, hashed.
-- LISTED: the catalogue's privileges.sql
-- Without multiranges, which ledgers of earlier releases do not list.
SELECT 'access to ' || CASE WHEN o.column IS NULL THEN o.type ELSE 'column' END AS kind,
       o.identity || coalesce('."' || pg_catalog.replace(o.column, '"', '""') || '"', '') AS identity,
       pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
           pg_catalog.concat(o.owner, ' ', (SELECT pg_catalog.string_agg(g.entry::text, ' ' ORDER BY g.entry::text)
                                            FROM pg_catalog.jsonb_array_elements(o.grants) AS g (entry))), pg_catalog.getdatabaseencoding())), 'hex'), 32) AS hash
FROM LISTED o
WHERE o.type <> 'multirange'
