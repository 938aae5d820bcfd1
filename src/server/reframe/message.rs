//! The kinds of the server's messages that are looked at, as the protocol has them.

/// A message's kind and its length.
pub(super) const HEADER: usize = 5;

pub(super) const BACKEND_KEY_DATA: u8 = b'K';
pub(super) const COMMAND_COMPLETE: u8 = b'C';
pub(super) const COPY_DATA: u8 = b'd';
pub(super) const ERROR_RESPONSE: u8 = b'E';
pub(super) const READY_FOR_QUERY: u8 = b'Z';
