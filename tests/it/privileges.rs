//! Owners, grants, default privileges and policies, carried by a user such as Aurora's master user.

use testbed::Worker;
use testbed::cluster::PASSWORD;

use crate::rig::{METHODS, Rig, assert_exit, text};

/// The target's user: NOSUPERUSER, CREATEDB, CREATEROLE, owner of the database; and a reader on the source.
/// Roles are shared by all tests of a cluster, so each test takes a prefix of its own.
fn aurora_like(rig: &Rig, prefix: &str) -> Worker {
    let database = &rig.database;
    rig.at_target(&format!(
        "CREATE ROLE {prefix}_master LOGIN PASSWORD '{PASSWORD}' CREATEDB CREATEROLE; ALTER DATABASE {database} OWNER TO {prefix}_master"
    ));
    rig.at_source(&format!(
        "CREATE ROLE {prefix}_reader LOGIN PASSWORD '{PASSWORD}'"
    ));
    rig.worker("s")
        .env("SOURCE_USER", format!("{prefix}_reader"))
        .env("TARGET_USER", format!("{prefix}_master"))
}

/// The list of what everybody may do, on either side.
const ACCESS: &str = "
SELECT 'schema ' || nspname, nspowner::regrole::text, (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM aclexplode(coalesce(nspacl, acldefault('n', nspowner))) e, LATERAL (SELECT format('%s>%s:%s:%s', e.grantor::regrole, CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE e.grantee::regrole::text END, e.privilege_type, e.is_grantable)) x)
FROM pg_namespace WHERE nspname = 's'
UNION ALL
SELECT 'relation ' || relname, relowner::regrole::text, (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner))) e, LATERAL (SELECT format('%s>%s:%s:%s', e.grantor::regrole, CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE e.grantee::regrole::text END, e.privilege_type, e.is_grantable)) x)
FROM pg_class WHERE relnamespace = 's'::regnamespace AND relkind IN ('r', 'v', 'S')
UNION ALL
SELECT 'column ' || attname, attrelid::regclass::text, attacl::text FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 's'::regnamespace AND attacl IS NOT NULL
UNION ALL
SELECT 'function ' || proname, proowner::regrole::text, (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) e, LATERAL (SELECT format('%s>%s:%s:%s', e.grantor::regrole, CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE e.grantee::regrole::text END, e.privilege_type, e.is_grantable)) x)
FROM pg_proc WHERE pronamespace = 's'::regnamespace
UNION ALL
SELECT 'type ' || typname, typowner::regrole::text, typacl::text FROM pg_type WHERE typnamespace = 's'::regnamespace AND typtype IN ('e', 'd', 'r', 'm')
UNION ALL
SELECT 'default ' || defaclobjtype::text, defaclrole::regrole::text, defaclacl::text FROM pg_default_acl WHERE defaclnamespace = 's'::regnamespace
UNION ALL
SELECT 'policy ' || policyname, tablename::regclass::text, format('%s %s %s %s', roles, cmd, qual, with_check) FROM (SELECT policyname, 's.' || quote_ident(tablename) AS tablename, roles, cmd, qual, with_check FROM pg_policies WHERE schemaname = 's') p
UNION ALL
SELECT 'row security ' || relname, relowner::regrole::text, format('%s %s', relrowsecurity, relforcerowsecurity) FROM pg_class WHERE relnamespace = 's'::regnamespace AND relkind = 'r'
ORDER BY 1, 2";

/// A schema whose parts belong to several roles, with grants by another grantor.
fn owned_by(prefix: &str) -> String {
    "CREATE SCHEMA s; CREATE TABLE s.t (id serial, v text); INSERT INTO s.t (v) VALUES ('a'), ('b'); CREATE TABLE s.plain (a int);
     CREATE VIEW s.v AS SELECT * FROM s.t; CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE s.e AS ENUM ('x'); CREATE SEQUENCE s.q;
     ALTER TABLE s.t OWNER TO P_owner; ALTER VIEW s.v OWNER TO P_other; ALTER FUNCTION s.f() OWNER TO P_owner; ALTER TYPE s.e OWNER TO P_owner; ALTER SEQUENCE s.q OWNER TO P_other;
     GRANT USAGE, CREATE ON SCHEMA s TO P_owner, P_other, P_third; GRANT USAGE ON SCHEMA s TO P_reader;
     SET ROLE P_owner; CREATE TYPE s.span AS RANGE (SUBTYPE = int); GRANT SELECT ON s.t TO P_reader; GRANT SELECT ON SEQUENCE s.t_id_seq TO P_reader; GRANT SELECT ON s.t TO P_other WITH GRANT OPTION; GRANT UPDATE (v) ON s.t TO P_third; REVOKE ALL ON FUNCTION s.f() FROM PUBLIC; RESET ROLE;
     SET ROLE P_other; GRANT SELECT ON s.t TO P_third, P_owner; GRANT SELECT ON SEQUENCE s.q TO P_reader; RESET ROLE;
     ALTER TABLE s.plain OWNER TO P_third; SET ROLE P_third; GRANT SELECT ON s.plain TO PUBLIC; RESET ROLE;
     ALTER DEFAULT PRIVILEGES FOR ROLE P_owner IN SCHEMA s GRANT SELECT ON TABLES TO P_third;
     ALTER TABLE s.t ENABLE ROW LEVEL SECURITY; ALTER TABLE s.t FORCE ROW LEVEL SECURITY; CREATE POLICY p ON s.t FOR SELECT TO P_other USING (id > 1);
     ALTER ROLE P_reader BYPASSRLS; ALTER SCHEMA s OWNER TO P_owner".replace("P_", &format!("{prefix}_"))
}

