-- By which transactions the rows of tables have come. Of a refresh only those count that it says to be whole.
-- $1 bigint[]: the loads, the first of which has made the tables
-- $2 bigint: how many transactions may have begun since
SELECT l.table_oid, pg_catalog.array_agg(l.xid::text::bigint % (1::bigint << 32)) AS xids
FROM schemaferry.landed l
WHERE l.load_id = ANY ($1)
  AND (l.load_id = ($1)[1]
       OR EXISTS (SELECT 1 FROM schemaferry.landed w
                  WHERE w.load_id = l.load_id AND w.table_oid = l.table_oid AND w.baseline IS NOT NULL))
GROUP BY l.table_oid
HAVING pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint - min(l.xid::text::bigint) < $2
