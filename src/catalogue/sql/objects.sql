-- Everything that a load carries of some schemas, apart from rows, owners, grants, policies and row security: one row for each
-- object. Names instead of OIDs, and built-in functions' words for what is stored as a tree. Left out are members of
-- extensions, foreign keys that leave the schemas, invalid indexes, and what the server makes by itself.
-- Types and names in properties are quoted by the server, always (quote_all_identifiers). What is stored as a tree stands in
-- properties of its own, so that the server can be asked what it makes of another server's text.
-- $1 text[]: schemas
-- $2 bool: whether what no load carries is told as well: foreign keys that leave the schemas, invalid indexes, and what else stands there
-- properties: a JSON object, without what is as it would be anyway. class, oid: of the object; part: a column's number
-- behind: operators and functions outside of pg_catalog in what is stored as a tree, where an operator is among them: some
-- expressions (IS DISTINCT FROM, NULLIF, CASE with an argument, JOIN USING) are written without theirs.
WITH RECURSIVE namespace AS MATERIALIZED (
    SELECT n.oid, n.nspname, '"' || pg_catalog.replace(n.nspname, '"', '""') || '"' AS name
    FROM pg_catalog.pg_namespace n
    WHERE n.nspname = ANY ($1)
), member AS MATERIALIZED (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
), relation AS MATERIALIZED (
    SELECT c.*, n.name || '."' || pg_catalog.replace(c.relname, '"', '""') || '"' AS name
    FROM pg_catalog.pg_class c
    JOIN namespace n ON n.oid = c.relnamespace
    WHERE (c.oid, 'pg_catalog.pg_class'::pg_catalog.regclass::oid) NOT IN (SELECT m.objid, m.classid FROM member m)
), type AS MATERIALIZED (
    SELECT t.*, n.name || '."' || pg_catalog.replace(t.typname, '"', '""') || '"' AS name
    FROM pg_catalog.pg_type t
    JOIN namespace n ON n.oid = t.typnamespace
    WHERE t.typtype IN ('b', 'd', 'e', 'r', 'p')
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)
      AND (t.oid, 'pg_catalog.pg_type'::pg_catalog.regclass::oid) NOT IN (SELECT m.objid, m.classid FROM member m)
), routine AS MATERIALIZED (
    SELECT p.*, n.name || '."' || pg_catalog.replace(p.proname, '"', '""') || '"('
                || pg_catalog.oidvectortypes(p.proargtypes) || ')' AS name
    FROM pg_catalog.pg_proc p
    JOIN namespace n ON n.oid = p.pronamespace
    WHERE (p.oid, 'pg_catalog.pg_proc'::pg_catalog.regclass::oid) NOT IN (SELECT m.objid, m.classid FROM member m)
      -- Functions that come with a range type belong to it.
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'i')
), unpopulated (oid) AS (
    -- What reads one that holds nothing is not filled by a load.
    SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relkind = 'm' AND NOT c.relispopulated
    UNION
    SELECT r.ev_class
    FROM unpopulated u
    JOIN pg_catalog.pg_depend d
      ON (d.classid, d.refclassid, d.refobjid)
       = ('pg_catalog.pg_rewrite'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass, u.oid)
    JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
), later (attcompression, indnullsnotdistinct, conenforced) AS NOT MATERIALIZED (
    -- Columns that came with 14, 15 and 18: before, their unqualified names find these.
    SELECT ''::"char", false, true
), collation_name AS NOT MATERIALIZED (
    SELECT o.oid,
           CASE WHEN n.nspname <> 'pg_catalog' THEN pg_catalog.quote_ident(n.nspname) || '.' ELSE '' END
           || pg_catalog.quote_ident(o.collname) AS name
    FROM pg_catalog.pg_collation o
    JOIN pg_catalog.pg_namespace n ON n.oid = o.collnamespace
), opclass_name AS NOT MATERIALIZED (
    SELECT o.oid,
           CASE WHEN n.nspname <> 'pg_catalog' THEN pg_catalog.quote_ident(n.nspname) || '.' ELSE '' END
           || pg_catalog.quote_ident(o.opcname) AS name
    FROM pg_catalog.pg_opclass o
    JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace
), object (class, oid, part, kind, identity, properties) AS (
    SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass::oid, n.oid, 0, 'schema', n.name, NULL::json
    FROM namespace n

    UNION ALL
    SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass, e.oid, 0, 'extension',
           '"' || pg_catalog.replace(e.extname, '"', '""') || '"', NULL
    FROM pg_catalog.pg_extension e
    JOIN namespace n ON n.oid = e.extnamespace

    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0,
           CASE c.relkind
           WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
           WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type'
           END,
           c.name,
           pg_catalog.json_build_object(
               'persistence', CASE WHEN c.relkind = 'r' AND c.relpersistence <> 'p' THEN c.relpersistence END,
               'options', CASE WHEN c.reloptions IS NOT NULL
                          THEN (SELECT pg_catalog.array_agg(o ORDER BY o) FROM pg_catalog.unnest(c.reloptions) o) END,
               'toast options', CASE WHEN c.reltoastrelid <> 0
                                THEN (SELECT pg_catalog.array_agg(o ORDER BY o)
                                      FROM pg_catalog.pg_class t, pg_catalog.unnest(t.reloptions) o
                                      WHERE t.oid = c.reltoastrelid) END,
               'definition', CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END,
               'populated', CASE WHEN c.relkind = 'm' AND c.oid IN (SELECT u.oid FROM unpopulated u) THEN false END,
               'type', CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END,
               'parents', CASE WHEN c.relkind IN ('r', 'p', 'f')
                          THEN (SELECT pg_catalog.array_agg(i.inhparent::pg_catalog.regclass::text ORDER BY i.inhseqno)
                                FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) END,
               'partition key', CASE WHEN c.relkind = 'p' THEN (
                   SELECT pg_catalog.json_build_object(
                              'strategy', p.partstrat,
                              'columns', pg_catalog.array_agg(
                                             pg_catalog.concat_ws(' ', coalesce(pg_catalog.quote_ident(a.attname), '(expression)'),
                                                                  'COLLATE ' || (SELECT l.name FROM collation_name l
                                                                                 WHERE l.oid = p.partcollation[k.position]),
                                                                  (SELECT o.name FROM opclass_name o
                                                                   WHERE o.oid = p.partclass[k.position]))
                                             ORDER BY k.position))
                   FROM pg_catalog.pg_partitioned_table p
                   CROSS JOIN LATERAL pg_catalog.generate_series(0, p.partnatts - 1) AS k (position)
                   LEFT JOIN pg_catalog.pg_attribute a
                     ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[k.position] AND a.attnum > 0
                   WHERE p.partrelid = c.oid
                   GROUP BY p.partstrat) END,
               'partition expressions', CASE WHEN c.relkind = 'p'
                                        THEN (SELECT pg_catalog.pg_get_expr(p.partexprs, p.partrelid)
                                              FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = c.oid) END,
               'partition bound', CASE WHEN c.relispartition THEN pg_catalog.pg_get_expr(c.relpartbound, c.oid) END,
               'replica identity', CASE WHEN c.relkind IN ('r', 'p', 'm') AND c.relreplident <> 'd' THEN c.relreplident END,
               'replica identity index', x.replica_identity,
               'clustered on', x.clustered,
               -- Those of foreign keys and deferrable keys, under the names of their keys and functions: their own are made of
               -- OIDs, and a partition's keys bear other names on the target.
               'disabled triggers', CASE WHEN c.relhastriggers
                                    THEN (SELECT pg_catalog.array_agg(x.name ORDER BY x.name COLLATE "C")
                                          FROM pg_catalog.pg_trigger t
                                          JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
                                          JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint AND k.contype <> 't'
                                          LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
                                          CROSS JOIN LATERAL pg_catalog.concat_ws(
                                              ' ', CASE k.conparentid WHEN 0 THEN k.conname END, p.proname, t.tgenabled) x (name)
                                          WHERE t.tgrelid = c.oid AND t.tgenabled <> 'O'
                                            AND (k.connamespace IN (SELECT n.oid FROM namespace n) OR $2)
                                            AND (f.oid IS NULL OR f.relnamespace IN (SELECT n.oid FROM namespace n) OR $2)) END,
               'server', CASE WHEN c.relkind = 'f'
                         THEN (SELECT s.srvname FROM pg_catalog.pg_foreign_table f
                               JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid) END,
               'foreign options', CASE WHEN c.relkind = 'f'
                                  THEN (SELECT pg_catalog.array_agg(o ORDER BY o)
                                        FROM pg_catalog.pg_foreign_table f, pg_catalog.unnest(f.ftoptions) o
                                        WHERE f.ftrelid = c.oid) END)
    FROM relation c
    LEFT JOIN LATERAL (
        SELECT pg_catalog.max(r.relname::text) FILTER (WHERE i.indisreplident) AS replica_identity,
               pg_catalog.max(r.relname::text) FILTER (WHERE i.indisclustered) AS clustered
        FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class r ON r.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND (i.indisreplident OR i.indisclustered)) x ON c.relhasindex
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')

    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, a.attnum, 'column',
           c.name || '."' || pg_catalog.replace(a.attname, '"', '""') || '"',
           pg_catalog.json_build_object(
               'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
               'collation', CASE WHEN a.attcollation <> t.typcollation
                            THEN (SELECT o.name FROM collation_name o WHERE o.oid = a.attcollation) END,
               'not null', CASE WHEN a.attnotnull THEN true END,
               'local beside inherited', CASE WHEN a.attinhcount > 0 AND a.attislocal AND NOT c.relispartition THEN true END,
               'default', CASE WHEN a.atthasdef
                          THEN (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d
                                WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) END,
               'generated', CASE WHEN a.attgenerated <> '' THEN a.attgenerated END,
               -- From 17 on a partition has its root's.
               'identity', CASE WHEN a.attidentity <> '' AND NOT c.relispartition THEN a.attidentity END,
               'storage', CASE WHEN c.relkind IN ('r', 'p') AND a.attstorage <> t.typstorage THEN a.attstorage END,
               'compression', CASE WHEN c.relkind IN ('r', 'p') AND a.attstorage IN ('m', 'x')
                              THEN nullif(a.compression, '') END,
               'statistics', CASE WHEN c.relkind IN ('r', 'p', 'm', 'f') THEN nullif(a.attstattarget, -1) END,
               -- What the server itself keeps among them is none of ours.
               'options', CASE WHEN a.attoptions IS NOT NULL
                          THEN (SELECT pg_catalog.array_agg(o ORDER BY o) FROM pg_catalog.unnest(a.attoptions) o
                                WHERE o NOT LIKE 'pg\_%') END,
               'foreign options', CASE WHEN a.attfdwoptions IS NOT NULL
                                  THEN (SELECT pg_catalog.array_agg(o ORDER BY o)
                                        FROM pg_catalog.unnest(a.attfdwoptions) o) END)
    FROM relation c
    CROSS JOIN later
    JOIN LATERAL (SELECT a.*, attcompression AS compression FROM pg_catalog.pg_attribute a) AS a
      ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')

    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0, 'sequence', c.name,
           pg_catalog.json_build_object(
               'type', pg_catalog.format_type(s.seqtypid, NULL),
               'start', s.seqstart, 'increment', s.seqincrement, 'minimum', s.seqmin, 'maximum', s.seqmax,
               'cache', s.seqcache, 'cycle', s.seqcycle,
               'sequence persistence', CASE WHEN c.relpersistence <> 'p' THEN c.relpersistence END,
               'owned by', (SELECT d.refobjid::pg_catalog.regclass::text || '.' || pg_catalog.quote_ident(a.attname)
                            FROM pg_catalog.pg_depend d
                            JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
                              AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                              AND d.deptype IN ('a', 'i')))
    FROM relation c
    JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid

    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, x.oid, 0, 'index', x.name,
           pg_catalog.json_build_object(
               'table', i.indrelid::pg_catalog.regclass::text,
               'method', m.amname,
               'valid', CASE WHEN NOT i.indisvalid AND x.relkind = 'i' THEN false END,
               'unique', CASE WHEN i.indisunique THEN true END,
               'nulls not distinct', CASE WHEN i.nulls_not_distinct THEN true END,
               'columns', (
                   SELECT pg_catalog.array_agg(
                              pg_catalog.concat_ws(' ', coalesce(pg_catalog.quote_ident(a.attname), '(expression)'),
                                                   'COLLATE ' || (SELECT l.name FROM collation_name l
                                                                  WHERE l.oid = i.indcollation[k.position]),
                                                   (SELECT o.name FROM opclass_name o WHERE o.oid = i.indclass[k.position]),
                                                   e.attoptions::text,
                                                   CASE WHEN i.indoption[k.position] & 1 > 0 THEN 'DESC' END,
                                                   CASE WHEN i.indoption[k.position] & 2 > 0 THEN 'NULLS FIRST' END)
                              ORDER BY k.position)
                   FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k (position)
                   JOIN pg_catalog.pg_attribute e ON e.attrelid = x.oid AND e.attnum = k.position + 1
                   LEFT JOIN pg_catalog.pg_attribute a
                     ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.position] AND i.indkey[k.position] <> 0),
               'included', CASE WHEN i.indnatts > i.indnkeyatts THEN (
                   SELECT pg_catalog.array_agg(a.attname ORDER BY k.position)
                   FROM pg_catalog.generate_series(i.indnkeyatts, i.indnatts - 1) AS k (position)
                   JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.position]) END,
               'expressions', pg_catalog.pg_get_expr(i.indexprs, i.indrelid),
               'predicate', pg_catalog.pg_get_expr(i.indpred, i.indrelid),
               'options', CASE WHEN x.reloptions IS NOT NULL
                          THEN (SELECT pg_catalog.array_agg(o ORDER BY o) FROM pg_catalog.unnest(x.reloptions) o) END,
               'parent', CASE WHEN x.relispartition
                         THEN (SELECT p.inhparent::pg_catalog.regclass::text FROM pg_catalog.pg_inherits p
                               WHERE p.inhrelid = x.oid) END,
               'statistics', CASE WHEN i.indexprs IS NOT NULL
                             THEN (SELECT pg_catalog.json_object_agg(a.attnum, a.attstattarget ORDER BY a.attnum)
                                   FROM pg_catalog.pg_attribute a
                                   WHERE a.attrelid = x.oid AND a.attstattarget >= 0) END)
    FROM relation x
    CROSS JOIN later
    JOIN LATERAL (SELECT i.*, indnullsnotdistinct AS nulls_not_distinct FROM pg_catalog.pg_index i) AS i ON i.indexrelid = x.oid
    JOIN pg_catalog.pg_am m ON m.oid = x.relam
    -- That of a partitioned table is not valid before all of its parts are there.
    WHERE i.indisvalid OR x.relkind = 'I' OR $2

    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, 0,
           CASE k.contype WHEN 'f' THEN 'foreign key' ELSE 'constraint' END,
           c.name || '."' || pg_catalog.replace(k.conname, '"', '""') || '"',
           pg_catalog.json_build_object(
               -- Of an exclusion constraint, its index tells the columns.
               'definition', CASE WHEN k.contype IN ('p', 'u', 'f') THEN pg_catalog.pg_get_constraintdef(k.oid) END,
               'expression', CASE WHEN k.contype = 'c' THEN pg_catalog.pg_get_expr(k.conbin, k.conrelid) END,
               'no inherit', CASE WHEN k.contype = 'c' AND k.connoinherit THEN true END,
               'local beside inherited', CASE WHEN k.contype = 'c' AND k.coninhcount > 0 AND k.conislocal AND NOT c.relispartition
                                         THEN true END,
               'enforced', CASE WHEN NOT k.enforced THEN false END,
               'operators', CASE WHEN k.contype = 'x'
                            THEN (SELECT pg_catalog.array_agg(o.operator::pg_catalog.regoperator::text ORDER BY o.position)
                                  FROM pg_catalog.unnest(k.conexclop) WITH ORDINALITY AS o (operator, position)) END,
               'deferrable', CASE WHEN k.condeferrable THEN true END,
               'deferred', CASE WHEN k.condeferred THEN true END,
               'validated', k.convalidated)
    FROM relation c
    CROSS JOIN later
    JOIN LATERAL (SELECT k.*, conenforced AS enforced FROM pg_catalog.pg_constraint k) AS k ON k.conrelid = c.oid
    LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
    WHERE k.contype IN ('c', 'p', 'u', 'x')
       -- What partitions have of their root's follows it, and the server names it.
       OR k.contype = 'f' AND k.conparentid = 0 AND (f.relnamespace IN (SELECT n.oid FROM namespace n) OR $2)

    UNION ALL
    -- From 18 on; before, there is nothing but the column's mark.
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, 0, 'not-null constraint',
           c.name || '."' || pg_catalog.replace(a.attname, '"', '""') || '"',
           pg_catalog.json_build_object(
               'name', k.conname, 'definition', pg_catalog.pg_get_constraintdef(k.oid), 'validated', k.convalidated)
    FROM relation c
    JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'n'
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]

    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, 0, 'domain constraint',
           t.name || '."' || pg_catalog.replace(k.conname, '"', '""') || '"',
           pg_catalog.json_build_object(
               'expression', pg_catalog.pg_get_expr(k.conbin, 0),
               'validated', k.convalidated)
    FROM type t
    JOIN pg_catalog.pg_constraint k ON k.contypid = t.oid AND k.contype = 'c'

    UNION ALL
    -- A partition's copy of its root's trigger is that trigger, switched on or off by itself.
    SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, 0, 'trigger',
           c.name || '."' || pg_catalog.replace(coalesce(p.tgname, t.tgname), '"', '""') || '"',
           pg_catalog.json_build_object(
               'definition', CASE WHEN p.oid IS NULL THEN pg_catalog.pg_get_triggerdef(t.oid) END,
               'enabled', CASE WHEN t.tgenabled <> 'O' THEN t.tgenabled END)
    FROM relation c
    JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid
    LEFT JOIN pg_catalog.pg_trigger p ON p.oid = t.tgparentid
    LEFT JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint
    WHERE (k.oid IS NULL OR k.contype = 't')
      AND (p.oid IS NOT NULL OR NOT t.tgisinternal)

    UNION ALL
    SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid, 0, 'rule',
           c.name || '."' || pg_catalog.replace(w.rulename, '"', '""') || '"',
           pg_catalog.json_build_object(
               'definition', pg_catalog.pg_get_ruledef(w.oid),
               'enabled', CASE WHEN w.ev_enabled <> 'O' THEN w.ev_enabled END)
    FROM relation c
    JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid AND w.rulename <> '_RETURN'

    UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, 0, 'statistics object',
           n.name || '."' || pg_catalog.replace(s.stxname, '"', '""') || '"',
           pg_catalog.json_build_object(
               'definition', pg_catalog.pg_get_statisticsobjdef(s.oid),
               'statistics', nullif(s.stxstattarget, -1))
    FROM relation c
    JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = c.oid
    -- pg_dump leaves them out where the table's schema does not move with theirs.
    JOIN namespace n ON n.oid = s.stxnamespace

    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, 0,
           CASE t.typtype WHEN 'd' THEN 'domain' WHEN 'e' THEN 'enum type' WHEN 'r' THEN 'range type' ELSE 'type' END,
           t.name,
           pg_catalog.json_build_object(
               'labels', CASE WHEN t.typtype = 'e'
                         THEN (SELECT pg_catalog.array_agg(e.enumlabel ORDER BY e.enumsortorder)
                               FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid) END,
               'base type', CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
               'collation', CASE WHEN t.typtype = 'd' AND t.typcollation <> 0
                            THEN (SELECT o.name FROM collation_name o WHERE o.oid = t.typcollation) END,
               'not null', CASE WHEN t.typnotnull THEN true END,
               'default', coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), t.typdefault),
               'range', CASE WHEN t.typtype = 'r'
                        THEN (SELECT pg_catalog.json_build_object(
                                         'subtype', pg_catalog.format_type(r.rngsubtype, NULL),
                                         'operator class', o.opcname,
                                         'collation', (SELECT l.name FROM collation_name l WHERE l.oid = r.rngcollation),
                                         'canonical', nullif(r.rngcanonical::text, '-'),
                                         'difference', nullif(r.rngsubdiff::text, '-'))
                              FROM pg_catalog.pg_range r JOIN pg_catalog.pg_opclass o ON o.oid = r.rngsubopc
                              WHERE r.rngtypid = t.oid) END,
               'multirange', CASE WHEN t.typtype = 'r'
                             THEN (SELECT m.typname FROM pg_catalog.pg_range r
                                   JOIN pg_catalog.pg_type m
                                     ON m.oid = (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::oid
                                   WHERE r.rngtypid = t.oid) END,
               'base', CASE WHEN t.typtype = 'b'
                       THEN pg_catalog.json_build_array(
                                t.typinput::text, t.typoutput::text, t.typreceive::text, t.typsend::text,
                                t.typmodin::text, t.typmodout::text, t.typanalyze::text, t.typlen, t.typbyval, t.typalign,
                                t.typstorage, t.typcategory, t.typispreferred, t.typdelim, t.typcollation <> 0) END)
    FROM type t

    UNION ALL
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0,
           CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
           p.name,
           pg_catalog.json_build_object(
               'arguments', p.proargnames,
               'modes', p.proargmodes,
               'types', (SELECT pg_catalog.array_agg(pg_catalog.format_type(a.type, NULL) ORDER BY a.position)
                         FROM pg_catalog.unnest(p.proallargtypes) WITH ORDINALITY AS a (type, position)),
               'defaults', pg_catalog.pg_get_expr(p.proargdefaults, 0),
               'result', CASE WHEN p.proretset THEN 'SETOF ' ELSE '' END || pg_catalog.format_type(p.prorettype, NULL),
               'language', l.lanname,
               'window', CASE WHEN p.prokind = 'w' THEN true END,
               'volatility', p.provolatile, 'parallel', p.proparallel,
               'strict', p.proisstrict, 'security definer', p.prosecdef, 'leakproof', p.proleakproof,
               'cost', p.procost, 'rows', p.prorows,
               'support', nullif(p.prosupport::text, '-'),
               'settings', (SELECT pg_catalog.array_agg(s ORDER BY s) FROM pg_catalog.unnest(p.proconfig) s),
               'transforms', (SELECT pg_catalog.array_agg(pg_catalog.format_type(t, NULL))
                              FROM pg_catalog.unnest(p.protrftypes) t),
               'library', p.probin,
               'body', nullif(p.prosrc, ''),
               -- One of SQL statements that were parsed.
               'definition', CASE WHEN p.prosrc = '' AND p.prokind <> 'a'
                             THEN pg_catalog.pg_get_functiondef(p.oid) END,
               'aggregate', (SELECT pg_catalog.json_build_array(
                                        g.aggkind, g.aggnumdirectargs, g.aggtransfn::text, g.aggfinalfn::text,
                                        g.aggcombinefn::text, g.aggserialfn::text, g.aggdeserialfn::text,
                                        g.aggmtransfn::text, g.aggminvtransfn::text, g.aggmfinalfn::text,
                                        g.aggfinalextra, g.aggmfinalextra, g.aggfinalmodify, g.aggmfinalmodify,
                                        g.aggsortop::pg_catalog.regoperator::text,
                                        pg_catalog.format_type(g.aggtranstype, NULL), g.aggtransspace,
                                        pg_catalog.format_type(nullif(g.aggmtranstype, 0), NULL), g.aggmtransspace)
                             FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid = p.oid),
               'initial values', (SELECT ARRAY[g.agginitval, g.aggminitval]
                                  FROM pg_catalog.pg_aggregate g
                                  WHERE g.aggfnoid = p.oid AND pg_catalog.num_nonnulls(g.agginitval, g.aggminitval) > 0))
    FROM routine p
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang

    UNION ALL
    SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid, 0, 'operator',
           o.oid::pg_catalog.regoperator::text,
           pg_catalog.json_build_object(
               'function', o.oprcode::text,
               'commutator', nullif(o.oprcom, 0)::pg_catalog.regoperator::text,
               'negator', nullif(o.oprnegate, 0)::pg_catalog.regoperator::text,
               'merges', o.oprcanmerge, 'hashes', o.oprcanhash,
               'restrict', o.oprrest::text, 'join', o.oprjoin::text)
    FROM pg_catalog.pg_operator o
    JOIN namespace n ON n.oid = o.oprnamespace

    UNION ALL
    SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, f.oid, 0, 'operator family',
           n.name || '."' || pg_catalog.replace(f.opfname, '"', '""') || '" USING ' || m.amname,
           pg_catalog.json_build_object(
               'operators', (SELECT pg_catalog.array_agg(o.text ORDER BY o.text)
                             FROM (SELECT pg_catalog.format('%s %s %s', a.amopstrategy,
                                                            a.amopopr::pg_catalog.regoperator,
                                                            (SELECT s.opfname FROM pg_catalog.pg_opfamily s
                                                             WHERE s.oid = a.amopsortfamily)) AS text
                                   FROM pg_catalog.pg_amop a WHERE a.amopfamily = f.oid) o),
               'functions', (SELECT pg_catalog.array_agg(o.text ORDER BY o.text)
                             FROM (SELECT pg_catalog.format('%s (%s, %s) %s', a.amprocnum,
                                                            pg_catalog.format_type(a.amproclefttype, NULL),
                                                            pg_catalog.format_type(a.amprocrighttype, NULL),
                                                            a.amproc::pg_catalog.regprocedure) AS text
                                   FROM pg_catalog.pg_amproc a WHERE a.amprocfamily = f.oid) o))
    FROM pg_catalog.pg_opfamily f
    JOIN namespace n ON n.oid = f.opfnamespace
    JOIN pg_catalog.pg_am m ON m.oid = f.opfmethod

    UNION ALL
    SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, o.oid, 0, 'operator class',
           n.name || '."' || pg_catalog.replace(o.opcname, '"', '""') || '" USING ' || m.amname,
           pg_catalog.json_build_object(
               'type', pg_catalog.format_type(o.opcintype, NULL),
               'default', CASE WHEN o.opcdefault THEN true END,
               'storage', CASE WHEN o.opckeytype <> 0 THEN pg_catalog.format_type(o.opckeytype, NULL) END,
               'family', f.opfname)
    FROM pg_catalog.pg_opclass o
    JOIN namespace n ON n.oid = o.opcnamespace
    JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod
    JOIN pg_catalog.pg_opfamily f ON f.oid = o.opcfamily

    UNION ALL
    SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, o.oid, 0, 'collation',
           n.name || '."' || pg_catalog.replace(o.collname, '"', '""') || '"',
           pg_catalog.json_build_object(
               'provider', o.collprovider, 'deterministic', o.collisdeterministic,
               -- 15 and 17 have each given it another name.
               'locale', coalesce(j.o ->> 'colllocale', j.o ->> 'colliculocale', j.o ->> 'collcollate'),
               'rules', j.o ->> 'collicurules')
    FROM pg_catalog.pg_collation o
    JOIN namespace n ON n.oid = o.collnamespace, LATERAL (SELECT pg_catalog.to_jsonb(o)) AS j (o)

    UNION ALL
    SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, o.oid, 0, 'conversion',
           n.name || '."' || pg_catalog.replace(o.conname, '"', '""') || '"',
           pg_catalog.json_build_object(
               'from', pg_catalog.pg_encoding_to_char(o.conforencoding),
               'to', pg_catalog.pg_encoding_to_char(o.contoencoding),
               'function', o.conproc::text, 'default', o.condefault)
    FROM pg_catalog.pg_conversion o
    JOIN namespace n ON n.oid = o.connamespace

    UNION ALL
    SELECT 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, o.oid, 0, 'text search parser',
           n.name || '."' || pg_catalog.replace(o.prsname, '"', '""') || '"',
           pg_catalog.json_build_object(
               'functions', ARRAY[o.prsstart::text, o.prstoken::text, o.prsend::text, o.prsheadline::text,
                                  o.prslextype::text])
    FROM pg_catalog.pg_ts_parser o
    JOIN namespace n ON n.oid = o.prsnamespace

    UNION ALL
    SELECT 'pg_catalog.pg_ts_template'::pg_catalog.regclass, o.oid, 0, 'text search template',
           n.name || '."' || pg_catalog.replace(o.tmplname, '"', '""') || '"',
           pg_catalog.json_build_object('functions', ARRAY[o.tmplinit::text, o.tmpllexize::text])
    FROM pg_catalog.pg_ts_template o
    JOIN namespace n ON n.oid = o.tmplnamespace

    UNION ALL
    SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, o.oid, 0, 'text search dictionary',
           n.name || '."' || pg_catalog.replace(o.dictname, '"', '""') || '"',
           pg_catalog.json_build_object('template', t.tmplname, 'options', o.dictinitoption)
    FROM pg_catalog.pg_ts_dict o
    JOIN namespace n ON n.oid = o.dictnamespace
    JOIN pg_catalog.pg_ts_template t ON t.oid = o.dicttemplate

    UNION ALL
    SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, o.oid, 0, 'text search configuration',
           n.name || '."' || pg_catalog.replace(o.cfgname, '"', '""') || '"',
           pg_catalog.json_build_object(
               'parser', p.prsname,
               'mappings', (SELECT pg_catalog.array_agg(
                                       pg_catalog.format('%s %s', m.maptokentype, m.mapdict::pg_catalog.regdictionary)
                                       ORDER BY m.maptokentype, m.mapseqno)
                            FROM pg_catalog.pg_ts_config_map m WHERE m.mapcfg = o.oid))
    FROM pg_catalog.pg_ts_config o
    JOIN namespace n ON n.oid = o.cfgnamespace
    JOIN pg_catalog.pg_ts_parser p ON p.oid = o.cfgparser
), user_of_operators AS MATERIALIZED (
    SELECT DISTINCT d.classid AS class, d.objid AS oid
    FROM pg_catalog.pg_depend d
    WHERE d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND d.refobjid >= 16384
), tree (class, oid, part, text) AS (
    SELECT CASE w.rulename WHEN '_RETURN' THEN 'pg_catalog.pg_class'::pg_catalog.regclass ELSE u.class END,
           CASE w.rulename WHEN '_RETURN' THEN w.ev_class ELSE w.oid END, 0,
           pg_catalog.concat(w.ev_qual, w.ev_action)
    FROM pg_catalog.pg_rewrite w
    JOIN user_of_operators u ON (u.class, u.oid) = ('pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid)
    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, a.adrelid, a.adnum, pg_catalog.concat(a.adbin)
    FROM pg_catalog.pg_attrdef a
    JOIN user_of_operators u ON (u.class, u.oid) = ('pg_catalog.pg_attrdef'::pg_catalog.regclass, a.oid)
    UNION
    -- Before 15 it is the column that depends.
    SELECT u.class, a.adrelid, a.adnum, pg_catalog.concat(a.adbin)
    FROM pg_catalog.pg_attrdef a
    JOIN user_of_operators u ON (u.class, u.oid) = ('pg_catalog.pg_class'::pg_catalog.regclass, a.adrelid)
    UNION ALL
    SELECT u.class, i.indexrelid, 0, pg_catalog.concat(i.indexprs, i.indpred)
    FROM pg_catalog.pg_index i
    JOIN user_of_operators u ON (u.class, u.oid) = ('pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid)
    UNION ALL
    SELECT u.class, p.partrelid, 0, pg_catalog.concat(p.partexprs)
    FROM pg_catalog.pg_partitioned_table p
    JOIN user_of_operators u ON (u.class, u.oid) = ('pg_catalog.pg_class'::pg_catalog.regclass, p.partrelid)
    UNION ALL
    SELECT u.class, k.oid, 0, pg_catalog.concat(k.conbin)
    FROM pg_catalog.pg_constraint k
    JOIN user_of_operators u ON (u.class, u.oid) = ('pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid)
    UNION ALL
    SELECT u.class, t.oid, 0, pg_catalog.concat(t.tgqual)
    FROM pg_catalog.pg_trigger t
    JOIN user_of_operators u ON (u.class, u.oid) = ('pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid)
    UNION ALL
    SELECT u.class, t.oid, 0, pg_catalog.concat(t.typdefaultbin)
    FROM pg_catalog.pg_type t
    JOIN user_of_operators u ON (u.class, u.oid) = ('pg_catalog.pg_type'::pg_catalog.regclass, t.oid)
    UNION ALL
    SELECT u.class, p.oid, 0, pg_catalog.concat(p.proargdefaults, pg_catalog.to_jsonb(p) ->> 'prosqlbody')
    FROM pg_catalog.pg_proc p
    JOIN user_of_operators u ON (u.class, u.oid) = ('pg_catalog.pg_proc'::pg_catalog.regclass, p.oid)
    UNION ALL
    SELECT u.class, s.oid, 0, pg_catalog.to_jsonb(s) ->> 'stxexprs'
    FROM pg_catalog.pg_statistic_ext s
    JOIN user_of_operators u ON (u.class, u.oid) = ('pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid)
), behind (class, oid, part, names) AS (
    SELECT n.class, n.oid, n.part, pg_catalog.array_agg(n.name ORDER BY n.name)
    FROM (SELECT t.class, t.oid, t.part,
                 CASE m.found[1] WHEN 'opno' THEN m.found[2]::oid::pg_catalog.regoperator::text
                                 ELSE m.found[2]::oid::pg_catalog.regprocedure::text END AS name
          FROM tree t
          CROSS JOIN LATERAL pg_catalog.regexp_matches(t.text, ':(opno|funcid|aggfnoid|winfnoid) (\d{5,})', 'g') AS m (found)
          WHERE m.found[2]::oid >= 16384) n
    GROUP BY n.class, n.oid, n.part
), told AS (
    SELECT * FROM object
    UNION ALL
    SELECT d.classid, d.objid, 0, i.type, i.identity, NULL
    FROM namespace n
    JOIN pg_catalog.pg_depend d
      ON d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = n.oid AND d.deptype = 'n',
    LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) i
    WHERE $2
      AND i.identity IS NOT NULL
      AND (d.classid, d.objid) NOT IN (SELECT o.class, o.oid FROM object o)
)
SELECT o.class, o.oid, o.part, o.kind, o.identity, pg_catalog.json_strip_nulls(o.properties)::text AS properties,
       d.description AS comment, b.names AS behind
FROM told o
LEFT JOIN behind b ON b.oid = o.oid AND b.class = o.class AND b.part = o.part
-- What is said of a composite type is said of its type.
LEFT JOIN pg_catalog.pg_class t ON o.kind = 'composite type' AND t.oid = o.oid
-- What is said of a check, a foreign key or a trigger that is inherited, pg_dump leaves out.
LEFT JOIN pg_catalog.pg_constraint ck
  ON o.class = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND ck.oid = o.oid AND ck.contype IN ('c', 'f') AND NOT ck.conislocal
LEFT JOIN pg_catalog.pg_trigger ct
  ON o.class = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND ct.oid = o.oid AND ct.tgparentid <> 0
LEFT JOIN pg_catalog.pg_description d
  ON ck.oid IS NULL AND ct.oid IS NULL AND d.objoid = coalesce(t.reltype, o.oid) AND d.objsubid = o.part
 AND d.classoid = CASE WHEN t.oid IS NULL THEN o.class ELSE 'pg_catalog.pg_type'::pg_catalog.regclass::oid END
WHERE (o.oid, o.class) NOT IN (SELECT m.objid, m.classid FROM member m)
