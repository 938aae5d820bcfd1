-- The moment: the lowest number of a running transaction, the first that no transaction has.
SELECT pg_catalog.pg_snapshot_xmin(s.now)::text::bigint AS xmin, pg_catalog.pg_snapshot_xmax(s.now)::text::bigint AS xmax
FROM (SELECT pg_catalog.pg_current_snapshot()) AS s (now)
