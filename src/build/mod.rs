//! Post-data by our own sessions: indexes, constraints, and what comes after them.

pub(crate) mod constraints;
pub(crate) mod indexes;
pub(crate) mod order;
pub(crate) mod statements;
