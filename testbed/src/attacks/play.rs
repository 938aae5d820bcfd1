//! Playing an attack: the run is held at words that only the phase says, somebody acts, and the run goes on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::attacks::table::Attack;
use crate::cluster::{Cluster, PASSWORD, SUPERUSER};
use crate::faults::{Side, outside};
use crate::proxy::{Line, Proxy};
use crate::server::Server;
use crate::worker::Worker;

/// For phases to come, and for the end of a run.
const PATIENCE: Duration = Duration::from_secs(90);

/// On both sides: whoever may make schemas and owns one, and the owner of a schema that a load may fill, because its user is a
/// member of that role.
const ROLES: &str =
    "CREATE ROLE mallory; CREATE ROLE reader; CREATE ROLE steward; GRANT steward TO CURRENT_USER";

/// The schema that is moved. It has an owner of its own, rows that only some may see, and code that tells as whom it runs.
const SCHEMA: &str = "
    CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY, v text); INSERT INTO s.t SELECT i, 'row ' || i FROM generate_series(1, 200) i;
    CREATE TABLE s.u (a int); INSERT INTO s.u VALUES (1), (2), (3); CREATE SEQUENCE s.q; CREATE INDEX t_v ON s.t (v);
    CREATE TABLE s.guarded (who name, v text); INSERT INTO s.guarded VALUES ('nobody', 'secret');
    ALTER TABLE s.guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON s.guarded USING (who = current_user);
    GRANT USAGE ON SCHEMA s TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA s TO reader;
    CREATE TABLE s.private (v text); INSERT INTO s.private VALUES ('secret'); GRANT SELECT ON s.u TO mallory; GRANT USAGE ON SCHEMA s TO mallory";

/// What a load has no business with, and what tells as whom mallory's code has run.
const BYSTANDERS: &str = "
    CREATE TABLE public.canary (who text, what text); GRANT INSERT ON public.canary TO PUBLIC;
    CREATE SCHEMA hers AUTHORIZATION mallory; SET ROLE mallory; CREATE TABLE hers.t (a int); INSERT INTO hers.t VALUES (1);
    CREATE FUNCTION hers.sing() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.canary VALUES (current_user, TG_NAME); RETURN NEW; END $$;
    CREATE FUNCTION hers.sing(anyelement) RETURNS anyelement LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.canary VALUES (current_user, 'sing'); RETURN $1; END $$;
    GRANT USAGE ON SCHEMA hers TO steward; RESET ROLE";

/// Two clusters for attacks that are played one after the other.
#[derive(Debug)]
pub struct Arena {
    source: Cluster,
    target: Cluster,
    program: PathBuf,
    played: AtomicU32,
}

impl Arena {
    /// Starts the clusters; `program` is the worker's executable.
    #[must_use]
    pub fn start(program: &Path) -> Self {
        let server = Server::distribution();
        let arena = Self {
            source: Cluster::start(&server),
            target: Cluster::start(&server),
            program: program.to_owned(),
            played: AtomicU32::new(0),
        };
        for cluster in [&arena.source, &arena.target] {
            cluster.psql("postgres", ROLES);
        }
        arena
    }

    fn worker(&self, attack: &Attack, method: &str, database: &str) -> Worker {
        Worker::new(&self.program)
            .env("SCHEMA_NAME", "s")
            .env("METHOD", method)
            .env("JOBS", "2")
            .env("LOCK_TIMEOUT", "10s")
            .env("LOG_FORMAT", "json")
            .env(
                "PRIVILEGES",
                if attack.skips_privileges { "skip" } else { "keep" },
            )
            .source(&self.source, database, SUPERUSER, PASSWORD)
            .target(&self.target, database, SUPERUSER, PASSWORD)
            .patience(PATIENCE)
    }

    /// Plays an attack under one METHOD; panics where anything is not as it should be. Returns the exit code.
    pub fn play(&self, attack: &Attack, method: &str) -> i32 {
        let title = format!("{} in {} of {method}", attack.title, attack.phase);
        let database = format!("attack{}", self.played.fetch_add(1, Ordering::Relaxed));
        for cluster in [&self.source, &self.target] {
            cluster.create_database(&database);
        }
        let at_target = |sql: &str| self.target.psql(&database, sql);
        at_target(&format!(
            "GRANT CREATE ON DATABASE {database} TO mallory, steward; {BYSTANDERS}"
        ));
        at_target(attack.before);
        self.source.psql(&database, SCHEMA);
        self.source.psql(&database, attack.source);
        let worker = self.worker(attack, method, &database);
        if attack.loaded {
            assert_eq!(worker.run().exit, 0, "{title}: the load before");
        }
        let (side, role, words) = attack.moment();
        let (cluster, prefix) = match side {
            Side::Source => (&self.source, "SOURCE"),
            Side::Target => (&self.target, "TARGET"),
        };
        let address = format!("{}:{}", cluster.host(), cluster.port());
        let proxy = Proxy::start(address.parse().unwrap(), Line::default());
        // Words can only be heard without TLS.
        let held = worker
            .clone()
            .env(format!("{prefix}_PORT"), proxy.port().to_string())
            .env(format!("{prefix}_SSLMODE"), "disable");
        proxy.hold_at(words, role);
        let running = held.spawn();
        let Some(_name) = proxy.wait_until_said(PATIENCE) else {
            panic!("{title}: the run never came there: {:?}", running.wait())
        };
        at_target(attack.act);
        self.source.psql(&database, attack.at_source.0);
        let before = outside(&self.target, &database);
        proxy.release();
        let output = running.wait();
        let said = &output.stdout;
        assert!(
            attack.exits.contains(&output.exit),
            "{title}: {}\n{said}",
            output.exit
        );
        let reason = output.last()["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(attack.reason), "{title}: {reason}\n{said}");
        let (question, answer) = attack.stands;
        assert_eq!(at_target(question), answer, "{title}: {question}\n{said}");
        assert_eq!(
            outside(&self.target, &database),
            before,
            "{title}: outside of the schema\n{said}"
        );
        let sung = "SELECT count(*) FROM pg_ls_dir('.') AS d WHERE d = 'sung'";
        let heard = self.source.psql(&database, sung);
        assert_eq!(
            heard, "0",
            "{title}: code of hers has run as the reading user\n{said}"
        );
        self.source.psql(&database, attack.at_source.1);
        let next = worker.run();
        assert_eq!(next.exit, attack.next, "{title}: the next run\n{}", next.stdout);
        let sung = format!("SELECT what FROM public.canary WHERE who = '{SUPERUSER}'");
        assert_eq!(
            at_target(&sung),
            "",
            "{title}: code of hers has run as the worker"
        );
        output.exit
    }
}
