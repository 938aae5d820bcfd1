-- schemas: disclosure, aux, ofec
-- Election finance: filings by year in inheritance tables with their own checks, amendment chains, sums in materialized views over
-- materialized views, text search over names by triggers, functions in languages sql and plpgsql.
CREATE SCHEMA aux;
CREATE SCHEMA disclosure;
CREATE SCHEMA ofec;
CREATE TYPE aux.party AS ENUM ('DEM', 'REP', 'IND', 'OTH');
CREATE DOMAIN aux.cycle AS int CHECK (VALUE % 2 = 0 AND VALUE BETWEEN 1976 AND 2050);
CREATE DOMAIN aux.amount AS numeric(14, 2);
CREATE TABLE disclosure.committee (cmte_id varchar(9) PRIMARY KEY, name text NOT NULL, party aux.party, cycles aux.cycle[] NOT NULL, treasurer text, name_txt tsvector);
CREATE FUNCTION aux.committee_txt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.name_txt := to_tsvector('pg_catalog.english', NEW.name || ' ' || coalesce(NEW.treasurer, '')); RETURN NEW; END $$;
CREATE TRIGGER txt BEFORE INSERT OR UPDATE ON disclosure.committee FOR EACH ROW EXECUTE FUNCTION aux.committee_txt();
CREATE TRIGGER txt_builtin BEFORE INSERT ON disclosure.committee FOR EACH ROW WHEN (NEW.name_txt IS NULL)
    EXECUTE FUNCTION tsvector_update_trigger('name_txt', 'pg_catalog.simple', 'name');
ALTER TABLE disclosure.committee ENABLE ALWAYS TRIGGER txt;
INSERT INTO disclosure.committee (cmte_id, name, party, cycles, treasurer)
SELECT 'C' || lpad(g::text, 8, '0'), 'Committee ' || g, (enum_range(NULL::aux.party))[1 + g % 4], ARRAY[2020, 2022], 'Treasurer ' || g % 100 FROM generate_series(1, 800) g;
CREATE INDEX ON disclosure.committee USING gin (name_txt);
CREATE INDEX ON disclosure.committee USING gin (cycles);
CREATE TABLE disclosure.sched_a (sub_id bigint NOT NULL, cmte_id varchar(9), contributor text, amount aux.amount, received date, two_year int NOT NULL, memo jsonb DEFAULT '{}', pdf_url text);
COMMENT ON TABLE disclosure.sched_a IS 'Contributions';
SELECT format($f$
CREATE TABLE disclosure.sched_a_%1$s (CONSTRAINT two_year_%1$s CHECK (two_year = ANY (ARRAY[%1$s, %2$s])), PRIMARY KEY (sub_id), fips char(5) DEFAULT '00000') INHERITS (disclosure.sched_a);
CREATE INDEX sched_a_%1$s_amount ON disclosure.sched_a_%1$s (amount DESC NULLS LAST, sub_id) WHERE amount IS NOT NULL AND received BETWEEN '%2$s-01-01' AND '%1$s-12-31';
CREATE INDEX sched_a_%1$s_name ON disclosure.sched_a_%1$s (upper(contributor) varchar_pattern_ops);
ALTER TABLE disclosure.sched_a_%1$s ALTER COLUMN amount SET DEFAULT %1$s, ALTER contributor SET STATISTICS 1000;
INSERT INTO disclosure.sched_a_%1$s (sub_id, cmte_id, contributor, amount, received, two_year)
SELECT %1$s * 10000::bigint + g, 'C' || lpad((1 + g %% 800)::text, 8, '0'), 'Contributor ' || g, g / 3.0, date '%2$s-01-01' + g %% 700, %1$s FROM generate_series(1, 600) g;
$f$, y, y - 1) FROM generate_series(2000, 2024, 2) y \gexec
CREATE FUNCTION disclosure.route() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN EXECUTE format('INSERT INTO disclosure.sched_a_%s SELECT ($1).*', NEW.two_year) USING NEW; RETURN NULL; END $$;
CREATE TRIGGER route BEFORE INSERT ON disclosure.sched_a FOR EACH ROW EXECUTE FUNCTION disclosure.route();
CREATE TABLE disclosure.filing (file_num int PRIMARY KEY, prev int REFERENCES disclosure.filing, amended_by int, form varchar(8), total aux.amount, coverage daterange,
    is_latest bool GENERATED ALWAYS AS (amended_by IS NULL) STORED);
