-- line-400 (3 min): the warehouse over a line of 400 Mbit/s and 5 ms each way with TLS
\ir warehouse.sql
