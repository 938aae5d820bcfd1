//! One schema, end to end.

use testbed::Output;
use testbed::cluster::{PASSWORD, SUPERUSER};

use crate::rig::{METHODS, Rig, assert_exit, text};

#[test]
fn a_schema_arrives_whole() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.t (id serial PRIMARY KEY, v text);
         INSERT INTO s.t (v) SELECT 'row ' || i FROM generate_series(1, 1000) i",
    );
    let output = rig.worker("s").run();
    assert_exit(&output, 0);
    assert_eq!(rig.at_target("SELECT count(*), max(id) FROM s.t"), "1000|1000");
    assert_eq!(
        rig.at_target("INSERT INTO s.t (v) VALUES ('next') RETURNING id"),
        "1001"
    );
}

#[test]
fn databases_may_have_different_names() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1)");
    rig.target.create_database("of another name");
    assert_exit(&rig.worker("s").env("TARGET_DBNAME", "of another name").run(), 0);
    assert_eq!(rig.target.psql("of another name", "SELECT a FROM s.t"), "1");
}

#[test]
fn what_the_database_is_stays_each_servers_own() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS a");
    let database = rig.database.as_str();
    let is = |words: &str| {
        format!(
            "COMMENT ON DATABASE {database} IS '{words}'; ALTER DATABASE {database} SET application_name = '{words}'"
        )
    };
    let mover = format!("mover_of_{database}");
    rig.at_target(&format!(
        "CREATE ROLE {mover} LOGIN PASSWORD '{PASSWORD}'; GRANT CREATE ON DATABASE {database} TO {mover};
         GRANT {mover} TO {SUPERUSER}; {}",
        is("the target")
    ));
    rig.at_source(&is("the source"));
    let worker = rig.worker("s").env("PRIVILEGES", "skip");
    for user in [&mover, SUPERUSER] {
        let worker = worker.clone().target(rig.target, database, user, PASSWORD);
        for method in ["pipe", "copy"] {
            let worker = worker.clone().env("METHOD", method);
            assert_exit(&worker.env("ON_EXISTING", "replace").run(), 0);
        }
    }
    rig.at_source(&is("still the source"));
    assert_exit(&worker.arg("drift").run(), 0);
    let said =
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()";
    assert_eq!(rig.at_target(said), "the target");
}

