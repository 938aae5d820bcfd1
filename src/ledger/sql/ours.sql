-- Schemas that are as the ledger knows them and not sealed.
-- $1 text[]: names to choose from
SELECT n.oid
FROM pg_catalog.pg_namespace n
JOIN LATERAL (SELECT * FROM schemaferry.load WHERE schema_name = n.nspname ORDER BY id DESC LIMIT 1) l
  ON l.state <> 'sealed' AND l.schema_oid = n.oid
WHERE n.nspname = ANY ($1)
