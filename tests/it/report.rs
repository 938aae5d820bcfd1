//! `report`: what the ledger and both servers say of a run, in every form, whatever anything is named.

#![expect(clippy::indexing_slicing, reason = "what is not there fails the test")]
#![expect(clippy::panic, reason = "what is not as it has to be fails the test")]

use std::collections::BTreeSet;

use html5gum::{Token, Tokenizer};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testbed::bucket::Request;
use testbed::{Bucket, Output, Worker};

use crate::iam::{hex, hmac};
use crate::rig::{MakeRig, Rig, assert_exit, text};
use crate::slow::{SLOW_ROWS, wait_for_phase};

/// Names in the manner of an attacker: of a page, of an attribute, of a terminal, of whoever reads from left to right, and as long
/// as a name can be.
const HOSTILE: [&str; 5] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "\u{1b}[2J\u{9b}31m\r",
    "\u{202e}esrever\u{2066}",
    "😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀abc",
];

/// Two schemas of which one references the other, and what lives outside of both.
const SCHEMAS: &str = "
    CREATE SCHEMA a; CREATE TABLE a.t (id int PRIMARY KEY, v text); INSERT INTO a.t SELECT i, 'x' FROM generate_series(1, 1000) i;
    CREATE SCHEMA b; CREATE TABLE b.t (a int CONSTRAINT leaves REFERENCES a.t); INSERT INTO b.t SELECT i FROM generate_series(1, 500) i;
    SELECT lo_create(0); CREATE PUBLICATION told FOR TABLE a.t;
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''7MB''', current_database());
                EXECUTE format('ALTER DATABASE %I SET app.secret = ''hunter2''', current_database()); END $$";

fn reporter(rig: &Rig) -> Worker {
    rig.worker("").without("SCHEMA_NAME").arg("report")
}

fn load(rig: &Rig, run: &str, schema: &str) -> Output {
    rig.worker(schema).env("RUN_ID", run).run()
}

fn as_json(worker: &Worker) -> Value {
    let output = worker.clone().arg("--format=json").run();
    assert_exit(&output, 0);
    serde_json::from_str(&output.stdout).unwrap()
}

fn of_format(worker: &Worker, format: &str) -> String {
    let output = worker.clone().arg(format!("--format={format}")).run();
    assert_exit(&output, 0);
    output.stdout
}

/// What stands against going, each with its weight.
fn reasons(report: &Value) -> Vec<(&str, &str)> {
    let reasons = report["decision"]["reasons"].as_array().unwrap().iter();
    reasons
        .map(|reason| (text(reason, "verdict"), text(reason, "what")))
        .collect()
}

fn has_reason(report: &Value, verdict: &str, words: &str) {
    let reasons = reasons(report);
    let is_it = |(weight, what): &(&str, &str)| *weight == verdict && what.contains(words);
    assert!(
        reasons.iter().any(is_it),
        "{verdict} {words} is not in {reasons:?}"
    );
}

/// Both schemas of [`SCHEMAS`], loaded in one run.
fn loaded(make: MakeRig) -> Rig {
    let rig = make(SCHEMAS);
    for schema in ["a", "b"] {
        assert_exit(&load(&rig, "first", schema), 0);
    }
    rig
}

#[test]
fn a_run_is_told_by_what_it_left() {
    let rig = loaded(Rig::new);
    let first = as_json(&reporter(&rig));
    assert_eq!(first["run"], "first");
    let page = include_str!("../../docs/report.md");
    for field in first.as_object().unwrap().keys() {
        assert!(page.contains(&format!("`{field}`")), "the page knows no {field}");
    }
    assert_eq!(first["decision"]["verdict"], "go-with-conditions");
    let not_made = "1 foreign key of those that leave their schemas not made";
    has_reason(&first, "go-with-conditions", not_made);
    assert_eq!(first["deferred"].as_array().unwrap().len(), 1);
    let evidence = first["evidence"].as_array().unwrap();
    let numbers = (
        &evidence[0]["verify"],
        &evidence[0]["schemas"],
        &evidence[0]["rows"],
    );
    assert_eq!(
        (evidence.len(), numbers),
        (1, (&json!("rows"), &json!(2), &json!(1500)))
    );
    assert!(evidence[0]["bytes"].as_u64().unwrap() > 0);
    assert_eq!(first["since"][0]["before"], Value::Null);
    let ends = &first["ends"];
    assert_eq!((&ends["complete"], &ends["window"]), (&json!(true), &Value::Null));
    assert_eq!(ends["runs"].as_array().unwrap().len(), 1);
    assert_exit(&rig.worker("").without("SCHEMA_NAME").arg("finalize").run(), 0);
    assert_eq!(as_json(&reporter(&rig))["deferred"], json!([]));
}

