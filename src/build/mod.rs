//! Pre-data and post-data by our own sessions: what is created in which order, and what of it side by side.

pub(crate) mod analyze;
pub(crate) mod constraints;
pub(crate) mod guard;
pub(crate) mod indexes;
pub(crate) mod order;
pub(crate) mod pre_data;
pub(crate) mod statements;
mod trees;
