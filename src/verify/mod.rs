//! Whether source and target agree: rows, sequences, objects.

mod deparsed;
pub(crate) mod objects;
pub(crate) mod rows;

use crate::error::Error;
use crate::source::catalog::{Counted, SequenceState};

/// What the source holds.
#[derive(Debug)]
pub(crate) struct Expected {
    /// Rows under the snapshot; empty if they are not counted.
    pub(crate) counted: Vec<(Counted, u64)>,
    pub(crate) sequences: Vec<SequenceState>,
}

/// An error that holds every difference, unless there is none.
pub(crate) fn agree(differences: Vec<String>) -> Result<(), Error> {
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Error::Differ(differences))
    }
}