/// Each on the side that has it; a value of one's own is not shown.
#[test]
fn what_lives_outside_of_schemas_is_a_list_to_tick() {
    for make in [Rig::new, Rig::newest, Rig::to_newest] {
        look_outside(&loaded(make));
    }
}

fn look_outside(rig: &Rig) {
    let report = as_json(&reporter(rig));
    let outside = |kind: &str, name: &str| {
        let mut items = report["outside"].as_array().unwrap().iter();
        let item = items.find(|item| text(item, "kind") == kind && text(item, "name") == name);
        item.unwrap_or_else(|| panic!("{kind} {name} is not in {}", report["outside"]))
    };
    for (kind, name, source) in [
        ("large objects", "all", "1"),
        ("publication", "told", "1 tables"),
        ("setting", "ALTER DATABASE … SET work_mem", "7MB"),
        (
            "setting",
            "ALTER DATABASE … SET app.secret",
            "a value that is not shown",
        ),
    ] {
        let item = outside(kind, name);
        let sides = (&item["source"], &item["target"], &item["same"]);
        assert_eq!(
            sides,
            (&json!(source), &Value::Null, &json!(false)),
            "{kind} {name}"
        );
    }
    assert_eq!(outside("extension", "plpgsql")["same"], true);
    assert!(!report.to_string().contains("hunter2"));
    has_reason(
        &report,
        "go-with-conditions",
        "outside of schemas not on the target as on the source",
    );
}

#[test]
fn what_has_changed_since_the_run_before_is_named() {
    let rig = loaded(Rig::new);
    rig.at_source(
        "INSERT INTO a.t SELECT i, 'y' FROM generate_series(1001, 4000) i; ALTER TABLE a.t ADD more int;
         CREATE FUNCTION a.new() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    );
    let written = as_json(&reporter(&rig));
    has_reason(
        &written,
        "go-with-conditions",
        "unit a: the source has written since",
    );
    assert_exit(&load(&rig, "second", "a"), 0);
    let second = as_json(&reporter(&rig));
    assert_eq!(second["run"], "second");
    has_reason(&second, "go-with-conditions", "schema b is no part of this run");
    let since = &second["since"][0];
    assert_eq!(
        (&since["before"]["rows"], &since["rows"]),
        (&json!(1000), &json!(4000))
    );
    assert_eq!(since["before"]["run"], "first");
    assert_eq!(
        since["before"]["changed"],
        json!([
            r#"function "a"."new"() was added"#,
            r#"table "a"."t" was altered"#
        ])
    );
    // The run before is told as well, of which a later one has loaded a part.
    let before = as_json(&reporter(&rig).env("RUN_ID", "first"));
    assert_eq!(before["units"].as_array().unwrap().len(), 2);
    let of_schema = as_json(&reporter(&rig).env("SCHEMA_NAME", "b,nothing"));
    assert_eq!(of_schema["run"], "first");
    has_reason(&of_schema, "no-go", "schema nothing was not loaded");
    let nothing = reporter(&rig).env("RUN_ID", "nothing");
    assert_exit(&nothing.run(), 78);
    let empty = as_json(&nothing.env("SCHEMA_NAME", "a"));
    assert_eq!((&empty["run"], &empty["units"]), (&json!("nothing"), &json!([])));
    has_reason(&empty, "no-go", "schema a was not loaded");
}

/// Somebody writes to it, until it is sealed; then it goes.
#[test]
fn what_becomes_of_the_target_is_seen() {
    let rig = loaded(Rig::new);
    rig.at_target("CREATE TABLE a.mine (x int)");
    let changed = "schema a was changed on the target since its load: table \"a\".\"mine\" was added";
    has_reason(&as_json(&reporter(&rig)), "go-with-conditions", changed);
    assert_exit(&rig.worker("a").arg("seal").run(), 0);
    let sealed = as_json(&reporter(&rig));
    assert!(
        !reasons(&sealed)
            .iter()
            .any(|(_, what)| what.contains("was changed"))
    );
    rig.at_target("DROP SCHEMA a CASCADE");
    let gone = as_json(&reporter(&rig));
    has_reason(&gone, "no-go", "schema a is no longer the one that was loaded");
    assert_exit(&rig.worker("b").arg("prepare").run(), 0);
    has_reason(
        &as_json(&reporter(&rig)),
        "no-go",
        "schema b was taken down by prepare since",
    );
}

