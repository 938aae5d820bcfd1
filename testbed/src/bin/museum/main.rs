//! `make museum`: schemas as people really have them, moved again and again, and compared without the worker.
//!
//! On every pair of servers and by every METHOD each exhibit is moved schema by schema, twice; then everything is moved as one
//! unit, twice. What the worker refuses is cured by following its hint to the letter, and every run of it is counted.
#![expect(clippy::print_stdout, reason = "what it prints is the report")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step ends the visit")]

mod compare;
mod exhibit;
mod visit;

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use testbed::{Cluster, Server};

use crate::exhibit::Exhibit;
use crate::visit::{Tally, Visit};

/// Both ways to move rows.
const METHODS: [&str; 2] = ["copy", "pipe"];

/// The servers' lock tables hold every table of the museum in one transaction.
const SETTINGS: [(&str, &str); 1] = [("max_locks_per_transaction", "512")];

fn main() -> ExitCode {
    let started = Instant::now();
    let only: Vec<String> = env::args()
        .skip(1)
        .flat_map(|words| words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let exhibits = Exhibit::all(&only);
    let mut servers = Server::all();
    servers.sort_by_key(Server::major);
    let start = |server: &Server| Cluster::start_with(server, &SETTINGS);
    let mut tally = Tally::default();
    for (index, from) in servers.iter().enumerate() {
        let source = start(from);
        exhibit::hang(&source, visit::DATABASE, &exhibits);
        if index == 0 {
            exhibit::tell(&source, visit::DATABASE, &exhibits);
        }
        for to in servers.iter().skip(index) {
            let target = start(to);
            compare::make_reference(&source, &target, &exhibits);
            for method in METHODS {
                let visit = Visit::begin(&source, &target, method);
                tally.add(&visit.all(&exhibits));
            }
        }
    }
    let Tally { runs, wrong } = tally;
    println!(
        "\n{} exhibits, {runs} runs of the worker, {wrong} things wrong, {:.0} s",
        exhibits.len(),
        started.elapsed().as_secs_f64()
    );
    if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
