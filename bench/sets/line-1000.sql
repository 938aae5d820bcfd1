-- line-1000 (2 min): the warehouse over a line of 1 Gbit/s and 5 ms each way with TLS
\ir warehouse.sql
