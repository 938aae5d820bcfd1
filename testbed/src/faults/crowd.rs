//! Many workers at once, and one that is killed over and over.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cluster::{Cluster, PASSWORD, SUPERUSER};
use crate::faults::stage::SCHEMA;
use crate::proxy::{Line, Proxy};
use crate::psql::Psql;
use crate::server::Server;
use crate::warehouse;
use crate::work::{self, Followed, Random};
use crate::worker::{Running, Worker};

/// Room for twenty workers.
const SETTINGS: &[(&str, &str)] = &[("max_connections", "300")];
const DATABASE: &str = "crowded";
/// For everyone of a crowd on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);
/// The streams of each worker.
const JOBS: usize = 2;

/// Two clusters, with a proxy before each that counts connections.
#[derive(Debug)]
pub struct Crowd {
    source: Cluster,
    target: Cluster,
    proxies: [Proxy; 2],
    program: PathBuf,
}

impl Crowd {
    /// Starts the clusters, both on the distribution's server; `program` is the worker's executable.
    #[must_use]
    pub fn start(program: &Path) -> Self {
        let server = Server::distribution();
        Self::between(program, [&server, &server])
    }

    /// The same on these servers, the source's and the target's.
    #[must_use]
    pub fn between(program: &Path, servers: [&Server; 2]) -> Self {
        let [source, target] = servers.map(|server| Cluster::start_with(server, SETTINGS));
        let proxies = [&source, &target].map(|cluster| {
            cluster.create_database(DATABASE);
            let address = format!("{}:{}", cluster.host(), cluster.port());
            Proxy::start(address.parse().unwrap(), Line::default())
        });
        Self {
            source,
            target,
            proxies,
            program: program.to_owned(),
        }
    }

    fn worker(&self, schema: &str, method: &str) -> Worker {
        let mut worker = Worker::new(&self.program)
            .env("SCHEMA_NAME", schema)
            .env("METHOD", method)
            .env("JOBS", JOBS.to_string())
            .env("LOG_FORMAT", "json")
            .source(&self.source, DATABASE, SUPERUSER, PASSWORD)
            .target(&self.target, DATABASE, SUPERUSER, PASSWORD)
            .patience(PATIENCE);
        for (side, proxy) in ["SOURCE", "TARGET"].iter().zip(&self.proxies) {
            worker = worker
                .env(format!("{side}_PORT"), proxy.port().to_string())
                .env(format!("{side}_SSLMODE"), "disable");
        }
        worker
    }

    fn make(&self, schema: &str) {
        let sql = SCHEMA
            .replace("SCHEMA s;", &format!("SCHEMA {schema};"))
            .replace(" s.", &format!(" {schema}."))
            .replace("(s.", &format!("({schema}."));
        self.source.psql(DATABASE, &sql);
    }

    fn assert_agreement(&self, schema: &str) {
        assert_eq!(
            warehouse::contents(&self.target, DATABASE, schema),
            warehouse::contents(&self.source, DATABASE, schema),
            "rows of {schema} differ"
        );
    }

    /// So many workers at once on one schema: one loads it, and all others name it and end with 75.
    pub fn on_one_schema(&self, workers: usize, method: &str) {
        let schema = format!("one_{workers}_{method}");
        self.make(&schema);
        // Whoever is first waits for this until all others have given up.
        let mut lock = Psql::open(&self.source, DATABASE);
        lock.run(&format!("BEGIN; LOCK TABLE {schema}.t IN ACCESS EXCLUSIVE MODE"));
        let worker = self.worker(&schema, method).env("LOCK_TIMEOUT", "none");
        let mut running: Vec<_> = (0..workers).map(|_| worker.spawn()).collect();
        let started = Instant::now();
        while running
            .iter_mut()
            .filter_map(|one| one.has_ended().then_some(()))
            .count()
            + 1
            < workers
        {
            assert!(started.elapsed() < PATIENCE, "the others do not give up");
            thread::sleep(Duration::from_millis(50));
        }
        drop(lock);
        let outputs: Vec<_> = running.into_iter().map(Running::wait).collect();
        let mut loaded = 0;
        for output in &outputs {
            if output.exit == 0 {
                loaded += 1;
                continue;
            }
            assert_eq!(output.exit, 75, "{}", output.stdout);
            let reason = output.last()["reason"].as_str().unwrap_or_default();
            let named = format!("another worker holds schema \"{schema}\": pid ");
            assert!(reason.contains(&named) && reason.contains("/lock"), "{reason}");
        }
        assert_eq!(loaded, 1, "of {workers} workers");
        self.assert_agreement(&schema);
    }

