-- What changes with every change of a definition in the schemas: where each row of the catalogues about them lies in the
-- history of writes. One text, to be compared for equality alone.
-- $1 text[]: schemas
WITH namespace AS MATERIALIZED (
    SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1)
), relation AS MATERIALIZED (
    SELECT c.oid, c.xmin FROM pg_catalog.pg_class c WHERE c.relnamespace IN (SELECT oid FROM namespace)
), type AS MATERIALIZED (
    SELECT t.oid, t.xmin FROM pg_catalog.pg_type t WHERE t.typnamespace IN (SELECT oid FROM namespace)
), part (kind, oid, position, xmin) AS (
    SELECT 'namespace', n.oid, 0, n.xmin FROM pg_catalog.pg_namespace n WHERE n.oid IN (SELECT oid FROM namespace)
    UNION ALL SELECT 'class', oid, 0, xmin FROM relation
    UNION ALL SELECT 'type', oid, 0, xmin FROM type
    UNION ALL SELECT 'proc', p.oid, 0, p.xmin FROM pg_catalog.pg_proc p WHERE p.pronamespace IN (SELECT oid FROM namespace)
    UNION ALL SELECT 'operator', o.oid, 0, o.xmin FROM pg_catalog.pg_operator o WHERE o.oprnamespace IN (SELECT oid FROM namespace)
    UNION ALL SELECT 'opclass', o.oid, 0, o.xmin FROM pg_catalog.pg_opclass o WHERE o.opcnamespace IN (SELECT oid FROM namespace)
    UNION ALL SELECT 'opfamily', o.oid, 0, o.xmin FROM pg_catalog.pg_opfamily o WHERE o.opfnamespace IN (SELECT oid FROM namespace)
    UNION ALL SELECT 'collation', o.oid, 0, o.xmin FROM pg_catalog.pg_collation o WHERE o.collnamespace IN (SELECT oid FROM namespace)
    UNION ALL SELECT 'conversion', o.oid, 0, o.xmin FROM pg_catalog.pg_conversion o WHERE o.connamespace IN (SELECT oid FROM namespace)
    UNION ALL SELECT 'statistics', o.oid, 0, o.xmin FROM pg_catalog.pg_statistic_ext o WHERE o.stxnamespace IN (SELECT oid FROM namespace)
    UNION ALL SELECT 'configuration', o.oid, 0, o.xmin FROM pg_catalog.pg_ts_config o WHERE o.cfgnamespace IN (SELECT oid FROM namespace)
    UNION ALL SELECT 'dictionary', o.oid, 0, o.xmin FROM pg_catalog.pg_ts_dict o WHERE o.dictnamespace IN (SELECT oid FROM namespace)
    UNION ALL SELECT 'attribute', a.attrelid, a.attnum, a.xmin FROM pg_catalog.pg_attribute a WHERE a.attnum > 0 AND a.attrelid IN (SELECT oid FROM relation)
    UNION ALL SELECT 'default', d.oid, 0, d.xmin FROM pg_catalog.pg_attrdef d WHERE d.adrelid IN (SELECT oid FROM relation)
    UNION ALL SELECT 'constraint', k.oid, 0, k.xmin FROM pg_catalog.pg_constraint k WHERE k.connamespace IN (SELECT oid FROM namespace)
    UNION ALL SELECT 'trigger', t.oid, 0, t.xmin FROM pg_catalog.pg_trigger t WHERE t.tgrelid IN (SELECT oid FROM relation)
    UNION ALL SELECT 'rule', w.oid, 0, w.xmin FROM pg_catalog.pg_rewrite w WHERE w.ev_class IN (SELECT oid FROM relation)
    UNION ALL SELECT 'policy', p.oid, 0, p.xmin FROM pg_catalog.pg_policy p WHERE p.polrelid IN (SELECT oid FROM relation)
    UNION ALL SELECT 'label', e.oid, 0, e.xmin FROM pg_catalog.pg_enum e WHERE e.enumtypid IN (SELECT oid FROM type)
    UNION ALL SELECT 'inheritance', i.inhrelid, i.inhseqno, i.xmin FROM pg_catalog.pg_inherits i WHERE i.inhrelid IN (SELECT oid FROM relation)
)
SELECT pg_catalog.md5(coalesce(pg_catalog.string_agg(
           pg_catalog.concat_ws(' ', kind, oid, position, xmin), ',' ORDER BY kind COLLATE "C", oid, position), ''))
FROM part
