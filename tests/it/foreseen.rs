//! What a target would refuse in the middle of a load is refused before it, and every hint works as it is printed.

use serde_json::Value;
use testbed::cluster::PASSWORD;
use testbed::{Cluster, Server};

use crate::rig::{METHODS, Rig, assert_exit, text};

/// Statements for source and target (`---` between them), and words of the first refusal.
const ROWS: &[(&str, &str)] = &[
    (
        "CREATE TYPE public.pt AS (a int);
         CREATE FUNCTION public.pt_int(public.pt) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ($1).a';
         CREATE CAST (public.pt AS int) WITH FUNCTION public.pt_int(public.pt) AS IMPLICIT;
         CREATE SCHEMA s; CREATE TABLE s.t (p public.pt); CREATE VIEW s.v AS SELECT p::int + 1 AS x FROM s.t
         --- CREATE TYPE public.pt AS (a int);
         CREATE FUNCTION public.pt_int(public.pt) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ($1).a'",
        "cast (public.pt AS integer) does not exist",
    ),
    (
        "CREATE SCHEMA base; CREATE COLLATION base.mine (LOCALE = 'C'); CREATE SCHEMA s; CREATE TABLE s.t (a text);
         CREATE INDEX ON s.t (a COLLATE base.mine) --- CREATE SCHEMA base",
        "lacks collation base.mine",
    ),
    (
        "CREATE SCHEMA base; CREATE OPERATOR CLASS base.ops FOR TYPE int USING btree AS OPERATOR 3 =, FUNCTION 1 btint4cmp(int, int);
         CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE INDEX ON s.t (a base.ops) --- CREATE SCHEMA base",
        "lacks operator class base.ops USING btree",
    ),
    (
        "CREATE SCHEMA base; CREATE FUNCTION base.same(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
         CREATE OPERATOR base.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = base.same);
         CREATE SCHEMA s; CREATE TABLE s.t (a text CHECK (a OPERATOR(base.===) 'x')) --- CREATE SCHEMA base",
        "lacks",
    ),
    (
        "CREATE SCHEMA base; CREATE TEXT SEARCH CONFIGURATION base.c (COPY = simple); CREATE SCHEMA s; CREATE TABLE s.t (a text);
         CREATE INDEX ON s.t USING gin (to_tsvector('base.c', a)) --- CREATE SCHEMA base",
        "lacks text search configuration base.c",
    ),
    (
        "CREATE SCHEMA s; CREATE TABLE s.p (id int); CREATE TABLE s.c () INHERITS (s.p); ALTER TABLE ONLY s.p ADD PRIMARY KEY (id);
         INSERT INTO s.c VALUES (1)",
        "column s.c.id may be null, and its parent's in s.p may not",
    ),
    (
        "CREATE SCHEMA s; CREATE TABLE s.p (a int) PARTITION BY LIST (a); CREATE TABLE s.p1 PARTITION OF s.p FOR VALUES IN (1);
         CREATE TABLE s.p2 PARTITION OF s.p FOR VALUES IN (2); INSERT INTO s.p VALUES (1), (2);
         BEGIN; SELECT FROM s.p; PREPARE TRANSACTION 'foreseen';
         \\set ON_ERROR_STOP 0
         SET statement_timeout = '500ms'; ALTER TABLE s.p DETACH PARTITION s.p2 CONCURRENTLY; ROLLBACK PREPARED 'foreseen'",
        "partition s.p2 is half detached from s.p",
    ),
    (
        "CREATE SCHEMA s; CREATE TABLE s.t (a int NOT NULL); CREATE UNIQUE INDEX i ON s.t (a); INSERT INTO s.t VALUES (1);
         ALTER TABLE s.t REPLICA IDENTITY USING INDEX i; DROP INDEX s.i",
        "replica identity of s.t is an index that was dropped",
    ),
    (
        "CREATE SCHEMA s; CREATE TABLE s.a (n int GENERATED ALWAYS AS IDENTITY); CREATE TABLE s.b (LIKE s.a INCLUDING IDENTITY);
         CREATE TABLE s.c (n bigint GENERATED ALWAYS AS IDENTITY); ALTER SEQUENCE s.c_n_seq AS int",
        "sequence s.b_n_seq is of type bigint, and its identity column of another",
    ),
    (
        "CREATE SCHEMA s; CREATE EXTENSION postgres_fdw SCHEMA s;
         CREATE SERVER foreseen FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1');
         CREATE FOREIGN TABLE s.f (id int) SERVER foreseen",
        "foreign server foreseen does not exist",
    ),
    (
        "CREATE EXTENSION hstore; CREATE SCHEMA s; CREATE TABLE s.t (h hstore); INSERT INTO s.t VALUES ('a=>1')",
        "extension \"hstore\" is not installed",
    ),
    (
        "CREATE ROLE foreseen_owner; CREATE SCHEMA s AUTHORIZATION foreseen_owner; CREATE TABLE s.t (a int)",
        "role \"foreseen_owner\" does not exist",
    ),
];