fn roles(prefix: &str) -> String {
    ["owner", "other", "third"]
        .map(|role| format!("CREATE ROLE {prefix}_{role};"))
        .concat()
}

#[test]
fn owners_and_grants_arrive_and_the_next_load_replaces_them() {
    for rig in Rig::of_both_majors() {
        let worker = aurora_like(&rig, "keep");
        rig.at_source(&roles("keep"));
        rig.at_source(&owned_by("keep"));
        rig.at_target(&roles("keep"));
        // Roles that only the source needs are granted something too. The user is no member that inherits.
        rig.at_target("CREATE ROLE keep_reader; ALTER ROLE keep_master NOINHERIT; GRANT keep_owner, keep_other, keep_third TO keep_master");
        // What the target adds by itself must not stay.
        rig.at_target(
        "ALTER DEFAULT PRIVILEGES FOR ROLE keep_master GRANT SELECT ON TABLES TO PUBLIC; CREATE SCHEMA other",
    );
        for _ in 0..3 {
            assert_exit(&worker.run(), 0);
            assert_eq!(rig.at_target(ACCESS), rig.at_source(ACCESS));
        }
        assert_eq!(rig.at_target("SELECT count(*) FROM s.t"), "2");
        // Nor does what only reads need what the user may use of it, or of anything else.
        for at in [Rig::at_source, Rig::at_target] {
            at(&rig, "CREATE SCHEMA cron; CREATE TABLE cron.job (a int)");
        }
        assert_exit(&worker.clone().arg("drift").run(), 0);
        assert_exit(&worker.clone().without("SCHEMA_NAME").arg("report").run(), 0);
    }
}

#[test]
fn owners_may_have_taken_rights_from_themselves() {
    for rig in Rig::of_both_majors() {
        let worker = aurora_like(&rig, "lean");
        rig.at_source(&roles("lean"));
        rig.at_source(
            "CREATE SCHEMA s AUTHORIZATION lean_owner; SET ROLE lean_owner; GRANT USAGE ON SCHEMA s TO lean_reader;
             CREATE TABLE s.log (id serial, v int); INSERT INTO s.log (v) VALUES (1); GRANT SELECT ON s.log, s.log_id_seq TO lean_reader;
             REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON s.log FROM lean_owner; REVOKE UPDATE, USAGE ON s.log_id_seq FROM lean_owner;
             CREATE FUNCTION s.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1'; REVOKE ALL ON FUNCTION s.twice FROM PUBLIC, lean_owner;
             CREATE AGGREGATE s.total(int) (SFUNC = int4pl, STYPE = int)",
        );
        rig.at_target(&roles("lean"));
        // From the user, too, default privileges take them.
        rig.at_target(
            "CREATE ROLE lean_reader; GRANT lean_owner TO lean_master; ALTER DEFAULT PRIVILEGES FOR ROLE lean_master REVOKE ALL ON TABLES FROM lean_master;
             ALTER DEFAULT PRIVILEGES FOR ROLE lean_master REVOKE ALL ON SEQUENCES FROM lean_master",
        );
        let refresh = worker.clone().arg("refresh").env("REFRESH", "only");
        for (again, rows) in [(&worker, "1"), (&worker, "2"), (&refresh, "2")] {
            assert_exit(&again.run(), 0);
            assert_eq!(rig.at_target(ACCESS), rig.at_source(ACCESS));
            assert_eq!(rig.at_target("SELECT count(*) FROM s.log"), rows);
            rig.at_source(
                "DELETE FROM s.log WHERE v = 2; INSERT INTO s.log (v) VALUES (2); UPDATE s.log SET v = v",
            );
        }
    }
}

