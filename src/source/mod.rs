//! The server that is read, and only read.

pub(crate) mod catalog;
pub(crate) mod snapshot;
