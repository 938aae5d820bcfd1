//! pg_dump's archive of a schema and the programs that write and read it.

pub(crate) mod clients;
pub(crate) mod dump;
mod oom;
pub(crate) mod parts;
pub(crate) mod program;
pub(crate) mod statement;
pub(crate) mod toc;
