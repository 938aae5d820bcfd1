//! The last record of a run: its whole outcome, and the exit code that follows from it.

use serde_json::Value;

use crate::error::{self, Error};
use crate::exit::{self, Exit, Stage};
use crate::log;
use crate::progress::Progress;
use crate::word::Word as _;

/// Differences that get a record each.
const RECORDED_MAX: usize = 200;

/// Writes the last record: the whole outcome.
/// `changes`: what was to be done changes the target.
pub(crate) fn conclude(ended: &Result<(), Error>, changes: bool, progress: &Progress) -> Exit {
    let stage = Stage {
        established: progress.established(),
        changing: changes && progress.changing(),
    };
    let exit = match ended {
        Ok(()) => Exit::Ok,
        Err(error) => exit::classify(error, stage),
    };
    let error = ended.as_ref().err();
    let reason = error.map(|error| error::chain(error));
    let side = error.and_then(Error::side).map(|side| side.to_string());
    let sqlstate = error.and_then(Error::sqlstate);
    if let Some(Error::Differ(differences)) = error {
        for difference in differences.iter().take(RECORDED_MAX) {
            tracing::error!(
                phase = progress.phase().word(),
                difference,
                "source and target differ"
            );
        }
    }
    let findings = match error {
        Some(Error::Preflight(refused)) => {
            let records: Vec<Value> = refused.iter().map(error::Refused::record).collect();
            Some(Value::from(records).to_string())
        }
        _ => None,
    };
    let summary = progress.summary();
    let known = |name: &str| summary.get(name).filter(|value| !value.is_null());
    let part = |name: &str| known(name).map(Value::to_string);
    let lost_records = Some(log::writer::lost()).filter(|lost| *lost > 0);
    if let (Some(Error::Usage(text)), true) = (error, log::is_terminal()) {
        log::print(text);
        return exit;
    }
    macro_rules! last_record {
        ($level:ident) => {
            tracing::$level!(
                exit = exit.code(),
                outcome = exit.name(),
                reason,
                advice = exit.advice(),
                side,
                sqlstate,
                phase = progress.phase().word(),
                findings,
                already_complete = progress.is_already_complete(),
                totals = part("totals"),
                phases = part("phases"),
                slowest = part("slowest"),
                not_carried = part("not_carried"),
                not_frozen = part("not_frozen"),
                drift = known("drift").and_then(|reason| reason.as_str()),
                refreshed = part("refreshed"),
                deferred = part("deferred"),
                lost_records,
                mail = progress.mailed(),
                "run ended"
            )
        };
    }
    if exit == Exit::Ok {
        last_record!(info);
    } else {
        last_record!(error);
    }
    exit
}
