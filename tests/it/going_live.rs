//! `docs/going-live.md`, run from top to bottom: its SQL by psql, its commands by sh, and the machine that it starts.

#![expect(clippy::panic, reason = "a page that cannot be run is a failed test")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::LazyLock;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;
use testbed::{Account, Cluster, Fate, Output, Psql, Server, Worker};

use crate::aws::{SCALE, machine};
use crate::rig::{Rig, assert_exit};
use crate::slow::PATIENCE;

const PAGE: &str = include_str!("../../docs/going-live.md");

/// Its roles and its `pg_hba.conf` are this page's alone; nothing but the page's statements takes a transaction's number.
static SOURCE: LazyLock<Cluster> =
    LazyLock::new(|| Cluster::start_with(&Server::distribution(), &[("autovacuum", "off")]));
static TARGET: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&Server::newest()));

/// Two schemas with a key between them, a ring, a sequence that is owned and an identity.
const WAREHOUSE: &str = "
    CREATE SCHEMA base; CREATE TABLE base.t (id serial PRIMARY KEY, v text); INSERT INTO base.t (v) SELECT md5(i::text) FROM generate_series(1, 100) i;
    CREATE SCHEMA top; CREATE TABLE top.t (id int GENERATED ALWAYS AS IDENTITY, base int REFERENCES base.t); INSERT INTO top.t (base) SELECT i FROM generate_series(1, 100) i;
    CREATE VIEW top.v AS SELECT * FROM base.t;
    CREATE SCHEMA ring1; CREATE TYPE ring1.e AS ENUM ('x'); CREATE SCHEMA ring2; CREATE TYPE ring2.e AS ENUM ('y');
    CREATE TABLE ring1.t (e ring2.e); CREATE TABLE ring2.t (e ring1.e);
    CREATE ROLE app LOGIN SUPERUSER PASSWORD 'testbed'; CREATE ROLE ferry LOGIN PASSWORD 'testbed' IN ROLE pg_read_all_data;
    CREATE ROLE rdsadmin LOGIN PASSWORD 'testbed'";

/// Where the page is run.
struct Walk {
    rig: Rig,
    directory: TempDir,
    /// Headings whose blocks were run.
    seen: RefCell<BTreeSet<String>>,
}

/// A fenced block: its language, the nearest heading above it, and its lines.
struct Block {
    language: &'static str,
    heading: &'static str,
    lines: Vec<&'static str>,
}

fn blocks() -> Vec<Block> {
    let (mut blocks, mut heading, mut open) = (Vec::<Block>::new(), "", false);
    for line in PAGE.lines() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(language) => {
                open = true;
                blocks.push(Block {
                    language,
                    heading,
                    lines: Vec::new(),
                });
            }
            None if open => blocks.last_mut().unwrap().lines.push(line),
            None if line.starts_with('#') => heading = line.trim_matches(['#', ' ']),
            None => {}
        }
    }
    blocks
}

impl Walk {
    fn new() -> Self {
        let rig = Rig::on(&SOURCE, &TARGET, WAREHOUSE);
        rig.at_target("CREATE ROLE app LOGIN; CREATE ROLE ferry LOGIN");
        let directory = tempfile::tempdir().unwrap();
        symlink(
            env!("CARGO_BIN_EXE_schemaferry"),
            directory.path().join("schemaferry"),
        )
        .unwrap();
        Self {
            rig,
            directory,
            seen: RefCell::default(),
        }
    }

    /// The worker's environment, as a task definition has it.
    fn container(&self) -> Worker {
        self.rig
            .worker("")
            .without("SCHEMA_NAME")
            .env("SOURCE_USER", "ferry")
            .env("LOG_FORMAT", "json")
    }

    fn shell(&self, line: &str) -> Output {
        let script = format!(
            "cd {0} && PATH={0}:$PATH && {line}",
            self.directory.path().display()
        );
        // The shell has the worker's environment; the executable's own path is not asked for.
        self.container().through("sh", &["-c", &script]).run()
    }

    /// `aws stepfunctions start-execution`: the machine is run to its end, and has to succeed.
    fn start_execution(&self, line: &str) {
        let option = |name: &str| {
            let mut words = line.split(' ').skip_while(|word| *word != name);
            words.nth(1).unwrap_or_else(|| panic!("{name} is not in {line}"))
        };
        let file = option("--input").strip_prefix("file://").unwrap();
        let input = fs::read_to_string(self.directory.path().join(file)).unwrap();
        let input: Value = serde_json::from_str(&input).unwrap();
        let worker = self.container().env("VERIFY", "hash");
        let account = Account::new(move |_| worker.clone(), |_, _| Fate::Undisturbed);
        let execution = machine(&[]).execute(option("--name"), &input, &account, SCALE);
        assert!(execution.ended.is_ok(), "{line}: {:?}", execution.ended);
    }

    /// What the block's statements answer, on each side that its first line names.
    fn sql(&self, block: &Block) -> Vec<String> {
        let sql = block.lines.join("\n");
        match *block.lines.first().unwrap() {
            "-- source" => vec![self.rig.at_source(&sql)],
            "-- target" => vec![self.rig.at_target(&sql)],
            "-- source and target" => vec![self.rig.at_source(&sql), self.rig.at_target(&sql)],
            other => panic!("{other} is no side"),
        }
    }

