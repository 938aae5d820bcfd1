//! The steps.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testbed::cluster::{PASSWORD, SUPERUSER};
use testbed::fargate::{Seen, Stop, signal};
use testbed::proxy::{Line, Mishap};
use testbed::{Account, Cluster, Fate, Machine, Output, Proxy, Server, Worker};

use crate::protocol::Protocol;
use crate::warehouse;

const DATABASE: &str = "warehouse";
/// A wait of the machine takes a thirtieth.
const FASTER: f64 = 30.0;
/// Places of the machine.
const CONCURRENCY: &str = "5";
/// What is between the source's data centre and the tasks, which run beside the target.
const LINE: Line = Line {
    delay: Duration::from_millis(10),
    bits_per_second: Some(500_000_000),
};
/// However busy the machine is.
const PATIENCE: Duration = Duration::from_mins(30);
/// How far a forecast may be off.
const BAR: f64 = 0.15;
/// Where nothing is to be listed.
const NONE: &str = "none";
/// What a report calls the task that finalizes.
const FINALIZE: &str = "finalize of all schemas";
/// Everything on the target that a run might touch: files, counters of what was written, constraints, the ledger.
const TOUCHED: &str = "
    SELECT md5(string_agg(line, ';' ORDER BY line)) FROM (
        SELECT concat_ws(' ', c.oid, c.oid::regclass, pg_relation_filenode(c.oid), c.relowner, c.relacl, s.n_tup_ins, s.n_tup_upd, s.n_tup_del)
        FROM pg_class c LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
        WHERE c.relnamespace::regnamespace::text !~ '^(pg_|information_schema$|schemaferry$)'
        UNION ALL SELECT concat_ws(' ', id, state, updated_at) FROM schemaferry.load
        UNION ALL SELECT concat_ws(' ', oid, conname, convalidated) FROM pg_constraint) l (line)";

/// Who holds the customers on the source.
const READERS: &str = "
    SELECT DISTINCT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE relation = 'customers.customer'::regclass AND application_name LIKE 'sf/%'";

/// Two servers, the warehouse on the first, and the way on which workers reach it.
pub(crate) struct Rehearsal {
    source: &'static Cluster,
    target: &'static Cluster,
    line: &'static Proxy,
}

/// What an execution of the machine has come to.
struct Execution {
    report: Value,
    seen: Seen,
}

impl Rehearsal {
    /// Servers live as long as the process, whose end their keepers see.
    pub(crate) fn set_up(protocol: &Protocol, scale: usize) -> Self {
        let (from, to) = (Server::distribution(), Server::newest());
        protocol.step(&format!(
            "a warehouse of sixty schemas on PostgreSQL {}, an empty PostgreSQL {}",
            from.major(),
            to.major()
        ));
        let start = |server| &*Box::leak(Box::new(Cluster::start(server)));
        let (source, target) = (start(&from), start(&to));
        for cluster in [source, target] {
            cluster.create_database(DATABASE);
            cluster.psql(DATABASE, warehouse::ROLES);
        }
        target.psql(DATABASE, warehouse::TARGET);
        for sql in warehouse::statements(scale) {
            source.psql(DATABASE, &sql);
        }
        source.psql(DATABASE, "VACUUM ANALYZE");
        let address = ([127, 0, 0, 1], source.port()).into();
        let line = &*Box::leak(Box::new(Proxy::start(address, LINE)));
        let made = Self { source, target, line };
        Protocol::note("on the source", made.size());
        Protocol::note("on the way to it", "500 Mbit/s, 10 ms each way");
        made
    }

    fn size(&self) -> String {
        let share = format!(
            "SELECT count(DISTINCT relnamespace) || ' schemas with tables or views, ' || count(*) FILTER (WHERE relkind = 'r') || ' tables, '
             || pg_size_pretty(sum(pg_total_relation_size(c.oid)) FILTER (WHERE relkind IN ('r', 'm'))) || ', of which {0} '
             || pg_size_pretty(sum(pg_total_relation_size(c.oid)) FILTER (WHERE nspname = '{0}'))
             FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname !~ '^(pg_|information_schema$|public$)'",
            warehouse::LARGEST
        );
        self.source.psql(DATABASE, &share)
    }

    /// The worker as the task definition has it.
    fn container(&self) -> Worker {
        let [accepted, reason] = warehouse::ACCEPTED;
        Worker::new(env::current_exe().unwrap().with_file_name("schemaferry"))
            .source(self.source, DATABASE, SUPERUSER, PASSWORD)
            .target(self.target, DATABASE, SUPERUSER, PASSWORD)
            .env("SOURCE_PORT", self.line.port().to_string())
            // The line knows connections by what they say.
            .env("SOURCE_SSLMODE", "disable")
            .env("ACCEPT", accepted)
            .env("ACCEPT_REASON", reason)
            .env("LOG_FORMAT", "json")
            .patience(PATIENCE)
    }

