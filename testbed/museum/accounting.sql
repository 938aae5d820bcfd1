-- schemas: ledger
-- An accounting package: double entry under constraint triggers, exclusion of overlapping periods, numbering by function, workflows as
-- enums and composites, everything deferrable, notes by inheritance, reports as set-returning functions.
CREATE SCHEMA ledger;
SET search_path = ledger, public, extensions;
CREATE TYPE account_kind AS ENUM ('asset', 'liability', 'equity', 'income', 'expense');
CREATE TYPE money_pair AS (amount numeric, currency char(3));
CREATE TYPE trial_row AS (account int, debit money_pair, credit money_pair, children int[]);
CREATE DOMAIN iso_currency AS char(3) COLLATE "C" DEFAULT 'EUR' NOT NULL CHECK (VALUE ~ '^[A-Z]{3}$') CONSTRAINT no_test CHECK (VALUE <> 'XXX');
CREATE TABLE account (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent int REFERENCES account (id) ON DELETE RESTRICT, accno text NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED,
    description text, kind account_kind NOT NULL, contra bool NOT NULL DEFAULT false, tax bool, path ltree, CHECK (parent <> id), CHECK ((contra AND kind IN ('asset', 'equity')) OR NOT contra));
INSERT INTO account (parent, accno, description, kind, path) SELECT CASE WHEN g > 5 THEN 1 + g % 5 END, lpad((g * 10)::text, 5, '0'), 'Account ' || g, (enum_range(NULL::account_kind))[1 + g % 5], text2ltree('a.' || g) FROM generate_series(1, 200) g;
CREATE INDEX account_path ON account USING gist (path gist_ltree_ops(siglen = 100));
CREATE TABLE currency (code iso_currency PRIMARY KEY, digits smallint DEFAULT 2, rates numeric[] DEFAULT ARRAY[1.0, 2.5]::numeric[]);
INSERT INTO currency (code) VALUES ('EUR'), ('USD'), ('JPY');
CREATE TABLE note (id serial PRIMARY KEY, note_class int NOT NULL, note text NOT NULL, created timestamptz NOT NULL DEFAULT '2024-01-01', ref_key int NOT NULL);
CREATE TABLE account_note (FOREIGN KEY (ref_key) REFERENCES account (id), CHECK (note_class = 1), PRIMARY KEY (id)) INHERITS (note);
CREATE TABLE journal_note (CHECK (note_class = 2) NO INHERIT, PRIMARY KEY (id), extra xml) INHERITS (note);
ALTER TABLE note ADD CONSTRAINT nobody CHECK (false) NO INHERIT;
INSERT INTO account_note (note_class, note, ref_key) SELECT 1, 'note ' || g, g FROM generate_series(1, 150) g;
CREATE TABLE period (id int PRIMARY KEY, during daterange NOT NULL, closed bool DEFAULT false, EXCLUDE USING gist (during WITH &&) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT one_open EXCLUDE (closed WITH =) WHERE (NOT closed AND during IS NULL));
INSERT INTO period SELECT g, daterange((date '2020-01-01' + (g - 1) * interval '1 month')::date, (date '2020-01-01' + g * interval '1 month')::date), g < 40 FROM generate_series(1, 48) g;
CREATE TABLE journal (id bigserial PRIMARY KEY, reference text, posted date NOT NULL, approved bool NOT NULL DEFAULT false, state jsonb NOT NULL DEFAULT '{"by": null}');
CREATE TABLE journal_line (id bigserial, journal bigint NOT NULL REFERENCES journal ON DELETE CASCADE DEFERRABLE, account int NOT NULL, amount numeric(20, 4) NOT NULL CHECK (amount <> 'NaN' AND amount BETWEEN -1e12 AND 1e12 AND amount <> 0), currency iso_currency REFERENCES currency,
    memo varchar(200), tags text[] NOT NULL DEFAULT '{}', PRIMARY KEY (journal, id)) PARTITION BY HASH (journal);
