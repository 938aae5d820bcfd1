//! Between TLS and tokio-postgres: follows the server's messages, and re-cuts the rows of a COPY.
//!
//! PostgreSQL sends one CopyData message per row, and tokio-postgres hands on each by itself, whole: small rows
//! cost processor time, a huge row costs its size in memory. Where messages of CopyData begin and end means
//! nothing, so the adapter joins and cuts them to frames of one size. All other bytes pass as they are, in their
//! order; nothing is held back once the server falls silent.
//!
//! Rows can no longer be counted by frames, and a connection that is cut within a row still ends in a valid
//! frame. Whether a COPY is complete is therefore read from its command tag alone: see [`Copying::rows`].

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::error::ErrorResponse;

/// The most bytes of rows in one frame: 256 KiB costs more, as the allocator then maps and unmaps each one.
const PAYLOAD: usize = 64 * 1024;
/// Bytes read from the server at once.
const INPUT: usize = 64 * 1024;
/// Shorter rows are copied by so many bytes, which is a few instructions instead of a call each: with 50 bytes a row, a
/// quarter of what following them costs.
const SHORT: usize = 64;
/// A message's kind and its length.
const HEADER: usize = 5;
/// What is kept of an error's fields: the words come first, the context of a statement can be long.
const ERROR_KEPT: usize = 8 * 1024;
/// `COPY `, the digits of the largest count, the final zero.
const TAG_KEPT: usize = 26;

const BACKEND_KEY_DATA: u8 = b'K';
const COMMAND_COMPLETE: u8 = b'C';
const COPY_DATA: u8 = b'd';
const ERROR_RESPONSE: u8 = b'E';
const READY_FOR_QUERY: u8 = b'Z';

/// What becomes of CopyData.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frames {
    /// Passed untouched: for sessions that read no rows by COPY.
    AsSent,
    /// Joined and cut to frames of up to 64 KiB: for sessions that read rows by COPY.
    Recut,
}

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
    pub(crate) fn begin_copy(&self) -> Copying<'_> {
        let mut errors = 0;
        self.now.send_if_modified(|passed| {
            passed.rows.clear();
            errors = passed.errors;
            false
        });
        Copying { seen: self, errors }
    }

    fn note(&self, kind: u8, body: &[u8]) {
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
#[derive(Debug)]
pub(crate) struct Copying<'a> {
    seen: &'a Seen,
    /// How many errors had passed before.
    errors: u64,
}

impl Copying<'_> {
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

/// Follows the boundaries of messages, however their bytes are cut, and notes what is worth it.
struct Follower {
    place: Place,
    /// The beginning of a header whose rest has not come yet.
    header: Vec<u8>,
    /// The beginning of the current message's body, if it is one to note.
    kept: Vec<u8>,
    seen: Arc<Seen>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    /// `left` is never 0.
    Body {
        kind: u8,
        left: usize,
    },
    /// No message can have the length that was sent. tokio-postgres is to report it, so the rest passes as it is.
    Lost,
}