/// More hints than this, one after the other, nobody follows.
const ATTEMPTS_MAX: usize = 4;

#[test]
fn every_hint_works_as_it_is_printed() {
    for (sql, words) in ROWS {
        let (source, target) = sql.split_once("--- ").unwrap_or((sql, ""));
        let rig = Rig::new(source);
        rig.at_target(target);
        let mut attempts = 0;
        let mut unit = "s".to_owned();
        loop {
            let output = rig.worker(&unit).run();
            attempts += 1;
            if output.exit == 0 {
                break;
            }
            assert!(attempts <= ATTEMPTS_MAX, "{sql}\n{}", output.stdout);
            assert_eq!(output.exit, 78, "{sql}\n{}", output.stdout);
            let last = output.last();
            assert_eq!(text(last, "phase"), "preflight", "{sql}\n{last}");
            if attempts == 1 {
                assert!(text(last, "reason").contains(words), "{sql}\n{last}");
            }
            for finding in last["findings"].as_array().unwrap() {
                follow(&rig, finding, &mut unit);
            }
        }
        assert!(attempts > 1, "nothing was refused: {sql}");
    }
}

fn follow(rig: &Rig, finding: &Value, unit: &mut String) {
    let hint = ["hint", "hint"]
        .into_iter()
        .find_map(|field| finding[field].as_str())
        .unwrap();
    if let Some(first) = hint.strip_prefix("move it first: SCHEMA_NAME=") {
        assert_exit(&rig.worker(first).run(), 0);
    } else if let Some(together) = hint.strip_prefix("move them together: SCHEMA_NAME=") {
        together.clone_into(unit);
    } else if finding["side"] == "source" {
        rig.at_source(hint);
    } else {
        rig.at_target(hint);
    }
}

#[test]
fn what_only_a_superuser_may_create_is_refused_before_the_old_load_is_gone() {
    for (sql, words) in [
        (
            "CREATE FUNCTION s.f(int) RETURNS int LANGUAGE internal AS 'int4abs'",
            "function s.f(integer), which is of language internal",
        ),
        (
            "CREATE FUNCTION s.f() RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT 1'",
            "function s.f(), which is leakproof",
        ),
        (
            "CREATE OPERATOR CLASS s.ops FOR TYPE int USING btree AS OPERATOR 3 =, FUNCTION 1 btint4cmp(int, int)",
            "operator family s.ops USING btree",
        ),
    ] {
        let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t (a int)");
        let grant = "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'foreseen_plain') THEN
                         CREATE ROLE foreseen_plain LOGIN PASSWORD 'testbed'; END IF;
                     EXECUTE format('GRANT CREATE ON DATABASE %I TO foreseen_plain', current_database()); END $$";
        rig.at_target(grant);
        let load = || {
            rig.worker("s")
                .env("TARGET_USER", "foreseen_plain")
                .env("PRIVILEGES", "skip")
                .run()
        };
        assert_exit(&load(), 0);
        rig.at_source(sql);
        let output = load();
        assert_exit(&output, 77);
        assert_eq!(text(output.last(), "phase"), "preflight");
        assert!(text(output.last(), "reason").contains(words), "{}", output.last());
        assert_eq!(rig.at_target("SELECT count(*) FROM s.t"), "0");
    }
}

