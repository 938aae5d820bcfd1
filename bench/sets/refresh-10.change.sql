\set added 0.1
\ir added.sql
UPDATE event_login_failed SET reason = 'late' WHERE id % 50 = 0;