#[test]
fn a_window_is_measured_by_the_last_three_runs() {
    let rig = Rig::new("CREATE SCHEMA a; CREATE TABLE a.t (id int)");
    let hour = |worker: Worker| {
        worker
            .arg("--window=2999-12-31T23:00")
            .arg("--time-zone=Europe/Berlin")
    };
    for run in ["one", "two", "three"] {
        let before = reporter(&rig).run();
        assert_eq!(before.exit, if run == "one" { 78 } else { 0 });
        assert_exit(&load(&rig, run, "a"), 0);
        let ends = as_json(&hour(reporter(&rig)))["ends"].clone();
        assert_eq!(ends["window"], "2999-12-31T22:00:00Z");
        assert!(ends["reserve_s"].as_f64().unwrap() > 1e9, "{ends}");
        assert_eq!(ends["worst_reserve_s"].is_null(), run != "three", "{ends}");
    }
    let report = of_format(&hour(reporter(&rig)), "text");
    for words in [
        "window Tue 23:00",
        "worst of the last 3 ",
        "has to begin by Tue 22:59",
        "Europe/Berlin",
    ] {
        assert!(report.contains(words), "{words} is not in\n{report}");
    }
    let late = as_json(&reporter(&rig).arg("--window=2001-01-01T00:00"));
    assert_eq!(late["decision"]["verdict"], "no-go");
    has_reason(&late, "no-go", "after the window");
    for wrong in ["--window=soon", "--time-zone=Mars", "--format=pdf"] {
        assert_exit(&reporter(&rig).arg(wrong).run(), 64);
    }
}

/// Its first attempt loses its connections, its second is killed, its third ends.
#[test]
fn attempts_that_failed_are_told_with_their_reasons() {
    let rig = Rig::new(SLOW_ROWS);
    let worker = rig.worker("s").env("RUN_ID", "night");
    let running = worker.spawn();
    wait_for_phase(&running, "pre-data");
    let meanwhile = as_json(&reporter(&rig));
    has_reason(&meanwhile, "no-go", "unit s is being loaded");
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE application_name LIKE 'sf/%/copy' AND datname = current_database()";
    assert_ne!(rig.at_target(end), "0");
    assert_exit(&running.wait(), 75);
    let failed = as_json(&reporter(&rig));
    has_reason(&failed, "no-go", "unit s ended with 75 (transient): ");
    assert_eq!(failed["ends"]["reserve_s"], Value::Null);

    let running = worker.spawn();
    wait_for_phase(&running, "pre-data");
    running.signal(Signal::SIGKILL);
    assert_eq!(running.wait().exit, -9);
    rig.at_target("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'sf/%' AND datname = current_database()");
    let lost = reporter(&rig).env("SCHEMA_NAME", "s");
    let report = as_json(&lost);
    has_reason(&report, "no-go", "unit s: its last load was killed");

    rig.at_source("CREATE OR REPLACE FUNCTION s.slow(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'");
    assert_exit(&worker.run(), 0);
    let report = as_json(&reporter(&rig));
    let attempts = report["units"][0]["attempts"].as_array().unwrap();
    let outcomes: Vec<&str> = attempts.iter().map(|one| text(one, "outcome")).collect();
    assert_eq!(outcomes, ["failed", "lost", "complete"]);
    let again = report["since"][0]["again"].to_string();
    assert!(
        again.contains("transient (75) after ") && again.contains("killed after at least"),
        "{again}"
    );
    let slow = &attempts[2]["slowest"];
    assert!(
        slow.to_string().contains("s.t") && slow[0]["began"].is_string(),
        "{slow}"
    );
    // Phases follow each other without a gap, from the beginning to the end.
    let phases = attempts[2]["phases"].as_array().unwrap();
    assert_eq!(phases[0]["began"], attempts[2]["began"]);
    assert_eq!(phases.len(), 15);
    assert_eq!(report["facts"]["places"], 1);
}