#[test]
fn what_another_release_has_not_or_names_is_asked_before_the_old_load_is_gone() {
    let rig = Rig::to_newest("CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1)");
    let worker = rig.worker("s");
    assert_exit(&worker.run(), 0);
    rig.at_source(
        "CREATE VIEW s.v AS SELECT checkpoints_timed, buffers_alloc, usename FROM pg_stat_bgwriter, pg_stat_activity;
         CREATE VIEW s.same AS SELECT datname, table_name FROM pg_stat_database, information_schema.tables;
         CREATE TABLE s.late (a int NOT NULL, b int NOT NULL, c int NOT NULL, CONSTRAINT late_c_not_null CHECK (c IS NOT NULL));
         ALTER TABLE s.late ADD CONSTRAINT late_a_not_null CHECK (a IS NOT NULL) NOT VALID; ALTER TABLE s.late ADD CONSTRAINT late_b_not_null UNIQUE (b)",
    );
    let output = worker.run();
    assert_exit(&output, 78);
    assert_eq!(text(output.last(), "phase"), "preflight");
    assert_eq!(rig.at_target("SELECT count(*) FROM s.t"), "1");
    let findings = output.last()["findings"].as_array().unwrap();
    let reasons: Vec<&str> = findings.iter().map(|one| text(one, "reason")).collect();
    let shows = "view s.v shows checkpoints_timed of pg_catalog.pg_stat_bgwriter, which the target's has not";
    assert!(reasons.len() == 3 && reasons.contains(&shows), "{reasons:?}");
    rig.at_source("DROP VIEW s.v");
    for finding in findings.iter().filter(|one| text(one, "reason") != shows) {
        rig.at_source(text(finding, "hint"));
    }
    assert_exit(&worker.run(), 0);
}

/// Setting what the server does not know is a right, too.
#[test]
fn a_right_to_set_parameters_is_asked_for_before_the_old_load_is_gone() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1)");
    let role = "foreseen_setter";
    rig.at_target(&format!(
        "DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}';
         DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {role}', current_database()); END $$"
    ));
    let worker = rig.worker("s").env("TARGET_USER", role).env("PRIVILEGES", "skip");
    assert_exit(&worker.run(), 0);
    rig.at_source(
        r#"CREATE FUNCTION s.f() RETURNS int LANGUAGE sql SET "App.tenant" = 'x' SET search_path = s SET work_mem = '8MB' AS 'SELECT 1';
         CREATE PROCEDURE s.g() LANGUAGE sql SET log_min_duration_statement = 0 SET app.tenant = 'y' AS 'SELECT 1'"#,
    );
    let output = worker.run();
    assert_exit(&output, 77);
    assert_eq!(text(output.last(), "phase"), "preflight");
    assert_eq!(rig.at_target("SELECT count(*) FROM s.t"), "1");
    let findings = output.last()["findings"].as_array().unwrap();
    assert!(findings.len() > 1, "{}", output.last());
    for finding in findings {
        rig.at_target(text(finding, "hint"));
    }
    assert_exit(&worker.run(), 0);
}

