//! Comparing: every difference is found and named, and databases that agree raise no alarm.

use nix::sys::signal::Signal;
use testbed::{Output, Worker, warehouse};

use crate::rig::{GRID, METHODS, Rig, assert_exit, text};
use crate::slow::{SLOW_ROWS, wait_for_phase};

/// Row `i` of `s.t`.
const ROW: &str = "i, 'row ' || i, timestamptz '2024-01-01' + i * interval '1 s', i + 0.1::float8, decode(md5(i::text), 'hex'), i % 7";

fn schema() -> String {
    format!(
        "CREATE SCHEMA s; SET search_path = s; CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN word AS text CHECK (VALUE <> '');
         CREATE TABLE t (id int PRIMARY KEY, v text, at timestamptz, f float8, b bytea, n numeric DEFAULT 5, CONSTRAINT small CHECK (n < 10));
         INSERT INTO t SELECT {ROW} FROM generate_series(1, 3000) i; UPDATE t SET v = CASE id WHEN 13 THEN E'\\x01NULL' ELSE '' END WHERE id IN (13, 14); CREATE INDEX i ON t (v); COMMENT ON COLUMN t.v IS 'said';
         CREATE TABLE parent (k int, v text); CREATE TABLE child (w int) INHERITS (parent); INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c', 3);
         CREATE TABLE moods (m mood, v text) PARTITION BY HASH (m); CREATE TABLE m0 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE m1 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO moods VALUES ('sad', 'x'), ('ok', 'y'), (NULL, 'z');
         CREATE TABLE pairs (a int, b text, c mood[], PRIMARY KEY (a, b)); INSERT INTO pairs SELECT i, 'b', ARRAY['ok', NULL]::mood[] FROM generate_series(1, 10) i;
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); CREATE FUNCTION g(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE VIEW w AS SELECT id, v FROM t WHERE v IN ('a', 'b'); CREATE RULE r AS ON DELETE TO pairs WHERE OLD.a > 100 DO INSTEAD NOTHING; CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM t;
         CREATE SEQUENCE q OWNED BY t.n; SELECT setval('q', 70); ALTER TABLE pairs ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES t; CREATE STATISTICS st ON id, n FROM t;
         CREATE INDEX e ON t ((n + 1), lower(v) COLLATE \"C\" DESC) WHERE n BETWEEN 1 AND 5 AND v <> 'q'; ALTER TABLE pairs ADD d int GENERATED ALWAYS AS (a * 2) STORED; CREATE DOMAIN small AS int DEFAULT 1 + 1 CHECK (VALUE BETWEEN 1 AND 5 AND VALUE <> 3);
         CREATE TRIGGER guarded AFTER UPDATE ON t FOR EACH ROW WHEN (old.n BETWEEN 1 AND 5 AND new.v <> 'q') EXECUTE FUNCTION f(); CREATE FUNCTION h(a int DEFAULT 1 + 1) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM t WHERE id BETWEEN 1 AND h.a AND v <> 'q'; END;
         CREATE STATISTICS se ON (id + 1), v FROM t; ALTER TABLE pairs ADD CONSTRAINT ex EXCLUDE USING btree (a WITH =, b WITH =) WHERE (a > 5);
         ALTER TABLE t ALTER id SET STATISTICS 250; ALTER TABLE pairs REPLICA IDENTITY FULL; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t FOR SELECT USING (n > 3); GRANT SELECT, UPDATE (v) ON t TO PUBLIC"
    )
}

/// A child's columns as they were: what it had before it inherits stays its own.
pub(crate) const INHERITED: &str = "ALTER TABLE child INHERIT parent;
     UPDATE pg_attribute SET attislocal = false WHERE attrelid = 'child'::regclass AND attinhcount > 0";

/// What is done to the target after a good load, what makes it good again, and words of what `verify` says of it.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "REFRESH MATERIALIZED VIEW mv WITH NO DATA",
        "REFRESH MATERIALIZED VIEW mv",
        r#"materialized view "s"."mv": populated is not set on the source and false on the target"#,
    ),
    (
        "UPDATE t SET v = 'Row 7' WHERE id = 7",
        "UPDATE t SET v = 'row 7' WHERE id = 7",
        r#""s"."t" holds other values on the target: column v differs where id = 7"#,
    ),
    (
        "UPDATE t SET at = at + interval '1 us' WHERE id IN (8, 1999)",
        "UPDATE t SET at = at - interval '1 us' WHERE id IN (8, 1999)",
        "column at differs where id = 1",
    ),
    (
        "UPDATE t SET f = 9.100000000000001 WHERE id = 9",
        "UPDATE t SET f = 9.1 WHERE id = 9",
        "column f differs where id = 9",
    ),
    (
        "UPDATE t SET b = set_byte(b, 3, 255 - get_byte(b, 3)) WHERE id = 10",
        "UPDATE t SET b = set_byte(b, 3, 255 - get_byte(b, 3)) WHERE id = 10",
        "column b differs where id = 10",
    ),
    (
        "UPDATE t SET n = NULL, v = '' WHERE id = 11",
        "UPDATE t SET n = 4, v = 'row 11' WHERE id = 11",
        "column n, v differs where id = 11",
    ),
    (
        "UPDATE t SET v = NULL WHERE id IN (13, 14)",
        r"UPDATE t SET v = CASE id WHEN 13 THEN E'\x01NULL' ELSE '' END WHERE id IN (13, 14)",
        "column v differs where id = 13 or id = 14",
    ),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO PUBLIC",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA s REVOKE SELECT ON TABLES FROM PUBLIC",
        "exists only on the target: SELECT on TABLES to PUBLIC in s",
    ),
    (
        "DELETE FROM t WHERE id = 12",
        "INSERT INTO t SELECT {ROW} FROM generate_series(12, 12) i",
        r#""s"."t" has 3000 rows on the source and 2999 on the target: the row where id = 12 is missing on the target"#,
    ),
    (
        "INSERT INTO t (id) VALUES (4000)",
        "DELETE FROM t WHERE id = 4000",
        "the row where id = 4000 exists only on the target",
    ),
    (
        "UPDATE t SET id = -13 WHERE id = 13",
        "UPDATE t SET id = 13 WHERE id = -13",
        "the row where id = 13 is missing on the target; the row where id = -13 exists only on the target",
    ),
    (
        "UPDATE pairs SET c = '{ok,sad}' WHERE a = 3",
        "UPDATE pairs SET c = '{ok,NULL}' WHERE a = 3",
        "column c differs where (a, b) = (3, b)",
    ),
    (
        "UPDATE ONLY parent SET (k, v) = (2, 'c'); UPDATE child SET (k, v) = (1, 'p')",
        "UPDATE ONLY parent SET (k, v) = (1, 'p'); UPDATE child SET (k, v) = (2, 'c')",
        r#""s"."parent" holds other values on the target: column k, v differs; there is no key"#,
    ),
    (
        "UPDATE moods SET v = 'other' WHERE m = 'ok'",
        "UPDATE moods SET v = 'y' WHERE m = 'ok'",
        r#""s"."moods" holds other values on the target: column v differs"#,
    ),
    (
        "UPDATE moods SET v = CASE v WHEN 'y' THEN 'z' ELSE 'y' END WHERE v <> 'x'",
        "UPDATE moods SET v = CASE v WHEN 'y' THEN 'z' ELSE 'y' END WHERE v <> 'x'",
        r#""s"."moods" holds other values on the target: values have changed rows"#,
    ),
    (
        "SELECT setval('q', 69)",
        "SELECT setval('q', 70)",
        r#"sequence "s"."q" stands at 70 on the source and at 69 on the target"#,
    ),
    (
        "DROP INDEX i",
        "CREATE INDEX i ON t (v)",
        r#"index "s"."i" is missing on the target"#,
    ),
    (
        "CREATE INDEX more ON t (n)",
        "DROP INDEX more",
        r#"index "s"."more" exists only on the target"#,
    ),
    (
        "DROP TRIGGER tr ON t",
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        r#"trigger "s"."t"."tr" is missing on the target"#,
    ),
    (
        "ALTER TABLE t DISABLE TRIGGER tr",
        "ALTER TABLE t ENABLE TRIGGER tr",
        r#"trigger "s"."t"."tr": enabled is not set on the source and D on the target"#,
    ),
    (
        "ALTER TABLE t ENABLE ALWAYS TRIGGER tr",
        "ALTER TABLE t ENABLE TRIGGER tr",
        r#"trigger "s"."t"."tr": enabled is not set on the source and A on the target"#,
    ),
    (
        "ALTER TABLE t ENABLE REPLICA TRIGGER tr",
        "ALTER TABLE t ENABLE TRIGGER tr",
        r#"trigger "s"."t"."tr": enabled is not set on the source and R on the target"#,
    ),
    (
        "ALTER TABLE pairs DISABLE TRIGGER ALL",
        "ALTER TABLE pairs ENABLE TRIGGER ALL",
        r#"table "s"."pairs": disabled triggers is not set on the source and ["k RI_FKey_check_ins D","k RI_FKey_check_upd D"] on the target"#,
    ),
    (
        "ALTER TABLE t DISABLE TRIGGER ALL; ALTER TABLE t ENABLE TRIGGER USER",
        "ALTER TABLE t ENABLE TRIGGER ALL",
        r#"table "s"."t": disabled triggers is not set on the source and ["k RI_FKey_noaction_del D","k RI_FKey_noaction_upd D"]"#,
    ),
    (
        "SELECT format('ALTER TABLE pairs ENABLE REPLICA TRIGGER %I', tgname) FROM pg_trigger WHERE tgrelid = 'pairs'::regclass AND tgtype & 4 > 0 \\gexec",
        "SELECT format('ALTER TABLE pairs ENABLE TRIGGER %I', tgname) FROM pg_trigger WHERE tgrelid = 'pairs'::regclass AND tgenabled = 'R' \\gexec",
        r#"table "s"."pairs": disabled triggers is not set on the source and ["k RI_FKey_check_ins R"] on the target"#,
    ),
    (
        "SELECT format('ALTER TABLE t ENABLE ALWAYS TRIGGER %I', tgname) FROM pg_trigger WHERE tgrelid = 't'::regclass AND tgisinternal AND tgtype & 8 > 0 \\gexec",
        "SELECT format('ALTER TABLE t ENABLE TRIGGER %I', tgname) FROM pg_trigger WHERE tgrelid = 't'::regclass AND tgenabled = 'A' \\gexec",
        r#"table "s"."t": disabled triggers is not set on the source and ["k RI_FKey_noaction_del A"] on the target"#,
    ),
    (
        "DROP FUNCTION g",
        "CREATE FUNCTION g(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        r#"function "s"."g"(integer) is missing"#,
    ),
    (
        "CREATE OR REPLACE FUNCTION g(a int) RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "CREATE OR REPLACE FUNCTION g(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "body is SELECT 1 on the source and SELECT 2 on the target",
    ),
    (
        "DROP POLICY p ON t",
        "CREATE POLICY p ON t FOR SELECT USING (n > 3)",
        r#"policy p on "s"."t" is missing or differs"#,
    ),
    (
        "ALTER POLICY p ON t USING (n > 4)",
        "ALTER POLICY p ON t USING (n > 3)",
        r#"policy p on "s"."t" is missing or differs"#,
    ),
    (
        "ALTER TABLE t DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        r#"row security of "s"."t" differs"#,
    ),
    (
        "COMMENT ON COLUMN t.v IS NULL",
        "COMMENT ON COLUMN t.v IS 'said'",
        r#"column "s"."t"."v": comment is said on the source and not set on the target"#,
    ),
    (
        "CREATE OR REPLACE VIEW w AS SELECT id, v FROM t WHERE v IN ('a', 'c')",
        "CREATE OR REPLACE VIEW w AS SELECT id, v FROM t WHERE v IN ('a', 'b')",
        r#"view "s"."w": definition"#,
    ),
    (
        "DROP INDEX e; CREATE INDEX e ON t ((n + 1), lower(v) COLLATE \"C\" DESC) WHERE n BETWEEN 1 AND 5 OR v <> 'q'",
        "DROP INDEX e; CREATE INDEX e ON t ((n + 1), lower(v) COLLATE \"C\" DESC) WHERE n BETWEEN 1 AND 5 AND v <> 'q'",
        r#"index "s"."e": predicate is"#,
    ),
    (
        "DROP INDEX e; CREATE INDEX e ON t ((n - 1), lower(v) COLLATE \"C\" DESC) WHERE n BETWEEN 1 AND 5 AND v <> 'q'",
        "DROP INDEX e; CREATE INDEX e ON t ((n + 1), lower(v) COLLATE \"C\" DESC) WHERE n BETWEEN 1 AND 5 AND v <> 'q'",
        r#"index "s"."e": expressions is ("n" + "#,
    ),
    (
        "DROP INDEX e; CREATE INDEX e ON t ((n + 1), lower(v) text_pattern_ops) WHERE n BETWEEN 1 AND 5 AND v <> 'q'",
        "DROP INDEX e; CREATE INDEX e ON t ((n + 1), lower(v) COLLATE \"C\" DESC) WHERE n BETWEEN 1 AND 5 AND v <> 'q'",
        r#"index "s"."e": columns is"#,
    ),
    (
        "DROP INDEX i; CREATE UNIQUE INDEX i ON t (v) INCLUDE (n) WITH (fillfactor = 50)",
        "DROP INDEX i; CREATE INDEX i ON t (v)",
        r#"index "s"."i": included is not set"#,
    ),
    (
        "ALTER TABLE pairs DROP COLUMN d, ADD d int GENERATED ALWAYS AS (a * 3) STORED",
        "ALTER TABLE pairs DROP COLUMN d, ADD d int GENERATED ALWAYS AS (a * 2) STORED",
        r#"column "s"."pairs"."d": default is ("a" * 2)"#,
    ),
    (
        "ALTER DOMAIN small DROP CONSTRAINT small_check; ALTER DOMAIN small ADD CHECK (VALUE BETWEEN 1 AND 6 AND VALUE <> 3)",
        "ALTER DOMAIN small DROP CONSTRAINT small_check; ALTER DOMAIN small ADD CHECK (VALUE BETWEEN 1 AND 5 AND VALUE <> 3)",
        r#"domain constraint "s"."small"."small_check": expression is"#,
    ),
    (
        "ALTER DOMAIN small SET DEFAULT 2",
        "ALTER DOMAIN small SET DEFAULT 1 + 1",
        r#"domain "s"."small": default is (1 + 1) on the source and 2"#,
    ),
    (
        "ALTER TABLE t DROP CONSTRAINT small, ADD CONSTRAINT small CHECK (n <= 10)",
        "ALTER TABLE t DROP CONSTRAINT small, ADD CONSTRAINT small CHECK (n < 10)",
        r#"constraint "s"."t"."small": expression is"#,
    ),
    (
        "ALTER TABLE pairs DROP CONSTRAINT ex, ADD CONSTRAINT ex EXCLUDE USING btree (a WITH =, b WITH =) WHERE (a > 5) DEFERRABLE",
        "ALTER TABLE pairs DROP CONSTRAINT ex, ADD CONSTRAINT ex EXCLUDE USING btree (a WITH =, b WITH =) WHERE (a > 5)",
        r#"constraint "s"."pairs"."ex": deferrable"#,
    ),
    (
        "CREATE OR REPLACE TRIGGER guarded AFTER UPDATE ON t FOR EACH ROW WHEN (new.n BETWEEN 1 AND 5 AND new.v <> 'q') EXECUTE FUNCTION f()",
        "CREATE OR REPLACE TRIGGER guarded AFTER UPDATE ON t FOR EACH ROW WHEN (old.n BETWEEN 1 AND 5 AND new.v <> 'q') EXECUTE FUNCTION f()",
        r#"trigger "s"."t"."guarded": definition"#,
    ),
    (
        "CREATE OR REPLACE TRIGGER guarded AFTER UPDATE OF v ON t FOR EACH ROW WHEN (old.n BETWEEN 1 AND 5 AND new.v <> 'q') EXECUTE FUNCTION f()",
        "CREATE OR REPLACE TRIGGER guarded AFTER UPDATE ON t FOR EACH ROW WHEN (old.n BETWEEN 1 AND 5 AND new.v <> 'q') EXECUTE FUNCTION f()",
        r#"trigger "s"."t"."guarded": definition"#,
    ),
    (
        "CREATE OR REPLACE RULE r AS ON DELETE TO pairs WHERE OLD.a > 101 DO INSTEAD NOTHING",
        "CREATE OR REPLACE RULE r AS ON DELETE TO pairs WHERE OLD.a > 100 DO INSTEAD NOTHING",
        r#"rule "s"."pairs"."r": definition"#,
    ),
    (
        "CREATE OR REPLACE FUNCTION h(a int DEFAULT 1 + 1) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM t WHERE id BETWEEN 0 AND h.a AND v <> 'q'; END",
        "CREATE OR REPLACE FUNCTION h(a int DEFAULT 1 + 1) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM t WHERE id BETWEEN 1 AND h.a AND v <> 'q'; END",
        r#"function "s"."h"(integer): definition"#,
    ),
    (
        "CREATE OR REPLACE FUNCTION h(a int DEFAULT 1 + 2) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM t WHERE id BETWEEN 1 AND h.a AND v <> 'q'; END",
        "CREATE OR REPLACE FUNCTION h(a int DEFAULT 1 + 1) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM t WHERE id BETWEEN 1 AND h.a AND v <> 'q'; END",
        r#"function "s"."h"(integer): defaults is (1 + 1)"#,
    ),
    (
        "DROP STATISTICS se; CREATE STATISTICS se ON (id + 2), v FROM t",
        "DROP STATISTICS se; CREATE STATISTICS se ON (id + 1), v FROM t",
        r#"statistics object "s"."se": definition"#,
    ),
    (
        "DROP VIEW w",
        "CREATE VIEW w AS SELECT id, v FROM t WHERE v IN ('a', 'b')",
        r#"view "s"."w" is missing on the target"#,
    ),
    (
        "ALTER TABLE pairs DISABLE RULE r",
        "ALTER TABLE pairs ENABLE RULE r",
        r#"rule "s"."pairs"."r": enabled"#,
    ),
    (
        "ALTER TABLE t DROP CONSTRAINT small, ADD CONSTRAINT small CHECK (n < 10) NOT VALID",
        "ALTER TABLE t VALIDATE CONSTRAINT small",
        "validated is true on the source and false on the target",
    ),
    (
        "ALTER TABLE pairs DROP CONSTRAINT k",
        "ALTER TABLE pairs ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES t",
        r#"foreign key "s"."pairs"."k" is missing"#,
    ),
    (
        "ALTER TABLE t ALTER n SET DEFAULT 6",
        "ALTER TABLE t ALTER n SET DEFAULT 5",
        r#"column "s"."t"."n": default is 5 on the source and 6 on the target"#,
    ),
    (
        "ALTER TABLE t ALTER n SET NOT NULL",
        "ALTER TABLE t ALTER n DROP NOT NULL",
        "not null is not set on the source and true on the target",
    ),
    (
        "ALTER TABLE pairs REPLICA IDENTITY DEFAULT",
        "ALTER TABLE pairs REPLICA IDENTITY FULL",
        r#"table "s"."pairs": replica identity"#,
    ),
    (
        "ALTER TABLE t ALTER id SET STATISTICS -1",
        "ALTER TABLE t ALTER id SET STATISTICS 250",
        "statistics is 250 on the source and not set on the target",
    ),
    (
        "ALTER TABLE child NO INHERIT parent",
        INHERITED,
        r#"table "s"."child": parents"#,
    ),
    (
        "ALTER TABLE child NO INHERIT parent; ALTER TABLE child INHERIT parent",
        "UPDATE pg_attribute SET attislocal = false WHERE attrelid = 'child'::regclass AND attinhcount > 0",
        r#"column "s"."child"."k": local beside inherited is not set on the source and true"#,
    ),
    (
        "ALTER SEQUENCE q SET UNLOGGED",
        "ALTER SEQUENCE q SET LOGGED",
        r#"sequence "s"."q": sequence persistence is not set on the source and u"#,
    ),
    (
        "ALTER SEQUENCE q OWNED BY NONE",
        "ALTER SEQUENCE q OWNED BY t.n",
        "owned by is \"s\".\"t\".\"n\" on the source and not set on the target",
    ),
    (
        "ALTER SEQUENCE q INCREMENT 2",
        "ALTER SEQUENCE q INCREMENT 1",
        r#"sequence "s"."q": increment is 1 on the source and 2"#,
    ),
    (
        "DROP STATISTICS st",
        "CREATE STATISTICS st ON id, n FROM t",
        r#"statistics object "s"."st" is missing"#,
    ),
    (
        "ALTER TABLE t SET (fillfactor = 90)",
        "ALTER TABLE t RESET (fillfactor)",
        r#"table "s"."t": options"#,
    ),
    (
        "REVOKE UPDATE (v) ON t FROM PUBLIC",
        "GRANT UPDATE (v) ON t TO PUBLIC",
        "GRANT UPDATE (\"v\") ON TABLE \"s\".\"t\" TO PUBLIC",
    ),
    (
        "REVOKE SELECT ON t FROM PUBLIC",
        "GRANT SELECT ON t TO PUBLIC",
        "GRANT SELECT ON TABLE \"s\".\"t\" TO PUBLIC",
    ),
    (
        "DROP MATERIALIZED VIEW mv",
        "CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM t",
        r#"materialized view "s"."mv" is missing"#,
    ),
];

