//! Credentials from every source, passwords of every kind, and the six words of sslmode.

use testbed::cluster::{PASSWORD, quote_literal, role};
use testbed::secrets::{Answer, secret};
use testbed::{Output, PgBouncer, SecretsManager};

use crate::rig::{Rig, assert_exit, text};

const SCHEMA: &str = "CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1)";

/// `answers` in turn, the last one for ever.
fn check_with_secret(rig: &Rig, mut answers: Vec<Answer>) -> Output {
    let worker = rig
        .worker("s")
        .arg("check")
        .without("SOURCE_PASSWORD")
        .without("SOURCE_USER")
        .env("SOURCE_SECRET_ID", "warehouse/source");
    answers.reverse();
    let mut current = answers.pop().unwrap();
    let manager = SecretsManager::start(move |_| {
        let next = answers.pop().unwrap_or_else(|| current.clone());
        std::mem::replace(&mut current, next)
    });
    manager.given_to(worker).run()
}

#[test]
fn a_secret_of_each_shape_opens_the_door() {
    let rig = Rig::new(SCHEMA);
    let port = rig.source.port();
    for shape in [
        PASSWORD.to_owned(),
        format!(r#"{{"username":"postgres","password":"{PASSWORD}"}}"#),
        format!(
            r#"{{"engine":"postgres","host":"127.0.0.1","port":"{port}","dbname":"ignored","username":"postgres","password":"{PASSWORD}"}}"#
        ),
    ] {
        assert_exit(&check_with_secret(&rig, vec![secret(&shape)]), 0);
    }
}

#[test]
fn a_secret_in_rotation_is_read_again() {
    let rig = Rig::new(SCHEMA);
    let output = check_with_secret(&rig, vec![secret("old"), secret("old"), secret(PASSWORD)]);
    assert_exit(&output, 0);
    assert!(output.elapsed.as_secs() >= 5, "{:?}", output.elapsed);
}

#[test]
fn a_secret_that_stays_wrong_is_denied_after_a_minute() {
    let rig = Rig::new(SCHEMA);
    let output = check_with_secret(&rig, vec![secret("wrong-secret-value")]);
    assert_exit(&output, 77);
    assert!(output.elapsed.as_secs() >= 55, "{:?}", output.elapsed);
    assert!(!output.stdout.contains("wrong-secret-value"));
}

#[test]
fn what_secrets_manager_refuses_has_a_code_of_its_own() {
    let rig = Rig::new(SCHEMA);
    let error = |status, code: &str| (status, format!(r#"{{"__type":"{code}","Message":"about it"}}"#));
    let cases = [
        (
            error(400, "ResourceNotFoundException"),
            78,
            "ResourceNotFoundException: about it",
        ),
        (
            error(400, "AccessDeniedException"),
            77,
            "AccessDeniedException: about it",
        ),
        (error(500, "InternalServiceError"), 75, "InternalServiceError"),
        (error(400, "ThrottlingException"), 75, "ThrottlingException"),
        (secret(r#"{"username":"u"}"#), 78, "is JSON without a password"),
        (secret("two\nlines"), 78, "line end"),
    ];
    for (answer, exit, words) in cases {
        let output = check_with_secret(&rig, vec![answer]);
        assert_exit(&output, exit);
        assert_eq!(text(output.last(), "side"), "source");
        assert!(text(output.last(), "reason").contains(words), "{}", output.last());
    }
    let unreachable = SecretsManager::start(|_| secret(PASSWORD))
        .given_to(rig.worker("s").without("SOURCE_PASSWORD"))
        .env("SOURCE_SECRET_ID", "x")
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1");
    assert_exit(&unreachable.run(), 75);
}

#[test]
fn passwords_of_every_kind_reach_driver_and_programs() {
    let rig = Rig::new(SCHEMA);
    let printable: String = (' '..='~').collect();
    let passwords = [
        printable.as_str(),
        "ünïcødé€😀",
        " outer blanks ",
        r"\:\\::",
        "#comment",
        "*",
        "'\"`$(x)",
    ];
    rig.at_source("CREATE ROLE odd LOGIN SUPERUSER");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    for password in passwords {
        rig.at_source(&format!("ALTER ROLE odd PASSWORD {}", quote_literal(password)));
        let by_variable = rig
            .worker("s")
            .env("SOURCE_USER", "odd")
            .env("SOURCE_PASSWORD", password)
            .run();
        assert_exit(&by_variable, 0);
        std::fs::write(&file, format!("{password}\n")).unwrap();
        let by_file = rig
            .worker("s")
            .env("SOURCE_USER", "odd")
            .without("SOURCE_PASSWORD")
            .env("SOURCE_PASSWORD_FILE", &file);
        assert_exit(&by_file.run(), 0);
    }
}

#[test]
fn every_way_of_authentication_and_the_socket_work() {
    let rig = Rig::new(SCHEMA);
    for user in [
        role::SCRAM,
        role::MD5,
        role::CLEARTEXT,
        role::TLS_ONLY,
        role::PLAIN_ONLY,
    ] {
        rig.at_source(&format!(
            "GRANT USAGE ON SCHEMA s TO {user}; GRANT SELECT ON s.t TO {user}"
        ));
        assert_exit(&rig.worker("s").env("SOURCE_USER", user).run(), 0);
    }
    let socket = rig
        .worker("s")
        .env("SOURCE_HOST", rig.source.socket())
        .env("SOURCE_SSLMODE", "require");
    assert_exit(&socket.run(), 0);
}

#[test]
fn sslmode_means_what_libpq_means() {
    let rig = Rig::new(SCHEMA);
    for user in [role::SCRAM, role::TLS_ONLY, role::PLAIN_ONLY] {
        rig.at_source(&format!(
            "GRANT USAGE ON SCHEMA s TO {user}; GRANT SELECT ON s.t TO {user}"
        ));
    }
    let (ca, unrelated) = (rig.source.ca(), rig.source.unrelated_ca());
    let (none, ca, unrelated) = (None, Some(&ca), Some(&unrelated));
    // The certificate is for 127.0.0.1 and localhost.
    let other = "127.0.0.2";
    let cases = [
        ("127.0.0.1", role::SCRAM, "disable", none, 0),
        ("127.0.0.1", role::TLS_ONLY, "disable", none, 77),
        ("127.0.0.1", role::TLS_ONLY, "allow", none, 0),
        ("127.0.0.1", role::PLAIN_ONLY, "allow", none, 0),
        ("127.0.0.1", role::PLAIN_ONLY, "prefer", none, 0),
        ("127.0.0.1", role::TLS_ONLY, "prefer", none, 0),
        ("127.0.0.1", role::PLAIN_ONLY, "require", none, 77),
        ("127.0.0.1", role::SCRAM, "require", none, 0),
        ("127.0.0.1", role::SCRAM, "require", ca, 0),
        ("127.0.0.1", role::SCRAM, "require", unrelated, 78),
        ("127.0.0.1", role::SCRAM, "prefer", unrelated, 0),
        ("127.0.0.1", role::TLS_ONLY, "prefer", unrelated, 78),
        ("127.0.0.1", role::SCRAM, "verify-ca", ca, 0),
        ("127.0.0.1", role::SCRAM, "verify-ca", unrelated, 78),
        ("127.0.0.1", role::SCRAM, "verify-full", ca, 0),
        ("localhost", role::SCRAM, "verify-full", ca, 0),
        ("127.0.0.1", role::SCRAM, "verify-full", unrelated, 78),
        (other, role::SCRAM, "verify-ca", ca, 0),
        (other, role::SCRAM, "verify-full", ca, 78),
    ];
    for (host, user, sslmode, root, exit) in cases {
        let mut worker = rig
            .worker("s")
            .env("SOURCE_HOST", host)
            .env("SOURCE_USER", user)
            .env("SOURCE_SSLMODE", sslmode);
        if let Some(root) = root {
            worker = worker.env("SOURCE_SSLROOTCERT", root);
        }
        let output = worker.run();
        assert_eq!(
            output.exit, exit,
            "{host} {user} {sslmode} {root:?}\n{}",
            output.stdout
        );
        if exit == 78 {
            assert!(
                text(output.last(), "reason").contains("certificate"),
                "{}",
                output.last()
            );
        }
    }
}

#[test]
fn a_pooler_between_worker_and_server_is_refused() {
    let rig = Rig::new(SCHEMA);
    for (cluster, side) in [(rig.source, "source"), (rig.target, "target")] {
        for pool_mode in ["transaction", "session"] {
            let pooler = PgBouncer::start(cluster, pool_mode);
            let port = format!("{}_PORT", side.to_uppercase());
            let output = rig.worker("s").env(port, pooler.port().to_string()).run();
            assert_exit(&output, 78);
            assert_eq!(text(output.last(), "side"), side);
            let reason = text(output.last(), "reason");
            assert!(reason.contains("pooler"), "{pool_mode}: {reason}");
        }
    }
}
