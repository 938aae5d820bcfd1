-- Functions of the user's own that the server calls by itself while rows are written, and while indexes, statistics and
-- materialized views are made: those of the first kind by table, and what the text of each tells.
-- $1 text[]: schemas of the unit
-- $2 text[]: schemas in which a name without a schema may be looked for
-- $3 text[]: those of them that decide, where they hold the name
-- Functions in C are taken at their word. A body is read as words: whatever bears such a name may be meant. It is read once
-- more by itself, because a word at its end is one with the mark behind it.
-- written: tables whose generated columns call it; checked: whose checks, domains or partition keys do
-- calls: other functions; tables: plain tables of the unit without children
-- reads: it may read a table; opaque: which, its text does not tell
-- called: the server itself calls it for rows that are there; fixed: it says itself where such names are looked for
-- unfound: names without a schema that it needs for a row that is written
-- ambiguous: names without a schema that are found in more than one, wherever its text has them; meant: those of them that
-- it surely calls or reads from, without comments, strings and what WITH names
WITH RECURSIVE unit AS (
    SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1)
), relation AS (
    SELECT c.oid, c.relkind FROM pg_catalog.pg_class c WHERE c.relnamespace IN (SELECT u.oid FROM unit u)
), own AS (
    SELECT p.oid, p.proname, p.prokind, p.prosrc
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE l.lanname NOT IN ('internal', 'c') AND p.oid >= 16384
), needed AS (
    SELECT d.classid, d.objid, d.objsubid, coalesce(o.oprcode, d.refobjid) AS function
    FROM pg_catalog.pg_depend d
    LEFT JOIN pg_catalog.pg_operator o
      ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
    WHERE d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
      AND coalesce(o.oprcode, d.refobjid) IN (SELECT w.oid FROM own w)
), type (relation, oid) AS (
    SELECT a.attrelid, a.atttypid
    FROM relation r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
    WHERE r.relkind IN ('r', 'p')
    UNION
    SELECT t.relation, u.oid
    FROM type t
    JOIN pg_catalog.pg_type p ON p.oid = t.oid
    CROSS JOIN LATERAL (
        SELECT p.typelem
        UNION ALL
        SELECT p.typbasetype
        UNION ALL
        SELECT g.rngsubtype FROM pg_catalog.pg_range g WHERE g.rngtypid = p.oid
        UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute a
        WHERE p.typrelid <> 0 AND a.attrelid = p.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS u (oid)
    WHERE u.oid >= 16384
), called (relation, written, at_once, function) AS (
    SELECT a.attrelid, true, true, n.function
    FROM relation r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attgenerated = 's'
    JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    JOIN needed n
      ON (n.classid, n.objid) = ('pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid)
      -- Before 15 it is the column that depends.
      OR (n.classid, n.objid, n.objsubid) = ('pg_catalog.pg_class'::pg_catalog.regclass, a.attrelid, a.attnum)
    UNION
    SELECT r.oid, false, k.convalidated, n.function
    FROM relation r
    JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype = 'c'
    JOIN needed n ON (n.classid, n.objid) = ('pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid)
    UNION
    SELECT t.relation, false, k.convalidated, n.function
    FROM type t
    JOIN pg_catalog.pg_constraint k ON k.contypid = t.oid
    JOIN needed n ON (n.classid, n.objid) = ('pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid)
    UNION
    SELECT r.oid, false, true, n.function
    FROM needed n
    JOIN pg_catalog.pg_class p ON p.oid = n.objid AND p.relkind = 'p'
    CROSS JOIN LATERAL pg_catalog.pg_partition_tree(p.oid) t
    JOIN relation r ON r.oid = t.relid
    WHERE n.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND n.objsubid = 0
), filled (oid) AS (
    SELECT c.oid FROM relation r JOIN pg_catalog.pg_class c ON c.oid = r.oid WHERE c.relkind = 'm' AND c.relispopulated
    UNION
    SELECT v.oid
    FROM filled f
    JOIN pg_catalog.pg_rewrite w ON w.ev_class = f.oid AND w.ev_type = '1'
    JOIN pg_catalog.pg_depend d
      ON (d.classid, d.objid) = ('pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid)
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    JOIN pg_catalog.pg_class v ON v.oid = d.refobjid AND v.relkind = 'v'
), root (function, called) AS (
    SELECT c.function, c.at_once AND pg_catalog.pg_relation_size(c.relation) > 0 FROM called c
    UNION
    SELECT n.function, r.relkind = 'i' AND pg_catalog.pg_relation_size(i.indrelid) > 0
    FROM needed n
    JOIN relation r ON r.oid = n.objid
    LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = r.oid
    WHERE n.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    UNION
    SELECT n.function, w.ev_type = '1' AND w.ev_class IN (SELECT f.oid FROM filled f)
    FROM needed n
    JOIN pg_catalog.pg_rewrite w ON w.oid = n.objid
    WHERE n.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
      AND w.ev_class IN (SELECT r.oid FROM relation r UNION ALL SELECT f.oid FROM filled f)
    UNION
    SELECT n.function, false
    FROM needed n
    JOIN pg_catalog.pg_statistic_ext s ON s.oid = n.objid
    WHERE n.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
      AND s.stxrelid IN (SELECT r.oid FROM relation r)
), reached (oid, words) AS (
    SELECT w.oid, b.words
    FROM own w
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT DISTINCT coalesce(m[2], pg_catalog.lower(m[1]))
                     FROM pg_catalog.regexp_matches(
                         pg_catalog.concat_ws(' ', pg_catalog.pg_get_functiondef(w.oid), w.prosrc), '([[:alpha:]_][[:alnum:]_$]*)|"([^"]+)"', 'g') m
                     ORDER BY 1)
        WHERE w.prokind <> 'a'
        UNION ALL
        SELECT '{}' WHERE w.prokind = 'a') AS b (words)
    WHERE w.oid IN (SELECT r.function FROM root r)
    UNION
    SELECT w.oid, b.words
    FROM reached f
    JOIN own w ON w.oid <> f.oid
              AND (w.proname = ANY (f.words)
                   OR w.oid IN (SELECT n.function FROM needed n
                                WHERE (n.classid, n.objid) = ('pg_catalog.pg_proc'::pg_catalog.regclass, f.oid)))
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT DISTINCT coalesce(m[2], pg_catalog.lower(m[1]))
                     FROM pg_catalog.regexp_matches(
                         pg_catalog.concat_ws(' ', pg_catalog.pg_get_functiondef(w.oid), w.prosrc), '([[:alpha:]_][[:alnum:]_$]*)|"([^"]+)"', 'g') m
                     ORDER BY 1)
        WHERE w.prokind <> 'a'
        UNION ALL
        SELECT '{}' WHERE w.prokind = 'a') AS b (words)
), named AS (
    SELECT 'function' AS kind, p.proname AS name, n.nspname AS schema, p.proargtypes::text AS arguments
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY ($2)
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_proc b
                      WHERE b.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
                        AND b.proname = p.proname AND b.proargtypes = p.proargtypes)
    UNION ALL
    SELECT 'relation', c.relname, n.nspname, ''
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($2) AND c.relkind NOT IN ('i', 'I', 't')
), place (kind, pattern) AS (
    VALUES ('function', '(?<![.[:alnum:]_$"])(?:([[:alpha:]_][[:alnum:]_$]*)|"([^"]+)")\s*\('),
           ('relation', '(?<!distinct\s)\m(?:from|join)\s+(?:only\s+)?(?:([[:alpha:]_][[:alnum:]_$]*)|"([^"]+)")(?![[:alnum:]_$"]|\s*[.(])')
), open AS (
    -- Which of two functions with different arguments is meant, no path tells.
    SELECT kind, name, pg_catalog.count(*) > pg_catalog.count(DISTINCT arguments) AS alike
    FROM named
    GROUP BY kind, name
    HAVING pg_catalog.count(DISTINCT schema) > 1 AND NOT pg_catalog.bool_or(schema = ANY ($3))
)
SELECT f.oid, pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)) AS name,
       n.nspname::text AS schema,
       ARRAY(SELECT c.relation FROM called c WHERE c.function = f.oid AND c.written) AS written,
       ARRAY(SELECT c.relation FROM called c WHERE c.function = f.oid AND NOT c.written) AS checked,
       ARRAY(SELECT r.oid FROM reached r JOIN own w ON w.oid = r.oid
             WHERE w.proname = ANY (f.words)
                OR w.oid IN (SELECT d.function FROM needed d
                             WHERE (d.classid, d.objid) = ('pg_catalog.pg_proc'::pg_catalog.regclass, f.oid))) AS calls,
       ARRAY(SELECT r.oid FROM relation r JOIN pg_catalog.pg_class c ON c.oid = r.oid
             WHERE c.relname = ANY (f.words) AND c.relkind = 'r' AND NOT c.relhassubclass) AS tables,
       f.words && ARRAY['from', 'join', 'table', 'update', 'insert', 'delete', 'merge', 'execute']
       OR l.lanname NOT IN ('sql', 'plpgsql') AND p.prokind <> 'a' AS reads,
       'execute' = ANY (f.words)
       OR l.lanname NOT IN ('sql', 'plpgsql') AND p.prokind <> 'a'
       OR EXISTS (SELECT 1 FROM pg_catalog.pg_class c
                  WHERE c.relname = ANY (f.words) AND c.oid >= 16384
                    AND (c.relkind IN ('v', 'm', 'f', 'p') OR c.relhassubclass)) AS opaque,
       EXISTS (SELECT 1 FROM root r WHERE r.function = f.oid AND r.called) AS called,
       x.fixed,
       CASE WHEN NOT x.fixed
            THEN ARRAY(SELECT DISTINCT o.name::text
                       FROM pg_catalog.regexp_matches(
                           p.prosrc, '(?<![.[:alnum:]_$])(?:([[:alpha:]_][[:alnum:]_$]*)|"([^"]+)")', 'g') m
                       JOIN open o ON o.name = coalesce(m[2], pg_catalog.lower(m[1]))
                       ORDER BY 1)
            ELSE '{}' END AS ambiguous,
       CASE WHEN NOT x.fixed AND l.lanname IN ('sql', 'plpgsql')
            THEN ARRAY(SELECT o.name::text FROM open o WHERE o.alike AND o.kind || ' ' || o.name = ANY (y.used) ORDER BY 1)
            ELSE '{}' END AS meant,
       -- PL/pgSQL looks for a name when it comes to the statement.
       CASE WHEN NOT x.fixed AND (l.lanname = 'sql' OR l.lanname = 'plpgsql' AND x.plain !~* '\m(if|case|loop|exception|return\s+next)\M')
             AND EXISTS (SELECT 1 FROM called c
                         WHERE c.function = f.oid AND c.at_once AND pg_catalog.pg_relation_size(c.relation) > 0)
            THEN ARRAY(SELECT DISTINCT m.name::text
                       FROM named m
                       WHERE m.kind || ' ' || m.name = ANY (y.used)
                         AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_proc b
                                         WHERE b.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND b.proname = m.name)
                         AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class b
                                         WHERE b.relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND b.relname = m.name)
                       ORDER BY 1)
            ELSE '{}' END AS unfound
