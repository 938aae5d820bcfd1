-- line-100 (6 min): the warehouse over a line of 100 Mbit/s and 20 ms each way with TLS
\ir warehouse.sql
