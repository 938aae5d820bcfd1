-- Tables of some loads that hold rows which may not be frozen: VACUUM (FREEZE) takes relfrozenxid past the transaction that has
-- last written a load's row, unless an older one is still open.
-- $1 bigint[]: the loads' rows of the ledger
SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_table_size(c.oid) AS bytes,
       -- Whose role has to be taken first.
       CASE WHEN NOT pg_catalog.pg_has_role(c.relowner, 'USAGE') THEN pg_catalog.pg_get_userbyid(c.relowner)::text END AS owner,
       -- What permits to.
       pg_catalog.format('GRANT %I TO %I', pg_catalog.pg_get_userbyid(c.relowner), current_user) AS permits
FROM schemaferry.load l
JOIN pg_catalog.pg_namespace n ON n.nspname = l.schema_name
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
WHERE l.id = ANY ($1) AND c.relkind IN ('r', 'm')
  AND pg_catalog.age(c.relfrozenxid) >= pg_catalog.age(l.xmin)
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY bytes DESC, 1, 2
