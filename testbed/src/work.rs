//! Random work on a source, and whoever follows it: what was written, by whomever beside it, has to arrive, wherever attempts are killed.

use std::fmt;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::cluster::Cluster;
use crate::psql::Psql;
use crate::warehouse;
use crate::worker::{Output, Worker};

/// What is done to a table at random. `{t}` is the table, `{l}` itself or a leaf of it, `{o}` another one, `{n}` a number.
const DEEDS: [&str; 22] = [
    "INSERT INTO {t} SELECT {n}, 'x' FROM generate_series(1, {n} % 7)",
    "UPDATE {t} SET v = v || '.' WHERE k % 11 = {n} % 11",
    "UPDATE {t} SET k = k WHERE k = {n} % 40",
    "DELETE FROM {t} WHERE k % 13 = {n} % 13",
    "BEGIN; INSERT INTO {t} VALUES ({n}, 'a'); SAVEPOINT p; DELETE FROM {t}; ROLLBACK TO p; INSERT INTO {t} VALUES ({n}, 'b'); COMMIT",
    "BEGIN; UPDATE {t} SET v = ''; DELETE FROM {t} WHERE k < 9; ROLLBACK",
    "DO $$BEGIN FOR i IN 1..80 LOOP BEGIN INSERT INTO {t} VALUES (i, 's'); IF i % 3 = {n} % 3 THEN RAISE 'no'; END IF; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END$$",
    "WITH gone AS (DELETE FROM {t} WHERE k % 5 = {n} % 5 RETURNING *) INSERT INTO {t} SELECT * FROM gone",
    "MERGE INTO {t} USING (VALUES ({n} % 40)) AS n (k) ON {t}.k = n.k WHEN MATCHED THEN UPDATE SET v = 'm' WHEN NOT MATCHED THEN INSERT VALUES (n.k, 'n')",
    "BEGIN; SELECT FROM {t} FOR UPDATE; SAVEPOINT p; SELECT FROM {t} FOR KEY SHARE; COMMIT",
    "VACUUM {t}",
    "VACUUM FULL {t}",
    "VACUUM (FREEZE, DISABLE_PAGE_SKIPPING) {t}",
    "CLUSTER {l}",
    "REINDEX TABLE {t}; ANALYZE {t}",
    "BEGIN; TRUNCATE {t}; ROLLBACK",
    "BEGIN; CREATE TEMP TABLE kept ON COMMIT DROP AS TABLE {t}; TRUNCATE {t}; INSERT INTO {t} TABLE kept; COMMIT",
    "ALTER TABLE {l} SET (fillfactor = 50); ALTER TABLE {l} RESET (fillfactor)",
    "BEGIN; ALTER TABLE {t} RENAME TO swapped; ALTER TABLE {o} RENAME TO {name}; ALTER TABLE s.swapped RENAME TO {other};
     ALTER INDEX s.i{name} RENAME TO swapped; ALTER INDEX s.i{other} RENAME TO i{name}; ALTER INDEX s.swapped RENAME TO i{other}; COMMIT",
    "ALTER TABLE {t} DROP v; ALTER TABLE {t} ADD v text",
    "ALTER TABLE {t} DROP v; ALTER TABLE {t} ADD v text DEFAULT 'later'; ALTER TABLE {t} ALTER v DROP DEFAULT",
    "ALTER TABLE {t} ALTER k TYPE bigint; ALTER TABLE {t} ALTER k TYPE int",
];

/// Tables apart, of which none changes its name: one that is large enough to travel in ranges, and a tree whose rows are given to its root.
/// What deeds write is a label too.
const APART: [(&str, &str); 2] = [("wide", "wide"), ("tree", "tree_1")];
const APART_TABLES: &str = "
    CREATE TABLE s.wide (k int, pad text, v text); ALTER TABLE s.wide ALTER pad SET STORAGE PLAIN; CREATE INDEX iwide ON s.wide (k);
    ALTER TABLE s.wide CLUSTER ON iwide;
    CREATE TYPE s.label AS ENUM ('a', 'b', 'm', 'n', 's', 'x');
    CREATE TABLE s.tree (k int, label s.label, v text) PARTITION BY HASH (label);
    CREATE TABLE s.tree_0 PARTITION OF s.tree FOR VALUES WITH (MODULUS 3, REMAINDER 0);
    CREATE TABLE s.tree_1 PARTITION OF s.tree FOR VALUES WITH (MODULUS 3, REMAINDER 1);
    CREATE TABLE s.tree_2 PARTITION OF s.tree FOR VALUES WITH (MODULUS 3, REMAINDER 2);
    CREATE INDEX itree ON s.tree (k); INSERT INTO s.tree SELECT i, (enum_range(NULL::s.label))[1 + i % 6], 'row' FROM generate_series(1, 40) i;";
