-- Foreign keys of the unit that reference tables outside of it.
-- $1 text[]: schemas
SELECT k.oid
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
WHERE k.contype = 'f'
  AND n.nspname = ANY ($1)
  AND fn.nspname <> ALL ($1)
