//! IAM database authentication, and what ECS tells a task: the worker's own part of running on AWS.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use testbed::cluster::quote_identifier;
use testbed::{Directory, Worker, warehouse};

use crate::rig::{METHODS, Rig, assert_exit, text};
use crate::slow::PATIENCE;

const KEY_ID: &str = "AKIDEXAMPLE";
const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-central-1";
/// Two seconds of rows, so that a token of the start is older than one that is signed afterwards.
const SCHEMA: &str = "CREATE SCHEMA s; CREATE FUNCTION s.slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN IF current_setting(''application_name'') ~ ''^sf/.*/(pg_restore|copy)$'' THEN PERFORM pg_sleep(0.01); END IF; RETURN $1; END';
    CREATE TABLE s.t (a int PRIMARY KEY, b int GENERATED ALWAYS AS (s.slow(a)) STORED); INSERT INTO s.t SELECT i FROM generate_series(1, 250) i";

/// A bind: when it came and when its token was signed, in seconds since 1970.
type Binds = Arc<Mutex<Vec<(u64, u64)>>>;

/// Two databases whose servers take tokens from this role, as RDS does: over TLS alone, and by asking IAM.
fn rig(user: &str) -> (Rig, Binds) {
    let rig = Rig::new(SCHEMA);
    let binds = Binds::default();
    for cluster in [rig.source, rig.target] {
        let (user, binds) = (user.to_owned(), Arc::clone(&binds));
        let address = format!("{}:{}", cluster.host(), cluster.port());
        let directory = Directory::start({
            let user = user.clone();
            move |name, token| {
                let Some(signed) = verified(token, &address, &user) else {
                    return false;
                };
                binds.lock().unwrap().push((now(), signed));
                name == user
            }
        });
        let role = quote_identifier(&user);
        let created = cluster.try_psql("postgres", &format!("CREATE ROLE {role} LOGIN SUPERUSER"));
        assert!(created.is_ok(), "{created:?}");
        cluster.prepend_access(&format!(
            "hostssl all {role} 127.0.0.1/32 {}\nhost all {role} 127.0.0.1/32 reject",
            directory.method()
        ));
    }
    (rig, binds)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The moment at which a token was signed, if it was signed with our key for this server and this role.
fn verified(token: &str, address: &str, user: &str) -> Option<u64> {
    let (place, query) = token.split_once("/?")?;
    let mut parameters: Vec<&str> = query.split('&').collect();
    let at = parameters
        .iter()
        .position(|one| one.starts_with("X-Amz-Signature="))?;
    let (_, signature) = parameters.remove(at).split_once('=')?;
    let field = |name: &str| {
        parameters
            .iter()
            .find_map(|one| one.strip_prefix(name)?.strip_prefix('='))
    };
    let (date, day) = (field("X-Amz-Date")?, field("X-Amz-Date")?.get(..8)?);
    let scope = format!("{day}/{REGION}/rds-db/aws4_request");
    let credential = format!("{KEY_ID}/{scope}").replace('/', "%2F");
    let user: String = user.bytes().map(encoded).collect();
    let fits = place == address
        && field("Action") == Some("connect")
        && field("DBUser") == Some(&user)
        && field("X-Amz-Expires") == Some("900")
        && field("X-Amz-Credential") == Some(&credential);
    parameters.sort_unstable();
    let canonical = format!(
        "GET\n/\n{}\nhost:{address}\n\nhost\n{}",
        parameters.join("&"),
        hex(&Sha256::digest(b""))
    );
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    );
    let key = [day, REGION, "rds-db", "aws4_request"]
        .iter()
        .fold(format!("AWS4{KEY}").into_bytes(), |key, part| {
            hmac(&key, part.as_bytes())
        });
    (fits && hex(&hmac(&key, to_sign.as_bytes())) == signature).then(|| seconds(date))
}

fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

pub(crate) fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::digest([&padded(0x36), message].concat());
    Sha256::digest([&padded(0x5c), inner.as_slice()].concat()).to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// `20261125T130501Z` in seconds since 1970.
fn seconds(date: &str) -> u64 {
    let part = |from: usize, to: usize| date.get(from..to).unwrap().parse::<u64>().unwrap();
    let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
    // Years that begin in March end with the leap day.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    ((days * 24 + part(9, 11)) * 60 + part(11, 13)) * 60 + part(13, 15)
}

fn with_iam(rig: &Rig, user: &str) -> Worker {
    ["SOURCE", "TARGET"]
        .iter()
        .fold(rig.worker("s"), |worker, side| {
            worker
                .without(format!("{side}_PASSWORD"))
                .env(format!("{side}_IAM_AUTH"), "true")
                .env(format!("{side}_USER"), user)
        })
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", KEY)
        // As long as those of roles are.
        .env("AWS_SESSION_TOKEN", "session/token+".repeat(80))
        .env("AWS_EC2_METADATA_DISABLED", "true")
}

