-- even (1 min): the rows of lopsided in forty tables of one size, to hold lopsided against
\set tables 'SELECT i, 100000 FROM generate_series(1, 40) AS i'
\ir sales.sql
