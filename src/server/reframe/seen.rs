//! What passed on a connection, for the session that owns it.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use crate::error::ErrorResponse;
use crate::server::reframe::message::{BACKEND_KEY_DATA, COMMAND_COMPLETE, ERROR_RESPONSE, READY_FOR_QUERY};

/// What passed on a connection, shared with the session that owns it. A message is noted here before
/// tokio-postgres gets it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pid: OnceLock<i32>,
    now: watch::Sender<Passed>,
}

#[derive(Debug, Default)]
struct Passed {
    errors: u64,
    last_error: Option<ErrorResponse>,
    /// Counts that nobody has asked for yet.
    rows: VecDeque<u64>,
    ended: bool,
}

impl Seen {
    /// The process id that the server announced; 0 until then, and if it was ready without having done so.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.get().copied().unwrap_or(0)
    }

    /// To be called before a COPY is sent: what passed until then does not count for it. Of several that are sent
    /// at once, [`Copying::rows`] tells the counts one by one, in their order. The session runs no other meanwhile.
    pub(crate) fn begin_copy(self: &Arc<Self>) -> Copying {
        let mut errors = 0;
        self.now.send_if_modified(|passed| {
            passed.rows.clear();
            errors = passed.errors;
            false
        });
        Copying {
            seen: Arc::clone(self),
            errors,
        }
    }

    /// The connection has ended.
    pub(super) fn end(&self) {
        self.now.send_modify(|passed| passed.ended = true);
    }

    pub(super) fn note(&self, kind: u8, body: &[u8]) {
        match kind {
            BACKEND_KEY_DATA => {
                if let Some(pid) = body.first_chunk() {
                    self.pid.get_or_init(|| i32::from_be_bytes(*pid));
                }
            }
            READY_FOR_QUERY => {
                self.pid.get_or_init(|| 0);
            }
            COMMAND_COMPLETE => {
                if let Some(rows) = copied(body) {
                    self.now.send_modify(|passed| passed.rows.push_back(rows));
                }
            }
            ERROR_RESPONSE => {
                let error = ErrorResponse::read(body);
                self.now.send_modify(|passed| {
                    passed.errors += 1;
                    passed.last_error = Some(error);
                });
            }
            _ => {}
        }
    }
}

/// The count in a command tag such as `COPY 123`.
fn copied(tag: &[u8]) -> Option<u64> {
    let digits = tag.strip_prefix(b"COPY ")?.strip_suffix(b"\0")?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// One COPY on its way, as seen on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Copying {
    seen: Arc<Seen>,
    /// How many errors had passed before.
    errors: u64,
}

impl Copying {
    /// Waits until the server has refused the COPY or the connection has ended; for ever if it goes well.
    ///
    /// A COPY to the server is not answered before its end, so its error would surface after all rows were sent.
    pub(crate) async fn failed(&self) {
        let mut now = self.seen.now.subscribe();
        // Waiting itself can't fail: the sender is borrowed.
        drop(now.wait_for(|passed| self.has_failed(passed)).await);
    }

    /// The count in the command tag, which the server sends after the last row; `None` if an error came instead,
    /// or the end of the connection.
    pub(crate) async fn rows(&self) -> Option<u64> {
        let mut now = self.seen.now.subscribe();
        drop(
            now.wait_for(|passed| !passed.rows.is_empty() || self.has_failed(passed))
                .await,
        );
        let mut rows = None;
        self.seen.now.send_if_modified(|passed| {
            rows = passed.rows.pop_front();
            false
        });
        rows
    }

    /// The last error since the COPY began, if there was one: what ended it, even where tokio-postgres only says
    /// that the connection is closed.
    pub(crate) fn error(&self) -> Option<ErrorResponse> {
        let passed = self.seen.now.borrow();
        passed.last_error.clone().filter(|_| passed.errors > self.errors)
    }

    fn has_failed(&self, passed: &Passed) -> bool {
        passed.ended || passed.errors > self.errors
    }
}