    /// Executes the machine under this name.
    fn execute(
        name: &str,
        input: &Value,
        container: impl Fn(&str) -> Worker + Sync + 'static,
        fate: impl Fn(&str, usize) -> Fate + Sync + 'static,
    ) -> Execution {
        let account = Account::new(container, fate);
        let substitutions = [
            ("MaxConcurrency", CONCURRENCY),
            ("WindowSeconds", "500000"),
            ("TaskSeconds", "100000"),
        ];
        let _ended = Machine::of_deploy(&substitutions).execute(name, input, &account, FASTER);
        let seen = account.seen();
        let report = serde_json::from_str(seen.published.last().unwrap()).unwrap();
        Execution { report, seen }
    }

    fn execute_undisturbed(&self, name: &str, input: &Value) -> Execution {
        let container = self.container();
        Self::execute(name, input, move |_| container.clone(), |_, _| Fate::Undisturbed)
    }

    /// Plans, first without accepting anything; the machine's input.
    pub(crate) fn plan(&self, protocol: &mut Protocol) -> Value {
        protocol.step("plan, nothing accepted yet");
        let refused = self
            .container()
            .without("ACCEPT")
            .arg("plan")
            .arg("--format")
            .arg("json")
            .run();
        protocol.expect("exit code", 78, refused.exit);
        let named: Vec<&str> = warehouse::HAZARDS
            .into_iter()
            .filter(|hazard| refused.stderr.contains(hazard))
            .collect();
        protocol.expect(
            "hazards that are named",
            warehouse::HAZARDS.join(", "),
            named.join(", "),
        );

        protocol.step("plan again: what is on the target was seen to, the rest is accepted");
        self.target.psql(DATABASE, warehouse::SEEN_TO);
        let (input, _) = self.planned(protocol, &[]);
        let units = input["schemas"].as_array().unwrap();
        protocol.expect("units", warehouse::UNITS, units.len());
        let rings: BTreeSet<&str> = units
            .iter()
            .filter_map(|unit| unit["schema"].as_str())
            .filter(|unit| unit.contains(','))
            .collect();
        let rings: Vec<&str> = rings.into_iter().collect();
        protocol.expect(
            "schemas that move together",
            warehouse::RINGS.join("; "),
            rings.join("; "),
        );
        input
    }

    /// A plan that refuses nothing: the machine's input, and the seconds that it foretells.
    fn planned(&self, protocol: &mut Protocol, options: &[&str]) -> (Value, f64) {
        let worker = self.container().arg("plan").arg("--format").arg("json");
        let worker = options.iter().fold(worker, |worker, option| worker.arg(*option));
        let output = worker.arg("--concurrency").arg(CONCURRENCY).run();
        protocol.expect("exit code", 0, output.exit);
        let lines = output.stderr.lines();
        let records: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        let forecast = records
            .iter()
            .rfind(|record| record["msg"] == "forecast")
            .unwrap_or_else(|| panic!("no forecast: {output:?}"));
        let moves = records.iter().filter_map(|record| record["moves_bytes"].as_u64());
        if !options.is_empty() {
            Protocol::note("bytes that are to move", moves.sum::<u64>());
        }
        let total = forecast["total_s"].as_f64().unwrap();
        let bound = forecast["bound"].as_str().unwrap();
        Protocol::note("forecast", format!("{total} s, bounded by {bound}"));
        (serde_json::from_str(&output.stdout).unwrap(), total)
    }

