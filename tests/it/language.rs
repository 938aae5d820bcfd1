//! Servers whose settings are not what statements and values are written under: their language, and how they quote and read.

use testbed::cluster::PASSWORD;
use testbed::warehouse;

use crate::rig::{GRID, METHODS, Rig, assert_exit, text};
use crate::slow::{SLOW_ROWS, wait_for_phase};

/// A value that the target's function refuses in the server's own words.
const REFUSED: &str = "CREATE SCHEMA s;
    CREATE FUNCTION s.known(text) RETURNS bool LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('application_name') LIKE 'sf/%' THEN PERFORM $1::int; END IF;
        RETURN true;
    END $$;
    CREATE TABLE s.a (a text CHECK (s.known(a)));
    INSERT INTO s.a VALUES ('secret-row')";

/// Databases whose servers speak German to whoever does not ask for something else, and a user of the target who may not.
fn german(sql: &str, user: &str) -> Rig {
    let rig = Rig::new(sql);
    let database = &rig.database;
    let speak = format!("ALTER DATABASE {database} SET lc_messages = 'C.UTF-8'");
    rig.at_source(&speak);
    rig.at_target(&speak);
    rig.at_target(&format!(
        "CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'; GRANT CREATE ON DATABASE {database} TO {user}"
    ));
    rig
}

#[test]
fn a_server_that_speaks_german_shows_no_rows_and_its_codes_are_right() {
    for method in METHODS {
        let user = format!("german_rows_{method}");
        let rig = german(REFUSED, &user);
        let said = rig.target.try_psql(&rig.database, "SELECT 'x'::int").unwrap_err();
        assert!(
            said.contains("ungültige"),
            "the server does not speak German, which takes its message catalogues: {said}"
        );
        for user in ["postgres", &user] {
            let worker = rig.worker("s").env("METHOD", method).env("TARGET_USER", user);
            let output = worker
                .env("LOG_LEVEL", "debug")
                .env("PRIVILEGES", "skip")
                .env("ON_EXISTING", "replace")
                .run();
            assert_exit(&output, 65);
            let reason = text(output.last(), "reason");
            assert!(reason.contains("integer: \"…\""), "{user} by {method}: {reason}");
            assert!(!output.stdout.contains("secret-row"), "{}", output.stdout);
            rig.at_target("DROP SCHEMA s CASCADE; DROP SCHEMA schemaferry CASCADE");
        }
    }
}

#[test]
fn what_is_cancelled_in_german_is_tried_again() {
    let rig = german(SLOW_ROWS, "german_cancel");
    let users = ["postgres", "german_cancel"];
    for (method, user) in [("copy", users[0]), ("pipe", users[0]), ("copy", users[1])] {
        let worker = rig.worker("s").env("METHOD", method).env("TARGET_USER", user);
        let running = worker.env("PRIVILEGES", "skip").spawn();
        wait_for_phase(&running, "pre-data");
        let cancel = "SELECT count(pg_cancel_backend(pid)) > 0 FROM pg_stat_activity
                      WHERE datname = current_database() AND application_name LIKE 'sf/%' AND query LIKE 'COPY %'
                        AND wait_event = 'PgSleep'";
        rig.wait_for_target(cancel, |is_cancelled| is_cancelled == "t");
        let output = running.wait();
        assert_exit(&output, 75);
        rig.at_target("DROP SCHEMA s CASCADE; DROP SCHEMA schemaferry CASCADE");
    }
}

#[test]
fn what_a_function_says_is_no_reason_to_try_again() {
    let rig = Rig::new(
        "CREATE SCHEMA s;
         CREATE FUNCTION s.known(text) RETURNS bool LANGUAGE plpgsql AS $$
         BEGIN
             IF current_setting('application_name') LIKE 'sf/%' THEN
                 RAISE 'terminating connection due to administrator command';
             END IF;
             RETURN true;
         END $$;
         CREATE TABLE s.a (a text CHECK (s.known(a)));
         INSERT INTO s.a VALUES ('x')",
    );
    for method in METHODS {
        assert_exit(&rig.worker("s").env("METHOD", method).run(), 65);
    }
}

#[test]
fn settings_of_a_database_change_neither_statements_nor_values() {
    const SETTINGS: [&str; 5] = [
        "array_nulls = off",
        "quote_all_identifiers = on",
        "standard_conforming_strings = off",
        "default_transaction_deferrable = on",
        "default_transaction_isolation = serializable",
    ];
    for (method, rig) in GRID {
        let rig = rig(r"CREATE SCHEMA s;
              CREATE TABLE s.t (a text[], n money, d text DEFAULT 'a\b', e text DEFAULT E'c''\\d' CHECK (e <> '\'));
              INSERT INTO s.t (a, n) VALUES ('{x,NULL}', 12.5), ('{x,\N}', 1), (ARRAY['NULL', NULL], 7);
              CREATE VIEW s.v AS SELECT a FROM s.t WHERE d = 'a\b'");
        let database = &rig.database;
        for setting in SETTINGS {
            rig.at_source(&format!("ALTER DATABASE {database} SET {setting}"));
            rig.at_target(&format!("ALTER DATABASE {database} SET {setting}"));
        }
        assert_exit(
            &rig.worker("s").env("METHOD", method).env("VERIFY", "hash").run(),
            0,
        );
        let values =
            "SELECT string_agg(array_to_string(a, ',', '<null>') || d || e, ';' ORDER BY n) FROM s.t";
        assert_eq!(rig.at_target(values), rig.at_source(values), "{method}");
        assert_eq!(
            warehouse::contents(rig.target, &rig.database, "s"),
            warehouse::contents(rig.source, &rig.database, "s"),
            "{method}"
        );
        let again = rig.worker("s").env("METHOD", method).run();
        assert_exit(&again, 0);
    }
}
