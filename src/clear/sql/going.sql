-- Some objects and the tables that inherit from one of them; what stands outside of the unit is refused before it goes.
-- $1 oid[]: the objects
-- $2 oid[]: the unit's schemas
WITH RECURSIVE going (oid) AS (
    SELECT o.oid FROM pg_catalog.unnest($1::oid[]) AS o (oid)
    UNION
    SELECT c.oid
    FROM going g
    JOIN pg_catalog.pg_inherits h ON h.inhparent = g.oid
    JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid AND c.relnamespace = ANY ($2)
)
SELECT g.oid FROM going g
