//! The server that is read, and only read.

pub(crate) mod activity;
pub(crate) mod catalog;
pub(crate) mod snapshot;