#[test]
fn without_privileges_everything_belongs_to_the_user_and_row_security_stays() {
    for rig in Rig::of_both_majors() {
        let worker = aurora_like(&rig, "skip").env("PRIVILEGES", "skip");
        rig.at_source(&roles("skip"));
        rig.at_source(&owned_by("skip"));
        for _ in 0..2 {
            let output = worker.run();
            assert_exit(&output, 0);
            assert_eq!(
                output.last()["not_carried"],
                serde_json::json!(["policy p on s.t, of whose roles the target has none"])
            );
            let owners =
                "SELECT DISTINCT relowner::regrole FROM pg_class WHERE relnamespace = 's'::regnamespace";
            assert_eq!(rig.at_target(owners), "skip_master");
            let secured =
                "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = 's.t'::regclass";
            assert_eq!(rig.at_target(secured), "t|t");
            assert_eq!(
                rig.at_target("SELECT count(*) FROM pg_policies WHERE schemaname = 's'"),
                "0"
            );
        }
    }
}

#[test]
fn roles_can_have_another_name_on_the_target() {
    for rig in Rig::of_both_majors() {
        let worker = aurora_like(&rig, "map").env(
            "ROLE_MAP",
            "map_owner=\"Map New\",map_other = map_third,map_reader=map_third",
        );
        rig.at_source(&roles("map"));
        rig.at_source(&owned_by("map"));
        rig.at_target(
            "CREATE ROLE \"Map New\"; CREATE ROLE map_third; GRANT \"Map New\", map_third TO map_master",
        );
        assert_exit(&worker.run(), 0);
        let owners = "SELECT nspowner::regrole, (SELECT relowner::regrole FROM pg_class WHERE oid = 's.t'::regclass), (SELECT relowner::regrole FROM pg_class WHERE oid = 's.v'::regclass) FROM pg_namespace WHERE nspname = 's'";
        assert_eq!(rig.at_target(owners), "\"Map New\"|\"Map New\"|map_third");
        assert_eq!(
            rig.at_target("SELECT roles FROM pg_policies WHERE schemaname = 's'"),
            "{map_third}"
        );
    }
}

/// The statements that a refusal names; what it names for SCHEMA_NAME is none.
fn hints(output: &testbed::Output) -> Vec<(String, String)> {
    let findings = output.last()["findings"].as_array().cloned().unwrap_or_default();
    findings
        .iter()
        .map(|finding| (text(finding, "side").to_owned(), text(finding, "hint").to_owned()))
        .collect()
}

