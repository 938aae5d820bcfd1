-- Whether all of some schemas are as the ledger knows them, and none of them is sealed.
-- $1 text[]: their names
SELECT coalesce(pg_catalog.bool_and(coalesce(l.state <> 'sealed' AND l.schema_oid = n.oid, false)), true)
FROM pg_catalog.unnest($1::text[]) AS s (name)
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = s.name
LEFT JOIN LATERAL (SELECT * FROM schemaferry.load WHERE schema_name = s.name ORDER BY id DESC LIMIT 1) l ON true
