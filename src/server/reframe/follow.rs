//! Where messages begin and end, however their bytes are cut.

use std::sync::Arc;

use crate::server::reframe::message::{
    BACKEND_KEY_DATA, COMMAND_COMPLETE, COPY_DATA, ERROR_RESPONSE, HEADER,
};
use crate::server::reframe::seen::Seen;

/// What is kept of an error's fields: the words come first, the context of a statement can be long.
const ERROR_KEPT: usize = 8 * 1024;
/// `COPY `, the digits of the largest count, the final zero.
const TAG_KEPT: usize = 26;

/// Follows the boundaries of messages, however their bytes are cut, and notes what is worth it.
pub(super) struct Follower {
    position: Position,
    /// The beginning of a header whose rest has not come yet.
    pub(super) header: Vec<u8>,
    /// The beginning of the current message's body, if it is one to note.
    kept: Vec<u8>,
    seen: Arc<Seen>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
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
pub(super) enum Piece<'a> {
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
    pub(super) fn new(seen: Arc<Seen>) -> Self {
        Self {
            position: Position::Header,
            header: Vec::with_capacity(HEADER),
            kept: Vec::new(),
            seen,
        }
    }

    /// Follows bytes that have gone by already.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while self.next(&mut bytes, usize::MAX).is_some() {}
    }

    /// Takes the next piece off `bytes`, a part of a body being no longer than `most`; `None` when they are used
    /// up.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8], most: usize) -> Option<Piece<'a>> {
        match self.position {
            _ if bytes.is_empty() => None,
            Position::Header => {
                let header = self.header(bytes)?;
                Some(self.begin(header))
            }
            Position::Body { kind, left } => {
                let part = take(bytes, left.min(most));
                self.pass(kind, left, part);
                Some(if kind == COPY_DATA {
                    Piece::Rows(part)
                } else {
                    Piece::Body(part)
                })
            }
            Position::Lost => Some(Piece::Body(take(bytes, most))),
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
            self.position = Position::Lost;
            return Piece::Header(header);
        };
        self.position = Position::Body { kind, left };
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
        self.position = Position::Body { kind, left };
        if left == 0 {
            self.position = Position::Header;
            self.seen.note(kind, &self.kept);
            self.kept.clear();
        }
    }

    /// Whether the next byte is the first of a message.
    pub(super) fn between_messages(&self) -> bool {
        self.position == Position::Header && self.header.is_empty()
    }

    /// Whether the next byte is one of a CopyData message's body.
    pub(super) fn within_rows(&self) -> bool {
        matches!(self.position, Position::Body { kind: COPY_DATA, .. })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.seen.end();
    }
}

/// Takes up to `most` bytes off the front.
pub(super) fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    bytes.split_off(..most.min(bytes.len())).unwrap_or_default()
}