fn hashing(rig: &Rig) -> Worker {
    rig.worker("s").env("VERIFY", "hash").env("JOBS", "1")
}

/// Everything that a run says differs.
fn differences(output: &Output) -> String {
    let differing = output
        .records
        .iter()
        .filter(|record| text(record, "msg") == "source and target differ");
    let texts: Vec<&str> = differing.map(|record| text(record, "difference")).collect();
    texts.join("\n")
}

fn all_are_found(rig: &Rig, method: &str, cases: &[(&str, &str, &str)]) {
    rig.at_source(&schema());
    assert_exit(&hashing(rig).env("METHOD", method).run(), 0);
    let verify = hashing(rig).arg("verify").arg("--frozen");
    assert_exit(&verify.run(), 0);
    for (change, repair, words) in cases {
        rig.at_target(&format!("SET search_path = s; {change}"));
        let output = verify.run();
        assert_exit(&output, 65);
        let found = differences(&output);
        assert!(found.contains(words), "{change}\n{words}\n{found}");
        assert_eq!(text(output.last(), "phase"), "verify");
        rig.at_target(&format!("SET search_path = s; {}", repair.replace("{ROW}", ROW)));
    }
    assert_exit(&verify.run(), 0);
}

#[test]
fn every_difference_is_found() {
    for (method, rig) in GRID {
        // How the rows came does not matter to what is found.
        let count = if method == "copy" { DIFFERENCES.len() } else { 1 };
        let (rig, cases) = (rig(""), &DIFFERENCES[..count]);
        all_are_found(&rig, method, cases);
    }
}

