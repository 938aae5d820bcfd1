//! The command `check`: every question of preflight, and nothing changes.

use crate::config::Config;
use crate::error::Error;
use crate::preflight::{self, Answers, Purpose};
use crate::progress::{Phase, Progress};
use crate::shutdown::Shutdown;
use crate::unit::Reached;

/// Asks everything, and returns the answers, refusals among them.
pub(crate) async fn check(
    config: &Config,
    shutdown: &Shutdown,
    progress: &Progress,
) -> Result<Answers, Error> {
    let asked = async {
        let reached = Box::pin(Reached::connect(config, progress)).await?;
        let (unit, sessions) = Box::pin(reached.begin()).await?;
        progress.enter(Phase::Preflight);
        let questions = unit.questions(&sessions, Purpose::Nothing);
        tokio::select! {
            biased;
            never = unit.watch(shutdown, progress) => match never {},
            answers = preflight::ask(&questions) => answers,
        }
    };
    shutdown.guard(asked).await
}
