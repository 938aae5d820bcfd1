//! `make soak`: every row of the fault table under both METHODs, kills at random moments, races of many workers.
#![expect(clippy::print_stdout, reason = "what it prints is the report")]
#![expect(clippy::unwrap_used, reason = "a failed step ends the soak")]

use std::collections::BTreeMap;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use testbed::faults::stage::Stage;
use testbed::faults::{ROWS, Row};

fn main() -> ExitCode {
    let options: BTreeMap<String, String> = env::args()
        .skip(1)
        .filter_map(|argument| {
            argument
                .split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        })
        .collect();
    let only = options.get("ONLY").cloned().unwrap_or_default();
    let lanes: usize = options
        .get("LANES")
        .and_then(|text| text.parse().ok())
        .unwrap_or(3);
    let program = program();
    let mut plays: Vec<(&Row, &'static str, &'static str)> = Vec::new();
    for row in ROWS {
        for phase in row.phases {
            for method in row.methods {
                let title = format!("{:?} {:?} {phase} {method}", row.fault, row.side);
                if only.split('+').all(|word| title.contains(word)) {
                    plays.push((row, phase, method));
                }
            }
        }
    }
    let plays = Mutex::new(plays.into_iter());
    let failed = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                let mut stage = Stage::start(&program);
                loop {
                    let Some((row, phase, method)) = plays.lock().unwrap().next() else {
                        return;
                    };
                    let started = Instant::now();
                    let played = catch_unwind(AssertUnwindSafe(|| stage.play(row, phase, method)));
                    let total = started.elapsed();
                    if played.is_err() {
                        *failed.lock().unwrap() += 1;
                        stage = Stage::start(&program);
                    }
                    println!(
                        "{:?} {:?} {phase} {method}: {played:?} {total:?}",
                        row.fault, row.side
                    );
                }
            });
        }
    });
    if failed.into_inner().unwrap() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn program() -> PathBuf {
    env::current_exe().unwrap().with_file_name("schemaferry")
}
