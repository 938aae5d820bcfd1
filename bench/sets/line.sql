-- line (1 min): the warehouse over a line of 200 Mbit/s and 10 ms with TLS, by the worker alone
\ir warehouse.sql
