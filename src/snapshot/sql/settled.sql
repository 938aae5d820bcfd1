-- Transactions that have committed although older ones still run: what a snapshot that is taken later has seen of them too. Ranges
-- of their numbers, the longest first; those of subtransactions are among them. Where a transaction has run for so long that
-- there are too many to ask about, none.
-- $1 bigint: numbers to ask about at most
-- $2 bigint: ranges at most
-- first: of a range, and next: the first number after it
WITH running AS MATERIALIZED (
    SELECT pg_catalog.pg_snapshot_xmin(s.now)::text::bigint AS xmin, pg_catalog.pg_snapshot_xmax(s.now)::text::bigint AS xmax
    FROM (SELECT pg_catalog.pg_current_snapshot()) AS s (now)
), committed AS (
    SELECT n.number, n.number - pg_catalog.row_number() OVER (ORDER BY n.number) AS range
    FROM running r CROSS JOIN LATERAL pg_catalog.generate_series(r.xmin, r.xmax - 1) AS n (number)
    WHERE r.xmax - r.xmin <= $1 AND pg_catalog.pg_xact_status(n.number::text::pg_catalog.xid8) = 'committed'
)
SELECT pg_catalog.min(c.number) AS first, pg_catalog.max(c.number) + 1 AS next
FROM committed c
GROUP BY c.range
ORDER BY pg_catalog.count(*) DESC, first
LIMIT $2