/// A part of one message.
enum Piece<'a> {
    /// The header of a CopyData message.
    RowsHeader,
    /// A part of a CopyData message's body.
    Rows(&'a [u8]),
    /// The header of any other message.
    Header([u8; HEADER]),
    /// A part of any other message's body.
    Body(&'a [u8]),
}

impl Follower {
    fn new(seen: Arc<Seen>) -> Self {
        Self {
            place: Place::Header,
            header: Vec::with_capacity(HEADER),
            kept: Vec::new(),
            seen,
        }
    }

    /// Follows bytes that have gone by already.
    fn follow(&mut self, mut bytes: &[u8]) {
        while self.next(&mut bytes, usize::MAX).is_some() {}
    }

    /// Takes the next piece off `bytes`, a part of a body being no longer than `most`; `None` when they are used
    /// up.
    fn next<'a>(&mut self, bytes: &mut &'a [u8], most: usize) -> Option<Piece<'a>> {
        match self.place {
            _ if bytes.is_empty() => None,
            Place::Header => {
                let header = self.header(bytes)?;
                Some(self.begin(header))
            }
            Place::Body { kind, left } => {
                let part = take(bytes, left.min(most));
                self.pass(kind, left, part);
                Some(if kind == COPY_DATA {
                    Piece::Rows(part)
                } else {
                    Piece::Body(part)
                })
            }
            Place::Lost => Some(Piece::Body(take(bytes, most))),
        }
    }

    fn header(&mut self, bytes: &mut &[u8]) -> Option<[u8; HEADER]> {
        if self.header.is_empty()
            && let Some((header, rest)) = bytes.split_first_chunk()
        {
            *bytes = rest;
            return Some(*header);
        }
        self.header
            .extend_from_slice(take(bytes, HEADER - self.header.len()));
        let header = *self.header.first_chunk()?;
        self.header.clear();
        Some(header)
    }

    fn begin(&mut self, header: [u8; HEADER]) -> Piece<'static> {
        let [kind, length @ ..] = header;
        // The length counts itself.
        let left = i32::from_be_bytes(length)
            .checked_sub(4)
            .and_then(|left| usize::try_from(left).ok());
        let Some(left) = left else {
            self.place = Place::Lost;
            return Piece::Header(header);
        };
        self.place = Place::Body { kind, left };
        self.pass(kind, left, &[]);
        if kind == COPY_DATA {
            Piece::RowsHeader
        } else {
            Piece::Header(header)
        }
    }

    /// Goes on by `part`, the next bytes of a body of which `left` were to come.
    fn pass(&mut self, kind: u8, left: usize, mut part: &[u8]) {
        let left = left - part.len();
        let keep = match kind {
            BACKEND_KEY_DATA => size_of::<i32>(),
            COMMAND_COMPLETE => TAG_KEPT,
            ERROR_RESPONSE => ERROR_KEPT,
            _ => 0,
        };
        self.kept
            .extend_from_slice(take(&mut part, keep.saturating_sub(self.kept.len())));
        self.place = Place::Body { kind, left };
        if left == 0 {
            self.place = Place::Header;
            self.seen.note(kind, &self.kept);
            self.kept.clear();
        }
    }

    /// Whether the next byte is the first of a message.
    fn between_messages(&self) -> bool {
        self.place == Place::Header && self.header.is_empty()
    }

    /// Whether the next byte is one of a CopyData message's body.
    fn within_rows(&self) -> bool {
        matches!(self.place, Place::Body { kind: COPY_DATA, .. })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.seen.now.send_modify(|passed| passed.ended = true);
    }
}

/// Takes up to `most` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    bytes.split_off(..most.min(bytes.len())).unwrap_or_default()
}

/// The two buffers through which the server's bytes go to be cut anew.
struct Recut {
    /// Initialised once: the layer of TLS would clear the free part of a growing buffer for each of its records.
    input: Box<[u8]>,
    /// Where in `input` bytes lie that have not been looked at.
    unread: std::ops::Range<usize>,
    output: Output,
    /// How reading ended, to be told when everything was given out.
    end: Option<io::Result<()>>,
}

impl Recut {
    fn new() -> Self {
        Self {
            input: vec![0; INPUT].into_boxed_slice(),
            unread: 0..0,
            output: Output::new(),
            end: None,
        }
    }

    fn poll_read<S: AsyncRead>(
        &mut self,
        follower: &mut Follower,
        mut stream: Pin<&mut S>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            self.pump(follower);
            if self.output.give(buf) {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = &mut self.end {
                return Poll::Ready(std::mem::replace(end, Ok(())));
            }
            let polled = self.fill(stream.as_mut(), cx);
            if polled.is_pending() && !self.output.open {
                return Poll::Pending;
            }
            // Nothing more has come: what is here leaves.
            if polled.is_pending() || self.end.is_some() {
                self.output.close();
            }
            if self.end.is_some() {
                self.output.pass(&follower.header);
            }
        }
    }

