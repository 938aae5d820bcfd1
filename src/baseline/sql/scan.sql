-- How many rows parts of tables hold, how many of them are new, and which, where that is at most one to EACH blocks from the first one on.
-- PARTS: of each its number, the block at which it ends (0 where none is to be listed), its rows, how many are new, and identifiers of
-- these, which may be left out
-- first: no new row is before that block; listed: row identifiers as the server sends them
SELECT part.index, part.all, part.new, at.first, CASE WHEN part.new * EACH <= part.until - at.first THEN part.tids END AS listed
FROM (PARTS) AS part (index, until, "all", new, tids)
CROSS JOIN LATERAL (
    SELECT coalesce((pg_catalog.get_byte(part.tids, 0)::bigint << 24) + (pg_catalog.get_byte(part.tids, 1) << 16)
                    + (pg_catalog.get_byte(part.tids, 2) << 8) + pg_catalog.get_byte(part.tids, 3), 0)::bigint AS first
) AS at
ORDER BY part.index
