-- lopsided (2 min): one table twenty times the size of twenty others, each with a primary key and an index: 400 MB
\set tables 'SELECT 1, 2000000 UNION ALL SELECT i, 100000 FROM generate_series(2, 21) AS i'
\ir sales.sql