#[test]
fn the_warehouse_agrees_with_itself() {
    for rig in [Rig::new(""), Rig::newest(""), Rig::to_newest("")] {
        warehouse::fill(rig.source, &rig.database);
        let worker = rig
            .worker("finance,accounting,risk")
            .env("VERIFY", "hash")
            .env("PRIVILEGES", "skip");
        assert_exit(&worker.run(), 0);
        assert_exit(&worker.clone().arg("verify").arg("--frozen").run(), 0);
        assert_exit(&worker.env("VERIFY", "rows").arg("verify").run(), 0);
    }
}

#[test]
fn what_the_source_has_written_since_is_told_from_a_difference() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.a (id int PRIMARY KEY); CREATE TABLE s.b (id int PRIMARY KEY); CREATE SEQUENCE s.q;
         INSERT INTO s.a VALUES (1); INSERT INTO s.b VALUES (1)",
    );
    let worker = hashing(&rig);
    assert_exit(&worker.run(), 0);
    let verify = worker.arg("verify");
    rig.at_source("INSERT INTO s.a VALUES (2); SELECT nextval('s.q')");
    let output = verify.run();
    assert_exit(&output, 0);
    let moved: Vec<&str> = output
        .records
        .iter()
        .filter(|record| text(record, "msg") == "the source has moved on")
        .map(|record| text(record, "difference"))
        .collect();
    assert_eq!(moved.len(), 2, "{}", output.stdout);
    assert_exit(&verify.clone().env("VERIFY", "rows").run(), 0);
    let frozen = verify.clone().arg("--frozen").run();
    assert_exit(&frozen, 65);
    assert!(differences(&frozen).contains("the row where id = 2 is missing on the target"));

    rig.at_target("DELETE FROM s.b");
    let output = verify.run();
    assert_exit(&output, 65);
    assert_eq!(
        differences(&output),
        "\"s\".\"b\" has 1 rows on the source and 0 on the target: the row where id = 1 is missing on the target"
    );
}

