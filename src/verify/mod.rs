//! Whether source and target agree: objects, sequences, rows, values.
//!
//! A load compares what it has moved with what its snapshot showed. The command `verify` compares what both sides hold
//! now, each under one snapshot, and tells what the source has written since the load from a difference.

mod command;
pub(crate) mod hasher;
pub(crate) mod loaded;
mod narrow;
pub(crate) mod objects;
mod rows;
mod values;

pub(crate) use command::verify;

use crate::catalogue::{Counted, Relation, SequenceState};
use crate::verify::values::{Differing, Shape};

/// What the source holds.
#[derive(Debug)]
pub(crate) struct Expected {
    /// Rows under the snapshot; empty if they are not counted.
    pub(crate) counted: Vec<(Counted, u64)>,
    pub(crate) sequences: Vec<SequenceState>,
}

/// A difference, and the tables or the sequence whose writes since the load would explain it.
#[derive(Debug)]
struct Difference {
    tables: Vec<Relation>,
    text: String,
}

/// Tables that differ, as differences of theirs or of all leaves of a root.
fn named(shapes: &[Shape], differing: Vec<Differing>) -> Vec<Difference> {
    let differences = differing.into_iter().map(|one| Difference {
        tables: values::tables_of(shapes, &one.whole),
        text: one.to_string(),
    });
    differences.collect()
}
