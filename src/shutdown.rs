//! What ends a run before it is done: signals, the deadline, a lost lock, a stall.
//!
//! The first cause wins; everything that waits does so beside `Shutdown::stopped`.

use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Stop};

/// A token that anyone may trip, once, with a cause.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown {
    token: CancellationToken,
    cause: Arc<OnceLock<Stop>>,
}

impl Shutdown {
    /// Asks the run to stop. Later causes are ignored.
    pub(crate) fn stop(&self, cause: Stop) {
        if self.cause.set(cause).is_ok() {
            self.token.cancel();
        }
    }

    /// Waits until something stops the run and returns it as an error.
    pub(crate) async fn stopped(&self) -> Error {
        self.token.cancelled().await;
        match self.cause.get() {
            Some(cause) => Error::Stopped(cause.clone()),
            None => Error::Internal("stopped without a cause".to_owned()),
        }
    }

    /// Does `work` unless something stops the run.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            biased;
            stopped = self.stopped() => Err(stopped),
            ended = work => ended,
        }
    }

    /// Turns SIGTERM and SIGINT into causes; never returns. As PID 1 a signal without a handler is ignored,
    /// so this is polled from the first moment on.
    pub(crate) async fn watch_signals(&self) -> Error {
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return Error::Internal("signal handlers cannot be installed".to_owned());
        };
        tokio::select! {
            _ = terminate.recv() => self.stop(Stop::Terminate),
            _ = interrupt.recv() => self.stop(Stop::Interrupt),
        }
        std::future::pending().await
    }
}
