-- A foreign key that stands.
-- $1 text: its table, as SQL writes it; $2 text: its name
SELECT k.oid FROM pg_catalog.pg_constraint k
WHERE k.conrelid = pg_catalog.to_regclass($1) AND k.conname = $2 AND k.contype = 'f'