#[test]
fn what_is_not_carried_is_named() {
    let rig = Rig::new(
        "CREATE SCHEMA s; SET search_path = s; CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (id int PRIMARY KEY, m mood); CREATE TABLE c (t int CONSTRAINT k REFERENCES t); ALTER TABLE c DISABLE TRIGGER ALL;
         CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION et(); CREATE PUBLICATION whole FOR TABLES IN SCHEMA s; CREATE PUBLICATION one FOR TABLE t;
         CREATE FUNCTION f(internal) RETURNS internal LANGUAGE internal IMMUTABLE AS 'int4pl'; CREATE TRANSFORM FOR mood LANGUAGE sql (FROM SQL WITH FUNCTION f(internal)); CREATE FUNCTION am(internal) RETURNS table_am_handler LANGUAGE internal AS 'heap_tableam_handler'; CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER am;
         CREATE FUNCTION call() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler'; CREATE LANGUAGE words HANDLER call; CREATE FUNCTION valid(text[], oid) RETURNS void LANGUAGE plpgsql AS 'BEGIN END'; CREATE FOREIGN DATA WRAPPER w VALIDATOR valid;
         CREATE FUNCTION eq(mood, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'; CREATE FUNCTION cmp(mood, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0'; CREATE OPERATOR = (LEFTARG = mood, RIGHTARG = int, FUNCTION = eq);
         ALTER OPERATOR FAMILY pg_catalog.integer_ops USING btree ADD OPERATOR 3 s.= (s.mood, int), FUNCTION 1 (s.mood, int) s.cmp(s.mood, int); CREATE FUNCTION num(mood) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE CAST (mood AS int) WITH FUNCTION num(mood);
         CREATE TYPE span AS RANGE (SUBTYPE = int); REVOKE EXECUTE ON FUNCTION span(int, int) FROM PUBLIC; REVOKE USAGE ON TYPE t FROM PUBLIC; COMMENT ON TYPE span_multirange IS 'several';
         CREATE TABLE whole (a int CONSTRAINT positive CHECK (a > 0), r int) PARTITION BY LIST (a); CREATE TABLE part (a int, r int CONSTRAINT own REFERENCES t); ALTER TABLE whole ADD CONSTRAINT to_t FOREIGN KEY (r) REFERENCES t; CREATE TABLE heir () INHERITS (c);
         ALTER TABLE part ADD CONSTRAINT positive CHECK (a > 0); ALTER TABLE whole ATTACH PARTITION part FOR VALUES IN (1); COMMENT ON CONSTRAINT positive ON part IS 'inherited'; COMMENT ON CONSTRAINT own ON part IS 'inherited';
         CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER fires BEFORE INSERT ON whole FOR EACH ROW EXECUTE FUNCTION fire(); COMMENT ON TRIGGER fires ON part IS 'cloned'; ALTER TABLE whole ADD PRIMARY KEY (a); COMMENT ON CONSTRAINT part_pkey ON part IS 'carried';
         CREATE MATERIALIZED VIEW base AS SELECT id FROM t; CREATE MATERIALIZED VIEW top AS SELECT sum(id) FROM base; REFRESH MATERIALIZED VIEW base WITH NO DATA",
    );
    let output = rig.worker("s").run();
    assert_exit(&output, 0);
    let named = output.last()["not_carried"].as_array().unwrap();
    let expected = [
        "access method heap2",
        "cast s.mood as integer",
        "changes to function of range type s.span(integer,integer)",
        "comment on inherited constraint own of s.part",
        "comment on inherited constraint positive of s.part",
        "comment on inherited trigger fires of s.part",
        "disabled triggers of foreign key k of s.c",
        "event trigger mine",
        "foreign data wrapper w",
        "function of another schema's family s.cmp(s.mood,integer) in pg_catalog.integer_ops",
        "grants or comment of type s.span_multirange",
        "grants or comment of type s.t",
        "language words",
        "membership of publication one: s.t",
        "name of inherited foreign key own of s.part",
        "operator of another schema's family s.=(s.mood,integer) in pg_catalog.integer_ops",
        "rows of materialized view over an unpopulated one s.top",
        "rows of unpopulated materialized view s.base",
        "schema of publication whole: s",
        "transform for s.mood language sql",
    ];
    let mut named: Vec<&str> = named.iter().map(|one| one.as_str().unwrap()).collect();
    named.sort_unstable();
    assert_eq!(named, expected);
    // Keys of partitions stand for themselves in a dump, and so does what is said of them.
    rig.at_target("COMMENT ON CONSTRAINT part_pkey ON s.part IS 'another'");
    let compared = rig.worker("s").arg("verify").run();
    assert_exit(&compared, 65);
    let reason = text(compared.last(), "reason");
    assert!(
        reason.contains("comment is carried on the source and another on the target"),
        "{reason}"
    );
}

#[test]
fn an_adopted_schema_gets_its_comment_where_that_is_allowed() {
    let rig = Rig::new(
        "CREATE SCHEMA s; COMMENT ON SCHEMA s IS 'the source''s'; CREATE TABLE s.t (a int); GRANT USAGE ON SCHEMA s TO PUBLIC",
    );
    rig.at_target("CREATE ROLE other_owner; CREATE SCHEMA s AUTHORIZATION other_owner");
    let refused = rig.worker("s").run();
    assert_exit(&refused, 73);
    let reason = text(refused.last(), "reason");
    assert!(reason.contains("belongs to other_owner"), "{reason}");
    assert!(reason.contains("ALTER SCHEMA s OWNER TO postgres"), "{reason}");
    rig.at_target("GRANT other_owner TO postgres");
    assert_exit(&rig.worker("s").run(), 0);
    let asked = "SELECT obj_description(oid), nspowner::regrole, has_schema_privilege('public', oid, 'USAGE') FROM pg_namespace WHERE nspname = 's'";
    assert_eq!(rig.at_target(asked), "the source's|other_owner|t");
}

/// Ends with 78 and these words.
fn assert_asks_for(output: &Output, words: &[&str]) {
    assert_exit(output, 78);
    let said = output.last().to_string();
    for words in words {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn rows_of_extensions_stay_where_they_are() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE EXTENSION hstore SCHEMA s; CREATE TABLE s.conf (a int); INSERT INTO s.conf VALUES (1); CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1);
         ALTER EXTENSION hstore ADD TABLE s.conf; UPDATE pg_extension SET extconfig = ARRAY['s.conf'::regclass::oid], extcondition = ARRAY[''] WHERE extname = 'hstore'",
    );
    rig.at_source("REVOKE EXECUTE ON FUNCTION s.hstore(text, text) FROM PUBLIC");
    rig.at_target("CREATE SCHEMA s; CREATE EXTENSION hstore SCHEMA s; CREATE TABLE s.conf (a int); ALTER EXTENSION hstore ADD TABLE s.conf");
    for method in METHODS {
        let worker = rig.worker("s").env("METHOD", method);
        assert_asks_for(
            &worker.clone().run(),
            &["rows of your own in tables of extensions", "s.conf"],
        );
        let output = worker.env("ACCEPT", "extension-rows").run();
        assert_exit(&output, 0);
        let left_out = output.last()["not_carried"].to_string();
        assert!(
            left_out.contains("grants on members of extension hstore"),
            "{left_out}"
        );
        assert_eq!(
            rig.at_target("SELECT (SELECT count(*) FROM s.conf), (SELECT count(*) FROM s.t)"),
            "0|1",
            "{method}"
        );
    }
    // A table that is no configuration: what no script has written is a user's own.
    rig.at_source("UPDATE pg_extension SET extconfig = NULL, extcondition = NULL WHERE extname = 'hstore'");
    assert_asks_for(&rig.worker("s").run(), &["s.conf"]);
    rig.at_source("TRUNCATE s.conf");
    assert_exit(&rig.worker("s").run(), 0);
    rig.at_source("BEGIN; CREATE TABLE s.own (a int); INSERT INTO s.own VALUES (1); ALTER EXTENSION hstore ADD TABLE s.own; COMMIT");
    rig.at_target("CREATE TABLE s.own (a int); ALTER EXTENSION hstore ADD TABLE s.own");
    assert_exit(&rig.worker("s").run(), 0);
}