SELECT format('CREATE TABLE journal_line_%s PARTITION OF journal_line FOR VALUES WITH (MODULUS 4, REMAINDER %s)', r, r) FROM generate_series(0, 3) r \gexec
ALTER TABLE journal_line ADD FOREIGN KEY (account) REFERENCES account ON UPDATE CASCADE NOT DEFERRABLE;
ALTER TABLE journal_line ADD UNIQUE (journal, account, memo) DEFERRABLE INITIALLY IMMEDIATE;
INSERT INTO journal (reference, posted, approved) SELECT 'J-' || g, date '2020-01-01' + g % 1400, g % 2 = 0 FROM generate_series(1, 2000) g;
INSERT INTO journal_line (journal, account, amount, currency, memo) SELECT j, 1 + (j * s) % 200, CASE s WHEN 1 THEN j ELSE -j END, 'EUR', 'line ' || s FROM generate_series(1, 2000) j, generate_series(1, 2) s;
CREATE FUNCTION balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(amount) FROM ledger.journal_line WHERE journal = NEW.journal) <> 0 THEN RAISE EXCEPTION 'journal % is not balanced', NEW.journal USING ERRCODE = 'check_violation'; END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER balanced AFTER INSERT OR UPDATE ON journal_line DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION balanced();
CREATE TABLE transition_log (n bigint, at timestamptz DEFAULT now());
CREATE FUNCTION count_new() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ledger.transition_log (n) SELECT count(*) FROM added; RETURN NULL; END $$;
CREATE TRIGGER count_new AFTER INSERT ON journal REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_new('an', 'argument''s');
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON journal EXECUTE FUNCTION count_new();
ALTER TABLE journal ENABLE REPLICA TRIGGER count_new;
CREATE FUNCTION next_number(INOUT prefix text, OUT number int) LANGUAGE plpgsql AS $$ BEGIN number := 1 + (SELECT count(*) FROM journal); END $$;
CREATE FUNCTION trial_balance(at date DEFAULT CURRENT_DATE, only_kinds account_kind[] DEFAULT enum_range(NULL::account_kind)) RETURNS SETOF trial_row LANGUAGE sql STABLE AS $$
    SELECT a.id, ROW(sum(l.amount) FILTER (WHERE l.amount > 0), 'EUR')::ledger.money_pair, ROW(-sum(l.amount) FILTER (WHERE l.amount < 0), 'EUR')::ledger.money_pair,
           ARRAY(SELECT c.id FROM ledger.account c WHERE c.parent = a.id)
    FROM ledger.account a JOIN ledger.journal_line l ON l.account = a.id JOIN ledger.journal j ON j.id = l.journal WHERE j.posted <= at AND a.kind = ANY (only_kinds) GROUP BY a.id
$$;
CREATE PROCEDURE close_period(which int, OUT was bool) LANGUAGE sql BEGIN ATOMIC UPDATE period SET closed = true WHERE id = which AND during IS NOT NULL RETURNING NOT closed; END;
CREATE FUNCTION pair_add(money_pair, money_pair) RETURNS money_pair LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1.amount + $2.amount, $1.currency)::ledger.money_pair';
CREATE OPERATOR + (LEFTARG = money_pair, RIGHTARG = money_pair, FUNCTION = pair_add, COMMUTATOR = +);
CREATE AGGREGATE sum (money_pair) (SFUNC = pair_add, STYPE = money_pair);
CREATE VIEW balances AS SELECT a.accno, a.kind, sum(ROW(l.amount, l.currency)::money_pair) AS balance, (SELECT count(*) FROM account_note n WHERE n.ref_key = a.id) AS notes
    FROM account a LEFT JOIN journal_line l ON l.account = a.id GROUP BY a.id, a.accno, a.kind HAVING count(*) > 1 ORDER BY a.accno COLLATE "C";
CREATE MATERIALIZED VIEW monthly AS SELECT date_trunc('month', j.posted::timestamp)::date AS month, l.account, sum(l.amount) AS amount FROM journal j JOIN journal_line l ON l.journal = j.id GROUP BY 1, 2 WITH DATA;
CREATE INDEX ON monthly USING brin (month);
CREATE VIEW editable AS SELECT id, reference, posted FROM journal WHERE NOT approved WITH LOCAL CHECK OPTION;
ALTER VIEW editable SET (security_barrier = true);
CREATE VIEW editable_too AS TABLE editable;
ALTER TABLE journal REPLICA IDENTITY FULL;
ALTER TABLE account REPLICA IDENTITY USING INDEX account_pkey;
REVOKE ALL ON SCHEMA ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO museum_staff, museum_reader;
GRANT INSERT, SELECT ON journal, journal_line TO museum_staff;
GRANT USAGE ON TYPE money_pair TO museum_reader;
GRANT USAGE ON SEQUENCE journal_id_seq TO museum_staff;
RESET search_path;
