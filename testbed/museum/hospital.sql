-- schemas: mimic_core, mimic_derived
-- A hospital: wide tables of events in partitions of two levels with attached indexes, durations, derived concepts as a chain of
-- materialized views and functions, deidentified shifts of dates, large objects nowhere.
CREATE SCHEMA mimic_core;
CREATE SCHEMA mimic_derived;
CREATE TYPE mimic_core.gender AS ENUM ('F', 'M', 'X');
CREATE TABLE mimic_core.patients (subject_id int PRIMARY KEY, gender mimic_core.gender NOT NULL, anchor_age smallint NOT NULL CHECK (anchor_age BETWEEN 0 AND 120 AND anchor_age <> 91), dod date, born tstzrange, code char(10) DEFAULT 'none');
CREATE TABLE mimic_core.admissions (hadm_id int PRIMARY KEY, subject_id int NOT NULL REFERENCES mimic_core.patients, admittime timestamp NOT NULL, dischtime timestamp, deathtime timestamp(0), insurance varchar(255) DEFAULT 'Other', los interval GENERATED ALWAYS AS (dischtime - admittime) STORED, CHECK (dischtime >= admittime), UNIQUE (subject_id, hadm_id));
INSERT INTO mimic_core.patients SELECT g, (ARRAY['F', 'M', 'X'])[1 + g % 3]::mimic_core.gender, g % 90, CASE WHEN g % 11 = 0 THEN date '2150-01-01' + g END, tstzrange(timestamptz '2000-01-01' + g * interval '1 day', NULL, '(]') FROM generate_series(1, 1000) g;
INSERT INTO mimic_core.admissions (hadm_id, subject_id, admittime, dischtime) SELECT g, 1 + g % 1000, timestamp '2150-01-01' + g * interval '5 hours', timestamp '2150-01-03' + g * interval '5 hours 1 minute' FROM generate_series(1, 3000) g;
CREATE TABLE mimic_core.d_items (itemid int PRIMARY KEY, label text NOT NULL, category text, lownormal double precision, highnormal real);
INSERT INTO mimic_core.d_items SELECT g, 'item ' || g, 'cat' || g % 9, g / 3.0, g / 7.0 FROM generate_series(1, 300) g;
CREATE TABLE mimic_core.chartevents (subject_id int NOT NULL, hadm_id int, charttime timestamp NOT NULL, itemid int NOT NULL, value text, valuenum double precision, warning bool, unit varchar(20) COLLATE "C") PARTITION BY RANGE (itemid);
SELECT format('CREATE TABLE mimic_core.chartevents_%1$s PARTITION OF mimic_core.chartevents FOR VALUES FROM (%2$s) TO (%3$s) PARTITION BY LIST (warning)', g, g * 50, g * 50 + 50) FROM generate_series(0, 6) g \gexec
SELECT format('CREATE TABLE mimic_core.chartevents_%1$s_%2$s PARTITION OF mimic_core.chartevents_%1$s %3$s', g, w, CASE w WHEN 'rest' THEN 'DEFAULT' ELSE 'FOR VALUES IN (' || w || ')' END) FROM generate_series(0, 6) g, unnest(ARRAY['true', 'false', 'rest']) w \gexec
CREATE INDEX chartevents_time ON mimic_core.chartevents (subject_id, charttime) INCLUDE (valuenum);
CREATE INDEX chartevents_item ON ONLY mimic_core.chartevents (itemid) WHERE valuenum IS NOT NULL;
CREATE INDEX chartevents_0_item ON ONLY mimic_core.chartevents_0 (itemid) WHERE valuenum IS NOT NULL;
INSERT INTO mimic_core.chartevents SELECT 1 + g % 1000, 1 + g % 3000, timestamp '2150-01-01' + g * interval '1 minute', 1 + g % 300, CASE WHEN g % 4 > 0 THEN (g % 100)::text END, CASE WHEN g % 4 > 0 THEN g % 100 + 0.5 END, CASE g % 3 WHEN 0 THEN true WHEN 1 THEN false END, 'mmHg' FROM generate_series(1, 15000) g;
ALTER TABLE mimic_core.chartevents ADD CONSTRAINT chart_item FOREIGN KEY (itemid) REFERENCES mimic_core.d_items;
CREATE FUNCTION mimic_derived.fn(real, double precision DEFAULT 'NaN') RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT coalesce(nullif($2, ''NaN''), 0) + $1';
CREATE FUNCTION mimic_derived.age_band(smallint) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$ BEGIN RETURN CASE WHEN $1 BETWEEN 0 AND 17 THEN 'child' WHEN $1 < 65 THEN 'adult' ELSE 'old' END; END $$;
CREATE MATERIALIZED VIEW mimic_derived.age AS SELECT p.subject_id, a.hadm_id, mimic_derived.age_band(p.anchor_age) AS band, extract(epoch FROM a.los) / 3600 AS hours FROM mimic_core.patients p JOIN mimic_core.admissions a USING (subject_id);
CREATE INDEX ON mimic_derived.age (band, hours DESC);
CREATE MATERIALIZED VIEW mimic_derived.first_day AS SELECT c.subject_id, c.hadm_id, min(c.valuenum) AS low, max(c.valuenum) AS high, avg(c.valuenum)::numeric(10, 3) AS mean, count(DISTINCT c.itemid) FILTER (WHERE i.category LIKE 'cat%') AS items
    FROM mimic_core.chartevents c JOIN mimic_core.d_items i USING (itemid) GROUP BY c.subject_id, c.hadm_id;
CREATE UNIQUE INDEX ON mimic_derived.first_day (subject_id, hadm_id);
CREATE MATERIALIZED VIEW mimic_derived.a_score AS SELECT f.*, d.band, width_bucket(f.mean, 0, 100, 5) AS score FROM mimic_derived.first_day f JOIN mimic_derived.age d USING (subject_id, hadm_id) WHERE f.low IS DISTINCT FROM f.high;
CREATE FUNCTION mimic_derived.worst(int) RETURNS numeric LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT max(mean) FROM mimic_derived.a_score WHERE subject_id = $1); END $$;
CREATE MATERIALIZED VIEW mimic_derived.a_worst AS SELECT subject_id, mimic_derived.worst(subject_id) AS worst FROM mimic_core.patients WHERE subject_id < 100;
CREATE VIEW mimic_derived.pivot AS SELECT hadm_id, max(valuenum) FILTER (WHERE itemid = 1) AS hr, max(valuenum) FILTER (WHERE itemid IN (2, 3)) AS bp, array_agg(DISTINCT unit ORDER BY unit) AS units, json_object_agg(itemid, valuenum ORDER BY itemid) AS all_of_them
    FROM mimic_core.chartevents WHERE itemid BETWEEN 1 AND 50 AND warning IS NOT TRUE GROUP BY hadm_id;
CREATE VIEW mimic_derived.stays AS SELECT *, lead(admittime) OVER (PARTITION BY subject_id ORDER BY admittime) - dischtime AS gap, ntile(4) OVER (ORDER BY los) FROM mimic_core.admissions, LATERAL (SELECT count(*) AS events FROM mimic_core.chartevents c WHERE c.hadm_id = admissions.hadm_id) e;
CREATE STATISTICS mimic_core.ev (ndistinct) ON subject_id, itemid FROM mimic_core.chartevents_0_true;
ALTER TABLE mimic_core.chartevents_0_true ALTER value SET (n_distinct = -0.5), SET (parallel_workers = 2, toast.autovacuum_enabled = false);
