-- Expressions of the schemas in which an operator of somebody's own stands where the server writes none (IS DISTINCT FROM,
-- NULLIF, CASE with an argument, JOIN USING), and whose operands are of types that every server has: whatever reads the text
-- takes pg_catalog's operator of that name, if there is one for the same operands.
-- $1 text[]: schemas
WITH namespace AS (
    SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1)
), used AS (
    SELECT DISTINCT d.classid, d.objid, o.oid AS operator, o.oprname AS name, o.oprleft AS "left", o.oprright AS "right"
    FROM pg_catalog.pg_operator o
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND d.refobjid = o.oid
    WHERE o.oprnamespace <> 'pg_catalog'::pg_catalog.regnamespace AND o.oprleft < 16384 AND o.oprright < 16384
), tree AS (
    SELECT u.*, c.relnamespace AS namespace,
           CASE WHEN r.ev_type = '1' THEN 'pg_catalog.pg_class'::pg_catalog.regclass::oid ELSE u.classid END AS class,
           CASE WHEN r.ev_type = '1' THEN c.oid ELSE r.oid END AS object,
           pg_catalog.concat(r.ev_action, r.ev_qual) AS text
    FROM used u
    JOIN pg_catalog.pg_rewrite r ON r.oid = u.objid AND u.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
    UNION ALL
    SELECT u.*, c.relnamespace, u.classid, u.objid, a.adbin::text
    FROM used u
    JOIN pg_catalog.pg_attrdef a ON a.oid = u.objid AND u.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
    JOIN pg_catalog.pg_class c ON c.oid = a.adrelid
    UNION ALL
    SELECT u.*, k.connamespace, u.classid, u.objid, k.conbin::text
    FROM used u
    JOIN pg_catalog.pg_constraint k ON k.oid = u.objid AND u.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
    UNION ALL
    SELECT u.*, c.relnamespace, u.classid, u.objid,
           pg_catalog.concat(i.indexprs, i.indpred, p.partexprs,
                             (SELECT pg_catalog.string_agg(a.adbin::text, '') FROM pg_catalog.pg_attrdef a WHERE a.adrelid = c.oid))
    FROM used u
    JOIN pg_catalog.pg_class c ON c.oid = u.objid AND u.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
    LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
    UNION ALL
    SELECT u.*, c.relnamespace, u.classid, u.objid, pg_catalog.concat(p.polqual, p.polwithcheck)
    FROM used u
    JOIN pg_catalog.pg_policy p ON p.oid = u.objid AND u.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass
    JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
    UNION ALL
    SELECT u.*, c.relnamespace, u.classid, u.objid, t.tgqual::text
    FROM used u
    JOIN pg_catalog.pg_trigger t ON t.oid = u.objid AND u.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    UNION ALL
    SELECT u.*, s.stxnamespace, u.classid, u.objid, pg_catalog.to_jsonb(s) ->> 'stxexprs'
    FROM used u
    JOIN pg_catalog.pg_statistic_ext s ON s.oid = u.objid AND u.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
    UNION ALL
    SELECT u.*, p.pronamespace, u.classid, u.objid, pg_catalog.concat(p.proargdefaults, pg_catalog.to_jsonb(p) ->> 'prosqlbody')
    FROM used u
    JOIN pg_catalog.pg_proc p ON p.oid = u.objid AND u.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
)
SELECT DISTINCT pg_catalog.pg_describe_object(t.class, t.object, 0) AS object, t.operator::pg_catalog.regoperator::text AS operator,
       t.name::text, t."left", t."right"
FROM tree t
WHERE t.namespace IN (SELECT n.oid FROM namespace n)
  AND t.text ~ pg_catalog.format(
      '\{(DISTINCTEXPR|NULLIFEXPR) :opno %1$s |\{OPEXPR :opno %1$s [^{}]*:args \((\{RELABELTYPE :arg )?\{CASETESTEXPR '
      '|:usingClause \([^)]*\)[^{}]*(\{[^{}]*\}[^{}]*)?:quals (\{BOOLEXPR :boolop and :args \()?\{OPEXPR :opno %1$s ', t.operator)
ORDER BY 1, 2
