//! Every question that is asked before anything changes, answered in one go.

pub(crate) mod hazard;

use crate::error::Refused;

/// One answer of preflight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The question, a constant such as `roles` or `lock table`.
    pub(crate) check: &'static str,
    pub(crate) verdict: Verdict,
}

/// What a question's answer means for a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing stands in the way; the text says what was found.
    Fine(String),
    /// Worth knowing, such as an object that is not carried.
    Noted(String),
    Refused(Refused),
}