/// Functions that name without a schema what two schemas have, whose meaning no load has to choose: in comments, texts,
/// variables and WITH, in functions of pg_catalog's, in a view, and where there are no rows.
const INNOCENT: &str = "CREATE TABLE s.n (a int, b int, at date); INSERT INTO s.n VALUES (1, 2, '2024-01-01'); CREATE TABLE s.none (a int);
     CREATE TABLE public.rates (a int); CREATE TABLE s.rates (a int); CREATE FUNCTION public.left(text, int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
     CREATE FUNCTION s.left(text, int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE FUNCTION public.of(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
     CREATE FUNCTION s.of(date, date) RETURNS int LANGUAGE sql AS 'SELECT 1';
     CREATE FUNCTION s.spare(a int, at date) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE rates int := 1; of date; BEGIN -- rate() /*
         /* it's rate() */ IF a IS DISTINCT FROM rates THEN a := length('rate() ' || left('x', 1)); of := at; END IF; rates := extract(year FROM rates.at);
         EXCEPTION WHEN undefined_table THEN WITH rates AS (SELECT 2 AS a) SELECT max(rates.a) + 0 * date_part('year', of) INTO rates FROM rates; RETURN rates; END $$;
     CREATE INDEX ON s.n (s.spare(a, at)); CREATE INDEX ON s.none (s.price(a)); CREATE VIEW s.view AS SELECT s.price(a) FROM s.n";

#[test]
fn what_no_search_path_tells_is_asked_before_the_old_load_is_gone() {
    const HELPERS: &str = "CREATE FUNCTION public.rate() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 100'";
    for method in METHODS {
        let rig = Rig::new(&format!(
            "{HELPERS}; CREATE SCHEMA s; CREATE FUNCTION s.rate() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
             CREATE FUNCTION s.price(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * rate(); END'; {INNOCENT}"
        ));
        rig.at_target(HELPERS);
        let worker = rig.worker("s").env("METHOD", method);
        assert_exit(&worker.run(), 0);
        rig.at_source(
            "SET search_path = s, public; CREATE TABLE t (a int, p int GENERATED ALWAYS AS (price(a)) STORED);
             INSERT INTO t SELECT generate_series(1, 50)",
        );
        for output in [worker.clone().arg("check").run(), worker.run()] {
            assert_exit(&output, 78);
            let last = output.last();
            assert_eq!(text(last, "phase"), "preflight", "{last}");
            let words = "several of public, s, and the search path of the database does not tell which is meant: s.price(integer) names rate";
            assert!(text(last, "reason").contains(words), "{last}");
            assert_eq!(rig.at_target("SELECT count(*) FROM s.n"), "1");
        }
        rig.at_source(text(&worker.run().last()["findings"][0], "hint"));
        assert_exit(&worker.run(), 0);
        assert_eq!(rig.at_target("SELECT sum(p) FROM s.t"), "1275");
    }
}

#[test]
fn what_pg_restore_will_not_find_is_asked_before_the_old_load_is_gone() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.z (a int); INSERT INTO s.z VALUES (1)");
    let worker = rig.worker("s").env("METHOD", "pipe");
    assert_exit(&worker.run(), 0);
    // What is not called for a row, or not in every case, is left to the load.
    rig.at_source(
        "SET search_path = s; CREATE FUNCTION rate() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 7';
         CREATE FUNCTION price(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * rate(); END';
         CREATE FUNCTION seldom(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN IF $1 < 0 THEN RETURN rate() > 0; END IF; RETURN true; END';
         CREATE FUNCTION never(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > rate()';
         CREATE TABLE t (a int CHECK (seldom(a)), p int GENERATED ALWAYS AS (price(a)) STORED); INSERT INTO t VALUES (1);
         ALTER TABLE t ADD CHECK (never(a)) NOT VALID; CREATE TABLE none (a int CHECK (never(a)))",
    );
    assert_exit(&worker.clone().env("METHOD", "copy").arg("check").run(), 0);
    let output = worker.run();
    assert_exit(&output, 78);
    let findings = output.last()["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{}", output.last());
    assert_eq!(rig.at_target("SELECT count(*) FROM s.z"), "1");
    rig.at_source(text(&findings[0], "hint"));
    assert_exit(&worker.run(), 0);
    assert_eq!(rig.at_target("SELECT p FROM s.t"), "7");
}

/// What uses an operator that no text names, and the object that is refused for it.
const HIDDEN_OPERATORS: &[(&str, &str)] = &[
    (
        "CREATE VIEW v AS SELECT a IS DISTINCT FROM b AS x FROM t",
        "view s.v",
    ),
    (
        "CREATE MATERIALIZED VIEW m AS SELECT a FROM t WHERE CASE a WHEN b THEN true END",
        "materialized view s.m",
    ),
    ("CREATE VIEW j AS SELECT a FROM t JOIN t u USING (a)", "view s.j"),
    ("CREATE INDEX i ON t (a) WHERE NULLIF(a, b) IS NULL", "index s.i"),
    (
        "ALTER TABLE t ADD CONSTRAINT k CHECK (v IS NOT DISTINCT FROM 'x')",
        "constraint k on table s.t",
    ),
    (
        "CREATE POLICY p ON t USING (NULLIF(a, b) IS NULL)",
        "policy p on table s.t",
    ),
    (
        "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW WHEN (old.a IS DISTINCT FROM new.a) EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "trigger g on table s.t",
    ),
    (
        "ALTER TABLE t ADD d bool GENERATED ALWAYS AS (a IS DISTINCT FROM b) STORED",
        "default value for column d of table s.t",
    ),
    (
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(NULLIF(a, b)) FROM t; END",
        "function s.f()",
    ),
];

#[test]
fn operators_that_no_text_names_are_refused_before_the_old_load_is_gone() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE FUNCTION s.alike(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT lower($1) OPERATOR(pg_catalog.=) lower($2)';
         CREATE OPERATOR s.= (LEFTARG = text, RIGHTARG = text, FUNCTION = s.alike); CREATE EXTENSION citext;
         CREATE TABLE s.t (a text, b text, v text, c citext); INSERT INTO s.t VALUES ('x', 'X', 'x', 'y'); SET search_path = s, pg_catalog;
         CREATE VIEW s.named AS SELECT a = b AS same FROM s.t; CREATE VIEW s.other AS SELECT c OPERATOR(public.=) 'x'::public.citext AS x, NULLIF(1, 2) AS y FROM s.t",
    );
    rig.at_target("CREATE EXTENSION citext");
    assert_exit(&rig.worker("s").run(), 0);
    for (sql, _) in HIDDEN_OPERATORS {
        rig.at_source(&format!("SET search_path = s, pg_catalog, public; {sql}"));
    }
    for method in METHODS {
        let worker = rig.worker("s").env("METHOD", method);
        for output in [worker.clone().arg("check").run(), worker.run()] {
            assert_exit(&output, 78);
            let last = output.last();
            assert_eq!(text(last, "phase"), "preflight", "{last}");
            let findings = last["findings"].as_array().unwrap();
            assert_eq!(findings.len(), HIDDEN_OPERATORS.len(), "{last}");
            for (_, object) in HIDDEN_OPERATORS {
                let words = format!("{object} uses s.=(text,text) where its text names no operator");
                assert!(
                    findings.iter().any(|one| text(one, "reason").starts_with(&words)),
                    "{object}\n{last}"
                );
            }
            assert_eq!(rig.at_target("SELECT count(*) FROM s.named"), "1");
        }
    }
}

/// A relation is one object of the lock table, however many sessions lock it.
#[test]
fn three_thousand_tables_fit_into_a_lock_table_of_default_size() {
    let rig = Rig::new(
        "CREATE SCHEMA s; DO $$ BEGIN FOR i IN 1..3000 LOOP EXECUTE format('CREATE TABLE s.t%s (id int)', i);
         IF i % 500 = 0 THEN COMMIT; END IF; END LOOP; END $$",
    );
    assert_exit(&rig.worker("s").run(), 0);
    assert_exit(&rig.worker("s").run(), 0);
}

/// What no waiting brings is no lack that passes.
#[test]
fn a_server_that_never_has_connections_enough_is_refused() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t (a int)");
    let settings = [
        ("max_connections", "12"),
        ("max_wal_senders", "0"),
        ("superuser_reserved_connections", "3"),
    ];
    let few = Cluster::start_with(&Server::distribution(), &settings);
    few.psql(
        "postgres",
        &format!("CREATE ROLE loader LOGIN PASSWORD '{PASSWORD}'"),
    );
    few.psql("postgres", "CREATE DATABASE app OWNER loader");
    let worker = rig.worker("s").target(&few, "app", "loader", PASSWORD);
    let output = worker.env("JOBS", "4").env("PRIVILEGES", "skip").run();
    assert_exit(&output, 78);
    let reason = text(output.last(), "reason");
    assert!(
        reason.contains("has 9 connections for users, and a run needs 14")
            && reason.contains("ALTER SYSTEM SET max_connections = 17"),
        "{reason}"
    );
}

/// On RDS and Aurora nobody can be told what only a superuser or the machine's owner may do.
#[test]
fn hints_are_those_of_the_service() {
    let rig = Rig::to_newest("CREATE SCHEMA s; CREATE TABLE s.t (v text COLLATE \"de-x-icu\")");
    let database = &rig.database;
    let aurora = "CREATE FUNCTION public.aurora_version() RETURNS text LANGUAGE sql AS 'SELECT ''18.0'''";
    for (made, kind, words) in [
        (
            String::new(),
            "target 18",
            "install the locale on the target's machine",
        ),
        (
            format!("ALTER DATABASE {database} SET rds.extensions = 'hstore'"),
            "target 18 of RDS",
            "one of those that RDS has",
        ),
        (
            aurora.to_owned(),
            "target 18 of Aurora",
            "one of those that Aurora has",
        ),
    ] {
        rig.at_target(&made);
        let output = rig.worker("s").arg("check").run();
        assert_exit(&output, 78);
        assert!(text(output.last(), "reason").contains(words), "{}", output.last());
        let versions = |record: &&Value| text(record, "check") == "versions";
        let found = output.records.iter().find(versions).unwrap();
        assert!(text(found, "found").ends_with(kind), "{found}");
    }
}

/// Servers whose locales of money have other decimals are imitated: no machine has such a locale by itself.
#[test]
fn amounts_of_money_that_would_be_others_are_refused() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE DOMAIN s.price AS money; CREATE TYPE s.pair AS (a s.price[], b int); CREATE TABLE s.t (p s.pair); INSERT INTO s.t VALUES (ROW(ARRAY[12.34::money], 1));
         CREATE SCHEMA r; CREATE TABLE r.t (a int)",
    );
    rig.at_target(
        "SET allow_system_table_mods = on; ALTER FUNCTION pg_catalog.scale(numeric) RENAME TO scale_elsewhere;
         CREATE FUNCTION pg_catalog.scale(numeric) RETURNS int LANGUAGE sql AS 'SELECT 0'",
    );
    for method in METHODS {
        let output = rig.worker("s").env("METHOD", method).run();
        assert_exit(&output, 78);
        let reason = text(output.last(), "reason");
        assert!(
            reason.contains("2 decimals on the source") && reason.contains("and 0 on the target"),
            "{reason}"
        );
        assert_exit(&rig.worker("r").env("METHOD", method).run(), 0);
    }
}

#[test]
fn rows_whose_columns_would_change_places_are_refused() {
    let rig = Rig::new(
        "CREATE SCHEMA s; SET search_path = s; CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent); ALTER TABLE parent ADD x int;
         CREATE TABLE heir (y int) INHERITS (child); CREATE TABLE even (a int, z int) INHERITS (parent); CREATE TABLE two (b int, a int, x int); ALTER TABLE two INHERIT parent;
         INSERT INTO child VALUES (1, 2, 3); CREATE VIEW v AS SELECT c FROM child c",
    );
    let worker = rig.worker("s");
    let output = worker.run();
    assert_exit(&output, 0);
    let places = serde_json::json!(["order of columns of s.child, s.heir, s.two"]);
    assert_eq!(output.last()["not_carried"], places);
    assert_eq!(rig.at_target("SELECT a, b, x FROM s.child"), "1|2|3");
    for (holds, dropped) in [
        ("CREATE TABLE s.hold (r s.child)", "DROP TABLE s.hold"),
        ("CREATE TYPE s.pair AS (a int, r s.heir[])", "DROP TYPE s.pair"),
        ("CREATE DOMAIN s.rows AS s.two", "DROP DOMAIN s.rows"),
    ] {
        rig.at_source(holds);
        let output = worker.run();
        assert_exit(&output, 78);
        let reason = text(output.last(), "reason");
        assert!(reason.contains("inherited columns do not come first"), "{reason}");
        assert_eq!(rig.at_target("SELECT count(*) FROM s.child"), "1");
        rig.at_source(dropped);
    }
}