    /// Moves bytes from the input to the output, until the one is empty or the other full.
    fn pump(&mut self, follower: &mut Follower) {
        let mut input = self.input.get(self.unread.clone()).unwrap_or_default();
        loop {
            if follower.between_messages() {
                self.output.add_whole(&mut input);
            }
            let room = self.output.room(follower.within_rows());
            if room == 0 {
                break;
            }
            match follower.next(&mut input, room) {
                None => break,
                Some(Piece::RowsHeader) => {}
                Some(Piece::Rows(rows)) => self.output.add(rows),
                Some(Piece::Header(header)) => self.output.pass(&header),
                Some(Piece::Body(body)) => self.output.pass(body),
            }
        }
        self.unread.start = self.unread.end - input.len();
    }

    /// Reads into the input, which is empty.
    fn fill<S: AsyncRead>(&mut self, stream: Pin<&mut S>, cx: &mut Context<'_>) -> Poll<()> {
        let mut buf = ReadBuf::new(&mut self.input);
        let read = ready!(stream.poll_read(cx, &mut buf));
        self.unread = 0..buf.filled().len();
        if read.is_err() || self.unread.is_empty() {
            self.end = Some(read);
        }
        Poll::Ready(())
    }
}

/// Bytes on their way to tokio-postgres: either an open frame, or bytes that are ready to leave, never both. What
/// came first leaves first, and memory is bounded by one frame.
struct Output {
    bytes: Box<[u8]>,
    /// How many bytes there are.
    length: usize,
    /// How many of the ready bytes were given out.
    given: usize,
    /// The bytes are one frame of rows whose length is not yet written.
    open: bool,
}

impl Output {
    const CAPACITY: usize = HEADER + PAYLOAD;

    fn new() -> Self {
        Self {
            // A header may follow on a frame that is nearly full.
            bytes: vec![0; Self::CAPACITY + HEADER].into_boxed_slice(),
            length: 0,
            given: 0,
            open: false,
        }
    }

    /// How many bytes of a body may be added.
    fn room(&self, rows: bool) -> usize {
        match (rows, self.length) {
            (true, 0) => PAYLOAD,
            (true, _) if !self.open => 0,
            (_, length) => Self::CAPACITY.saturating_sub(length),
        }
    }

    /// Adds rows to the open frame, within [`Self::room`].
    fn add(&mut self, rows: &[u8]) {
        if !self.open {
            self.append(&[0; HEADER]);
            self.open = true;
        }
        self.append(rows);
        if self.length == Self::CAPACITY {
            self.close();
        }
    }

    /// Adds the rows at the front of `input`, as many as are whole and fit.
    fn add_whole(&mut self, input: &mut &[u8]) {
        let mut room = self.room(true);
        let mut end = Self::CAPACITY - room;
        while let Some(([COPY_DATA, length @ ..], body)) = input.split_first_chunk::<HEADER>() {
            // The length counts itself. One that no message can have fits nowhere.
            let length = u32::from_be_bytes(*length).wrapping_sub(4) as usize;
            if length > room {
                break;
            }
            let Some((row, rest)) = body.split_at_checked(length) else {
                break;
            };
            if length <= SHORT
                && let Some(from) = body.first_chunk::<SHORT>()
                && let Some((to, _)) = self
                    .bytes
                    .get_mut(end..)
                    .and_then(|free| free.split_first_chunk_mut())
            {
                *to = *from;
            } else if let Some(to) = self.bytes.get_mut(end..end + length) {
                to.copy_from_slice(row);
            }
            (end, room) = (end + length, room - length);
            *input = rest;
        }
        if end > HEADER && room < self.room(true) {
            (self.length, self.open) = (end, true);
            if room == 0 {
                self.close();
            }
        }
    }

    /// Adds bytes as they are.
    fn pass(&mut self, bytes: &[u8]) {
        self.close();
        self.append(bytes);
    }

    fn append(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(free) = self.bytes.get_mut(self.length..end) {
            free.copy_from_slice(bytes);
            self.length = end;
        }
    }

    /// Writes the open frame's header, whereby it is ready.
    fn close(&mut self) {
        if !self.open {
            return;
        }
        self.open = false;
        let length = u32::try_from(self.length - 1).unwrap_or(u32::MAX);
        if let Some(([kind, place @ ..], _)) = self.bytes.split_first_chunk_mut::<HEADER>() {
            *kind = COPY_DATA;
            *place = length.to_be_bytes();
        }
    }

