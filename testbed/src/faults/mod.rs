//! What goes wrong between two servers, and what a run has to make of it.

pub mod crowd;
mod inject;
mod play;
pub mod stage;
mod table;

pub use play::Outcome;
pub(crate) use play::outside;
pub use table::{Fault, ROWS, Row, Side};
