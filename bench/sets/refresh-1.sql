-- refresh-1 (3 min): the warehouse, to which 1 % was added since it was loaded
\ir warehouse.sql