    /// Gives out what is ready and fits, if anything is.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let mut ready = self.bytes.get(self.given..self.length).unwrap_or_default();
        if self.open || ready.is_empty() {
            return false;
        }
        let given = take(&mut ready, buf.remaining());
        buf.put_slice(given);
        self.given += given.len();
        if ready.is_empty() {
            (self.length, self.given) = (0, 0);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::pin;
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    const KIB: usize = 1024;

    /// A server's bytes, read in the given steps, and then the end of the connection.
    struct Script {
        bytes: Vec<u8>,
        at: usize,
        /// How many bytes each read finds; none: nothing has come yet. Later reads find 8 KiB.
        steps: VecDeque<Option<usize>>,
        /// Ends with an error rather than cleanly.
        reset: bool,
        pended: bool,
        ended: bool,
    }

    impl AsyncRead for Script {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            assert!(!self.ended, "read on after the end");
            let Some(step) = self.steps.pop_front().unwrap_or(Some(8 * KIB)) else {
                self.pended = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            };
            let came = &self.bytes[self.at..];
            let came = &came[..step.min(came.len()).min(buf.remaining())];
            buf.put_slice(came);
            let count = came.len();
            self.at += count;
            self.ended = count == 0 && buf.remaining() > 0;
            if self.ended && self.reset {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            Poll::Ready(Ok(()))
        }
    }

    /// What bytes mean, however rows are cut: read by other means than the code's.
    #[derive(Debug, PartialEq)]
    enum Token {
        /// The bodies of CopyData messages that follow on one another, joined; never empty.
        Rows(Vec<u8>),
        /// Any other message, whole.
        Message(Vec<u8>),
        /// The rest from where a message is cut or no message.
        Rest(Vec<u8>),
    }

    fn tokens(mut bytes: &[u8]) -> Vec<Token> {
        let mut tokens = Vec::new();
        while !bytes.is_empty() {
            let length = if bytes.len() < 5 {
                -1
            } else {
                i32::from_be_bytes(bytes[1..5].try_into().unwrap())
            };
            let end = usize::try_from(length).map_or(usize::MAX, |length| 1 + length);
            if length >= 4 && bytes[0] == b'd' {
                let body = &bytes[5..end.min(bytes.len())];
                match tokens.last_mut() {
                    _ if body.is_empty() => {}
                    Some(Token::Rows(rows)) => rows.extend_from_slice(body),
                    _ => tokens.push(Token::Rows(body.to_vec())),
                }
            } else if length >= 4 && end <= bytes.len() {
                tokens.push(Token::Message(bytes[..end].to_vec()));
            } else {
                tokens.push(Token::Rest(bytes.to_vec()));
                break;
            }
            bytes = &bytes[end.min(bytes.len())..];
        }
        tokens
    }

    /// As [`tokens`], without a header that has not come whole.
    fn whole_tokens(bytes: &[u8]) -> Vec<Token> {
        let mut tokens = tokens(bytes);
        tokens.pop_if(|last| matches!(last, Token::Rest(rest) if rest.len() < 5));
        tokens
    }

    /// The lengths of the bodies of CopyData messages.
    fn payloads(mut bytes: &[u8]) -> Vec<usize> {
        let mut payloads = Vec::new();
        while bytes.len() >= 5 {
            let length = i32::from_be_bytes(bytes[1..5].try_into().unwrap());
            if length < 4 {
                break;
            }
            let end = 1 + usize::try_from(length).unwrap();
            if bytes[0] == b'd' {
                payloads.push(end - 5);
            }
            bytes = bytes.get(end..).unwrap_or_default();
        }
        payloads
    }

    /// What the adapter made of a script.
    struct Outcome {
        output: Vec<u8>,
        pid: i32,
        /// Whether a COPY under way would have been stopped.
        failed: bool,
        error: Option<ErrorResponse>,
        rows: Vec<u64>,
    }

    /// Reads a script to its end into buffers of the given sizes, then of 8 KiB.
    fn read(script: Script, frames: Frames, sizes: &[usize]) -> Outcome {
        let mut sizes = sizes.iter().copied();
        let reset = script.reset;
        let (mut reframe, seen) = Reframe::new(script, frames);
        let copying = seen.begin_copy();
        let mut output = Vec::new();
        loop {
            // What the caller's buffer holds already is none of the adapter's business.
            let before = message(b'E', b"");
            let mut storage = vec![0; before.len() + sizes.next().unwrap_or(8 * KIB)];
            let mut buf = ReadBuf::new(&mut storage);
            buf.put_slice(&before);
            reframe.stream.pended = false;
            let polled = Pin::new(&mut reframe).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
            let came = &buf.filled()[before.len()..];
            output.extend_from_slice(came);
            let script = &reframe.stream;
            match polled {
                Poll::Pending => {
                    assert!(script.pended, "waits, though there is something to read");
                    assert!(came.is_empty());
                    if script.at < 300 * KIB {
                        let sent = whole_tokens(&script.bytes[..script.at]);
                        assert!(sent == whole_tokens(&output), "bytes are held back");
                    }
                }
                Poll::Ready(Ok(())) if !came.is_empty() => {}
                Poll::Ready(end) => {
                    assert!(script.ended, "an end that was none");
                    assert!(came.is_empty(), "bytes along with an error");
                    assert_eq!(end.is_err(), reset);
                    break;
                }
            }
        }
        let failed = now(copying.failed()).is_some();
        let counted = now(copying.rows());
        drop(reframe);
        let mut rows: Vec<u64> = counted.flatten().into_iter().collect();
        while let Some(count) = now(copying.rows()).expect("the end of the connection ends the wait") {
            rows.push(count);
        }
        assert_eq!(counted.is_some(), failed || !rows.is_empty());
        Outcome {
            output,
            pid: seen.pid(),
            failed,
            error: copying.error(),
            rows,
        }
    }

    /// What a future comes to without waiting.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], length.to_be_bytes().as_slice(), body].concat()
    }