/// Keeps the wide one over 64 MiB, below which no table travels in ranges.
const WIDENED: &str = "INSERT INTO s.wide (k, v, pad) SELECT i, 'wide', repeat('w', 7000)
    FROM generate_series(1, 9000 - (SELECT count(*) FROM s.wide WHERE pad LIKE 'w%')) i";

/// Deeds between two moves.
const DEEDS_EACH: usize = 10;
/// Tables that are worked on while they are followed.
const TABLES: u64 = 10;
/// Somebody who begins before the deeds and ends after the move.
const BESIDE: &str = "BEGIN; INSERT INTO public.other VALUES (1); INSERT INTO s.late VALUES (-1, 'late')";
/// The same, prepared before the move.
const PREPARED: &str = "BEGIN; INSERT INTO s.late VALUES (-2, 'prepared'); DELETE FROM s.late WHERE k = -1; PREPARE TRANSACTION 'work'";
/// Attempts are killed at most so long after their start.
const KILLED_WITHIN: Duration = Duration::from_millis(2500);

/// Numbers that a seed repeats (splitmix64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Those of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// At least 0 and less than 1.
    pub fn fraction(&mut self) -> f64 {
        let bits = u32::try_from(self.number() >> 32).unwrap();
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = self.number() % u64::try_from(all.len()).unwrap();
        all.get(usize::try_from(index).unwrap()).unwrap()
    }
}

/// Work on some tables of the schema `s`.
#[derive(Debug)]
pub struct Work {
    random: Random,
    names: Vec<String>,
    apart: &'static [(&'static str, &'static str)],
}

impl Work {
    /// That of a seed.
    #[must_use]
    pub fn new(seed: u64, tables: u64) -> Self {
        Self {
            random: Random::new(seed),
            names: (0..tables).map(|table| format!("t{table}")).collect(),
            apart: &[],
        }
    }

    /// With tables apart.
    #[must_use]
    fn and_apart(self) -> Self {
        Self {
            apart: &APART,
            ..self
        }
    }

    /// The tables.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// The statements that make the tables, and one that is never locked, for whoever holds a transaction open.
    #[must_use]
    pub fn tables(&self) -> String {
        let table = |name: &String| {
            format!(
                "CREATE TABLE s.{name} (k int, v text); CREATE INDEX i{name} ON s.{name} (k); ALTER TABLE s.{name} CLUSTER ON i{name};
                 INSERT INTO s.{name} SELECT i, 'row' FROM generate_series(1, 40) i;"
            )
        };
        let late = "CREATE TABLE s.late (k int, v text);".to_owned();
        std::iter::once(late)
            .chain(self.names.iter().map(table))
            .collect()
    }

    /// So many random deeds.
    pub fn is_done(&mut self, deeds: usize, source: &Cluster, database: &str) {
        for _ in 0..deeds {
            let deed = *self.random.of(&DEEDS);
            let plain = self.names.iter().map(|name| (name.as_str(), name.as_str()));
            // A leaf's mark is lost where a column of its root gets another type.
            let is_for = |(name, leaf): &(&str, &str)| {
                !deed.contains("{o}") && (name == leaf || !deed.starts_with("CLUSTER"))
            };
            let apart = self.apart.iter().copied().filter(is_for);
            let all: Vec<(&str, &str)> = plain.chain(apart).collect();
            let (name, leaf) = *self.random.of(&all);
            let others: Vec<&String> = self.names.iter().filter(|other| **other != name).collect();
            let other = self.random.of(&others).as_str();
            let number = (self.random.number() % 1000).to_string();
            let sql = [
                ("{t}", format!("s.{name}")),
                ("{l}", format!("s.{leaf}")),
                ("{o}", format!("s.{other}")),
                ("{name}", name.to_owned()),
                ("{other}", other.to_owned()),
                ("{n}", number),
            ];
            let sql = sql.iter().fold(deed.to_owned(), |sql, (placeholder, value)| {
                sql.replace(placeholder, value)
            });
            source.psql(database, &sql);
        }
    }
}

/// What has become of the tables of all rounds.
#[derive(Debug, Default)]
pub struct Followed {
    /// Rounds.
    pub rounds: usize,
    /// Attempts that were killed.
    pub killed: usize,
    /// Tables that were left as they were.
    pub kept: usize,
    /// Tables that got rows.
    pub appended_to: usize,
    /// Tables that were emptied and loaded again.
    pub loaded_again: usize,
    /// Of these, such as held the same before.
    pub in_vain: usize,
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rounds, {} attempts killed; tables: {} kept, {} appended to, {} loaded again, {} of them in vain",
            self.rounds, self.killed, self.kept, self.appended_to, self.loaded_again, self.in_vain
        )
    }
}