#[test]
fn a_load_that_differs_does_not_complete_and_says_in_what() {
    // The function has changed since the source stored what it returned.
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE FUNCTION s.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
         CREATE TABLE s.t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (s.f(id)) STORED); INSERT INTO s.t SELECT i FROM generate_series(1, 9) i;
         CREATE OR REPLACE FUNCTION s.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + CASE WHEN $1 < 9 THEN 1 ELSE 2 END'",
    );
    for method in METHODS {
        let worker = rig.worker("s").env("METHOD", method);
        assert_exit(&worker.run(), 0);
        let output = worker.env("VERIFY", "hash").run();
        assert_exit(&output, 65);
        assert_eq!(text(output.last(), "phase"), "verify");
        assert!(
            text(output.last(), "reason")
                .contains("column g differs where id = 9; the target computes column g as s.f(id)"),
            "{}",
            output.last()
        );
        let ledger = "SELECT state, summary->'differences'->>0 LIKE '%column g differs%' FROM schemaferry.load ORDER BY id DESC LIMIT 1";
        assert_eq!(rig.at_target(ledger), "loading|t");
    }
    // What the reason says helps.
    rig.at_source("UPDATE \"s\".\"t\" SET \"id\" = \"id\"");
    assert_exit(&hashing(&rig).run(), 0);
}