    fn run(&self, block: &Block) -> Vec<String> {
        match block.language {
            "sql" => return self.sql(block),
            "text" => SOURCE.prepend_access(&block.lines.join("\n")),
            "sh" => {
                for line in &block.lines {
                    if line.starts_with("aws ") {
                        self.start_execution(line);
                    } else {
                        assert_exit(&self.shell(line), 0);
                    }
                }
            }
            other => panic!("{other} is not run"),
        }
        Vec::new()
    }

    /// Runs the blocks below a heading; what their statements answer.
    fn section(&self, heading: &str) -> Vec<String> {
        let all = blocks();
        let own: Vec<&Block> = all.iter().filter(|block| block.heading == heading).collect();
        assert!(!own.is_empty(), "the page has no {heading}");
        self.seen.borrow_mut().insert(heading.to_owned());
        own.into_iter().flat_map(|block| self.run(block)).collect()
    }
}

/// A session of RDS's own user, which nobody may end.
fn session_of_rds(database: &str) -> Psql {
    let mut session = Psql::open(&SOURCE, database);
    session.run("\\connect -reuse-previous=on 'user=rdsadmin password=testbed'\nSELECT 1");
    session
}

fn still_there(session: Psql, database: &str) -> Psql {
    let there = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'rdsadmin'";
    assert_eq!(SOURCE.psql(database, there), "1");
    session
}

#[test]
fn the_runbook_is_run_from_top_to_bottom() {
    let walk = Walk::new();
    let written = "INSERT INTO base.t (v) VALUES ('new')";
    walk.section("Rehearse");
    walk.rig.at_source(written);

    let database = &walk.rig.database;
    let mut app = Psql::open(&SOURCE, database);
    app.run("SET application_name = 'shop'; BEGIN; INSERT INTO base.t (v) VALUES ('never committed')");
    let rds = session_of_rds(database);
    let there = walk.section("1. See who is there");
    let is_shop = |line: &str| line.starts_with("shop||postgres|1|1|") && line.contains("INSERT INTO base.t");
    assert!(there[0].lines().any(is_shop), "{there:?}");
    let all = blocks();
    let who = all
        .iter()
        .find(|block| block.heading == "1. See who is there")
        .unwrap();
    // Whoever may not see what others do sees that they are there.
    let blind = walk
        .rig
        .at_source(&format!("SET ROLE by_scram; {}", who.lines.join("\n")));
    assert!(blind.lines().any(|line| line.starts_with("shop|")), "{blind}");
    let stopped = walk.section("2. Stop the writers");
    assert_eq!(stopped.last().unwrap(), "", "what writes without coming in");
    drop((app, still_there(rds, database)));
    // A session that was ended or closed is there for a moment.
    let until = Instant::now() + PATIENCE;
    while walk.section("1. See who is there") != [""] {
        assert!(Instant::now() < until, "somebody is still there");
    }
    let refused = SOURCE.try_psql(database, written).unwrap_err();
    assert!(refused.contains("read-only transaction"), "{refused}");
    for user in ["app", "by_scram"] {
        let refused = walk.shell(&format!("SOURCE_USER={user} SCHEMA_NAME=base schemaferry check"));
        assert_exit(&refused, 77);
    }
    let proof = walk.section("3. Prove it");
    assert_eq!(walk.section("3. Prove it"), proof);
    assert_eq!(
        SOURCE.try_psql(database, &format!("BEGIN READ WRITE; {written}; COMMIT")),
        Ok(String::new())
    );
    assert_ne!(walk.section("3. Prove it"), proof, "a write is seen");

    for heading in ["4. The last load", "5. Compare", "6. Decide", "7. Seal"] {
        walk.section(heading);
    }
    assert_eq!(walk.rig.at_target("SELECT count(*) FROM base.t"), "102");
    let looked = walk.section("8. Look at the target");
    let (here, there) = (&looked[1], &looked[2]);
    assert_eq!(looked[0], "", "what must answer nothing");
    assert!(
        here.contains("extension|plpgsql") && there.contains("extension|plpgsql"),
        "{looked:?}"
    );
    let stood = walk.rig.at_target("SELECT last_value FROM base.t_id_seq");
    walk.rig.at_target("SELECT setval('base.t_id_seq', 50)");
    assert_eq!(walk.section("8. Look at the target")[0], "base.t_id_seq");
    walk.rig
        .at_target(&format!("SELECT setval('base.t_id_seq', {stood})"));

    walk.section("9. Switch");
    assert_eq!(
        TARGET.try_psql(database, "CREATE TEMP TABLE writes (a int)"),
        Ok(String::new())
    );
    walk.section("Going back");
    assert_eq!(SOURCE.try_psql(database, written), Ok(String::new()));
    walk.rig
        .at_target("INSERT INTO base.t (v) VALUES ('on the target alone')");
    let plan = walk.shell("schemaferry plan --format text");
    assert_exit(&plan, 73);
    assert!(plan.stdout.contains("base.t"), "{}", plan.stdout);
    let all: BTreeSet<String> = blocks().iter().map(|block| block.heading.to_owned()).collect();
    assert_eq!(*walk.seen.borrow(), all, "what was run, and what the page holds");
}
