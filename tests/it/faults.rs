//! What goes wrong between two servers: the first phase of every row of the fault table, under one METHOD each.

use std::path::Path;
use std::sync::Mutex;
use std::thread;

use testbed::faults::stage::Stage;
use testbed::faults::{ROWS, Row};

/// Rows are played side by side, each on clusters that are its own meanwhile: most of the time is waiting.
const LANES: usize = 4;

#[test]
fn every_fault_ends_as_the_table_says() {
    let plays = ROWS.iter().enumerate().map(|(number, row)| {
        let method = row.methods[number % row.methods.len()];
        (row, row.phases[0], method)
    });
    // The longest first.
    let mut plays: Vec<(&Row, &str, &str)> = plays.collect();
    plays.sort_by_key(|(row, ..)| row.seconds);
    let plays = Mutex::new(plays);
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let stage = Stage::start(Path::new(env!("CARGO_BIN_EXE_schemaferry")));
                loop {
                    let next = plays.lock().unwrap().pop();
                    let Some((row, phase, method)) = next else { return };
                    // Nothing to look at: it panics where anything is not as the row says.
                    let _outcome = stage.play(row, phase, method);
                }
            });
        }
    });
}
