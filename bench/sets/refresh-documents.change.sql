INSERT INTO bench.document SELECT 1000000 + id, body FROM bench.document WHERE id <= greatest(1, 132 * :scale * 0.01);