    fn error(sqlstate: &str, message: &str) -> Vec<u8> {
        format!("SFEHLER\0VERROR\0C{sqlstate}\0M{message}\0Wsome context\0\0").into_bytes()
    }

    /// A body that looks like messages, which must not be taken for such.
    fn body(length: impl Strategy<Value = usize>) -> impl Strategy<Value = Vec<u8>> {
        let bait = [
            message(b'E', &error("XX000", "bait")),
            message(b'C', b"COPY 666\0"),
            message(b'K', b"\0\0\x02\x9a\0\0\0\0"),
            b"d\xff\xff\xff\xff".to_vec(),
        ]
        .concat();
        (length, any::<u8>()).prop_map(move |(length, start)| {
            let bytes = bait.iter().copied().cycle();
            bytes.skip(usize::from(start)).take(length).collect()
        })
    }

    fn size() -> impl Strategy<Value = usize> {
        prop_oneof![
            12 => 0..200_usize,
            2 => 0..=9 * KIB,
            1 => 63 * KIB..=66 * KIB,
            1 => 0..=200 * KIB,
        ]
    }

    fn any_message() -> impl Strategy<Value = Vec<u8>> {
        let tag = prop_oneof![
            4 => any::<u64>().prop_map(|rows| format!("COPY {rows}\0")),
            2 => (0..9_u64).prop_map(|rows| format!("COPY {rows}\0")),
            1 => Just("COPY\0".to_owned()),
            1 => Just("COPY 5".to_owned()),
            1 => Just("COPY -5\0".to_owned()),
            1 => Just("COPY 99999999999999999999999\0".to_owned()),
            1 => Just("SELECT 5\0".to_owned()),
            1 => Just(String::new()),
        ];
        let error_body = prop_oneof![
            4 => (0..3_u8).prop_map(|digit| error(&format!("2350{digit}"), "duplicate key")),
            1 => (0..20 * KIB).prop_map(|length| error("40P01", &"deadlock ".repeat(length / 9))),
            1 => Just(Vec::new()),
        ];
        prop_oneof![
            8 => body(size()).prop_map(|body| message(b'd', &body)),
            2 => body(size()).prop_map(|body| message(b'D', &body)),
            1 => body(0..400_usize).prop_map(|body| message(b'N', &body)),
            1 => body(0..40_usize).prop_map(|body| message(b'S', &body)),
            2 => tag.prop_map(|tag| message(b'C', tag.as_bytes())),
            1 => error_body.prop_map(|body| message(b'E', &body)),
            1 => Just(message(b'Z', b"T")),
            1 => any::<i32>().prop_map(|pid| message(b'K', &[pid.to_be_bytes(), [7; 4]].concat())),
            1 => Just(message(b'c', b"")),
        ]
    }

