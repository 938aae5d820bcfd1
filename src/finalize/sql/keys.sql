-- What the target holds of foreign keys, in their order.
-- $1 text[], $2 text[], $3 text[]: of each the schema, the table, the name
-- $4 text[], $5 text[]: the schema and the table that it references
-- $6 oid[]: the constraint that was made of it, 0 where none was
SELECT k.oid IS NOT NULL AS made,
       coalesce(k.convalidated, false) AS validated,
       EXISTS (SELECT 1 FROM pg_catalog.pg_constraint o WHERE o.conrelid = c.oid AND o.conname = w.name) AS in_the_way,
       f.oid IS NOT NULL AS has_referenced,
       coalesce(pg_catalog.pg_table_size(c.oid), 0) AS bytes,
       -- Whose role has to be taken first.
       CASE WHEN NOT pg_catalog.pg_has_role(c.relowner, 'USAGE') THEN pg_catalog.pg_get_userbyid(c.relowner)::text END AS owner,
       -- What permits to add it.
       CASE WHEN c.oid IS NOT NULL AND f.oid IS NOT NULL
       THEN pg_catalog.format('GRANT %I TO %I; GRANT REFERENCES ON %I.%I TO %1$I', pg_catalog.pg_get_userbyid(c.relowner),
                              current_user, fn.nspname, f.relname) END AS permits
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]),
                pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::text[]), pg_catalog.unnest($6::oid[]))
     WITH ORDINALITY AS w (schema, relation, name, referenced_schema, referenced, made, position)
LEFT JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace)
  ON n.nspname = w.schema AND c.relname = w.relation
LEFT JOIN (pg_catalog.pg_class f JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace)
  ON fn.nspname = w.referenced_schema AND f.relname = w.referenced
LEFT JOIN pg_catalog.pg_constraint k ON k.oid = w.made AND k.conrelid = c.oid AND k.contype = 'f'
ORDER BY w.position