#[test]
fn a_load_looks_whether_foreign_keys_are_enforced() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.p (id int PRIMARY KEY); CREATE TABLE s.c (id int REFERENCES s.p)",
    );
    rig.at_target(
        "CREATE FUNCTION public.off() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
             IF EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = to_regclass('s.c') AND tgenabled = 'O') THEN ALTER TABLE s.c DISABLE TRIGGER ALL;
             END IF; END $$;
         CREATE EVENT TRIGGER off ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.off()",
    );
    for method in METHODS {
        let worker = rig.worker("s").env("METHOD", method);
        let output = worker.env("ACCEPT", "event-triggers").run();
        assert_exit(&output, 65);
        let words = r#"table "s"."c": disabled triggers is not set on the source and ["c_id_fkey RI_FKey_check_ins D""#;
        assert!(text(output.last(), "reason").contains(words), "{}", output.last());
    }
}

/// What is written otherwise after its first journey, for a target on which temporary objects need a right.
fn without_temporary_objects() -> Rig {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.t (a int CHECK (a BETWEEN 1 AND 5 AND a <> 3), b text DEFAULT 'x'); INSERT INTO s.t VALUES (2);
         CREATE VIEW s.v AS SELECT a FROM s.t WHERE a BETWEEN 1 AND 5 AND b <> 'q'; CREATE INDEX i ON s.t (a) WHERE a BETWEEN 1 AND 5 AND b <> 'q';
         CREATE RULE r AS ON UPDATE TO s.v DO INSTEAD UPDATE s.t SET b = (SELECT 'x') WHERE EXISTS (SELECT NULL FROM s.t u WHERE u.a = old.a);
         CREATE FUNCTION s.f(n int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM s.t WHERE f.n BETWEEN 1 AND 5 AND EXISTS (SELECT NULL FROM s.t u); END",
    );
    rig.at_target(
        "DO $$ BEGIN IF to_regrole('verify_bare') IS NULL THEN CREATE ROLE verify_bare LOGIN PASSWORD 'testbed'; END IF;
             EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$",
    );
    rig
}