    fn no_message() -> impl Strategy<Value = Vec<u8>> {
        let length = prop_oneof![0..4_i32, i32::MIN..0];
        let kind = prop_oneof![Just(b'd'), Just(b'E'), any::<u8>()];
        (kind, length).prop_map(|(kind, length)| [&[kind], length.to_be_bytes().as_slice()].concat())
    }

    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let messages = proptest::collection::vec(prop_oneof![60 => any_message(), 1 => no_message()], 0..40);
        let cut = prop_oneof![Just(None), any::<prop::sample::Index>().prop_map(Some)];
        (messages, cut).prop_map(|(messages, cut)| {
            let mut bytes = messages.concat();
            let length = cut.map_or(bytes.len(), |cut| cut.index(bytes.len() + 1));
            bytes.truncate(length);
            bytes
        })
    }

    fn any_step() -> impl Strategy<Value = usize> {
        prop_oneof![Just(1), 1..8_usize, 1..200_usize, 1..=9 * KIB, 1..=70 * KIB]
    }

    /// What the adapter has to note of a server's bytes.
    fn expected(input: &[Token]) -> (i32, Vec<ErrorResponse>, Vec<u64>) {
        let (mut pid, mut errors, mut rows) = (None, Vec::new(), Vec::new());
        for token in input {
            let Token::Message(message) = token else { continue };
            let body = &message[5..];
            match message[0] {
                b'K' => _ = pid.get_or_insert(i32::from_be_bytes(body[..4].try_into().unwrap())),
                b'Z' => _ = pid.get_or_insert(0),
                b'E' => {
                    let body = String::from_utf8(body.to_vec()).unwrap();
                    let field = |name| {
                        let mut fields = body.split('\0');
                        let field = fields.find_map(|field| field.strip_prefix(name));
                        field.unwrap_or_default().to_owned()
                    };
                    errors.push(ErrorResponse {
                        severity: field("V"),
                        sqlstate: field("C"),
                        message: field("M"),
                        ..ErrorResponse::default()
                    });
                }
                b'C' => {
                    let tag = String::from_utf8(body.to_vec()).unwrap();
                    let count = tag.strip_suffix('\0').and_then(|tag| tag.strip_prefix("COPY "));
                    rows.extend(count.and_then(|count| count.parse::<u64>().ok()));
                }
                _ => {}
            }
        }
        (pid.unwrap_or(0), errors, rows)
    }

    proptest! {
        #[test]
        fn bytes_keep_their_meaning(
            bytes in any_bytes(),
            steps in proptest::collection::vec(proptest::option::weighted(0.8, any_step()), 0..300),
            sizes in proptest::collection::vec(any_step(), 0..300),
            reset in any::<bool>(),
        ) {
            let input = tokens(&bytes);
            let (pid, errors, rows) = expected(&input);
            for frames in [Frames::AsSent, Frames::Recut] {
                let script = Script {
                    bytes: bytes.clone(),
                    at: 0,
                    steps: steps.iter().copied().collect(),
                    reset,
                    pended: false,
                    ended: false,
                };
                let outcome = read(script, frames, &sizes);
                match frames {
                    Frames::AsSent => prop_assert!(outcome.output == bytes, "bytes were changed"),
                    Frames::Recut => {
                        prop_assert!(tokens(&outcome.output) == input, "bytes changed their meaning");
                        let payloads = payloads(&outcome.output);
                        prop_assert!(payloads.iter().all(|payload| (1..=64 * KIB).contains(payload)));
                    }
                }
                prop_assert_eq!(outcome.pid, pid);
                prop_assert_eq!(outcome.failed, !errors.is_empty());
                prop_assert_eq!(&outcome.rows, &rows);
                prop_assert_eq!(outcome.error.is_some(), !errors.is_empty());
                if let (Some(seen), Some(sent)) = (outcome.error, errors.last()) {
                    prop_assert_eq!(seen.severity, sent.severity.as_str());
                    prop_assert_eq!(seen.sqlstate, sent.sqlstate.as_str());
                    // Of a long message the beginning is kept.
                    prop_assert!(sent.message.starts_with(&seen.message));
                    prop_assert!(seen.message.len() >= sent.message.len().min(8000));
                }
            }
        }
    }

    fn at_once(bytes: Vec<u8>) -> Script {
        Script {
            bytes,
            at: 0,
            steps: VecDeque::new(),
            reset: false,
            pended: false,
            ended: false,
        }
    }

    #[test]
    fn short_rows_are_joined_and_long_ones_cut() {
        let short = message(b'd', &[7; 50]).repeat(10_000);
        let outcome = read(at_once(short), Frames::Recut, &[]);
        let mut expected = vec![64 * KIB; 7];
        expected.push(500_000 - 7 * 64 * KIB);
        assert_eq!(payloads(&outcome.output), expected);

        let long = message(b'd', &vec![7; 10 * KIB * KIB]);
        let outcome = read(at_once(long), Frames::Recut, &[]);
        assert_eq!(payloads(&outcome.output), vec![64 * KIB; 160]);
    }

    #[test]
    fn the_announced_process_id_is_the_first_one_and_none_after_ready() {
        let key = |pid: i32| message(b'K', &[pid.to_be_bytes(), [0; 4]].concat());
        let authenticated = message(b'R', &[0; 4]);
        let ready = message(b'Z', b"I");
        for (messages, pid) in [
            (vec![authenticated.clone(), key(12345), ready.clone()], 12345),
            (vec![authenticated.clone(), ready, key(12345)], 0),
            (vec![authenticated, key(12345), key(54321)], 12345),
        ] {
            let outcome = read(at_once(messages.concat()), Frames::AsSent, &[]);
            assert_eq!(outcome.pid, pid);
        }
    }

    #[tokio::test]
    async fn waits_of_a_copy_end_with_its_tag_its_error_or_the_connection() {
        for frames in [Frames::AsSent, Frames::Recut] {
            let (mut server, client) = tokio::io::duplex(KIB);
            let (mut reframe, seen) = Reframe::new(client, frames);
            let mut feed = async |bytes: &[u8]| {
                tokio::task::yield_now().await;
                tokio::io::AsyncWriteExt::write_all(&mut server, bytes)
                    .await
                    .unwrap();
                let mut passed = vec![0; bytes.len()];
                tokio::io::AsyncReadExt::read_exact(&mut reframe, &mut passed)
                    .await
                    .unwrap();
            };

            let copying = seen.begin_copy();
            let tag = message(b'C', b"COPY 3\0");
            let (rows, ()) = tokio::join!(copying.rows(), feed(&tag));
            assert_eq!(rows, Some(3));

            // A count that nobody asked for is not the next COPY's.
            feed(&message(b'C', b"COPY 4\0")).await;
            let copying = seen.begin_copy();
            let refused = message(b'E', &error("57014", "canceled"));
            let (rows, (), ()) = tokio::join!(copying.rows(), copying.failed(), feed(&refused));
            assert_eq!(rows, None);
            assert_eq!(
                copying.error().map(|error| error.sqlstate),
                Some("57014".to_owned())
            );

            // Nor is an error that came before.
            let copying = seen.begin_copy();
            assert_eq!(now(copying.failed()), None);
            assert_eq!(copying.error(), None);
            assert!(seen.now.borrow().last_error.is_some());
            let (rows, (), ()) = tokio::join!(copying.rows(), copying.failed(), async {
                tokio::task::yield_now().await;
                drop(reframe);
            });
            assert_eq!(rows, None);
            assert_eq!(copying.error(), None);
        }
    }
}
