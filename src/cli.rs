//! The command line: which command, and what `--help` says. Needs no environment.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::clock::{Clock, Window};
use crate::config::{Need, Needs, VARIABLES};
use crate::error::Error;
use crate::exit::Exit;

/// What the container's arguments ask for; none means `load`.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Move the schema (also when no command is given)
    Load,
    /// Bring a loaded schema up to date: only what has changed on the source since travels, told exactly and table by table.
    /// Where that cannot be told, or more than rows has changed, the whole schema is loaded (see REFRESH)
    Refresh,
    /// Ask every question that a load asks first, and change nothing
    Check,
    /// Compare a loaded schema with the source as far as VERIFY says, and change nothing
    Verify {
        /// The source must not have moved on since the load: what was written there meanwhile is a difference too
        #[arg(long)]
        frozen: bool,
    },
    /// Tell, table by table, what the source has written since the load, exactly and without comparing rows, and change
    /// nothing: ends with 0 only where nothing was
    Drift,
    /// Protect the schema from every load from now on, whatever ON_EXISTING says: for after go-live. Needs the
    /// TARGET_ variables only
    Seal {
        /// Every schema that was loaded into the target's database, instead of SCHEMA_NAME
        #[arg(long)]
        all: bool,
        /// Take the protection away again
        #[arg(long)]
        undo: bool,
    },
    /// Take down, in one go, what loads of ours have made of the schemas of SCHEMA_NAME, or of all of the source's: before
    /// they are loaded again, where they are built on each other. Asks everything first, and drops nothing where a load
    /// would refuse one of them; what is complete under this RUN_ID stays
    Prepare,
    /// Group the source's schemas, or those of SCHEMA_NAME, into units, in the order in which the state machine is to
    /// start them, ask about each what check asks, and foretell how long all of it takes. Changes nothing; without the
    /// TARGET_ variables, only what the source tells. Records go to standard error
    Plan {
        /// json: the input of the state machine's execution, and nothing else; text: tables and the schedule; auto: json
        /// unless standard output is a terminal
        #[arg(long, value_enum, default_value_t = Format::Auto)]
        format: Format,
        /// Units at once: the state machine's MaxConcurrency
        #[arg(long, value_name = "UNITS", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=40))]
        concurrency: u8,
        /// Refreshes instead of loads, by what the source has counted since the loads: the input's command is refresh then
        #[arg(long)]
        refresh: bool,
    },
    /// Make the foreign keys that leave their schemas, those from and to the schemas in SCHEMA_NAME or all, after the last
    /// load: they are added, then validated. What cannot be made yet is left and named. Needs the TARGET_ variables only
    Finalize {
        /// Also VACUUM (FREEZE) what was loaded into those schemas
        #[arg(long)]
        freeze: bool,
    },
    /// Say what the run of RUN_ID, or the newest, has come to by the ledger: whether to go, when it ends, what was compared, what
    /// has changed since the run before, what lives outside of schemas. Changes nothing; without the SOURCE_ variables, only what
    /// the target tells. Ends with 0 whatever it says. Records go to standard error
    Report {
        /// html: one file; json: all of it; text: for a terminal; trace: for Perfetto; mail: what fits into one; auto: json
        /// unless standard output is a terminal
        #[arg(long, value_enum, default_value_t = ReportFormat::Auto)]
        format: ReportFormat,
        /// When all has to be done: a time of day such as 06:00, the first after the run has begun, or a moment such as
        /// 2026-12-06T06:00, with or without an offset
        #[arg(long, value_name = "WHEN", value_parser = Window::named)]
        window: Option<Window>,
        /// The time zone of the window and of all that is told, such as Europe/Berlin
        #[arg(long, value_name = "NAME", default_value = "UTC", value_parser = Clock::named)]
        time_zone: Clock,
    },
}

/// What a command writes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Auto,
    Json,
    Text,
}

/// What `report` writes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Auto,
    Html,
    Json,
    Text,
    Trace,
    Mail,
}

impl Command {
    /// The word on the command line.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Refresh => "refresh",
            Self::Check => "check",
            Self::Verify { .. } => "verify",
            Self::Drift => "drift",
            Self::Seal { .. } => "seal",
            Self::Prepare => "prepare",
            Self::Plan { .. } => "plan",
            Self::Finalize { .. } => "finalize",
            Self::Report { .. } => "report",
        }
    }

    /// Whether it changes what a schema holds on the target.
    pub(crate) fn changes(&self) -> bool {
        match self {
            Self::Load | Self::Refresh | Self::Prepare | Self::Finalize { .. } => true,
            Self::Check
            | Self::Verify { .. }
            | Self::Drift
            | Self::Seal { .. }
            | Self::Plan { .. }
            | Self::Report { .. } => false,
        }
    }

    /// Whether standard output is for what it makes, so that records go to standard error.
    pub(crate) fn delivers(&self) -> bool {
        match self {
            Self::Plan { .. } | Self::Report { .. } => true,
            Self::Load
            | Self::Refresh
            | Self::Check
            | Self::Verify { .. }
            | Self::Drift
            | Self::Seal { .. }
            | Self::Prepare
            | Self::Finalize { .. } => false,
        }
    }

    /// What of the environment it needs.
    pub(crate) fn needs(&self) -> Needs {
        match self {
            Self::Load | Self::Refresh | Self::Check | Self::Verify { .. } | Self::Drift => Needs {
                source: Need::Required,
                target: Need::Required,
                schemas: Need::Required,
            },
            Self::Seal { all, .. } => Needs {
                source: Need::Optional,
                target: Need::Required,
                schemas: if *all { Need::Ignored } else { Need::Required },
            },
            Self::Prepare => Needs {
                source: Need::Required,
                target: Need::Required,
                schemas: Need::Optional,
            },
            Self::Finalize { .. } | Self::Report { .. } => Needs {
                source: Need::Optional,
                target: Need::Required,
                schemas: Need::Optional,
            },
            Self::Plan { .. } => Needs {
                source: Need::Required,
                target: Need::Optional,
                schemas: Need::Optional,
            },
        }
    }
}

