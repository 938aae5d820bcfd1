//! Every way to fail that can be brought about here: exit code, phase, side, SQLSTATE, and words that help.

use testbed::{Worker, warehouse};

use crate::rig::{GRID, MakeRig, Rig, assert_exit, text};

/// What is expected of the last record.
struct Expected {
    exit: i32,
    phase: &'static str,
    side: &'static str,
    sqlstate: &'static str,
    /// Words of the reason.
    words: &'static [&'static str],
}

const fn expected(
    exit: i32,
    phase: &'static str,
    side: &'static str,
    sqlstate: &'static str,
    words: &'static [&'static str],
) -> Expected {
    Expected {
        exit,
        phase,
        side,
        sqlstate,
        words,
    }
}

/// Statements for source and target (`---` between them), what is different about the worker, and what is expected.
type Case = (&'static str, fn(Worker) -> Worker, Expected);

const TABLE: &str = "CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1)";

fn same(worker: Worker) -> Worker {
    worker
}

const CASES: &[Case] = &[
    ("", |w| w.env("SCHEMA_NAME", "pg_catalog").env("VERIFY", "all"),
        expected(78, "configure", "", "", &["SCHEMA_NAME \"pg_catalog\" is a system schema", "VERIFY \"all\" is not one of rows, hash, none"])),
    ("", |w| w.env("SOURCE_PASSWORD", "wrong"), expected(77, "connect", "source", "28P01", &["password authentication failed"])),
    ("", |w| w.without("TARGET_PASSWORD"), expected(77, "connect", "target", "", &["asks for a password, and none is given"])),
    ("", |w| w.env("SOURCE_USER", "rejected"), expected(77, "connect", "source", "28000", &["pg_hba.conf"])),
    ("", |w| w.env("TARGET_DBNAME", "nowhere"), expected(78, "connect", "target", "3D000", &["database \"nowhere\" does not exist"])),
    ("", |w| w.env("SOURCE_PORT", "1"), expected(75, "connect", "source", "", &["cannot reach 127.0.0.1:1", "refused"])),
    ("", |w| w.env("SOURCE_HOST", "/nonexistent"), expected(75, "connect", "source", "", &["cannot reach"])),
    ("", same, expected(78, "preflight", "source", "", &["schema \"s\" does not exist"])),
    ("CREATE SCHEMA \"S\"", same, expected(78, "preflight", "source", "", &["(there is \"S\")"])),
    (TABLE, |w| w.env("TARGET_HOST", "localhost").same_as_source(),
        expected(78, "preflight", "target", "", &["one and the same database"])),
    ("CREATE SCHEMA s; CREATE TABLE s.t (a int) --- CREATE SCHEMA s; CREATE TABLE s.mine (a int)", same,
        expected(73, "preflight", "target", "", &["schema \"s\" was not made by a load of ours", "ON_EXISTING=replace"])),
    ("CREATE SCHEMA s --- DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$", same,
        expected(78, "preflight", "target", "", &["does not accept writes"])),
    ("CREATE EXTENSION hstore; CREATE SCHEMA s; CREATE TABLE s.t (h hstore)", same,
        expected(78, "preflight", "target", "", &["extension \"hstore\" is not installed", "CREATE EXTENSION \"hstore\" WITH SCHEMA \"public\""])),
    ("CREATE SCHEMA o; CREATE TYPE o.e AS ENUM ('x'); CREATE SCHEMA s; CREATE TABLE s.t (e o.e)", same,
        expected(78, "preflight", "target", "", &["lacks type o.e", "move it first: SCHEMA_NAME=o"])),
    ("CREATE SCHEMA o; CREATE TYPE o.e AS ENUM ('x'); CREATE SCHEMA s; CREATE TABLE s.t (e o.e); CREATE VIEW o.v AS SELECT * FROM s.t", same,
        expected(78, "preflight", "target", "", &["move them together: SCHEMA_NAME=o,s"])),
    ("CREATE SCHEMA o; CREATE TABLE o.root (a int PRIMARY KEY) PARTITION BY RANGE (a); CREATE SCHEMA s; CREATE TABLE s.leaf PARTITION OF o.root FOR VALUES FROM (0) TO (9) --- CREATE SCHEMA o; CREATE TABLE o.root (a int PRIMARY KEY) PARTITION BY RANGE (a)", same,
        expected(78, "preflight", "source", "", &["s.leaf is a partition of o.root, which has indexes", "move them together: SCHEMA_NAME=o,s"])),
    ("CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE SCHEMA o; CREATE TABLE o.child () INHERITS (s.t)", same,
        expected(78, "preflight", "source", "", &["o.child, a child of s.t", "ACCEPT=outside-children"])),
    ("CREATE SCHEMA s; CREATE TABLE s.t (a oid); SELECT lo_create(0)", same,
        expected(78, "preflight", "source", "", &["column s.t.a", "ACCEPT=large-objects"])),
    ("CREATE SCHEMA s --- CREATE PUBLICATION everything FOR ALL TABLES", same,
        expected(78, "preflight", "target", "", &["everything of all tables", "ACCEPT=publications"])),
    ("CREATE SCHEMA s --- CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION f()", same,
        expected(78, "preflight", "target", "", &["et on ddl_command_end", "ACCEPT=event-triggers"])),
    ("CREATE SCHEMA s --- SELECT 1; CREATE VIEW public.v AS SELECT 1; CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE VIEW public.outside AS SELECT * FROM s.t",
        |w| w.env("ON_EXISTING", "replace"),
        expected(73, "preflight", "target", "", &["objects outside of the schema depend on it", "view public.outside"])),
    ("CREATE SCHEMA s --- CREATE SCHEMA s; CREATE TYPE s.e AS ENUM ('x'); CREATE TABLE public.outside (a int, e s.e)",
        |w| w.env("ON_EXISTING", "replace"),
        expected(73, "preflight", "target", "", &["objects outside of the schema depend on it", "table column public.outside.e"])),
    ("CREATE SCHEMA s --- CREATE SCHEMA s; CREATE FUNCTION s.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; CREATE TABLE public.t (a int); CREATE INDEX outside ON public.t (s.f(a))",
        |w| w.env("ON_EXISTING", "replace"),
        expected(73, "preflight", "target", "", &["objects outside of the schema depend on it", "index public.outside"])),
    (
        "CREATE SCHEMA s; CREATE ROLE none_at_all LOGIN PASSWORD 'testbed' CONNECTION LIMIT 0",
        |w| w.env("SOURCE_USER", "none_at_all"),
        expected(75, "connect", "source", "53300", &["too many connections for role"]),
    ),
    (
        "CREATE SCHEMA s; CREATE ROLE too_few LOGIN PASSWORD 'testbed' CONNECTION LIMIT 4",
        |w| w.env("SOURCE_USER", "too_few"),
        expected(
            78,
            "preflight",
            "source",
            "",
            &["ALTER ROLE \"too_few\" CONNECTION LIMIT 10", "no USAGE on schema s"],
        ),
    ),
    (
        "CREATE ROLE only_here; CREATE SCHEMA s AUTHORIZATION only_here",
        same,
        expected(
            78,
            "preflight",
            "target",
            "",
            &["role \"only_here\" does not exist", "CREATE ROLE only_here; GRANT only_here TO postgres"],
        ),
    ),
    ("CREATE SCHEMA s; CREATE FUNCTION s.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1 / $1'; CREATE TABLE s.t (a int); CREATE INDEX ON s.t (s.f(a)); INSERT INTO s.t VALUES (1);
      CREATE OR REPLACE FUNCTION s.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1 / ($1 - $1)'", same,
        expected(65, "post-data", "target", "22012", &["division by zero"])),
];

/// What METHOD=pipe alone cannot do.
const PIPE_CASES: &[Case] = &[
    // The table that the check looks into is filled later.
    ("CREATE SCHEMA s; CREATE TABLE s.z (a int); INSERT INTO s.z VALUES (1); CREATE FUNCTION s.has(int) RETURNS bool LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM s.z WHERE a = $1)';
      CREATE TABLE s.a (a int CHECK (s.has(a))); INSERT INTO s.a VALUES (1)", same,
        expected(65, "rows", "target", "", &["violates check constraint"])),
    ("CREATE SCHEMA s; SET search_path = s; CREATE TABLE s.z (a int); CREATE FUNCTION s.f(int) RETURNS bool LANGUAGE sql AS 'SELECT count(*) >= 0 FROM z';
      CREATE TABLE s.a (a int CHECK (s.f(a))); INSERT INTO s.a VALUES (1)", same,
        expected(65, "rows", "target", "", &["relation \"z\" does not exist"])),
];

/// Points the target at the source's database.
trait SameAsSource {
    fn same_as_source(self) -> Self;
}

impl SameAsSource for Worker {
    fn same_as_source(self) -> Self {
        let port = self.value("SOURCE_PORT");
        self.env("TARGET_PORT", port)
    }
}

#[test]
fn every_failure_has_its_code_its_place_and_its_words() {
    for case in CASES {
        // What fails before anything moves does not depend on how it would.
        let early = ["configure", "connect", "preflight"].contains(&case.2.phase);
        for (method, rig) in if early { &GRID[..1] } else { &GRID[..] } {
            check(case, method, *rig);
        }
    }
    for case in PIPE_CASES {
        check(case, "pipe", Rig::new);
    }
}

fn check((sql, change, expected): &Case, method: &str, rig: MakeRig) {
    let (source, target) = sql.split_once(" --- ").unwrap_or((sql, ""));
    let rig = rig(source);
    rig.at_target(target);
    let output = change(rig.worker("s").env("METHOD", method)).run();
    let context = format!("{sql}\n{method}: {:?}", expected.words);
    assert_eq!(output.exit, expected.exit, "{context}\n{}", output.stdout);
    let last = output.last();
    assert_eq!(last["exit"], expected.exit, "{context}");
    assert_eq!(text(last, "phase"), expected.phase, "{context}\n{last}");
    assert_eq!(text(last, "side"), expected.side, "{context}\n{last}");
    // The programs show no SQLSTATE.
    if method == "copy" || expected.sqlstate.is_empty() || expected.phase == "connect" {
        assert_eq!(text(last, "sqlstate"), expected.sqlstate, "{context}\n{last}");
    }
    for words in expected.words {
        assert!(text(last, "reason").contains(words), "{words:?} is not in {last}");
    }
    assert!(!text(last, "advice").is_empty(), "{context}");
}

/// Each of these fails under METHOD=pipe, above.
#[test]
fn what_depends_on_order_or_search_path_moves_by_copy() {
    for (sql, _, _) in PIPE_CASES {
        let rig = Rig::new(sql);
        assert_exit(&rig.worker("s").env("METHOD", "copy").run(), 0);
        assert_eq!(
            warehouse::contents(rig.target, &rig.database, "s"),
            warehouse::contents(rig.source, &rig.database, "s")
        );
    }
}

#[test]
fn a_row_of_over_a_gigabyte_as_text_moves_in_binary_form_only() {
    let rig = Rig::new(
        r"CREATE SCHEMA s; CREATE TABLE s.t (v text); INSERT INTO s.t SELECT repeat('\', 600000000)",
    );
    assert_exit(&rig.worker("s").env("METHOD", "copy").run(), 0);
    assert_eq!(rig.at_target("SELECT length(v) FROM s.t"), "600000000");
    let output = rig.worker("s").env("METHOD", "pipe").run();
    assert_exit(&output, 65);
    assert_eq!(text(output.last(), "phase"), "rows");
    assert!(
        text(output.last(), "reason").contains("larger than 1 GB as text"),
        "{}",
        output.last()
    );
}
