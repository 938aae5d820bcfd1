//! Between TLS and tokio-postgres: follows the server's messages, and re-cuts the rows of a COPY.
//!
//! PostgreSQL sends one CopyData message per row, and tokio-postgres hands on each by itself, whole: small rows
//! cost processor time, a huge row costs its size in memory. Where messages of CopyData begin and end means
//! nothing, so the adapter joins and cuts them to frames of one size. All other bytes pass as they are, in their
//! order; nothing is held back once the server falls silent.
//!
//! Rows can no longer be counted by frames, and a connection that is cut within a row still ends in a valid
//! frame. Whether a COPY is complete is therefore read from its command tag alone: see [`Copying::rows`].

mod follow;
mod message;
mod recut;
mod seen;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::reframe::follow::Follower;
use crate::server::reframe::recut::Recut;
pub(crate) use crate::server::reframe::seen::{Copying, Seen};

/// What becomes of CopyData.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frames {
    /// Passed untouched: for sessions that read no rows by COPY.
    AsSent,
    /// Joined and cut to frames of up to 64 KiB: for sessions that read rows by COPY.
    Recut,
}

/// A connection's bytes, its messages followed. Only what is read is touched.
pub(crate) struct Reframe<S> {
    stream: S,
    follower: Follower,
    recut: Option<Recut>,
}

impl<S> Reframe<S> {
    /// Must be given the stream before the server's first byte was read.
    pub(crate) fn new(stream: S, frames: Frames) -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let reframe = Self {
            stream,
            follower: Follower::new(Arc::clone(&seen)),
            recut: (frames == Frames::Recut).then(Recut::new),
        };
        (reframe, seen)
    }

    /// The stream below.
    pub(crate) fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Reframe<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self {
            stream,
            follower,
            recut,
        } = self.get_mut();
        if let Some(recut) = recut {
            return recut.poll_read(follower, Pin::new(stream), cx, buf);
        }
        let before = buf.filled().len();
        let polled = Pin::new(stream).poll_read(cx, buf);
        follower.follow(buf.filled().get(before..).unwrap_or_default());
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Reframe<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