/// Where work is done, where it is read, which may be a standby that is behind, and where it goes to.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// Work is done here.
    pub written: &'a Cluster,
    /// The worker's source.
    pub read: &'a Cluster,
    /// The worker's target.
    pub target: &'a Cluster,
    /// Its name on all of them.
    pub database: &'a str,
}

impl Sides<'_> {
    fn write(&self, sql: &str) {
        self.written.psql(self.database, sql);
    }

    fn is_behind(&self) -> bool {
        !std::ptr::eq(self.written, self.read)
    }

    /// Makes what was written until now what is read.
    fn settle(&self) {
        if self.is_behind() {
            self.read.replay(self.written);
        }
    }
}

/// Has a worker follow the work of a seed, in so many rounds as long as there is time: a refresh, or a load after one that was killed.
/// The schema `s` is there and empty on the source.
///
/// # Panics
///
/// Where a run does not end well, or the target then holds anything else than the source.
pub fn follow(
    sides: Sides<'_>,
    worker: &Worker,
    seed: u64,
    (rounds, has_time): (usize, &dyn Fn() -> bool),
) -> Followed {
    let mut work = Work::new(seed, TABLES).and_apart();
    sides.write(&format!(
        "CREATE TABLE IF NOT EXISTS public.other (a int); {} {APART_TABLES} {WIDENED}",
        work.tables()
    ));
    sides.settle();
    let load = worker.clone().env("LOG_LEVEL", "debug").env("SPLIT", "always");
    let refresh = load.clone().arg("refresh").env("REFRESH", "only");
    let contents = |cluster: &Cluster| warehouse::contents(cluster, sides.database, "s");
    let ends_well = |worker: &Worker, round: usize| {
        let output = worker.run();
        assert_eq!(
            output.exit, 0,
            "round {round} of seed {seed}:\n{}{}",
            output.stdout, output.stderr
        );
        output
    };
    ends_well(&load, 0);
    let mut followed = Followed::default();
    for round in 1..=rounds {
        if !has_time() {
            break;
        }
        let mut beside = Psql::open(sides.written, sides.database);
        if round % 2 == 0 {
            beside.run(BESIDE);
        }
        work.is_done(DEEDS_EACH, sides.written, sides.database);
        sides.write(WIDENED);
        sides.write(PREPARED);
        sides.settle();
        if sides.is_behind() {
            // Nobody reads that yet.
            work.is_done(DEEDS_EACH / 5, sides.written, sides.database);
        }
        let mut next = &refresh;
        // Every third attempt is cut off, and so is every other one after it.
        let killed = if round % 3 == 1 { 1 + round % 2 } else { 0 };
        for _ in 0..killed {
            if work.random.number().is_multiple_of(2) {
                next = &load;
            }
            let running = next.spawn();
            thread::sleep(KILLED_WITHIN.mul_f64(work.random.fraction()));
            running.signal(Signal::SIGKILL);
            let _killed = running.wait();
            followed.killed += 1;
            if round % 2 == 0 {
                work.is_done(DEEDS_EACH / 5, sides.written, sides.database);
                sides.settle();
            }
        }
        let before = contents(sides.target);
        let output = ends_well(next, round);
        let after = contents(sides.target);
        assert_eq!(after, contents(sides.read), "round {round} of seed {seed}");
        followed.rounds += 1;
        followed.add(&output, (&before, &after));
        beside.run("COMMIT");
        let end = if work.random.number().is_multiple_of(2) {
            "COMMIT PREPARED 'work'"
        } else {
            "ROLLBACK PREPARED 'work'"
        };
        sides.write(end);
    }
    followed
}

impl Followed {
    fn add(&mut self, output: &Output, (before, after): (&str, &str)) {
        let compared = output
            .records
            .iter()
            .filter(|record| record["msg"] == "table compared");
        for record in compared {
            let table = record["table"].as_str().unwrap_or_default().replace("s.", "");
            let held = |all: &str| {
                let mut lines = all.lines();
                lines
                    .find(|line| line.starts_with(&format!("{table}|")))
                    .map(str::to_owned)
            };
            match record["action"].as_str() {
                Some("kept") => self.kept += 1,
                Some("appended to") => self.appended_to += 1,
                _ => {
                    self.loaded_again += 1;
                    self.in_vain +=
                        usize::from(held(before).is_some_and(|held_before| Some(held_before) == held(after)));
                }
            }
        }
    }
}