/// An event trigger alters what a load has made: that is refused unless accepted, and a difference in one schema.
#[test]
fn what_was_accepted_says_by_whom_and_why_and_a_difference_is_named() {
    let rig = Rig::new(
        "CREATE SCHEMA fine; CREATE TABLE fine.t (a int); CREATE SCHEMA odd; CREATE TABLE odd.t (a int)",
    );
    rig.at_target(
        "CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
           IF to_regclass('odd.t') IS NOT NULL THEN COMMENT ON TABLE odd.t IS 'seen'; END IF; END $$;
         CREATE EVENT TRIGGER noted ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.note()",
    );
    let accepting = |schema: &str| {
        rig.worker(schema)
            .env("RUN_ID", "night")
            .env("ACCEPT", "event-triggers")
    };
    assert_exit(&accepting("fine").run(), 0);
    let report = as_json(&reporter(&rig));
    has_reason(
        &report,
        "go-with-conditions",
        "unit fine: nobody has said why this is accepted: there are event triggers",
    );
    let why = "CHG-7, J. Doe: <b>harmless</b>";
    // The reason's words are no part of what a load makes.
    let again = accepting("fine").env("ACCEPT_REASON", why).run();
    assert_exit(&again, 0);
    assert_eq!(again.last()["already_complete"], true);
    rig.at_source("INSERT INTO fine.t VALUES (1)");
    assert_exit(
        &accepting("fine")
            .env("RUN_ID", "later")
            .env("ACCEPT_REASON", why)
            .run(),
        0,
    );
    let odd = accepting("odd").env("RUN_ID", "later").run();
    assert_exit(&odd, 65);
    let report = as_json(&reporter(&rig));
    let accepted = &report["decision"]["accepted"][0];
    assert_eq!(
        (&accepted["unit"], &accepted["reason"]),
        (&json!("fine"), &json!(why))
    );
    assert_eq!(accepted["user"], rig.at_target("SELECT session_user"));
    has_reason(&report, "no-go", "unit odd ended with 65 (data): ");
    let odd = report["units"]
        .as_array()
        .unwrap()
        .iter()
        .find(|unit| text(unit, "name") == "odd")
        .unwrap();
    assert!(
        odd["attempts"][0]["differences"][0]
            .as_str()
            .unwrap()
            .contains("\"odd\".\"t\""),
        "{odd}"
    );
    let page = of_format(&reporter(&rig), "html");
    assert!(page.contains("&lt;b&gt;harmless&lt;/b&gt;"), "{page}");
}

/// No transaction on the whole server since proves that nothing was written: no other test may run there.
#[test]
fn a_source_that_stands_still_is_proved_to() {
    let source = Box::leak(Box::new(
        testbed::Cluster::start(&testbed::Server::distribution()),
    ));
    let any = Rig::new("");
    let rig = Rig::on(
        source,
        any.target,
        "CREATE SCHEMA a; CREATE TABLE a.t (id serial); INSERT INTO a.t DEFAULT VALUES; VACUUM ANALYZE",
    );
    assert_exit(&load(&rig, "night", "a"), 0);
    let untouched = |report: &Value| report["untouched"][0]["untouched"].clone();
    assert_eq!(untouched(&as_json(&reporter(&rig))), "proved");
    rig.at_source("CREATE TABLE public.elsewhere ()");
    assert_eq!(untouched(&as_json(&reporter(&rig))), "by-counters");
    for forgets in [rig.source, rig.target] {
        forgets.psql(&rig.database, "SELECT pg_stat_reset()");
    }
    let forgotten = as_json(&reporter(&rig));
    assert_eq!(
        untouched(&forgotten),
        json!({"unknown": "the source has forgotten what it had counted"})
    );
    let reasons = forgotten["decision"]["reasons"].to_string();
    assert!(
        reasons.contains("whether somebody has written to 1 schema on the target is not known"),
        "{reasons}"
    );
    rig.at_source("SELECT nextval('a.t_id_seq')");
    assert_eq!(
        untouched(&as_json(&reporter(&rig))),
        json!({"written": ["\"a\".\"t_id_seq\""]})
    );
    let alone = reporter(&rig).without("SOURCE_HOST");
    assert_eq!(
        untouched(&as_json(&alone)),
        json!({"unknown": "the source was not asked"})
    );
}

