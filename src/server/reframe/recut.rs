//! Rows of a COPY, joined and cut to frames of one size.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::server::reframe::follow::{Follower, Piece, take};
use crate::server::reframe::message::{COPY_DATA, HEADER};

/// The most bytes of rows in one frame: 256 KiB costs more, as the allocator then maps and unmaps each one.
pub(super) const PAYLOAD: usize = 64 * 1024;
/// Bytes read from the server at once.
const INPUT: usize = 64 * 1024;
/// Shorter rows are copied by so many bytes, which is a few instructions instead of a call each: with 50 bytes a row, a
/// quarter of what following them costs.
const SHORT: usize = 64;

/// The two buffers through which the server's bytes go to be cut anew.
pub(super) struct Recut {
    /// Initialised once: the layer of TLS would clear the free part of a growing buffer for each of its records.
    input: Box<[u8]>,
    /// Where in `input` bytes lie that have not been looked at.
    unread: std::ops::Range<usize>,
    output: Output,
    /// How reading ended, to be told when everything was given out.
    end: Option<io::Result<()>>,
}

impl Recut {
    pub(super) fn new() -> Self {
        Self {
            input: vec![0; INPUT].into_boxed_slice(),
            unread: 0..0,
            output: Output::new(),
            end: None,
        }
    }

    pub(super) fn poll_read<S: AsyncRead>(
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
        if let Some(([kind, length_field @ ..], _)) = self.bytes.split_first_chunk_mut::<HEADER>() {
            *kind = COPY_DATA;
            *length_field = length.to_be_bytes();
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
