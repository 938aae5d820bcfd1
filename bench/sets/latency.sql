-- latency (2 min): the warehouse, its source 10 ms away (each way)
\ir warehouse.sql
