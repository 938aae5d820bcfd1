//! `make soak`: every row of the tables of faults and attacks under both METHODs, stops at random moments, random work
//! that refreshes follow, races of many workers.
#![expect(clippy::print_stdout, reason = "what it prints is the report")]
#![expect(clippy::print_stderr, reason = "who waits sees how far it is")]
#![expect(clippy::unwrap_used, reason = "a failed step ends the soak")]

mod options;
mod tally;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use nix::sys::signal::Signal;
use testbed::Server;
use testbed::attacks::{ATTACKS, Arena, Attack};
use testbed::faults::crowd::Crowd;
use testbed::faults::stage::Stage;
use testbed::faults::{ROWS, Row};

use options::Options;
use tally::Tally;

/// Stops by signals that a worker obeys, for each kill.
const OBEYED_SHARE: usize = 4;
/// Plays between two words on how far it is.
const TOLD_EVERY: usize = 20;
/// So many workers at once.
const CROWDS: [usize; 3] = [2, 5, 20];

fn main() -> ExitCode {
    let options = Options::from_args(env::args().skip(1));
    println!("seed {} (SEED= repeats it)\n", options.seed);
    let program = env::current_exe().unwrap().with_file_name("schemaferry");
    let tally = Mutex::new(Tally::default());
    play_the_table(&options, &program, &tally);
    println!("{}", tally.lock().unwrap().of_the_table());
    play_the_attacks(&options, &program, &tally);
    stop_and_race(&options, &program, &tally);
    follow(&options, &program, &tally);
    let failures = tally.into_inner().unwrap().failures();
    if failures == 0 {
        println!("\nno row was lost, none was doubled, and every end was the documented one");
        ExitCode::SUCCESS
    } else {
        println!("\n{failures} failures, told above");
        ExitCode::FAILURE
    }
}