/// pg_dump leaves out what belongs to an extension, which makes on the target what its script says.
#[test]
fn what_somebody_has_added_to_an_extension_is_asked_for() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE EXTENSION hstore SCHEMA s; CREATE EXTENSION citext SCHEMA public; CREATE TABLE s.t (a int);
         CREATE TABLE s.\"M\" (a int); CREATE SEQUENCE s.q; CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         ALTER EXTENSION hstore ADD TABLE s.\"M\"; ALTER EXTENSION hstore ADD SEQUENCE s.q; ALTER EXTENSION citext ADD FUNCTION s.f()",
    );
    // The extension is made by the load, and is there afterwards.
    for is_there in ["f", "t"] {
        let asked = "SELECT count(*) = 1 FROM pg_extension WHERE extname = 'hstore'";
        assert_eq!(rig.at_target(asked), is_there);
        let output = rig.worker("s").run();
        assert_asks_for(&output, &["belongs to extension", "DROP SEQUENCE s.q"]);
    }
    rig.at_target("CREATE EXTENSION citext SCHEMA public");
    rig.at_source("ALTER EXTENSION hstore DROP TABLE s.\"M\"; ALTER EXTENSION hstore DROP SEQUENCE s.q");
    let output = rig.worker("s").run();
    assert_exit(&output, 0);
    let left_out = output.last()["not_carried"].to_string();
    assert!(
        left_out.contains("function s.f() of extension citext"),
        "{left_out}"
    );
    assert_eq!(
        rig.at_target("SELECT to_regclass('s.\"M\"') IS NULL, to_regclass('s.q') IS NULL"),
        "f|f"
    );
}
