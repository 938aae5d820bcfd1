-- What the values of each table are hashed by, members of extensions left out.
-- $1 text[]: schemas
-- columns, expressions: in the order of names in UTF-8, which is one on both sides and on every leaf of a root. An expression is what a
-- value's type writes, which no setting and no server changes; virtual generated columns hold no values.
-- generated: the expression of each column that a server computes by itself, otherwise NULL; reads: a column that it reads
-- key: the columns of the primary key, or else of a unique index on columns that are not null; empty if there is none.
SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS partitioned,
       pg_catalog.pg_table_size(c.oid) AS size_bytes,
       rn.nspname AS root_schema, r.relname AS root_name,
       coalesce(a.columns, '{}') AS columns, coalesce(a.expressions, '{}') AS expressions,
       coalesce(a.generated, '{}') AS generated, coalesce(a.reads, '{}') AS reads,
       coalesce(k.columns, '{}') AS key
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (pg_catalog.pg_class r
           JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace AND rn.nspname = ANY ($1))
  ON c.relispartition
 AND r.oid = pg_catalog.pg_partition_root(c.oid)
LEFT JOIN LATERAL (
    SELECT pg_catalog.array_agg(v.name ORDER BY pg_catalog.convert_to(v.name, 'UTF8')) AS columns,
           pg_catalog.array_agg(v.generated ORDER BY pg_catalog.convert_to(v.name, 'UTF8')) AS generated,
           pg_catalog.array_agg(v.reads ORDER BY pg_catalog.convert_to(v.name, 'UTF8')) AS reads,
           pg_catalog.array_agg(
               CASE
               -- Hexadecimal digits of it could be too many for a value.
               WHEN v.oid = 'pg_catalog.bytea'::pg_catalog.regtype
               THEN pg_catalog.format(
                        'pg_catalog.encode(CASE WHEN pg_catalog.octet_length(%s) < 268435456 THEN %s '
                        'ELSE pg_catalog.sha256(%s) END, ''hex'')', v.quoted, v.quoted, v.quoted)
               -- The server does not let anyone replace these casts.
               WHEN v.oid IN ('pg_catalog.text'::pg_catalog.regtype, 'pg_catalog.varchar'::pg_catalog.regtype,
                              'pg_catalog.bpchar'::pg_catalog.regtype)
               THEN v.quoted || '::pg_catalog.text'
               -- A cast to text of one's own is not the type's text, nor is that of XML: its declaration may have changed.
               ELSE pg_catalog.format('CASE pg_catalog.num_nulls(%s) WHEN 0 THEN pg_catalog.concat(%s) END', v.quoted, v.quoted)
               END ORDER BY pg_catalog.convert_to(v.name, 'UTF8')) AS expressions
    FROM (SELECT a.attname::text COLLATE pg_catalog."C" AS name,
                 '"' || pg_catalog.replace(a.attname, '"', '""') || '"' AS quoted,
                 a.atttypid AS oid,
                 pg_catalog.pg_get_expr(g.adbin, g.adrelid) AS generated,
                 (SELECT r.attname::text
                  FROM pg_catalog.pg_depend d
                  JOIN pg_catalog.pg_attribute r ON r.attrelid = d.refobjid AND r.attnum = d.refobjsubid
                  WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = g.adrelid
                    AND d.refobjsubid NOT IN (0, g.adnum)
                    AND ((d.classid, d.objid) = ('pg_catalog.pg_attrdef'::pg_catalog.regclass, g.oid)
                         -- Before 15 it is the column that depends.
                         OR (d.classid, d.objid, d.objsubid)
                            = ('pg_catalog.pg_class'::pg_catalog.regclass, g.adrelid, g.adnum))
                  -- What is always an identity is not set.
                  ORDER BY r.attidentity = 'a', r.attnum
                  LIMIT 1) AS reads
          FROM pg_catalog.pg_attribute a
          LEFT JOIN pg_catalog.pg_attrdef g ON a.attgenerated = 's' AND g.adrelid = a.attrelid AND g.adnum = a.attnum
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v') v) a ON true
LEFT JOIN LATERAL (
    SELECT pg_catalog.array_agg(a.attname::text ORDER BY p.position) AS columns
    FROM (SELECT i.indkey, i.indnkeyatts
          FROM pg_catalog.pg_index i
          WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
            AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
                            WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull)
          ORDER BY NOT i.indisprimary, i.indnkeyatts, i.indexrelid
          LIMIT 1) i,
         pg_catalog.unnest(i.indkey) WITH ORDINALITY AS p (attnum, position),
         pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum = p.attnum AND p.position <= i.indnkeyatts) k ON true
WHERE n.nspname = ANY ($1)
  AND c.relkind IN ('r', 'p')
  AND NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY size_bytes DESC, schema, name