/// One phase of a row under one METHOD.
type Play = (&'static Row, &'static str, &'static str);

fn play_the_table(options: &Options, program: &Path, tally: &Mutex<Tally>) {
    let mut plays: Vec<Play> = Vec::new();
    for row in ROWS {
        for phase in row.phases {
            let here = row.methods.iter().map(|method| (row, *phase, *method));
            plays.extend(here.filter(|play| options.wants(&title(play))));
        }
    }
    let plays: Vec<Play> = (0..options.rounds).flat_map(|_| plays.clone()).collect();
    let all = plays.len();
    let plays = Mutex::new(plays.into_iter());
    thread::scope(|scope| {
        for _ in 0..options.lanes {
            scope.spawn(|| {
                let mut stage = Stage::start(program);
                loop {
                    let next = plays.lock().unwrap().next();
                    let Some(play) = next.filter(|_| options.has_time()) else {
                        return;
                    };
                    let (row, phase, method) = play;
                    let played = catch_unwind(AssertUnwindSafe(|| stage.play(row, phase, method)));
                    let mut tally = tally.lock().unwrap();
                    match played {
                        Ok(Some(outcome)) => tally.add(row, outcome),
                        Ok(None) => tally.add_not_played(row),
                        Err(_) => tally.add_failed(row),
                    }
                    let (played_so_far, failures) = (tally.played(), tally.failures());
                    drop(tally);
                    if played_so_far % TOLD_EVERY == 0 {
                        eprintln!("{played_so_far} of {all} faults played, {failures} failed");
                    }
                    if played.is_err() {
                        println!("FAILED: {}", title(&play));
                        // Whatever state it left its clusters in.
                        stage = Stage::start(program);
                    }
                }
            });
        }
    });
}

fn play_the_attacks(options: &Options, program: &Path, tally: &Mutex<Tally>) {
    let plays: Vec<(&Attack, &str)> = ATTACKS
        .iter()
        .flat_map(|attack| attack.methods.iter().map(move |method| (attack, *method)))
        .filter(|(attack, _)| options.wants(attack.title))
        .collect();
    let plays = Mutex::new(plays.into_iter());
    thread::scope(|scope| {
        for _ in 0..options.lanes {
            scope.spawn(|| {
                let arena = Arena::start(program);
                loop {
                    let next = plays.lock().unwrap().next();
                    let Some((attack, method)) = next.filter(|_| options.has_time()) else {
                        return;
                    };
                    let played = catch_unwind(AssertUnwindSafe(|| arena.play(attack, method)));
                    tally.lock().unwrap().add_other(played.is_ok());
                    let ended =
                        played.map_or_else(|_| "FAILED".to_owned(), |exit| format!("ends with {exit}"));
                    println!("{} in {} of {method}: {ended}", attack.title, attack.phase);
                }
            });
        }
    });
}

fn title((row, phase, method): &Play) -> String {
    format!("{:?} {:?} {phase} {method}", row.fault, row.side)
}

/// Plays one thing that is told in a line of its own, if it is wanted and there is time.
fn attempt(options: &Options, tally: &Mutex<Tally>, what: &str, act: &dyn Fn() -> String) {
    let started = Instant::now();
    if !options.has_time() || !options.wants(what) {
        return;
    }
    let said = catch_unwind(AssertUnwindSafe(act));
    tally.lock().unwrap().add_other(said.is_ok());
    let said = said.unwrap_or_else(|_| "FAILED".to_owned());
    println!("{what}: {said} ({:.0} s)", started.elapsed().as_secs_f64());
}

/// What has nothing to do with servers or networks.
fn stop_and_race(options: &Options, program: &Path, tally: &Mutex<Tally>) {
    let crowd = Crowd::start(program);
    let attempt = |what: String, act: &dyn Fn() -> String| attempt(options, tally, &what, act);
    for (signal, moments) in [
        (Signal::SIGKILL, options.kills),
        (Signal::SIGTERM, options.kills / OBEYED_SHARE),
        (Signal::SIGINT, options.kills / OBEYED_SHARE),
    ] {
        attempt(format!("{signal} at {moments} moments of one load"), &|| {
            let exits = crowd.stopped_at_any_moment(signal, moments, options.seed);
            format!(
                "exit codes {}, each made good by the next run",
                tally::counted(exits)
            )
        });
    }
    for method in ["copy", "pipe"] {
        for workers in CROWDS {
            attempt(format!("{workers} workers on one schema, {method}"), &|| {
                crowd.on_one_schema(workers, method);
                "one loaded it, the others named it and ended with 75".to_owned()
            });
        }
        attempt(format!("20 workers on 20 schemas, {method}"), &|| {
            let most = crowd.on_schemas_of_their_own(20, method);
            format!("all ended with 0, at most {most} connections of one on a side")
        });
    }
}

/// Random work, on every pair of servers, from a primary and from a standby that is behind; each has its share of the time.
fn follow(options: &Options, program: &Path, tally: &Mutex<Tally>) {
    let servers = Server::all();
    let rounds = options.follow;
    let mut plays = Vec::new();
    for source in &servers {
        for target in servers.iter().filter(|target| target.major() >= source.major()) {
            let pair = format!("{} to {}, {rounds} rounds", source.major(), target.major());
            plays.push((format!("random work, {pair}"), [source, target], false));
            plays.push((
                format!("random work on a standby, {pair}"),
                [source, target],
                true,
            ));
        }
    }
    plays.retain(|(what, ..)| options.wants(what));
    for (number, (what, pair, is_behind)) in plays.iter().enumerate() {
        let until = options.share_of(plays.len() - number);
        let has_time = || until.is_none_or(|until| Instant::now() < until);
        attempt(options, tally, what, &|| {
            let crowd = Crowd::between(program, *pair);
            let followed = if *is_behind {
                crowd.followed_on_a_standby(rounds, options.seed, &has_time)
            } else {
                crowd.followed(rounds, options.seed, &has_time)
            };
            followed.to_string()
        });
    }
}
