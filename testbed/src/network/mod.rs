//! The way between two hosts.

pub mod proxy;
mod trouble;
