//! schemaferry moves one PostgreSQL schema from one server to another as one atomic, retryable unit.
//!
//! Start-up has two phases: command line, environment and log first, then the runtime. This is the only place that
//! ends the process.

mod archive;
mod aws;
mod baseline;
mod build;
mod catalogue;
mod check;
mod clear;
mod cli;
mod clock;
mod config;
mod copy;
mod credentials;
mod drift;
mod error;
mod exit;
mod finalize;
mod hazard;
mod ledger;
mod load;
mod lock;
mod log;
mod outcome;
mod pipe;
mod plan;
mod preflight;
mod prepare;
mod privileges;
mod progress;
mod refresh;
mod report;
mod rings;
mod seal;
mod server;
mod shutdown;
mod snapshot;
mod strangers;
mod tabular;
mod transfer;
mod unit;
mod verify;
mod watchdog;
mod word;
mod written;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use serde_json::{Value, json};
use tracing::Level;

use crate::aws::task::Task;
use crate::cli::{Command, Format, ReportFormat};
use crate::config::Config;
use crate::error::{Error, Stop};
use crate::exit::Exit;
use crate::load::Scope;
use crate::plan::PlanOptions;
use crate::progress::Progress;
use crate::report::ReportOptions;
use crate::seal::SealOptions;
use crate::shutdown::Shutdown;

fn main() -> ExitCode {
    let progress = Progress::new();
    let parsed = cli::parse(std::env::args_os());
    let changes = parsed.as_ref().is_ok_and(Command::changes);
    let aside = parsed.as_ref().is_ok_and(Command::delivers);
    let ended = parsed.and_then(|command| {
        let mut config = Config::from_env(command.needs())?;
        log::init(config.log_format, config.log_level, fields(&config), aside);
        run(command, &mut config, &progress)
    });
    let exit = match ended {
        Err(Error::Help(text)) => {
            log::print(&text);
            Exit::Ok
        }
        ended => {
            // Where there is no configuration, there is no log yet.
            log::init(config::log_format(), Level::INFO, HashMap::new(), aside);
            log::bar::end();
            outcome::conclude(&ended, changes, &progress)
        }
    };
    log::writer::flush();
    ExitCode::from(exit.code())
}

/// What every record carries.
fn fields(config: &Config) -> HashMap<String, Value> {
    HashMap::from([
        ("schema".to_owned(), json!(config.schemas.to_string())),
        ("run_id".to_owned(), json!(config.run_id)),
    ])
}

/// The second phase: everything that waits. A panic ends it as an error.
fn run(command: Command, config: &mut Config, progress: &Progress) -> Result<(), Error> {
    let task = config.metadata_uri.as_deref().map(Task::read);
    let known = task.as_ref().and_then(|task| task.as_ref().ok());
    config.task_cores = known.and_then(|task| task.limits.cpu);
    tracing::info!(
        task_arn = known.map(|task| task.arn.as_str()),
        task_cpu = config.task_cores,
        task_memory_mib = known.and_then(|task| task.limits.memory),
        version = env!("CARGO_PKG_VERSION"),
        command = command.word(),
        configuration = config.record().to_string(),
        "run started"
    );
    if let Some(Err(reason)) = &task {
        tracing::warn!(reason, "the task's metadata cannot be read");
    }
    for name in &config.unused {
        tracing::warn!(variable = name, "this variable has no effect under METHOD=pipe");
    }
    // The last record says it; the default hook would write past the log.
    std::panic::set_hook(Box::new(|_| ()));
    // What carries rows has threads of its own, where the task has cores for them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Internal(format!("the runtime does not start: {error}")))?;
    let work = AssertUnwindSafe(|| runtime.block_on(work(command, config, progress)));
    let ended = catch_unwind(work).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Error::Panic(text.unwrap_or("without a message").to_owned()))
    });
    // A look-up of a host name cannot be cancelled and is not waited for.
    runtime.shutdown_background();
    ended
}

async fn work(command: Command, config: &Config, progress: &Progress) -> Result<(), Error> {
    let shutdown = Shutdown::default();
    let deadline = async {
        if let Some(limit) = config.max_runtime {
            tokio::time::sleep(limit).await;
            shutdown.stop(Stop::Deadline(limit));
        }
        std::future::pending().await
    };
    let asked = async {
        match command {
            Command::Load => load::load(config, &shutdown, progress, Scope::Whole).await,
            Command::Refresh => load::load(config, &shutdown, progress, Scope::Changes).await,
            Command::Check => {
                let answers = check::check(config, &shutdown, progress).await?;
                if log::is_terminal() {
                    log::print(&answers.list());
                } else {
                    answers.record(None);
                }
                progress.not_carried(answers.notes());
                answers.permit().map(|_| ())
            }
            Command::Verify { frozen } => verify::verify(config, &shutdown, progress, frozen).await,
            Command::Drift => drift::drift(config, &shutdown, progress).await,
            Command::Seal { all, undo } => {
                seal::seal(config, &shutdown, progress, SealOptions { all, undo }).await
            }
            Command::Prepare => prepare::prepare(config, &shutdown, progress).await,
            Command::Finalize { freeze } => finalize::finalize(config, &shutdown, progress, freeze).await,
            Command::Plan {
                format,
                concurrency,
                refresh,
            } => {
                let places = concurrency.into();
                let plan = plan::plan(config, &shutdown, progress, PlanOptions { places, refresh }).await?;
                let is_text = match format {
                    Format::Auto => log::is_output_terminal(),
                    Format::Json => false,
                    Format::Text => true,
                };
                let text = if is_text { plan.text() } else { plan.input()? };
                shutdown.guard(log::deliver(text)).await?;
                plan.permit()
            }
            Command::Report {
                format,
                window,
                time_zone: clock,
            } => {
                let options = ReportOptions { window, clock };
                tell(config, (&shutdown, progress), format, options).await
            }
        }
    };
    tokio::select! {
        biased;
        failed = shutdown.watch_signals() => Err(failed),
        never = deadline => never,
        never = progress.report() => match never {},
        ended = asked => ended,
    }
}

/// Reports: on standard output, and in a bucket where one is given.
async fn tell(
    config: &Config,
    (shutdown, progress): (&Shutdown, &Progress),
    format: ReportFormat,
    options: ReportOptions,
) -> Result<(), Error> {
    let report = report::report(config, shutdown, progress, options).await?;
    let text = match format {
        ReportFormat::Auto if log::is_output_terminal() => report.text(),
        ReportFormat::Auto | ReportFormat::Json => report.json()?,
        ReportFormat::Html => report.html(),
        ReportFormat::Text => report.text(),
        ReportFormat::Trace => report.trace()?,
        ReportFormat::Mail => report.mail(),
    };
    if format == ReportFormat::Mail {
        progress.mail(&text);
    }
    shutdown.guard(log::deliver(text)).await?;
    match &config.report_bucket {
        Some(bucket) => shutdown.guard(Box::pin(report.put(bucket))).await,
        None => Ok(()),
    }
}
