-- Accounting: partitions, a trigger, a materialized view, a sequence that was never called, and a foreign key that
-- leaves the schema.
CREATE SCHEMA accounting;

CREATE TYPE accounting.status AS ENUM ('draft', 'posted', 'void');
CREATE SEQUENCE accounting.next_year_number START 1000;

CREATE TABLE accounting.period (
    id     serial PRIMARY KEY,
    during daterange NOT NULL,
    closed boolean NOT NULL DEFAULT false,
    EXCLUDE USING gist (during WITH &&)
);
INSERT INTO accounting.period (during, closed)
SELECT daterange(d::date, (d + interval '1 month')::date), d < date '2025-01-01'
FROM generate_series(date '2024-01-01', date '2025-12-01', interval '1 month') d;

CREATE TABLE accounting.journal (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    posted_on  date NOT NULL,
    account_id integer NOT NULL REFERENCES finance.account (id),
    status     accounting.status NOT NULL DEFAULT 'draft',
    amount     numeric(14, 2) NOT NULL CHECK (amount <> 0),
    gross      numeric(14, 2) GENERATED ALWAYS AS (amount * 1.19) STORED,
    tags       text[],
    PRIMARY KEY (id, posted_on, status)
) PARTITION BY RANGE (posted_on);
CREATE TABLE accounting.journal_2024 PARTITION OF accounting.journal FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE accounting.journal_2025 PARTITION OF accounting.journal FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
    PARTITION BY LIST (status);
CREATE TABLE accounting.journal_2025_posted PARTITION OF accounting.journal_2025 FOR VALUES IN ('posted');
CREATE TABLE accounting.journal_2025_open PARTITION OF accounting.journal_2025 DEFAULT;
CREATE TABLE accounting.journal_other PARTITION OF accounting.journal DEFAULT;

INSERT INTO accounting.journal (posted_on, account_id, status, amount, tags)
SELECT date '2023-12-01' + i % 800, i % 2000 + 1, (ARRAY['draft', 'posted', 'void'])[i % 3 + 1]::accounting.status, i,
       CASE WHEN i % 10 = 0 THEN ARRAY['audit', 'q' || i % 4, NULL] END
FROM generate_series(1, 200000) i;
CREATE INDEX journal_account ON accounting.journal (account_id);
CREATE INDEX journal_tags ON accounting.journal USING gin (tags);
CREATE STATISTICS accounting.journal_dependent (dependencies) ON posted_on, status FROM accounting.journal_2024;

CREATE TABLE accounting.audit (at timestamptz NOT NULL DEFAULT now(), journal_id bigint, what text);
CREATE FUNCTION accounting.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounting.audit (journal_id, what) VALUES (NEW.id, TG_OP);
    RETURN NEW;
END
$$;
CREATE TRIGGER journal_note AFTER INSERT OR UPDATE ON accounting.journal
    FOR EACH ROW EXECUTE FUNCTION accounting.note();

CREATE MATERIALIZED VIEW accounting.monthly AS
SELECT date_trunc('month', posted_on)::date AS month, status, sum(amount) AS total
FROM accounting.journal GROUP BY 1, 2;
CREATE UNIQUE INDEX monthly_key ON accounting.monthly (month, status);
