-- The locale of money that sessions of the database begin with, and how many decimals an amount has by it: what is stored are the
-- smallest parts.
SELECT s.name, pg_catalog.scale((CASE WHEN s.name IS NULL THEN 0 ELSE 1 END)::money::numeric) AS decimals
FROM (SELECT pg_catalog.set_config('lc_monetary', g.reset_val, true)
      FROM pg_catalog.pg_settings g WHERE g.name = 'lc_monetary') AS s (name)
