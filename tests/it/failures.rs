//! Every way to fail that can be brought about here: exit code, phase, side, SQLSTATE, and words that help.

use testbed::{Worker, warehouse};

use crate::rig::{GRID, MakeRig, Rig, assert_exit, text};

/// A way to fail, and what is expected of the last record.
struct Failure {
    /// Statements for the source.
    source: &'static str,
    /// Statements for the target.
    target: &'static str,
    /// What is different about the worker.
    worker: fn(Worker) -> Worker,
    exit: i32,
    phase: &'static str,
    side: &'static str,
    sqlstate: &'static str,
    /// Words of the reason.
    words: &'static [&'static str],
    /// METHOD=pipe alone fails.
    moves_by_copy: bool,
}

impl Default for Failure {
    fn default() -> Self {
        Self {
            source: "",
            target: "",
            worker: |worker| worker,
            exit: 0,
            phase: "",
            side: "",
            sqlstate: "",
            words: &[],
            moves_by_copy: false,
        }
    }
}

/// A test for each.
macro_rules! failures {
    ($($name:ident { $($field:ident: $value:expr,)* })*) => {
        $(
            #[test]
            fn $name() {
                Failure { $($field: $value,)* ..Failure::default() }.check();
            }
        )*
    };
}

failures! {
    system_schema_and_unknown_value {
        worker: |w| w.env("SCHEMA_NAME", "pg_catalog").env("VERIFY", "all"),
        exit: 78,
        phase: "configure",
        words: &[
            "SCHEMA_NAME \"pg_catalog\" is a system schema",
            "VERIFY \"all\" is not one of rows, hash, none",
        ],
    }
    wrong_password {
        worker: |w| w.env("SOURCE_PASSWORD", "wrong"),
        exit: 77,
        phase: "connect",
        side: "source",
        sqlstate: "28P01",
        words: &["password authentication failed"],
    }
    no_password {
        worker: |w| w.without("TARGET_PASSWORD"),
        exit: 77,
        phase: "connect",
        side: "target",
        words: &["asks for a password, and none is given"],
    }
    rejected_by_pg_hba {
        worker: |w| w.env("SOURCE_USER", "rejected"),
        exit: 77,
        phase: "connect",
        side: "source",
        sqlstate: "28000",
        words: &["pg_hba.conf"],
    }
    no_such_database {
        worker: |w| w.env("TARGET_DBNAME", "nowhere"),
        exit: 78,
        phase: "connect",
        side: "target",
        sqlstate: "3D000",
        words: &["database \"nowhere\" does not exist"],
    }
    closed_port {
        worker: |w| w.env("SOURCE_PORT", "1"),
        exit: 75,
        phase: "connect",
        side: "source",
        words: &["cannot reach 127.0.0.1:1", "refused"],
    }
    no_such_socket {
        worker: |w| w.env("SOURCE_HOST", "/nonexistent"),
        exit: 75,
        phase: "connect",
        side: "source",
        words: &["cannot reach"],
    }
    no_such_schema {
        exit: 78,
        phase: "preflight",
        side: "source",
        words: &["schema \"s\" does not exist"],
    }
    schema_of_another_case {
        source: "CREATE SCHEMA \"S\"",
        exit: 78,
        phase: "preflight",
        side: "source",
        words: &["(there is \"S\")"],
    }
    one_and_the_same_database {
        source: "CREATE SCHEMA s;
                 CREATE TABLE s.t (a int);
                 INSERT INTO s.t VALUES (1)",
        worker: |w| w.env("TARGET_HOST", "localhost").same_as_source(),
        exit: 78,
        phase: "preflight",
        side: "target",
        words: &["one and the same database"],
    }
    schema_that_is_not_ours {
        source: "CREATE SCHEMA s;
                 CREATE TABLE s.t (a int)",
        target: "CREATE SCHEMA s;
                 CREATE TABLE s.mine (a int)",
        exit: 73,
        phase: "preflight",
        side: "target",
        words: &["schema \"s\" was not made by a load of ours", "ON_EXISTING=replace"],
    }
    read_only_target {
        source: "CREATE SCHEMA s",
        target: "DO $$ BEGIN
                    EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on',
                                   current_database());
                 END $$",
        exit: 78,
        phase: "preflight",
        side: "target",
        words: &["default_transaction_read_only is on", "ALTER DATABASE … RESET"],
    }
    missing_extension {
        source: "CREATE EXTENSION hstore;
                 CREATE SCHEMA s;
                 CREATE TABLE s.t (h hstore)",
        exit: 78,
        phase: "preflight",
        side: "target",
        words: &[
            "extension \"hstore\" is not installed",
            "CREATE EXTENSION \"hstore\" WITH SCHEMA \"public\"",
        ],
    }
    missing_type {
        source: "CREATE SCHEMA o;
                 CREATE TYPE o.e AS ENUM ('x');
                 CREATE SCHEMA s;
                 CREATE TABLE s.t (e o.e)",
        exit: 78,
        phase: "preflight",
        side: "target",
        words: &["lacks type o.e", "move it first: SCHEMA_NAME=o"],
    }
    schemas_that_need_each_other {
        source: "CREATE SCHEMA o;
                 CREATE TYPE o.e AS ENUM ('x');
                 CREATE SCHEMA s;
                 CREATE TABLE s.t (e o.e);
                 CREATE VIEW o.v AS SELECT * FROM s.t",
        exit: 78,
        phase: "preflight",
        side: "target",
        words: &["move them together: SCHEMA_NAME=o,s"],
    }
    partition_of_a_root_with_indexes {
        source: "CREATE SCHEMA o;
                 CREATE TABLE o.root (a int PRIMARY KEY) PARTITION BY RANGE (a);
                 CREATE SCHEMA s;
                 CREATE TABLE s.leaf PARTITION OF o.root FOR VALUES FROM (0) TO (9)",
        target: "CREATE SCHEMA o;
                 CREATE TABLE o.root (a int PRIMARY KEY) PARTITION BY RANGE (a)",
        exit: 78,
        phase: "preflight",
        side: "source",
        words: &["s.leaf is a partition of o.root, which has indexes", "move them together: SCHEMA_NAME=o,s"],
    }
    child_in_another_schema {
        source: "CREATE SCHEMA s;
                 CREATE TABLE s.t (a int);
                 CREATE SCHEMA o;
                 CREATE TABLE o.child () INHERITS (s.t)",
        exit: 78,
        phase: "preflight",
        side: "source",
        words: &["o.child, a child of s.t", "ACCEPT=outside-children"],
    }
    large_object {
        source: "CREATE SCHEMA s;
                 CREATE TABLE s.t (a oid);
                 SELECT lo_create(0)",
        exit: 78,
        phase: "preflight",
        side: "source",
        words: &["column s.t.a", "ACCEPT=large-objects"],
    }
    publication_of_all_tables {
        source: "CREATE SCHEMA s",
        target: "CREATE PUBLICATION everything FOR ALL TABLES",
        exit: 78,
        phase: "preflight",
        side: "target",
        words: &["everything of all tables", "ACCEPT=publications"],
    }
    event_trigger {
        source: "CREATE SCHEMA s",
        target: "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
                 CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION f()",
        exit: 78,
        phase: "preflight",
        side: "target",
        words: &["et on ddl_command_end", "ACCEPT=event-triggers"],
    }
    view_outside_of_the_schema {
        source: "CREATE SCHEMA s",
        target: "SELECT 1;
                 CREATE VIEW public.v AS SELECT 1;
                 CREATE SCHEMA s;
                 CREATE TABLE s.t (a int);
                 CREATE VIEW public.outside AS SELECT * FROM s.t",
        worker: |w| w.env("ON_EXISTING", "replace"),
        exit: 73,
        phase: "preflight",
        side: "target",
        words: &["objects outside of the schema depend on it", "view public.outside", "or move them together: SCHEMA_NAME=public,s"],
    }
    column_outside_of_the_schema {
        source: "CREATE SCHEMA s",
        target: "CREATE SCHEMA s;
                 CREATE TYPE s.e AS ENUM ('x');
                 CREATE TABLE public.outside (a int, e s.e)",
        worker: |w| w.env("ON_EXISTING", "replace"),
        exit: 73,
        phase: "preflight",
        side: "target",
        words: &["objects outside of the schema depend on it", "table column public.outside.e"],
    }
    index_outside_of_the_schema {
        source: "CREATE SCHEMA s",
        target: "CREATE SCHEMA s;
                 CREATE FUNCTION s.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
                 CREATE TABLE public.t (a int);
                 CREATE INDEX outside ON public.t (s.f(a))",
        worker: |w| w.env("ON_EXISTING", "replace"),
        exit: 73,
        phase: "preflight",
        side: "target",
        words: &["objects outside of the schema depend on it", "index public.outside"],
    }
    role_without_connections {
        source: "CREATE SCHEMA s;
                 CREATE ROLE none_at_all LOGIN PASSWORD 'testbed' CONNECTION LIMIT 0",
        worker: |w| w.env("SOURCE_USER", "none_at_all"),
        exit: 75,
        phase: "connect",
        side: "source",
        sqlstate: "53300",
        words: &["too many connections for role"],
    }
    role_with_too_few_connections {
        source: "CREATE SCHEMA s;
                 CREATE ROLE too_few LOGIN PASSWORD 'testbed' CONNECTION LIMIT 4",
        worker: |w| w.env("SOURCE_USER", "too_few"),
        exit: 78,
        phase: "preflight",
        side: "source",
        words: &["ALTER ROLE \"too_few\" CONNECTION LIMIT 10", "no USAGE on schema s"],
    }
    database_with_too_few_connections {
        source: "CREATE SCHEMA s; CREATE ROLE among_few LOGIN PASSWORD 'testbed';
                 DO $$BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 9', current_database()); END$$",
        worker: |w| w.env("SOURCE_USER", "among_few"),
        exit: 78,
        phase: "preflight",
        side: "source",
        words: &["the database may have 9 connections", "CONNECTION LIMIT 10", "no USAGE on schema s"],
    }
    missing_role {
        source: "CREATE ROLE only_here;
                 CREATE SCHEMA s AUTHORIZATION only_here",
        exit: 78,
        phase: "preflight",
        side: "target",
        words: &["role \"only_here\" does not exist", "CREATE ROLE only_here; GRANT only_here TO postgres"],
    }
    index_that_fails_on_a_row {
        source: "CREATE SCHEMA s;
                 CREATE FUNCTION s.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1 / $1';
                 CREATE TABLE s.t (a int);
                 CREATE INDEX ON s.t (s.f(a));
                 INSERT INTO s.t VALUES (1);
                 CREATE OR REPLACE FUNCTION s.f(int) RETURNS int LANGUAGE sql IMMUTABLE
                     AS 'SELECT 1 / ($1 - $1)'",
        exit: 65,
        phase: "post-data",
        side: "target",
        sqlstate: "22012",
        words: &["division by zero"],
    }
    // The table that the check looks into is filled later.
    check_that_looks_into_another_table {
        source: "CREATE SCHEMA s;
                 CREATE TABLE s.z (a int);
                 INSERT INTO s.z VALUES (1);
                 CREATE FUNCTION s.has(int) RETURNS bool LANGUAGE sql
                     AS 'SELECT EXISTS (SELECT FROM s.z WHERE a = $1)';
                 CREATE TABLE s.a (a int CHECK (s.has(a)));
                 INSERT INTO s.a VALUES (1)",
        exit: 65,
        phase: "rows",
        side: "target",
        moves_by_copy: true,
        words: &["violates check constraint"],
    }
    function_that_trusts_a_search_path {
        source: "CREATE SCHEMA s;
                 SET search_path = s;
                 CREATE TABLE s.z (a int);
                 CREATE FUNCTION s.f(int) RETURNS bool LANGUAGE sql AS 'SELECT count(*) >= 0 FROM z';
                 CREATE TABLE s.a (a int CHECK (s.f(a)));
                 INSERT INTO s.a VALUES (1)",
        exit: 78,
        phase: "preflight",
        side: "source",
        moves_by_copy: true,
        words: &["s.f(integer), which is called for rows, names without a schema what pg_restore does not find: z"],
    }
    function_that_may_trust_a_search_path {
        source: "CREATE SCHEMA s;
                 SET search_path = s;
                 CREATE TABLE s.z (a int);
                 CREATE FUNCTION s.f(int) RETURNS bool LANGUAGE plpgsql
                     AS 'BEGIN IF $1 > 0 THEN RETURN (SELECT count(*) >= 0 FROM z); END IF; RETURN true; END';
                 CREATE TABLE s.a (a int CHECK (s.f(a)));
                 INSERT INTO s.a VALUES (1)",
        exit: 65,
        phase: "rows",
        side: "target",
        moves_by_copy: true,
        words: &["relation \"z\" does not exist"],
    }
}

