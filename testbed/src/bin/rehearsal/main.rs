//! `make rehearsal`: a warehouse of sixty schemas goes its whole way: planned, loaded by the state machine of `deploy/` with the
//! real worker while tasks come to harm, finalized, compared, rehearsed once more, and sealed.
//!
//! Every step says what was expected and what came; anything else than expected ends it with 1. How long something takes is told and
//! decides nothing.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step ends the rehearsal"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "a field that JSON lacks is null, which is not as expected"
)]

mod protocol;
mod rehearsal;
mod warehouse;

use std::env;
use std::process::ExitCode;

use crate::protocol::Protocol;
use crate::rehearsal::Rehearsal;

fn main() -> ExitCode {
    let scale = env::args()
        .find_map(|argument| argument.strip_prefix("SCALE=")?.parse().ok())
        .unwrap_or(1);
    let mut protocol = Protocol::begin();
    let rehearsal = Rehearsal::set_up(&protocol, scale);
    let first = rehearsal.plan(&mut protocol);
    rehearsal.first(&mut protocol, &first);
    rehearsal.cure(&mut protocol);
    rehearsal.compare(&mut protocol, &first, "verify");
    let second = rehearsal.second(&mut protocol);
    rehearsal.refresh(&mut protocol, &second);
    rehearsal.go_live(&mut protocol);
    if protocol.end() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
