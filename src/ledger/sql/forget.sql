-- $1 text[]: schemas; $2 bigint[]: loads that are kept
DELETE FROM schemaferry.landed d
WHERE d.load_id <> ALL ($2)
  AND d.load_id IN (SELECT l.id FROM schemaferry.load l WHERE l.schema_name = ANY ($1))