impl Failure {
    fn check(&self) {
        // What fails before anything moves does not depend on how it would.
        let early = !self.moves_by_copy && ["configure", "connect", "preflight"].contains(&self.phase);
        for (method, rig) in if early { &GRID[..1] } else { &GRID[..] } {
            self.check_by(method, *rig);
        }
    }

    fn check_by(&self, method: &str, rig: MakeRig) {
        let rig = rig(self.source);
        rig.at_target(self.target);
        let output = (self.worker)(rig.worker("s").env("METHOD", method)).run();
        if self.moves_by_copy && method == "copy" {
            assert_exit(&output, 0);
            assert_eq!(
                warehouse::contents(rig.target, &rig.database, "s"),
                warehouse::contents(rig.source, &rig.database, "s")
            );
            return;
        }
        assert_exit(&output, self.exit);
        let last = output.last();
        assert_eq!(last["exit"], self.exit, "{last}");
        assert_eq!(text(last, "phase"), self.phase, "{last}");
        assert_eq!(text(last, "side"), self.side, "{last}");
        // The programs show no SQLSTATE.
        if method == "copy" || self.sqlstate.is_empty() || self.phase == "connect" {
            assert_eq!(text(last, "sqlstate"), self.sqlstate, "{last}");
        }
        for words in self.words {
            assert!(text(last, "reason").contains(words), "{words:?} is not in {last}");
        }
        assert!(!text(last, "advice").is_empty(), "{last}");
    }
}

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
