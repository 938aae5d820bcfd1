//! What ends a run before it is done: signals, the deadline, a lost lock, a stall.
//!
//! The first cause wins; everything that waits does so beside `Shutdown::stopped`.

use std::io;
use std::sync::{Arc, OnceLock};

use futures_util::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Stop};

/// What each signal asks for; those that ask for nothing are not to end the process.
const SIGNALS: [(SignalKind, Option<Stop>); 7] = [
    (SignalKind::terminate(), Some(Stop::Terminate("SIGTERM"))),
    (SignalKind::interrupt(), Some(Stop::Interrupt)),
    (SignalKind::hangup(), Some(Stop::Terminate("SIGHUP"))),
    (SignalKind::quit(), Some(Stop::Terminate("SIGQUIT"))),
    (SignalKind::user_defined1(), None),
    (SignalKind::user_defined2(), None),
    (SignalKind::alarm(), None),
];

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

    /// Turns signals into causes; never returns. As PID 1 a signal without a handler is ignored, and everywhere else it would
    /// end the process with its passfiles left behind, so this is polled from the first moment on.
    pub(crate) async fn watch_signals(&self) -> Error {
        let streams: io::Result<Vec<Signal>> = SIGNALS.iter().map(|(kind, _)| signal(*kind)).collect();
        let Ok(mut streams) = streams else {
            return Error::Internal("signal handlers cannot be installed".to_owned());
        };
        loop {
            let waits = streams.iter_mut().map(|stream| Box::pin(stream.recv()));
            let (_, index, _) = select_all(waits).await;
            if let Some((_, Some(cause))) = SIGNALS.get(index) {
                self.stop(cause.clone());
            }
        }
    }
}
