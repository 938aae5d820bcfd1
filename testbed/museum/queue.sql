-- schemas: jobs, cron
-- Queues and schedules: states as enums, exclusion over running jobs, notify in triggers, partitions by list over enums and by range over
-- expressions, advisory locks in functions, an archive that inherits its table's shape with LIKE.
CREATE SCHEMA cron;
CREATE SCHEMA jobs;
CREATE TYPE jobs.state AS ENUM ('created', 'retry', 'active', 'completed', 'cancelled', 'failed');
CREATE FUNCTION cron.next_run(spec text, after timestamptz) RETURNS timestamptz LANGUAGE plpgsql STABLE STRICT AS $$ BEGIN RETURN after + CASE spec WHEN '@daily' THEN interval '1 day' ELSE interval '1 hour' END; END $$;
CREATE TABLE cron.schedule (name text PRIMARY KEY, spec text NOT NULL CHECK (spec ~ '^@' OR spec ~ '^([0-9*/,-]+ ){4}[0-9*/,-]+$' AND spec NOT LIKE '%  %'), timezone text DEFAULT 'UTC', data jsonb, options jsonb DEFAULT '{}'::jsonb, last_run timestamptz);
INSERT INTO cron.schedule (name, spec, data) SELECT 's' || g, CASE g % 2 WHEN 0 THEN '@daily' ELSE '*/5 * * * 1-5' END, jsonb_build_object('g', g) FROM generate_series(1, 50) g;
CREATE TABLE jobs.job (id uuid NOT NULL DEFAULT gen_random_uuid(), name text NOT NULL, state jobs.state NOT NULL DEFAULT 'created', priority int NOT NULL DEFAULT 0, retry_limit smallint DEFAULT 2, start_after timestamptz NOT NULL DEFAULT '2024-01-01', started timestamptz, expire interval NOT NULL DEFAULT interval '15 minutes', completed timestamptz, keep_until timestamptz DEFAULT '2024-02-01', singleton text, output jsonb, CHECK (completed >= started)) PARTITION BY LIST (state);
CREATE TABLE jobs.job_open PARTITION OF jobs.job FOR VALUES IN ('created', 'retry', 'active');
CREATE TABLE jobs.job_done PARTITION OF jobs.job FOR VALUES IN ('completed') PARTITION BY RANGE (date_part('hour', expire), ((priority + 1)) int4_ops);
CREATE TABLE jobs.job_done_low PARTITION OF jobs.job_done FOR VALUES FROM (MINVALUE, MINVALUE) TO (1, 5);
CREATE TABLE jobs.job_done_high PARTITION OF jobs.job_done DEFAULT;
CREATE TABLE jobs.job_rest PARTITION OF jobs.job DEFAULT;
INSERT INTO jobs.job (id, name, state, priority, started, completed, expire) SELECT md5('j' || g)::uuid, 'queue' || g % 5, (enum_range(NULL::jobs.state))[1 + g % 6], g % 10, timestamptz '2024-01-01' + g * interval '1 s', timestamptz '2024-01-02' + g * interval '1 s', g % 4 * interval '40 minutes' FROM generate_series(1, 4000) g;
CREATE INDEX job_fetch ON jobs.job (name, start_after) INCLUDE (priority) WHERE state < 'active';
CREATE UNIQUE INDEX job_singleton ON jobs.job_open (name, singleton) WHERE state <= 'completed' AND singleton IS NOT NULL;
CREATE INDEX ON jobs.job (priority DESC, id) WHERE state IN ('created', 'retry') AND priority BETWEEN 1 AND 5;
CREATE TABLE jobs.archive (LIKE jobs.job INCLUDING ALL, archived timestamptz DEFAULT '2024-03-01');
INSERT INTO jobs.archive SELECT * FROM jobs.job WHERE state = 'completed' LIMIT 200;
CREATE TABLE jobs.running (worker int, job uuid, during tstzrange NOT NULL, EXCLUDE USING gist (worker extensions.gist_int4_ops WITH =, during WITH &&));
INSERT INTO jobs.running SELECT g % 5, md5('j' || g)::uuid, tstzrange(timestamptz '2024-01-01' + g * interval '1 h', timestamptz '2024-01-01' + (g + 1) * interval '1 h') FROM generate_series(1, 300) g;
CREATE FUNCTION jobs.wake() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('jobs', NEW.name); RETURN NEW; END $$;
CREATE TRIGGER wake AFTER INSERT ON jobs.job FOR EACH ROW WHEN (NEW.state = 'created' AND NEW.priority NOT BETWEEN 3 AND 4) EXECUTE FUNCTION jobs.wake();
CREATE TRIGGER wake_late AFTER UPDATE OF state ON jobs.job_open FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION jobs.wake();
ALTER TABLE jobs.job_rest DISABLE TRIGGER wake;
CREATE FUNCTION jobs.fetch(queue text, batch int DEFAULT 1) RETURNS SETOF jobs.job LANGUAGE sql AS $$
    WITH next AS (SELECT id FROM jobs.job WHERE name = queue AND state < 'active' AND start_after < now() ORDER BY priority DESC, id LIMIT batch FOR UPDATE SKIP LOCKED)
    UPDATE jobs.job j SET state = 'active', started = now() FROM next WHERE j.id = next.id RETURNING j.*
$$;
CREATE FUNCTION jobs.lock(key text) RETURNS bool LANGUAGE sql VOLATILE BEGIN ATOMIC SELECT pg_try_advisory_xact_lock(hashtext(lock.key)::bigint); END;
CREATE VIEW jobs.due AS SELECT s.name, cron.next_run(s.spec, coalesce(s.last_run, '2024-01-01')) AS at FROM cron.schedule s WHERE s.spec NOT IN ('@never', '@reboot') OR s.data @> '{"g": 1}';
CREATE VIEW jobs.counts AS SELECT name, state, count(*) AS n, count(*) FILTER (WHERE started + expire < completed) AS late FROM jobs.job GROUP BY CUBE (name, state) ORDER BY name NULLS FIRST, state;
CREATE MATERIALIZED VIEW jobs.speed AS SELECT name, percentile_disc(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY completed - started) AS took, min(state) AS first FROM jobs.job GROUP BY name;
COMMENT ON TYPE jobs.state IS 'in the order of a life';
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA jobs TO museum_staff;
GRANT SELECT, UPDATE (state, started) ON jobs.job TO museum_staff;