/// Says that a view of that schema is another one on the target, and nothing else.
fn assert_view_differs(rig: &Rig, verify: &Worker) {
    rig.at_target("CREATE OR REPLACE VIEW s.v AS SELECT a FROM s.t WHERE a BETWEEN 1 AND 6 AND b <> 'q'");
    let output = verify.run();
    assert_exit(&output, 65);
    let found = differences(&output);
    assert!(found.starts_with("view \"s\".\"v\": definition"), "{found}");
    assert_eq!(found.matches(" on the source and ").count(), 1, "{found}");
}

#[test]
fn texts_are_looked_into_without_temporary_objects() {
    for method in METHODS {
        let rig = without_temporary_objects();
        rig.at_target(
            "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO verify_bare', current_database()); END $$",
        );
        let worker = rig.worker("s").env("METHOD", method).env("PRIVILEGES", "skip");
        let worker = worker.env("TARGET_USER", "verify_bare");
        assert_exit(&worker.run(), 0);
        assert_exit(&worker.run(), 0);
        assert_view_differs(&rig, &worker.arg("verify"));
        let left = "SELECT count(*) FROM pg_class WHERE relname LIKE 'schemaferry%'";
        assert_eq!(rig.at_target(left), "0");
    }
}

#[test]
fn who_can_make_nothing_does_not_call_different_what_may_be_equal() {
    let rig = without_temporary_objects();
    assert_exit(&rig.worker("s").run(), 0);
    rig.at_target("GRANT pg_read_all_data TO verify_bare");
    let verify = rig.worker("s").env("PRIVILEGES", "skip").arg("verify");
    let verify = verify.env("TARGET_USER", "verify_bare");
    let refused = verify.run();
    assert_exit(&refused, 77);
    let last = refused.last();
    let (_, grant) = text(last, "reason").rsplit_once("(hint: ").unwrap();
    assert!(grant.starts_with("GRANT TEMPORARY ON DATABASE"), "{last}");
    rig.at_target(grant.trim_end_matches(')'));
    assert_exit(&verify.run(), 0);
    assert_view_differs(&rig, &verify);
}

