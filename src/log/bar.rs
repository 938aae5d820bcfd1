//! The bar that a terminal shows on standard error while rows move.

use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Lets there be a bar, from its first movement on.
pub(super) fn allow() {
    BAR.get_or_init(ProgressBar::hidden);
}

/// Does `work` while the bar is out of the way.
pub(super) fn aside(work: impl FnOnce()) {
    match BAR.get() {
        Some(bar) => bar.suspend(work),
        None => work(),
    }
}

/// Moves the terminal's bar, where there is one.
pub(crate) fn show(phase: &'static str, share: f64, bytes: u64, left: Option<Duration>) {
    let Some(bar) = BAR.get() else { return };
    if bar.is_hidden() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {percent}% {msg}") {
            bar.set_style(style);
        }
        bar.set_length(1000);
    }
    let permille = (share.clamp(0.0, 1.0) * 1000.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1000"
    )]
    bar.set_position(permille as u64);
    let left = left.map_or_else(String::new, |left| format!(", {} left", HumanDuration(left)));
    bar.set_message(format!("{phase}, {}{left}", HumanBytes(bytes)));
}

/// Takes the bar away.
pub(crate) fn end() {
    if let Some(bar) = BAR.get() {
        bar.finish_and_clear();
    }
}
