//! What others do on the servers while a load is under way, and what a run has to make of it.

mod play;
mod table;

pub use play::Arena;
pub use table::{ATTACKS, Attack};