#[test]
fn values_are_compared_as_their_types_write_them() {
    // A cast of one's own stays on the source, and a declaration of XML changes on its way.
    let rig = Rig::new(
        r#"CREATE FUNCTION public.num_text(numeric) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT to_char($1, 'FM999.9') $$;
           CREATE CAST (numeric AS text) WITH FUNCTION public.num_text(numeric) AS ASSIGNMENT;
           CREATE FUNCTION public.date_text(date) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT to_char($1, 'DD-MON-YY') $$;
           CREATE CAST (date AS text) WITH FUNCTION public.date_text(date) AS IMPLICIT;
           CREATE FUNCTION public.bytes_text(bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'bytes' $$;
           CREATE CAST (bytea AS text) WITH FUNCTION public.bytes_text(bytea) AS ASSIGNMENT;
           CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY, n numeric, d date, b bytea, x xml, xs xml[], u bool, e text);
           INSERT INTO s.t SELECT g, g / 7.0, date '2024-01-01' + g, '\x00ff', '<?xml version="1.0" encoding="UTF-8"?><a>1</a>',
               ARRAY['<?xml version="1.0" encoding="UTF-8"?><a/>'::xml, NULL], NULL, '' FROM generate_series(1, 50) g;
           CREATE TABLE s.keyless (n numeric, d date); INSERT INTO s.keyless SELECT n, d FROM s.t"#,
    );
    for method in METHODS {
        assert_exit(&hashing(&rig).env("METHOD", method).run(), 0);
        assert_exit(&hashing(&rig).arg("verify").arg("--frozen").run(), 0);
    }
    rig.at_target(
        r"UPDATE s.t SET n = n + 0.001 WHERE id = 5; UPDATE s.t SET b = '\x00fe', u = true, e = NULL WHERE id = 6;
          UPDATE s.keyless SET d = d + 36525",
    );
    let output = hashing(&rig).arg("verify").arg("--frozen").run();
    assert_exit(&output, 65);
    assert_eq!(
        differences(&output),
        "\"s\".\"keyless\" holds other values on the target: column d differs; there is no key to name rows by\n\
         \"s\".\"t\" holds other values on the target: column b, e, n, u differs where id = 5 or id = 6"
    );
}

