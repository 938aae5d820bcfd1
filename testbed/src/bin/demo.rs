//! `make demo`: the main job on two throwaway clusters, with the real executable.
#![expect(clippy::print_stdout, reason = "what it prints is the demo")]
#![expect(clippy::unwrap_used, reason = "a failed step ends the demo")]

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use testbed::cluster::{PASSWORD, SUPERUSER};
use testbed::{Cluster, Output, Server, Worker, warehouse};

const DATABASE: &str = "warehouse";
/// One of them twice: the second load replaces the first.
const SCHEMAS: [&str; 4] = ["finance", "accounting", "risk", "risk"];

fn main() -> ExitCode {
    let started = Instant::now();
    let server = Server::distribution();
    println!("starting two clusters of PostgreSQL {}", server.major());
    let (source, target) = (Cluster::start(&server), Cluster::start(&server));
    println!("filling the source with the demo warehouse");
    source.create_database(DATABASE);
    target.create_database(DATABASE);
    warehouse::fill(&source, DATABASE);
    let size = source.psql(
        DATABASE,
        "SELECT pg_size_pretty(pg_database_size(current_database()))",
    );
    println!("ready after {:.1} s: {size}\n", started.elapsed().as_secs_f64());
    println!(
        "{:<12} {:>6} {:>10} {:>10} {:>8}   source and target",
        "schema", "tables", "rows", "MB", "seconds"
    );
    let mut all_agree = true;
    for schema in SCHEMAS {
        let output = Worker::new(env::current_exe().unwrap().with_file_name("schemaferry"))
            .env("SCHEMA_NAME", schema)
            .source(&source, DATABASE, SUPERUSER, PASSWORD)
            .target(&target, DATABASE, SUPERUSER, PASSWORD)
            .run();
        if output.exit != 0 {
            println!("{schema}: exit code {}\n{}", output.exit, output.stdout);
            return ExitCode::FAILURE;
        }
        let differences = differences(&source, &target, schema, &deferred(&output));
        report(schema, &output, &differences);
        all_agree &= differences.is_empty();
    }
    println!(
        "\ndone after {:.1} s; both clusters are removed",
        started.elapsed().as_secs_f64()
    );
    if all_agree {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What is not the same on both sides, asked without the worker.
fn differences(source: &Cluster, target: &Cluster, schema: &str, deferred: &[&str]) -> Vec<String> {
    let mut differences = Vec::new();
    if warehouse::contents(source, DATABASE, schema) != warehouse::contents(target, DATABASE, schema) {
        differences.push("rows".to_owned());
    }
    let there = warehouse::definition(target, DATABASE, schema);
    differences.extend(
        warehouse::definition(source, DATABASE, schema)
            .into_iter()
            .filter(|line| {
                !there.contains(line) && !deferred.iter().any(|statement| statement.contains(line))
            }),
    );
    differences
}

/// Foreign keys that leave the schema.
fn deferred(output: &Output) -> Vec<&str> {
    let statements = output.last()["deferred"].as_array().into_iter().flatten();
    statements.filter_map(|statement| statement.as_str()).collect()
}

fn report(schema: &str, output: &Output, differences: &[String]) {
    let totals = &output.last()["totals"];
    let bytes = totals["bytes"].as_f64().unwrap();
    println!(
        "{schema:<12} {:>6} {:>10} {:>10.1} {:>8.1}   {}",
        totals["tables"],
        totals["rows"],
        bytes / 1e6,
        output.elapsed.as_secs_f64(),
        if differences.is_empty() { "agree" } else { "DIFFER" }
    );
    for difference in differences {
        println!("    differs: {difference}");
    }
    for statement in deferred(output) {
        println!(
            "    deferred: {}",
            statement.split_whitespace().collect::<Vec<_>>().join(" ")
        );
    }
}
