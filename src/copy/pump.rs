//! Bytes of one COPY, from the source's stream into the target's.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_postgres::{CopyInSink, CopyOutStream};

use crate::copy::turns::Turn;
use crate::progress::Progress;
use crate::server::reframe::Copying;

/// How carrying has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The source's stream is at its end, which alone proves nothing: a cut one looks the same.
    Read,
    /// The target takes no more. Why is to be had from its stream.
    Refused,
}

/// What carries them, and owns all that it needs, so that it may run on any thread.
pub(super) struct Pump {
    /// What the target says meanwhile.
    pub(super) writing: Copying,
    pub(super) turn: Turn,
    pub(super) progress: Progress,
    pub(super) table: String,
}

impl Pump {
    /// Carries until one side ends, and gives the target's stream back, which is not finished; the error is the source's.
    pub(super) async fn carry(
        self,
        mut stream: Pin<Box<CopyOutStream>>,
        mut sink: Pin<Box<CopyInSink<Bytes>>>,
    ) -> (Pin<Box<CopyInSink<Bytes>>>, Result<End, tokio_postgres::Error>) {
        let ended = loop {
            let next = async {
                self.turn.comes().await;
                stream.next().await
            };
            let chunk = tokio::select! {
                biased;
                () = self.writing.failed() => break Ok(End::Refused),
                chunk = next => chunk,
            };
            let chunk = match chunk {
                None => break Ok(End::Read),
                Some(Err(error)) => break Err(error),
                Some(Ok(chunk)) => chunk,
            };
            let count = chunk.len();
            if sink.feed(chunk).await.is_err() {
                break Ok(End::Refused);
            }
            self.turn.carried(count);
            self.progress.add_bytes(&self.table, count);
        };
        (sink, ended)
    }
}