    /// The first rehearsal, in which tasks come to harm.
    pub(crate) fn first(&self, protocol: &mut Protocol, input: &Value) {
        protocol.step("the first rehearsal, five at a time, while tasks come to harm");
        let (container, source, line) = (self.container(), self.source, self.line);
        let run = Self::execute(
            "rehearsal-1",
            input,
            move |_| container.clone(),
            move |unit, number| match (unit, number) {
                ("facts", 1) => Fate::Meets("pre-data", signal(Signal::SIGKILL), Stop::EXITED),
                ("customers", 1) => {
                    let reset = move |_: &_| {
                        for name in source.psql(DATABASE, READERS).lines() {
                            line.befall(Mishap::Reset, name);
                        }
                    };
                    Fate::Meets("archive", Box::new(reset), Stop::EXITED)
                }
                ("archive", 1) => Fate::Meets("clear", signal(Signal::SIGTERM), Stop::SPOT),
                ("reference", 1 | 2) => Fate::Refused("AmazonECS.Unknown", "RESOURCE:CAPACITY"),
                ("shared", 1) => Fate::NeverStarts("ResourceInitializationError: unable to pull secrets"),
                _ => Fate::Undisturbed,
            },
        );
        run.expect_loaded(protocol, warehouse::UNITS);
        // What nobody has given a place to was no attempt.
        let again = "archive 2, customers 2, facts 2, shared 2";
        protocol.expect("tasks that needed more than one attempt", again, run.attempts());
        protocol.expect("tasks at once, at most", CONCURRENCY, run.seen.peak);
        let finalize = run.line(FINALIZE);
        protocol.expect("finalize ends with", 65, &finalize["exit_code"]);
        let orphan = "foreign key \"card_of\" of \"loyalty\".\"card\" stays not valid: 1 rows have no match";
        protocol.expect_words(
            "and says",
            orphan,
            finalize["reason"].as_str().unwrap_or_default(),
        );
        let mail = run.seen.mails.last().unwrap();
        protocol.expect_words("its mail says", "Go with conditions", mail);
        let report = self.report(protocol, "rehearsal-1");
        protocol.expect_words("reasons", "foreign key", &reasons(&report).join("; "));
    }

