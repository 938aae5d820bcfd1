-- A table of the ledger as it stands: whether it is there, may be read and altered, which layout it has, and what about it no load makes.
-- {TABLE}: its name
-- Whoever can have code of his run on it would have it run as the user, and a forged row has a schema dropped.
-- $1 text[], $2 text[], $3 text[], $4 int[]: of each column its name, its type, the clause that adds it, its first layout
WITH RECURSIVE mine (oid) AS (
    SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
    UNION
    SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN mine ON mine.oid = m.member
), trusted AS (
    -- Ours, of a role whose rights we have, or a superuser's. A superuser has those of every role, whether it wants to or not.
    SELECT r.oid
    FROM pg_catalog.pg_roles r
    WHERE r.rolsuper
       OR CASE WHEN (SELECT me.rolsuper FROM pg_catalog.pg_roles me WHERE me.rolname = current_user)
          THEN r.oid IN (SELECT mine.oid FROM mine) ELSE pg_catalog.pg_has_role(r.oid, 'USAGE') END
), place AS (
    SELECT s.oid AS schema, s.nspowner AS schema_owner, l.*,
           coalesce(pg_catalog.substring(pg_catalog.obj_description(l.oid, 'pg_class'), '^layout ([0-9]{1,4})$')::int, 1) AS layout,
           pg_catalog.format('ALTER SCHEMA schemaferry RENAME TO schemaferry_%s', s.oid) AS away
    FROM pg_catalog.pg_namespace s
    LEFT JOIN pg_catalog.pg_class l
      ON l.relnamespace = s.oid AND l.relname = '{TABLE}'
    WHERE s.nspname = 'schemaferry'
), wanted AS (
    SELECT w.*
    FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]),
                    pg_catalog.unnest($4::int[])) AS w (name, type, clause, since)
), defect (whole, what, cure) AS (
    SELECT true, pg_catalog.format('its %s belongs to %s, whose rights the user does not have (made by a load of that role? '
                                   'GRANT %2$I TO %3$I)',
                                   o.kind, pg_catalog.pg_get_userbyid(o.owner), current_user),
           p.away
    FROM place p, LATERAL (VALUES ('schema', p.schema_owner), ('table', p.relowner)) AS o (kind, owner)
    WHERE o.owner NOT IN (SELECT t.oid FROM trusted t)
    UNION ALL
    SELECT true, 'there is no table in its place', p.away FROM place p WHERE p.relkind <> 'r'
    UNION ALL
    SELECT false, 'it has trigger ' || t.tgname,
           CASE WHEN t.tgisinternal
           THEN (SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::pg_catalog.regclass, k.conname)
                 FROM pg_catalog.pg_constraint k WHERE k.oid = t.tgconstraint)
           ELSE pg_catalog.format('DROP TRIGGER %I ON schemaferry.{TABLE}', t.tgname) END
    FROM place p JOIN pg_catalog.pg_trigger t ON t.tgrelid = p.oid
    UNION ALL
    SELECT false, 'it has rule ' || w.rulename, pg_catalog.format('DROP RULE %I ON schemaferry.{TABLE}', w.rulename)
    FROM place p JOIN pg_catalog.pg_rewrite w ON w.ev_class = p.oid
    UNION ALL
    SELECT false, 'it has row security',
           'ALTER TABLE schemaferry.{TABLE} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY'
    FROM place p WHERE p.relrowsecurity OR p.relforcerowsecurity
    UNION ALL
    SELECT false, 'it has policy ' || y.polname, pg_catalog.format('DROP POLICY %I ON schemaferry.{TABLE}', y.polname)
    FROM place p JOIN pg_catalog.pg_policy y ON y.polrelid = p.oid
    UNION ALL
    SELECT false, pg_catalog.format('%s inherits from %s', i.inhrelid::pg_catalog.regclass, i.inhparent::pg_catalog.regclass),
           pg_catalog.format('ALTER TABLE %s NO INHERIT %s', i.inhrelid::pg_catalog.regclass, i.inhparent::pg_catalog.regclass)
    FROM place p JOIN pg_catalog.pg_inherits i ON p.oid IN (i.inhrelid, i.inhparent)
    UNION ALL
    SELECT false, pg_catalog.format('role %s may put triggers on it', coalesce(r.rolname, 'PUBLIC')),
           'REVOKE TRIGGER ON schemaferry.{TABLE} FROM ' || coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC') || ' CASCADE'
    FROM place p CROSS JOIN LATERAL pg_catalog.aclexplode(p.relacl) g
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
    WHERE g.privilege_type = 'TRIGGER' AND g.grantee NOT IN (SELECT t.oid FROM trusted t)
    UNION ALL
    -- What the server computes for a row.
    SELECT false, 'it calls ' || pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0),
           CASE d.classid
           WHEN 'pg_catalog.pg_attrdef'::pg_catalog.regclass
           THEN (SELECT pg_catalog.format('ALTER TABLE schemaferry.{TABLE} ALTER COLUMN %I DROP %s', a.attname,
                                          CASE a.attgenerated WHEN '' THEN 'DEFAULT' ELSE 'EXPRESSION' END)
                 FROM pg_catalog.pg_attrdef f
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum WHERE f.oid = d.objid)
           WHEN 'pg_catalog.pg_constraint'::pg_catalog.regclass
           THEN (SELECT pg_catalog.format('ALTER TABLE schemaferry.{TABLE} DROP CONSTRAINT %I', k.conname)
                 FROM pg_catalog.pg_constraint k WHERE k.oid = d.objid)
           WHEN 'pg_catalog.pg_class'::pg_catalog.regclass
           THEN 'DROP INDEX ' || d.objid::pg_catalog.regclass::text
           ELSE (SELECT pg_catalog.format('DROP STATISTICS %I.%I', n.nspname, x.stxname)
                 FROM pg_catalog.pg_statistic_ext x JOIN pg_catalog.pg_namespace n ON n.oid = x.stxnamespace
                 WHERE x.oid = d.objid)
           END
    FROM place p
    JOIN pg_catalog.pg_depend d
      ON (d.classid, d.objid) IN (
             SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass::oid, f.oid FROM pg_catalog.pg_attrdef f WHERE f.adrelid = p.oid
             UNION ALL
             SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid
             FROM pg_catalog.pg_constraint k WHERE k.conrelid = p.oid
             UNION ALL
             SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid = p.oid
             UNION ALL
             SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, x.oid
             FROM pg_catalog.pg_statistic_ext x WHERE x.stxrelid = p.oid)
    WHERE d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass,
                           'pg_catalog.pg_opclass'::pg_catalog.regclass)
      -- Those of the server itself come first.
      AND d.refobjid >= 16384
    UNION ALL
    SELECT false, pg_catalog.format('column %s is not one of its own', a.attname),
           pg_catalog.format('ALTER TABLE schemaferry.{TABLE} DROP COLUMN %I', a.attname)
    FROM place p JOIN pg_catalog.pg_attribute a ON a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE NOT EXISTS (SELECT 1 FROM wanted w WHERE w.name = a.attname)
    UNION ALL
    SELECT false, pg_catalog.format('column %s is not of type %s', a.attname, w.type),
           pg_catalog.format('ALTER TABLE schemaferry.{TABLE} ALTER COLUMN %I TYPE %s USING %1$I::text::%2$s', a.attname, w.type)
    FROM place p
    JOIN wanted w ON true
    JOIN pg_catalog.pg_attribute a ON a.attrelid = p.oid AND a.attname = w.name AND NOT a.attisdropped
    WHERE pg_catalog.format_type(a.atttypid, a.atttypmod) <> w.type
    UNION ALL
    SELECT false, pg_catalog.format('column %s is gone', w.name),
           pg_catalog.format('ALTER TABLE schemaferry.{TABLE} ADD COLUMN %I %s', w.name, w.clause)
    FROM place p
    JOIN wanted w ON w.since <= p.layout
    WHERE p.oid IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = p.oid AND a.attname = w.name AND NOT a.attisdropped)
)
SELECT p.oid IS NOT NULL AS is_there,
       p.layout,
       coalesce(pg_catalog.has_schema_privilege(p.schema, 'USAGE') AND pg_catalog.has_table_privilege(p.oid, 'SELECT'), true)
           AS may_read,
       coalesce(pg_catalog.pg_has_role(p.relowner, 'USAGE'), true) AS may_alter,
       pg_catalog.format('GRANT USAGE ON SCHEMA schemaferry TO %1$I; GRANT SELECT ON schemaferry.{TABLE} TO %1$I', current_user) AS read_hint,
       -- Of what is another's altogether, nothing else has to be cured.
       coalesce((SELECT pg_catalog.bool_or(d.whole) FROM defect d), false) AS is_foreign,
       ARRAY(SELECT DISTINCT d.what FROM defect d WHERE d.whole OR NOT EXISTS (SELECT 1 FROM defect o WHERE o.whole) ORDER BY 1)
           AS defects,
       ARRAY(SELECT DISTINCT d.cure FROM defect d WHERE d.whole OR NOT EXISTS (SELECT 1 FROM defect o WHERE o.whole) ORDER BY 1)
           AS cures
FROM (SELECT 1) one
LEFT JOIN place p ON true
