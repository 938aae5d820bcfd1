-- refresh-10 (3 min): the same with 10 %, and with updates in a table of six
\ir warehouse.sql