#[derive(Debug, Parser)]
#[command(
    version,
    about = "Moves one PostgreSQL schema from one server to another as one atomic, retryable unit",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

/// Reads the arguments, the program's name first. What to print instead of running is an error too.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, Error> {
    let answer = |error: clap::Error| {
        if error.use_stderr() {
            Error::Usage(error.to_string())
        } else {
            Error::Help(error.to_string())
        }
    };
    let matches = Arguments::command()
        .after_help(after_help())
        .try_get_matches_from(arguments)
        .map_err(answer)?;
    let arguments = Arguments::from_arg_matches(&matches).map_err(answer)?;
    Ok(arguments.command.unwrap_or(Command::Load))
}

fn after_help() -> String {
    const INDENT: &str = "          ";
    const WIDTH: usize = 90;
    let mut text = String::from(
        "Everything else comes from the environment (…_ stands for SOURCE_ and for TARGET_);\n\
         an empty variable counts as unset, durations are written as 90s or 2h 30m, none switches a limit off:\n",
    );
    for variable in VARIABLES {
        writeln!(text, "\n  {} [{}]", variable.name, variable.default).ok();
        let mut line = INDENT.to_owned();
        for word in variable.meaning.split(' ') {
            if line.len() + word.len() > WIDTH {
                text.push_str(line.trim_end());
                text.push('\n');
                INDENT.clone_into(&mut line);
            }
            line.push_str(word);
            line.push(' ');
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str("\nExit codes:\n");
    for exit in Exit::ALL {
        writeln!(text, "  {:>3} {:<10} {}", exit.code(), exit.name(), exit.advice()).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{self, Stage};
    use strum::VariantArray as _;

    use crate::hazard::Hazard;
    use crate::word::Word as _;

    fn parsed(arguments: &[&str]) -> Result<Command, u8> {
        let all = ["schemaferry"].iter().chain(arguments).map(OsString::from);
        parse(all).map_err(|answer| exit::classify(&answer, Stage::default()).code())
    }

    #[test]
    fn no_command_means_load_and_an_unknown_one_is_usage() {
        assert_eq!(parsed(&[]), Ok(Command::Load));
        assert_eq!(parsed(&["load"]), Ok(Command::Load));
        assert_eq!(parsed(&["check"]), Ok(Command::Check));
        let seal = |all, undo| Ok(Command::Seal { all, undo });
        assert_eq!(parsed(&["seal"]), seal(false, false));
        assert_eq!(parsed(&["seal", "--undo", "--all"]), seal(true, true));
        assert_eq!(parsed(&["check", "--all"]), Err(64));
        assert_eq!(parsed(&["drift"]), Ok(Command::Drift));
        assert_eq!(parsed(&["refresh"]), Ok(Command::Refresh));
        assert_eq!(parsed(&["prepare"]), Ok(Command::Prepare));
        let finalize = |freeze| Ok(Command::Finalize { freeze });
        assert_eq!(parsed(&["finalize"]), finalize(false));
        assert_eq!(parsed(&["finalize", "--freeze"]), finalize(true));
        let plan = |format, concurrency| {
            Ok(Command::Plan {
                format,
                concurrency,
                refresh: false,
            })
        };
        assert_eq!(parsed(&["plan"]), plan(Format::Auto, 5));
        assert_eq!(
            parsed(&["plan", "--format", "json", "--concurrency=8"]),
            plan(Format::Json, 8)
        );
        assert_eq!(parsed(&["plan", "--format", "yaml"]), Err(64));
        assert_eq!(parsed(&["plan", "--concurrency", "0"]), Err(64));
        assert_eq!(parsed(&["plan", "--concurrency", "41"]), Err(64));
        assert_eq!(parsed(&["--help"]), Err(0));
        assert_eq!(parsed(&["--version"]), Err(0));
        assert_eq!(parsed(&["lod"]), Err(64));
        assert_eq!(parsed(&["load", "finance"]), Err(64));
        assert_eq!(parsed(&["--schema=finance"]), Err(64));
    }

    fn table(head: [&str; 3], rows: impl Iterator<Item = [String; 3]>) -> String {
        let line = |cells: &[String; 3]| format!("| {} |\n", cells.join(" | "));
        let head = line(&head.map(str::to_owned)) + "| --- | --- | --- |\n";
        rows.fold(head, |table, row| table + &line(&row))
    }

    #[test]
    fn the_papers_have_the_same_tables() {
        let code = |text: &str| format!("`{text}`");
        let variables = VARIABLES.iter().map(|variable| {
            [
                code(variable.name),
                variable.default.to_owned(),
                variable.meaning.to_owned(),
            ]
        });
        let exits = Exit::ALL.iter().map(|exit| {
            [
                exit.code().to_string(),
                exit.name().to_owned(),
                exit.advice().to_owned(),
            ]
        });
        let hazards = Hazard::VARIANTS.iter().map(|hazard| {
            [
                code(hazard.word()),
                hazard.side().to_string(),
                hazard.meaning().to_owned(),
            ]
        });
        let readme = include_str!("../README.md");
        let operations = include_str!("../docs/operations.md");
        for (page, table) in [
            (readme, table(["variable", "default", "meaning"], variables)),
            (readme, table(["code", "name", "what to do"], exits)),
            (operations, table(["hazard", "side", "what is there"], hazards)),
        ] {
            assert!(page.contains(&table), "the page lacks:\n{table}");
        }
    }
}