    /// The orphan is deleted as the hint says: on the target, and on the source, or the next load would bring it again.
    pub(crate) fn cure(&self, protocol: &mut Protocol) {
        protocol.step("finalize again, and the orphan is deleted by the query of the hint");
        let refused = self.finalize();
        protocol.expect("exit code", 65, refused.exit);
        let query = refused.last()["findings"][0]["hint"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        Protocol::note("query", query.split_whitespace().collect::<Vec<_>>().join(" "));
        protocol.expect(
            "rows that it lists",
            1,
            self.target.psql(DATABASE, &query).lines().count(),
        );
        let delete = format!("DELETE FROM loyalty.card WHERE customer IN (SELECT customer FROM ({query}) o)");
        self.target.psql(DATABASE, &delete);
        protocol.expect("exit code of finalize", 0, self.finalize().exit);
        let not_valid = "SELECT count(*) FROM pg_constraint WHERE NOT convalidated";
        protocol.expect(
            "constraints that are not valid",
            0,
            self.target.psql(DATABASE, not_valid),
        );

        protocol.step("the schema in which a person has deleted a row is loaded again: refused, until replacing it is asked for");
        self.source.psql(DATABASE, &delete);
        let input = json!({"schemas": [warehouse::ORPHANED]});
        for (name, mode, exits) in [("own", "own", "73, 73, 0"), ("replaced", "replace", "0, 0, 0, 0")] {
            let container = self.container().env("ON_EXISTING", mode);
            let run = Self::execute(name, &input, move |_| container.clone(), |_, _| Fate::Undisturbed);
            let codes = run.lines().iter().map(|line| line["exit_code"].to_string());
            // Of what prepares, loads, finalizes where all is loaded, and reports.
            protocol.expect(
                &format!("exit codes under ON_EXISTING={mode}"),
                exits,
                listed(codes),
            );
        }
    }

    /// The report of a run as JSON, its verdict and reasons printed; and as a page, where it is printed too.
    fn report(&self, protocol: &mut Protocol, run: &str) -> Value {
        protocol.step(&format!("report of {run}"));
        let reporter = self
            .container()
            .env("RUN_ID", run)
            .arg("report")
            .arg("--window")
            .arg("06:00");
        let json = reporter.clone().arg("--format=json").run();
        protocol.expect("exit code", 0, json.exit);
        let report: Value = serde_json::from_str(&json.stdout).unwrap();
        Protocol::note("verdict", &report["decision"]["verdict"]);
        for reason in reasons(&report) {
            Protocol::note("reason", reason);
        }
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/rehearsal");
        fs::create_dir_all(&page).unwrap();
        let page = page.join("report.html");
        fs::write(&page, reporter.arg("--format=html").run().stdout).unwrap();
        Protocol::note("page", "target/rehearsal/report.html");
        report
    }

    fn finalize(&self) -> Output {
        self.container().arg("finalize").run()
    }

    /// Compares every value by the worker, and once more without it.
    pub(crate) fn compare(&self, protocol: &mut Protocol, input: &Value, command: &str) {
        protocol.step(&format!(
            "{command} with VERIFY=hash, and a comparison without the worker"
        ));
        let container = self.container().env("VERIFY", "hash");
        let mut input = input.clone();
        input["command"] = command.into();
        let run = Self::execute(
            "verify",
            &input,
            move |_| container.clone(),
            |_, _| Fate::Undisturbed,
        );
        run.expect_loaded(protocol, warehouse::UNITS);
        protocol.expect("failures", NONE, run.failures());
        let schemas: Vec<&str> = input["schemas"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|unit| unit["schema"].as_str().unwrap().split(','))
            .collect();
        let contents = |cluster, schema: &str| testbed::warehouse::contents(cluster, DATABASE, schema);
        let differ: Vec<&str> = schemas
            .into_iter()
            .filter(|schema| contents(self.source, schema) != contents(self.target, schema))
            .collect();
        protocol.expect("schemas whose rows differ", NONE, listed(differ));
    }

    /// The second rehearsal, over the first.
    pub(crate) fn second(&self, protocol: &mut Protocol) -> Value {
        protocol.step("the source has new, changed and deleted rows, and a column more; plan again");
        self.source.psql(DATABASE, &warehouse::changes());
        self.source.psql(DATABASE, "ANALYZE");
        let (input, foretold) = self.planned(protocol, &[]);

        protocol.step("the second rehearsal, over the first");
        let run = self.execute_undisturbed("rehearsal-2", &input);
        run.expect_loaded(protocol, warehouse::UNITS);
        protocol.expect("failures", NONE, run.failures());
        protocol.expect("tasks that needed more than one attempt", NONE, run.attempts());
        let [began, ended] = run.began_and_ended();
        let took = format!("SELECT extract(epoch FROM timestamptz '{ended}' - timestamptz '{began}')");
        let took: f64 = self.target.psql(DATABASE, &took).parse().unwrap();
        let ratio = took / foretold;
        let met = if (1.0 - BAR..=1.0 + BAR).contains(&ratio) {
            "within"
        } else {
            "NOT within"
        };
        Protocol::note(
            "forecast",
            format!(
                "{foretold:.0} s, took {took:.1} s: {ratio:.2} of it, {met} {:.0} %",
                BAR * 100.0
            ),
        );
        Protocol::note("all loads together", format!("{:.1} s", run.seconds()));
        self.compare(protocol, &input, "verify --frozen");
        let report = self.report(protocol, "rehearsal-2");
        protocol.expect(
            "verdict",
            "\"go-with-conditions\"",
            &report["decision"]["verdict"],
        );
        input
    }

    /// What has changed since, and nothing else.
    pub(crate) fn refresh(&self, protocol: &mut Protocol, input: &Value) {
        protocol.step("the source has new, changed and deleted rows again; refresh");
        self.source.psql(DATABASE, &warehouse::writes());
        let (refresh, foretold) = self.planned(protocol, &["--refresh"]);
        let run = self.execute_undisturbed("refresh", &refresh);
        run.expect_loaded(protocol, warehouse::UNITS);
        protocol.expect("failures", NONE, run.failures());
        let whole = run.records("the whole unit is loaded");
        let whole = whole
            .iter()
            .map(|record| format!("{}: {}", record["schema"], record["reason"]));
        protocol.expect("units that were loaded whole", NONE, listed(whole));
        let decided = run.records("refresh decided");
        let sum = |field: &str| -> u64 {
            let told = decided
                .iter()
                .filter_map(|record| record["refreshed"][field].as_u64());
            told.sum()
        };
        protocol.expect(
            "units that were brought up to date",
            warehouse::UNITS,
            decided.len(),
        );
        Protocol::note(
            "tables",
            format!(
                "{} kept, {} appended to, {} loaded again; {} of {} bytes moved",
                sum("kept"),
                sum("appended_to"),
                sum("loaded_again"),
                sum("bytes"),
                sum("size")
            ),
        );
        Protocol::note(
            "all refreshes together",
            format!(
                "{:.1} s; {foretold:.0} s from beginning to end were foretold",
                run.seconds()
            ),
        );
        self.compare(protocol, input, "verify --frozen");
        let report = self.report(protocol, "refresh");
        protocol.expect(
            "verdict",
            "\"go-with-conditions\"",
            &report["decision"]["verdict"],
        );
    }

    /// Seals everything; what is loaded after that touches nothing.
    pub(crate) fn go_live(&self, protocol: &mut Protocol) {
        protocol.step("seal --all");
        let sealed = self.container().arg("seal").arg("--all").run();
        protocol.expect("exit code", 0, sealed.exit);
        let states = "SELECT string_agg(DISTINCT state, ', ') FROM (SELECT DISTINCT ON (schema_name) state FROM schemaferry.load
                      ORDER BY schema_name, id DESC) l";
        protocol.expect(
            "states of the last loads",
            "sealed",
            self.target.psql(DATABASE, states),
        );

        protocol.step("a third rehearsal, by mistake");
        let before = self.target.psql(DATABASE, TOUCHED);
        let refused = self.container().arg("plan").run();
        protocol.expect("exit code of plan", 73, refused.exit);
        let units = input_of(&refused);
        for (name, loaded, outcomes) in [
            ("rehearsal-3", 0, "occupied, ok"),
            ("refresh", warehouse::UNITS, "ok"),
        ] {
            let run = self.execute_undisturbed(name, &units);
            run.expect_loaded(protocol, loaded);
            // The report succeeds in any case.
            protocol.expect(&format!("outcomes of {name}"), outcomes, run.outcomes());
        }
        let untouched = self.target.psql(DATABASE, TOUCHED) == before;
        protocol.expect("the target was touched", false, !untouched);
    }
}