    /// So many workers at once, each on a schema of its own: all of them load, within the connections that `JOBS`
    /// and `BUILD_JOBS` promise. Returns the most that one of them had on a side.
    #[must_use]
    pub fn on_schemas_of_their_own(&self, workers: usize, method: &str) -> usize {
        let schemas: Vec<String> = (0..workers)
            .map(|number| format!("own_{number}_{method}"))
            .collect();
        for schema in &schemas {
            self.make(schema);
        }
        let running: Vec<_> = schemas
            .iter()
            .map(|schema| self.worker(schema, method).spawn())
            .collect();
        for one in running {
            let output = one.wait();
            assert_eq!(output.exit, 0, "{}{}", output.stdout, output.stderr);
        }
        for schema in &schemas {
            self.assert_agreement(schema);
        }
        let most = self
            .proxies
            .iter()
            .flat_map(|proxy| proxy.most_open().into_values());
        let most = most.max().unwrap_or_default();
        let promised = if method == "pipe" { 8 } else { 2 * JOBS + 6 };
        assert!(
            most <= promised,
            "{most} connections of one worker, {promised} are promised"
        );
        most
    }

    /// Stops a load at so many moments, each of them followed by a load that has to make it good. Returns the exit codes
    /// of the stopped ones.
    #[must_use]
    pub fn stopped_at_any_moment(&self, signal: Signal, moments: usize, seed: u64) -> Vec<i32> {
        let schema = format!("stopped_by_{}_{seed}", signal.as_str().to_lowercase());
        self.make(&schema);
        let methods = ["copy", "pipe"].map(|method| {
            let worker = self.worker(&schema, method);
            let output = worker.run();
            assert_eq!(output.exit, 0, "{}{}", output.stdout, output.stderr);
            (worker, output.elapsed)
        });
        // Obeyed, or ended by it.
        let stopped = [128 + signal as i32, -(signal as i32)];
        let mut random = Random::new(seed);
        let mut exits = Vec::new();
        for (worker, whole) in methods.iter().cycle().take(moments) {
            let moment = whole.mul_f64(random.fraction());
            let running = worker.spawn();
            thread::sleep(moment);
            running.signal(signal);
            let output = running.wait();
            // One that was done by then has done it well; one that has not yet begun obeys none.
            assert!(
                output.exit == 0 || stopped.contains(&output.exit),
                "{signal} after {moment:?} of seed {seed}: {}\n{}",
                output.exit,
                output.stdout
            );
            exits.push(output.exit);
            let next = worker.run();
            assert_eq!(
                next.exit, 0,
                "after {signal} at {moment:?} of seed {seed}:\n{}{}",
                next.stdout, next.stderr
            );
            self.assert_agreement(&schema);
        }
        exits
    }

    /// Random work, followed in so many rounds as long as there is time, with attempts that are killed.
    #[must_use]
    pub fn followed(&self, rounds: usize, seed: u64, has_time: &dyn Fn() -> bool) -> Followed {
        self.source
            .psql(DATABASE, "DROP SCHEMA IF EXISTS s CASCADE; CREATE SCHEMA s");
        self.follow(&self.source, &self.worker("s", "copy"), seed, (rounds, has_time))
    }

    /// The same, read from a standby that is behind.
    #[must_use]
    pub fn followed_on_a_standby(&self, rounds: usize, seed: u64, has_time: &dyn Fn() -> bool) -> Followed {
        self.source
            .psql(DATABASE, "DROP SCHEMA IF EXISTS s CASCADE; CREATE SCHEMA s");
        let standby = self.source.standby();
        let worker = self
            .worker("s", "copy")
            .source(&standby, DATABASE, SUPERUSER, PASSWORD);
        self.follow(&standby, &worker, seed, (rounds, has_time))
    }

    fn follow(
        &self,
        read: &Cluster,
        worker: &Worker,
        seed: u64,
        times: (usize, &dyn Fn() -> bool),
    ) -> Followed {
        let sides = work::Sides {
            written: &self.source,
            read,
            target: &self.target,
            database: DATABASE,
        };
        work::follow(sides, worker, seed, times)
    }
}
