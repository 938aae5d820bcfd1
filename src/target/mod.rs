//! The server that is written: who may, what is there, what happened to it.

pub(crate) mod clear;
pub(crate) mod ledger;
pub(crate) mod lock;
pub(crate) mod privileges;
