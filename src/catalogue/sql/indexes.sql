-- Indexes of the unit, each with its table.
-- $1 text[]: schemas
-- constraint: the one that the index belongs to
-- all_rows: whether it calls a function that may read other tables, whose rows have to be there before it is built;
-- functions in C are taken at their word
SELECT i.indexrelid AS oid, i.indrelid AS table, k.oid AS constraint,
       EXISTS (SELECT 1
               FROM pg_catalog.pg_depend d
               LEFT JOIN pg_catalog.pg_operator o
                      ON d.refclassid = 'pg_catalog.pg_operator'::regclass AND o.oid = d.refobjid
               JOIN pg_catalog.pg_proc p
                 ON p.oid = CASE WHEN d.refclassid = 'pg_catalog.pg_proc'::regclass THEN d.refobjid ELSE o.oprcode END
               JOIN pg_catalog.pg_language l ON l.oid = p.prolang
               WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
                 AND l.lanname NOT IN ('internal', 'c')) AS all_rows
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
WHERE n.nspname = ANY ($1)
  AND c.relkind IN ('r', 'p', 'm')