#[test]
fn every_connection_gets_a_token_that_is_signed_for_it() {
    let user = "by iam/ü@x";
    let (rig, binds) = rig(user);
    for method in METHODS {
        let running = with_iam(&rig, user)
            .env("METHOD", method)
            .env("LOG_LEVEL", "debug")
            .spawn();
        let done = |record: &Value| text(record, "msg") == "phase done" && text(record, "phase") == "rows";
        let record = running.wait_for_record(done, PATIENCE);
        let after = seconds(&text(&record, "time").replace(['-', ':'], ""));
        let output = running.wait();
        assert_exit(&output, 0);
        assert_eq!(
            warehouse::contents(rig.target, &rig.database, "s"),
            warehouse::contents(rig.source, &rig.database, "s")
        );
        let binds = std::mem::take(&mut *binds.lock().unwrap());
        let later: Vec<_> = binds.iter().filter(|(came, _)| *came >= after).collect();
        assert!(!later.is_empty(), "{method}: {after} {binds:?}");
        assert!(
            later.iter().all(|(_, signed)| *signed >= after),
            "{method}: {after} {binds:?}"
        );
        for secret in [KEY, "X-Amz-Signature", "session/token"] {
            assert!(!output.stdout.contains(secret), "{secret}");
        }
    }
}

#[test]
fn tokens_that_cannot_be_had_or_are_not_taken_have_their_codes() {
    let user = "refused_by_iam";
    let (rig, _) = rig(user);
    let worker = with_iam(&rig, user).arg("check");
    let cases: [(Worker, i32, &str); 6] = [
        (worker.clone(), 0, ""),
        (
            worker.clone().env("AWS_SECRET_ACCESS_KEY", "another"),
            77,
            "LDAP authentication failed",
        ),
        (worker.clone().without("AWS_REGION"), 78, "is AWS_REGION set?"),
        (
            worker
                .clone()
                .without("AWS_ACCESS_KEY_ID")
                .without("AWS_SECRET_ACCESS_KEY"),
            77,
            "no usable AWS credentials",
        ),
        (
            worker
                .clone()
                .without("AWS_ACCESS_KEY_ID")
                .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/"),
            75,
            "cannot be fetched just now",
        ),
        (
            worker.env("TARGET_SSLMODE", "prefer"),
            78,
            "TARGET_SSLMODE prefer may go without TLS",
        ),
    ];
    for (worker, exit, words) in cases {
        let output = worker.run();
        assert_exit(&output, exit);
        assert!(
            text(output.last(), "reason").contains(words),
            "{words}: {}",
            output.last()
        );
    }
}

/// What the metadata endpoint says of a task.
pub(crate) const METADATA: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"Cluster\": \"c\", \"TaskARN\": \"arn:aws:ecs:eu-central-1:123456789012:task/c/0123\", \"Limits\": {\"CPU\": 0.5, \"Memory\": 2048}}";

/// The metadata endpoint, which gives this answer.
pub(crate) fn metadata(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/v4/0123-4567", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 64];
            let length = stream.read(&mut request).unwrap();
            let asked = String::from_utf8_lossy(request.get(..length).unwrap());
            assert!(
                asked.starts_with("GET /v4/0123-4567/task HTTP/1.0\r\n"),
                "{asked}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    uri
}

#[test]
fn the_start_record_names_the_task() {
    let rig = Rig::new("CREATE SCHEMA s");
    for (uri, arn, reason) in [
        (
            metadata(METADATA),
            "arn:aws:ecs:eu-central-1:123456789012:task/c/0123",
            "",
        ),
        (
            metadata("HTTP/1.1 404 Not Found\r\n\r\n"),
            "",
            "its status is 404",
        ),
        (
            metadata("HTTP/1.1 200 OK\r\n\r\n{}"),
            "",
            "missing field `TaskARN`",
        ),
        (metadata(""), "", "the answer was cut"),
        ("http://127.0.0.1:1".to_owned(), "", "refused"),
        ("http://metadata/v4".to_owned(), "", "metadata: "),
        ("unix:/socket".to_owned(), "", "no address of http"),
    ] {
        let output = rig
            .worker("s")
            .arg("check")
            .env("ECS_CONTAINER_METADATA_URI_V4", &uri)
            .run();
        assert_exit(&output, 0);
        let (start, next) = (&output.records[0], &output.records[1]);
        assert_eq!(text(start, "msg"), "run started");
        assert_eq!(text(start, "task_arn"), arn, "{uri}: {start}");
        let limits = (start["task_cpu"].as_f64(), start["task_memory_mib"].as_u64());
        assert_eq!(
            limits,
            if arn.is_empty() {
                (None, None)
            } else {
                (Some(0.5), Some(2048))
            }
        );
        let noted = text(next, "msg") == "the task's metadata cannot be read";
        assert_eq!(noted, arn.is_empty(), "{next}");
        assert!(text(next, "reason").contains(reason), "{next}");
    }
    // One that takes the request and never answers costs no more than its limit.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", silent.local_addr().unwrap());
    let output = rig
        .worker("s")
        .arg("check")
        .env("ECS_CONTAINER_METADATA_URI_V4", uri)
        .run();
    assert_exit(&output, 0);
    assert!(output.elapsed < Duration::from_mins(1), "{:?}", output.elapsed);
}