#[test]
fn no_name_gets_out_of_any_form() {
    let rig = Rig::new("");
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    for name in HOSTILE {
        let schema = quoted(name);
        rig.at_source(&format!(
            "CREATE SCHEMA {schema}; CREATE TABLE {schema}.{schema} (a int); INSERT INTO {schema}.{schema} VALUES (1)"
        ));
        assert_exit(&load(&rig, "<script>run</script>", &schema), 0);
    }
    rig.at_source(&format!(
        "DROP TABLE {0}.{0}; CREATE TABLE {0}.{0} (b text)",
        quoted(HOSTILE[0])
    ));
    assert_exit(&load(&rig, "\u{202e}\u{1b}]0;x", &quoted(HOSTILE[0])), 0);
    for run in ["<script>run</script>", "\u{202e}\u{1b}]0;x"] {
        let worker = reporter(&rig).env("RUN_ID", run).arg("--window=06:00");
        for format in ["html", "json", "text", "trace", "mail"] {
            let said = of_format(&worker, format);
            let is_turned = |c: char| {
                c.is_control()
                    || ('\u{202a}'..='\u{202e}').contains(&c)
                    || ('\u{2066}'..='\u{2069}').contains(&c)
            };
            assert!(
                said.lines().all(|line| !line.contains(is_turned)),
                "{format}: {said:?}"
            );
            match format {
                "html" => check_page(&said),
                "json" => assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["run"], run),
                "trace" => check_trace(&said),
                _ => assert!(said.contains("<script>alert(1)</script>"), "{said}"),
            }
        }
    }
}

/// Whether S3 would take it: signed with our key, of this path, these headers and this body.
fn check_signature(request: &Request) {
    let authorization = &request.headers["authorization"];
    let field = |name: &str| {
        let (_, rest) = authorization.split_once(&format!("{name}=")).unwrap();
        rest.split(',').next().unwrap()
    };
    let (date, hash) = (
        &request.headers["x-amz-date"],
        hex(&Sha256::digest(&request.body)),
    );
    assert_eq!(request.headers["x-amz-content-sha256"], hash);
    let scope = format!("{}/eu-central-1/s3/aws4_request", date.get(..8).unwrap());
    assert_eq!(field("Credential"), format!("key/{scope}"));
    let signed = field("SignedHeaders");
    for name in ["content-type", "host", "x-amz-content-sha256", "x-amz-date"] {
        assert!(
            signed.split(';').any(|one| one == name),
            "{name} is not in {signed}"
        );
    }
    let headers = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", request.headers[name]));
    let canonical = format!(
        "{}\n{}\n\n{}\n{signed}\n{hash}",
        request.method,
        request.path,
        headers.collect::<String>()
    );
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    );
    let key = scope
        .split('/')
        .fold(b"AWS4access".to_vec(), |key, part| hmac(&key, part.as_bytes()));
    assert_eq!(field("Signature"), hex(&hmac(&key, to_sign.as_bytes())));
}