FROM reached f
JOIN pg_catalog.pg_proc p ON p.oid = f.oid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT 1 FROM pg_catalog.unnest(p.proconfig) s WHERE s LIKE 'search_path=%') AS fixed,
           -- The words of such calls as extract(year FROM t.at) name no tables.
           pg_catalog.regexp_replace(
               p.prosrc, '("[^"]*")|''(?:[^'']|'''')*''|--[^\n]*|/\*(?:[^*]|\*+[^*/])*\*+/|\m(?:extract|substring|trim|overlay)\s*\([^()]*\mfrom\M',
               '\1 ', 'gi') AS plain
    OFFSET 0
) x
CROSS JOIN LATERAL (
    SELECT ARRAY(SELECT DISTINCT e.kind || ' ' || coalesce(m[2], pg_catalog.lower(m[1]))
                 FROM place e
                 CROSS JOIN LATERAL pg_catalog.regexp_matches(x.plain, e.pattern, 'gi') m
                 WHERE coalesce(m[2], pg_catalog.lower(m[1])) <> ALL (ARRAY(
                     SELECT coalesce(w[2], pg_catalog.lower(w[1]))
                     FROM pg_catalog.regexp_matches(
                         x.plain, '(?:([[:alpha:]_][[:alnum:]_$]*)|"([^"]+)")\s*(?:\([^()]*\)\s*)?\mas\s+(?:(?:not\s+)?materialized\s+)?\(', 'gi') w))) AS used
    OFFSET 0
) y
