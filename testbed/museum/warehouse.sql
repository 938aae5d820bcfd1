-- schemas: dwh, mart
-- A warehouse as it grew: inheritance three levels deep with columns in other orders, checks that children have and parents not, routing by
-- rules, dropped columns, dimensions with slowly changing rows, marts of views over views.
CREATE SCHEMA dwh;
CREATE SCHEMA mart;
CREATE TABLE dwh.base (id bigint NOT NULL, loaded timestamptz NOT NULL DEFAULT '2024-01-01', source text DEFAULT 'x', gone int, payload text);
CREATE TABLE dwh.dated (day date NOT NULL DEFAULT CURRENT_DATE);
CREATE TABLE dwh.sale (amount numeric(12, 2) CHECK (amount > -1e9), currency char(3) DEFAULT 'EUR', source text DEFAULT 'sale', PRIMARY KEY (id)) INHERITS (dwh.base, dwh.dated);
ALTER TABLE dwh.base DROP COLUMN gone;
ALTER TABLE dwh.base ADD COLUMN quality real DEFAULT 1 CHECK (quality BETWEEN 0 AND 1 AND quality <> 0.5);
SELECT format($f$
CREATE TABLE dwh.sale_%1$s (day date NOT NULL, amount numeric(12, 2), extra_%1$s int DEFAULT %1$s, id bigint NOT NULL, loaded timestamptz NOT NULL, source text, payload text, currency char(3), quality real);
ALTER TABLE dwh.sale_%1$s ADD CONSTRAINT base_quality_check CHECK (quality BETWEEN 0 AND 1 AND quality <> 0.5), ADD CONSTRAINT sale_amount_check CHECK (amount > -1e9), ADD CONSTRAINT y%1$s CHECK (day >= '%1$s-01-01' AND day < '%2$s-01-01');
ALTER TABLE dwh.sale_%1$s INHERIT dwh.sale;
ALTER TABLE dwh.sale_%1$s ADD PRIMARY KEY (id);
CREATE INDEX ON dwh.sale_%1$s (day, amount);
CREATE RULE to_%1$s AS ON INSERT TO dwh.sale WHERE NEW.day >= '%1$s-01-01'::date AND NEW.day < '%2$s-01-01'::date DO INSTEAD INSERT INTO dwh.sale_%1$s (day, amount, id, loaded, source, payload, currency, quality) VALUES (NEW.day, NEW.amount, NEW.id, NEW.loaded, NEW.source, NEW.payload, NEW.currency, NEW.quality);
INSERT INTO dwh.sale_%1$s (day, amount, id, loaded, payload, quality) SELECT date '%1$s-01-01' + g %% 365, g * 1.1, g + %1$s * 10000, '2024-01-01', repeat('json {"k": ' || g || '} ', g %% 60), 0.75 FROM generate_series(1, 800) g;
CREATE TABLE dwh.sale_%1$s_late (arrived timestamptz) INHERITS (dwh.sale_%1$s);
INSERT INTO dwh.sale_%1$s_late (day, amount, id, loaded) VALUES ('%1$s-12-31', 5, 1, '2024-01-01');
$f$, y, y + 1) FROM generate_series(2012, 2024) y \gexec
CREATE TABLE dwh.dim_product (sk serial PRIMARY KEY, nk text NOT NULL, valid tstzrange NOT NULL DEFAULT '[,)', attrs jsonb, EXCLUDE USING gist (nk extensions.gist_text_ops WITH =, valid WITH &&));
INSERT INTO dwh.dim_product (nk, valid, attrs) SELECT 'P' || g % 100, tstzrange(timestamptz '2020-01-01' + g / 100 * interval '1 year', timestamptz '2021-01-01' + g / 100 * interval '1 year'), jsonb_build_object('v', g) FROM generate_series(0, 399) g;
CREATE TABLE dwh.dim_date AS SELECT d::date AS day, extract(isodow FROM d)::int AS dow, to_char(d, 'YYYY-MM') AS month FROM generate_series(timestamp '2012-01-01', timestamp '2024-12-31', '1 day') d;
ALTER TABLE dwh.dim_date ADD PRIMARY KEY (day), ADD COLUMN weekend bool GENERATED ALWAYS AS (dow IN (6, 7)) STORED;
CREATE TYPE dwh.t_row AS (a int, b text);
CREATE TABLE dwh.typed OF dwh.t_row (PRIMARY KEY (a), b WITH OPTIONS DEFAULT 'z' NOT NULL);
INSERT INTO dwh.typed SELECT g, 'b' || g FROM generate_series(1, 100) g;
SELECT format('CREATE VIEW mart.sale_%1$s AS SELECT d.month, sum(s.amount) AS amount, count(*) FILTER (WHERE d.weekend) AS weekend FROM dwh.sale_%1$s s JOIN dwh.dim_date d USING (day) GROUP BY d.month', y) FROM generate_series(2012, 2024) y \gexec
SELECT 'CREATE VIEW mart.sales AS ' || string_agg(format('SELECT %1$s AS year, * FROM mart.sale_%1$s', y), ' UNION ALL ' ORDER BY y) FROM generate_series(2012, 2024) y \gexec
CREATE VIEW mart.growth AS SELECT year, sum(amount) AS amount, sum(amount) / lag(sum(amount)) OVER (ORDER BY year) - 1 AS growth FROM mart.sales GROUP BY year;
CREATE MATERIALIZED VIEW mart.cube AS SELECT year, month, sum(amount) AS amount, grouping(year, month) AS g FROM mart.sales GROUP BY CUBE (year, month);
CREATE INDEX ON mart.cube (year, month);
CREATE VIEW mart.ancestors AS SELECT tableoid::regclass AS part, count(*) AS n FROM dwh.base GROUP BY tableoid;
CREATE VIEW mart.current_products AS SELECT DISTINCT ON (nk) nk, sk, attrs FROM dwh.dim_product WHERE valid @> '2022-06-01'::timestamptz OR upper_inf(valid) ORDER BY nk, lower(valid) DESC;
CREATE FUNCTION mart.refresh() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN REFRESH MATERIALIZED VIEW mart.cube; END $$;
ALTER FUNCTION mart.refresh() SET work_mem = '64MB';
ALTER FUNCTION mart.refresh() OWNER TO museum_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA mart TO museum_reader WITH GRANT OPTION;