#[test]
fn following_the_hints_of_one_refusal_leads_to_no_other() {
    for rig in Rig::of_both_majors() {
        let worker = aurora_like(&rig, "hint");
        rig.at_target(&format!("ALTER DATABASE {} OWNER TO postgres", rig.database));
        rig.at_source(&roles("hint"));
        rig.at_source("CREATE EXTENSION citext; CREATE SCHEMA s; CREATE EXTENSION hstore SCHEMA s; CREATE EXTENSION lo SCHEMA s; CREATE TABLE s.t (a int, h s.hstore, c citext);
        CREATE TABLE s.secured (a int); ALTER TABLE s.secured ENABLE ROW LEVEL SECURITY; CREATE SEQUENCE s.q;
        ALTER TABLE s.t OWNER TO hint_owner; CREATE TABLE s.u (id int); GRANT SELECT ON s.u TO hint_other; ALTER SCHEMA s OWNER TO hint_owner");
        for command in ["check", "load"] {
            let refused = worker.clone().arg(command).run();
            assert_exit(&refused, 78);
            assert_eq!(
                rig.at_target("SELECT count(*) FROM pg_namespace WHERE nspname IN ('s', 'schemaferry')"),
                "0"
            );
        }
        let refused = worker.run();
        let mut last = Vec::new();
        for (side, hint) in hints(&refused) {
            assert!(!hint.is_empty());
            if side == "source" {
                rig.at_source(&hint)
            } else {
                rig.at_target(&hint)
            };
            last.push(hint);
        }
        assert!(last.len() >= 8, "{last:#?}");
        let output = worker.run();
        assert_exit(&output, 0);
        assert_eq!(
            rig.at_target("SELECT relowner::regrole FROM pg_class WHERE oid = 's.t'::regclass"),
            "hint_owner"
        );
        assert_exit(&worker.run(), 0);
    }
}

/// `public` belongs to whoever owns the database, and nobody else grants on it.
#[test]
fn what_only_the_owner_of_a_filled_schema_can_grant_is_asked_for_first() {
    for rig in Rig::of_both_majors() {
        let database = &rig.database;
        rig.at_source(
            "CREATE ROLE filled_owner; CREATE ROLE filled_app; CREATE TABLE public.t AS SELECT 1 AS a; ALTER TABLE public.t OWNER TO filled_owner;
             GRANT USAGE ON SCHEMA public TO filled_owner WITH GRANT OPTION; SET ROLE filled_owner; GRANT USAGE ON SCHEMA public TO filled_app",
        );
        rig.at_target(&format!(
            "CREATE ROLE filled_master LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE filled_owner; CREATE ROLE filled_app; GRANT filled_owner TO filled_master;
             GRANT CREATE ON DATABASE {database} TO filled_master; GRANT CREATE, USAGE ON SCHEMA public TO filled_master, filled_owner"
        ));
        let worker = rig.worker("public").env("TARGET_USER", "filled_master");
        // Who replaces what is there has to be the owner.
        for lacking in ["only its owner", "belongs to a role"] {
            let refused = worker.run();
            assert_exit(&refused, 77);
            let last = refused.last();
            assert_eq!(text(last, "phase"), "preflight");
            assert!(text(last, "reason").contains(lacking), "{last}");
            for (_, hint) in hints(&refused) {
                rig.at_target(&hint);
            }
            assert_exit(&worker.run(), 0);
        }
        let may_use = "SELECT has_schema_privilege('filled_app', 'public', 'USAGE')";
        assert_eq!(rig.at_target(may_use), "t");
    }
}

#[test]
fn each_missing_privilege_is_named_alone() {
    let rig = Rig::new("");
    let worker = aurora_like(&rig, "lack");
    let database = &rig.database;
    rig.at_source("CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE TABLE s.u (a int); CREATE SEQUENCE s.q; CREATE TABLE s.r (a int); ALTER TABLE s.r ENABLE ROW LEVEL SECURITY;
        GRANT USAGE ON SCHEMA s TO lack_reader; GRANT SELECT ON ALL TABLES IN SCHEMA s TO lack_reader; GRANT SELECT ON ALL SEQUENCES IN SCHEMA s TO lack_reader; ALTER ROLE lack_reader BYPASSRLS");
    rig.at_target("CREATE ROLE lack_reader; GRANT postgres TO lack_master");
    assert_exit(&worker.clone().arg("check").run(), 0);
    let cases = [
        (
            "REVOKE SELECT ON s.t FROM lack_reader",
            "GRANT SELECT ON TABLE s.t TO lack_reader",
        ),
        (
            "REVOKE SELECT ON SEQUENCE s.q FROM lack_reader",
            "GRANT SELECT ON SEQUENCE s.q TO lack_reader",
        ),
        (
            "REVOKE USAGE ON SCHEMA s FROM lack_reader",
            "GRANT USAGE ON SCHEMA s TO lack_reader",
        ),
        (
            "ALTER ROLE lack_reader NOBYPASSRLS",
            "ALTER ROLE lack_reader BYPASSRLS",
        ),
    ];
    for (statement, hint) in cases {
        rig.at_source(statement);
        let output = worker.clone().arg("check").run();
        assert_exit(&output, 77);
        let hints = hints(&output);
        assert_eq!(hints.len(), 1, "{hints:#?}");
        assert_eq!(hints[0].1, hint);
        rig.at_source(hint);
        assert_exit(&worker.clone().arg("check").run(), 0);
    }
    rig.at_target(&format!("ALTER DATABASE {database} OWNER TO postgres; REVOKE postgres FROM lack_master; ALTER ROLE lack_master INHERIT"));
    let output = worker.clone().arg("check").env("PRIVILEGES", "skip").run();
    assert_exit(&output, 77);
    let expected = format!("GRANT CREATE ON DATABASE {database} TO lack_master");
    assert_eq!(hints(&output), [("target".to_owned(), expected.clone())]);
    rig.at_target(&expected);
    assert_exit(&worker.clone().env("PRIVILEGES", "skip").run(), 0);

    rig.at_target(&format!("CREATE ROLE lack_guest LOGIN PASSWORD '{PASSWORD}'"));
    rig.at_target(
        "ALTER SCHEMA schemaferry OWNER TO postgres; ALTER TABLE schemaferry.load OWNER TO postgres",
    );
    let expected =
        "GRANT USAGE ON SCHEMA schemaferry TO lack_guest; GRANT SELECT ON schemaferry.load TO lack_guest";
    let guest = worker.env("TARGET_USER", "lack_guest");
    for command in ["verify", "seal", "check"] {
        let output = guest.clone().arg(command).run();
        assert_exit(&output, 77);
        assert!(output.last().to_string().contains(expected), "{}", output.last());
    }
}

#[test]
fn rows_that_are_hidden_from_the_user_are_named_before_what_follows() {
    let rig = Rig::new("");
    let worker = aurora_like(&rig, "veil");
    rig.at_source(&roles("veil"));
    rig.at_source(
        "CREATE SCHEMA s AUTHORIZATION veil_owner; SET ROLE veil_owner; CREATE TABLE s.t (id serial); CREATE TABLE s.u (id serial);
         INSERT INTO s.t VALUES (1); ALTER TABLE s.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON s.t TO veil_other USING (true);
         RESET ROLE; ALTER ROLE veil_reader SUPERUSER",
    );
    rig.at_target(&roles("veil"));
    rig.at_target("GRANT veil_owner, veil_other TO veil_master");
    assert_exit(&worker.run(), 0);
    let verify = worker.arg("verify");
    for _ in 0..10 {
        let output = verify.run();
        assert_exit(&output, 77);
        let reason = text(output.last(), "reason");
        assert!(reason.contains("row-level security policy"), "{reason}");
    }
}

/// Materialized views whose rows depend on who fills them, and what they hold.
const FILLED: &str = "CREATE SCHEMA s AUTHORIZATION show_owner; GRANT USAGE, CREATE ON SCHEMA s TO show_other, show_third; GRANT USAGE ON SCHEMA s TO show_reader;
     SET ROLE show_owner; CREATE TABLE s.t AS SELECT i AS id, chr(96 + i) AS tenant FROM generate_series(1, 3) i; GRANT SELECT ON s.t TO show_other, show_reader;
     ALTER TABLE s.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON s.t FOR SELECT TO show_other USING (tenant > 'a');
     SET ROLE show_other; CREATE MATERIALIZED VIEW s.seen AS SELECT * FROM s.t; CREATE MATERIALIZED VIEW s.a_count AS SELECT count(*) FROM s.seen; CREATE UNIQUE INDEX ON s.seen (id);
     CREATE FUNCTION s.counted() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM s.t'; CREATE MATERIALIZED VIEW s.by_function AS SELECT s.counted();
     CREATE FUNCTION s.counted_of_seen() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM s.seen'; CREATE MATERIALIZED VIEW s.under_function AS SELECT s.counted_of_seen();
     CREATE VIEW s.me AS SELECT current_user::text AS me; CREATE MATERIALIZED VIEW s.by_view AS SELECT * FROM s.me; GRANT SELECT ON s.by_view, s.seen TO show_reader; RESET ROLE";
const FOUND: &str = "SELECT (SELECT array_agg(id ORDER BY id) FROM s.seen), (TABLE s.a_count), (TABLE s.by_function), (TABLE s.under_function), (TABLE s.by_view)";

#[test]
fn materialized_views_hold_what_their_owners_may_see() {
    for rig in Rig::of_both_majors() {
        let worker = aurora_like(&rig, "show");
        rig.at_source(&roles("show"));
        rig.at_source(FILLED);
        rig.at_source("ALTER ROLE show_reader BYPASSRLS");
        rig.at_target(&roles("show"));
        rig.at_target("CREATE ROLE show_reader; GRANT show_owner, show_other, show_third TO show_master");
        for method in METHODS {
            let output = worker.clone().env("METHOD", method).run();
            assert_exit(&output, 0);
            assert_eq!(rig.at_target(FOUND), "{2,3}|2|2|2|show_other");
            assert_eq!(rig.at_target(ACCESS), rig.at_source(ACCESS));
        }
        assert_exit(&worker.run(), 0);
        rig.at_source("INSERT INTO s.t VALUES (4, 'd')");
        assert_exit(&worker.clone().arg("refresh").env("REFRESH", "only").run(), 0);
        assert_eq!(rig.at_target(FOUND), "{2,3,4}|3|3|3|show_other");
        // Nobody sees by way of an owner what that owner may not read.
        rig.at_source("CREATE MATERIALIZED VIEW s.denied AS SELECT * FROM s.t; ALTER MATERIALIZED VIEW s.denied OWNER TO show_third");
        let output = worker.run();
        assert_exit(&output, 77);
        let reason = text(output.last(), "reason");
        assert!(
            reason.contains("\"denied\" as its owner \"show_third\""),
            "{reason}"
        );
        rig.at_source("SET ROLE show_owner; GRANT SELECT ON s.t TO show_third");
        assert_exit(&worker.run(), 0);
        assert_eq!(rig.at_target("SELECT count(*) FROM s.denied"), "0");
    }
}
