\set added 0.01
\ir added.sql
