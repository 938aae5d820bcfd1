-- What the target has to offer for what it may refuse.
-- $1 text[]: identities of casts
-- $2 text[], $3 oid[], $4 oid[]: names of operators, and the types of their operands
SELECT pg_catalog.current_setting('is_superuser') = 'on' AS superuser,
       ARRAY(SELECT c.identity
             FROM pg_catalog.unnest($1::text[]) AS c (identity)
             WHERE NOT EXISTS (
                 SELECT 1
                 FROM pg_catalog.pg_cast x
                 CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_cast'::pg_catalog.regclass, x.oid, 0) i
                 WHERE i.identity = c.identity)) AS lacking_casts,
       ARRAY(SELECT k.position
             FROM ROWS FROM (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::oid[]), pg_catalog.unnest($4::oid[]))
                  WITH ORDINALITY k (name, "left", "right", position)
             JOIN pg_catalog.pg_operator o
               ON o.oprname = k.name AND (o.oprleft, o.oprright) = (k."left", k."right")
              AND o.oprnamespace = 'pg_catalog'::pg_catalog.regnamespace) AS own_operators
