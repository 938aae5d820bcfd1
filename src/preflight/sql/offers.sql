-- What the target has to offer for what it may refuse.
-- $1 text[]: identities of casts
SELECT pg_catalog.current_setting('is_superuser') = 'on' AS superuser,
       ARRAY(SELECT c.identity
             FROM pg_catalog.unnest($1::text[]) AS c (identity)
             WHERE NOT EXISTS (
                 SELECT 1
                 FROM pg_catalog.pg_cast x
                 CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_cast'::pg_catalog.regclass, x.oid, 0) i
                 WHERE i.identity = c.identity)) AS lacking_casts
