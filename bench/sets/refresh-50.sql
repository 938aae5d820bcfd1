-- refresh-50 (3 min): the same with 50 %
\ir warehouse.sql