/// What stands against going by a report.
fn reasons(report: &Value) -> Vec<&str> {
    let reasons = report["decision"]["reasons"].as_array().unwrap().iter();
    reasons.filter_map(|reason| reason["what"].as_str()).collect()
}

/// Words with commas between them.
fn listed(words: impl IntoIterator<Item = impl Into<String>>) -> String {
    let words: Vec<String> = words.into_iter().map(Into::into).collect();
    if words.is_empty() {
        NONE.to_owned()
    } else {
        words.join(", ")
    }
}

fn input_of(plan: &Output) -> Value {
    serde_json::from_str(&plan.stdout).unwrap()
}

/// How the first record of what moves rows names the command.
const COMMANDS: [&str; 2] = [r#""command":"load""#, r#""command":"refresh""#];

impl Execution {
    fn lines(&self) -> &[Value] {
        self.report["schemas"].as_array().unwrap()
    }

    /// The line of a unit, null where there is none.
    fn line(&self, unit: &str) -> Value {
        let line = self.lines().iter().find(|line| line["schema"] == unit);
        line.cloned().unwrap_or_default()
    }

    fn expect_loaded(&self, protocol: &mut Protocol, units: usize) {
        protocol.expect("units that are done", units, &self.report["loaded"]);
    }

    /// Schema, exit code and reason of what has failed.
    fn failures(&self) -> String {
        let failed = self.lines().iter().filter(|line| line["outcome"] != "ok");
        let told = failed.map(|line| format!("{} {}: {}", line["schema"], line["exit_code"], line["reason"]));
        listed(told)
    }

    fn outcomes(&self) -> String {
        let outcomes: BTreeSet<&str> = self
            .lines()
            .iter()
            .filter_map(|line| line["outcome"].as_str())
            .collect();
        listed(outcomes)
    }

    /// Units with more than one attempt, and how many.
    fn attempts(&self) -> String {
        let several: BTreeMap<&str, u64> = self
            .lines()
            .iter()
            .filter_map(|line| Some((line["schema"].as_str()?, line["attempts"].as_u64()?)))
            .filter(|(_, attempts)| *attempts > 1)
            .collect();
        let told = several
            .iter()
            .map(|(unit, attempts)| format!("{unit} {attempts}"));
        listed(told)
    }

    /// What loads have written, one by one.
    fn loads(&self) -> impl Iterator<Item = Vec<Value>> {
        let loads = self.seen.logs.values();
        loads
            .filter(|lines| COMMANDS.iter().any(|command| lines[0].contains(command)))
            .map(|lines| {
                lines
                    .iter()
                    .filter_map(|line| serde_json::from_str(line).ok())
                    .collect()
            })
    }

    /// All records of loads with this message.
    fn records(&self, message: &str) -> Vec<Value> {
        let records = self.loads().flatten();
        records
            .filter(|record: &Value| record["msg"] == message)
            .collect()
    }

    /// The times of the first and of the last record of all loads.
    fn began_and_ended(&self) -> [String; 2] {
        let times: BTreeSet<String> = self
            .loads()
            .flatten()
            .filter_map(|record: Value| Some(record["time"].as_str()?.to_owned()))
            .collect();
        [times.first().unwrap().clone(), times.last().unwrap().clone()]
    }

    /// Seconds that the loads took, each by itself.
    fn seconds(&self) -> f64 {
        let last = self.loads().filter_map(|records| records.last().cloned());
        last.filter_map(|record| record["totals"]["elapsed_ms"].as_f64())
            .sum::<f64>()
            / 1000.0
    }
}