INSERT INTO disclosure.filing (file_num, prev, amended_by, form, total, coverage)
SELECT g, CASE WHEN g % 5 = 0 THEN g - 1 END, CASE WHEN g % 5 = 4 AND g < 1000 THEN g + 1 END, 'F3' || (ARRAY['', 'X', 'P'])[1 + g % 3], g * 10, daterange(date '2020-01-01' + g, date '2020-04-01' + g) FROM generate_series(1, 1000) g;
CREATE FUNCTION aux.last_day(date) RETURNS date LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT (date_trunc('month', $1::timestamp) + interval '1 month - 1 day')::date $$;
CREATE FUNCTION aux.clean(text, VARIADIC bad text[] DEFAULT ARRAY['INC', 'LLC']) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RETURN regexp_replace($1, '\m(' || array_to_string(bad, '|') || ')\M', '', 'g'); END $$;
CREATE FUNCTION aux.fold(acc numeric, v numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT coalesce(acc, 0) + coalesce(v, 0)';
CREATE AGGREGATE aux.total (numeric) (SFUNC = aux.fold, STYPE = numeric, COMBINEFUNC = numeric_add, PARALLEL = SAFE);
CREATE MATERIALIZED VIEW ofec.sched_a_by_committee AS
SELECT cmte_id, two_year, aux.total(amount) AS total, count(*) AS n, max(received) AS last FROM disclosure.sched_a GROUP BY cmte_id, two_year;
CREATE UNIQUE INDEX ON ofec.sched_a_by_committee (cmte_id, two_year);
CREATE MATERIALIZED VIEW ofec.committee_history AS
SELECT c.cmte_id, c.name, c.party, unnest(c.cycles) AS cycle, coalesce(s.total, 0) AS total FROM disclosure.committee c LEFT JOIN ofec.sched_a_by_committee s ON s.cmte_id = c.cmte_id AND s.two_year = c.cycles[1];
CREATE INDEX ON ofec.committee_history (cycle, total DESC);
CREATE MATERIALIZED VIEW ofec.amendments AS
WITH RECURSIVE chain AS (
    SELECT file_num, ARRAY[file_num] AS path FROM disclosure.filing WHERE prev IS NULL
    UNION ALL SELECT f.file_num, c.path || f.file_num FROM disclosure.filing f JOIN chain c ON f.prev = c.file_num
) SELECT file_num, path, path[array_upper(path, 1)] AS latest FROM chain;
CREATE VIEW ofec.totals AS
SELECT h.cycle, h.party, sum(h.total) AS total, CASE WHEN h.party IN ('DEM', 'REP') THEN 'major' ELSE 'minor' END AS size,
       rank() OVER w, lag(sum(h.total)) OVER w AS before, grouping(h.party) AS g
FROM ofec.committee_history h GROUP BY ROLLUP (h.cycle, h.party)
WINDOW w AS (PARTITION BY h.cycle ORDER BY sum(h.total) DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
CREATE VIEW ofec.any_name AS SELECT name, 'committee' AS kind FROM disclosure.committee UNION ALL SELECT contributor, NULL FROM disclosure.sched_a EXCEPT SELECT treasurer, 'x' FROM disclosure.committee;
CREATE VIEW ofec.f AS SELECT f.*, f.total NOT BETWEEN 10 AND 20 AND f.form <> 'F3' AS odd, f.coverage @> CURRENT_DATE AS open FROM disclosure.filing f WHERE (f.form, f.is_latest) = ('F3X', true) OR f.total BETWEEN SYMMETRIC 500 AND 100;
CREATE RULE no_delete AS ON DELETE TO disclosure.filing DO INSTEAD NOTHING;
CREATE RULE log_update AS ON UPDATE TO disclosure.filing WHERE NEW.total IS DISTINCT FROM OLD.total DO ALSO INSERT INTO disclosure.sched_a (sub_id, two_year) VALUES (OLD.file_num, 2024);
GRANT USAGE ON SCHEMA ofec, disclosure TO museum_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA ofec TO museum_reader;