#[test]
fn a_report_is_put_into_a_bucket_by_signed_requests() {
    let rig = Rig::new("CREATE SCHEMA a; CREATE TABLE a.t (id int)");
    assert_exit(&load(&rig, "week/end ü", "a"), 0);
    let to = |bucket: &Bucket| {
        bucket.given_to(
            reporter(&rig)
                .env("REPORT_BUCKET", "reports")
                .arg("--format=mail"),
        )
    };
    let bucket = Bucket::start(200, "");
    let output = to(&bucket).run();
    assert_exit(&output, 0);
    let last: Value = serde_json::from_str(output.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(text(&last, "mail"), output.stdout);
    let [html, json] = &bucket.requests()[..] else {
        panic!("{:?}", bucket.requests())
    };
    for (request, suffix, kind) in [
        (html, ".html", "text/html; charset=utf-8"),
        (json, ".json", "application/json"),
    ] {
        assert_eq!(
            (request.method.as_str(), request.headers["content-type"].as_str()),
            ("PUT", kind)
        );
        let name = request
            .path
            .strip_prefix("/reports/report-week%2Fend%20%C3%BC-20")
            .unwrap();
        assert!(name.ends_with(suffix), "{name}");
        check_signature(request);
    }
    assert!(html.body.starts_with("<!DOCTYPE html>"), "{}", html.body);
    assert_eq!(
        serde_json::from_str::<Value>(&json.body).unwrap()["run"],
        "week/end ü"
    );
    for (status, body, exit, words) in [
        (
            403,
            "<Error><Code>AccessDenied</Code></Error>",
            77,
            "403 AccessDenied",
        ),
        (
            404,
            "<Error><Code>NoSuchBucket</Code></Error>",
            78,
            "404 NoSuchBucket",
        ),
        (503, "", 75, "503 unknown error"),
    ] {
        let output = to(&Bucket::start(status, body)).run();
        assert_exit(&output, exit);
        assert!(
            output.stderr.contains(words) && output.stdout.starts_with("Go: run "),
            "{output:?}"
        );
    }
    let unreachable = to(&bucket).env("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1");
    assert_exit(&unreachable.run(), 75);
}

/// Elements and attributes that a report has: none of them loads or runs anything.
const ELEMENTS: [&str; 35] = [
    "html", "head", "meta", "title", "style", "body", "header", "footer", "h1", "h2", "h3", "p", "strong",
    "small", "bdi", "br", "div", "dl", "dt", "dd", "ul", "li", "span", "i", "details", "summary", "table",
    "tr", "th", "td", "label", "input", "b", "svg", "path",
];
const ATTRIBUTES: [&str; 14] = [
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "style",
    "title",
    "type",
    "checked",
    "viewbox",
    "preserveaspectratio",
    "d",
    "aria-hidden",
];
const VOID: [&str; 3] = ["meta", "br", "input"];

/// A page of one file: every tag is one of the report's own and is closed, and names stand in it as text alone.
fn check_page(page: &str) {
    let (mut open, mut said) = (Vec::new(), String::new());
    for Ok(token) in Tokenizer::new(page) {
        match token {
            Token::StartTag(tag) => {
                let name = String::from_utf8(tag.name.to_vec()).unwrap();
                assert!(
                    ELEMENTS.contains(&name.as_str()),
                    "{name} is no element of a report"
                );
                for attribute in tag.attributes.keys() {
                    let attribute = String::from_utf8(attribute.to_vec()).unwrap();
                    assert!(ATTRIBUTES.contains(&attribute.as_str()), "{name} {attribute}");
                }
                if !VOID.contains(&name.as_str()) {
                    open.push(name);
                }
            }
            Token::EndTag(tag) => {
                assert_eq!(
                    open.pop().map(String::into_bytes).as_deref(),
                    Some(tag.name.as_slice())
                );
            }
            Token::String(text) => said += &String::from_utf8_lossy(&text),
            Token::Doctype(_) => {}
            Token::Comment(_) | Token::Error(_) => panic!("a report has neither comments nor errors"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(said.contains("<script>alert(1)</script>"), "{said}");
    for reference in ["://", "href", "@import", "url(", "<script"] {
        assert!(!page.contains(reference), "{reference}");
    }
}

/// What Perfetto opens: a process a unit, and no two events of one thread that overlap without one lying within the other.
fn check_trace(trace: &str) {
    let trace: Value = serde_json::from_str(trace).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let named: BTreeSet<u64> = events
        .iter()
        .filter(|event| text(event, "name") == "process_name")
        .map(|event| event["pid"].as_u64().unwrap())
        .collect();
    let mut spans: Vec<(u64, u64, f64, f64)> = Vec::new();
    for event in events.iter().filter(|event| text(event, "ph") == "X") {
        let number = |field: &str| event[field].as_u64().unwrap();
        assert!(named.contains(&number("pid")));
        let (begins, lasts) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
        spans.push((number("pid"), number("tid"), begins, begins + lasts));
    }
    assert!(spans.len() > 15, "{trace}");
    // Times are kept in milliseconds.
    let slack = 2000.0;
    for (index, one) in spans.iter().enumerate() {
        for other in spans
            .iter()
            .skip(index + 1)
            .filter(|other| (other.0, other.1) == (one.0, one.1))
        {
            let apart = one.3 <= other.2 + slack || other.3 <= one.2 + slack;
            let within = |inner: &(u64, u64, f64, f64), outer: &(u64, u64, f64, f64)| {
                inner.2 + slack >= outer.2 && inner.3 <= outer.3 + slack
            };
            assert!(
                apart || within(one, other) || within(other, one),
                "{one:?} {other:?}"
            );
        }
    }
}