#[test]
fn operators_that_no_text_names_are_compared() {
    // Under the path of a restore pg_catalog comes first, whose operator has the same operands. What the second column of
    // USING is compared with, nobody asks beforehand.
    let rig = Rig::new(
        r"CREATE SCHEMA s; CREATE FUNCTION s.alike(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT lower($1) OPERATOR(pg_catalog.=) lower($2)';
          CREATE OPERATOR s.= (LEFTARG = text, RIGHTARG = text, FUNCTION = s.alike); CREATE TABLE s.t (n int, a text); INSERT INTO s.t VALUES (1, 'x');
          ALTER TABLE s.t ENABLE ROW LEVEL SECURITY; SET search_path = s, pg_catalog;
          CREATE VIEW s.v AS SELECT n FROM s.t JOIN s.t u USING (n, a); CREATE VIEW s.named AS SELECT a = 'b' AS same FROM s.t;
          CREATE POLICY p ON s.t USING (EXISTS (SELECT 1 FROM s.t u JOIN s.t w USING (n, a)))",
    );
    for method in METHODS {
        let output = rig.worker("s").env("METHOD", method).run();
        assert_exit(&output, 65);
        let found = differences(&output);
        assert!(
            found.starts_with("view \"s\".\"v\": operators and functions behind the text is ["),
            "{found}"
        );
        assert!(!found.contains("named"), "{found}");
    }
    rig.at_source("DROP VIEW s.v");
    let output = rig.worker("s").run();
    assert_exit(&output, 65);
    assert_eq!(
        differences(&output),
        "policy p on \"s\".\"t\" is missing or differs"
    );
    rig.at_source("DROP POLICY p ON s.t");
    assert_exit(&rig.worker("s").run(), 0);
}

#[test]
fn verify_waits_for_no_load_and_needs_something_to_compare() {
    let rig = Rig::new(SLOW_ROWS);
    let verify = hashing(&rig).arg("verify");
    assert_exit(&verify.run(), 78);
    assert_exit(&verify.clone().env("VERIFY", "none").run(), 78);
    let loading = rig.worker("s").spawn();
    wait_for_phase(&loading, "pre-data");
    let output = verify.run();
    assert_exit(&output, 75);
    assert!(
        text(output.last(), "reason").contains("a load is under way"),
        "{}",
        output.last()
    );
    loading.signal(Signal::SIGTERM);
    assert_exit(&loading.wait(), 143);
}
