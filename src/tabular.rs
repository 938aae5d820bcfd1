//! Tables and spans of time in plain text.

use std::fmt::Write as _;
use std::time::Duration;

/// Characters of a name in a table.
const NAME_MAX: usize = 32;

/// A name as far as it fits into a table.
pub(crate) fn cut(name: &str) -> String {
    if name.chars().count() <= NAME_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_MAX - 1).chain(['…']).collect()
}

/// So many of something.
pub(crate) fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// Columns side by side: the first to the left, a bar too, everything else to the right.
pub(crate) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                write!(text, "  {cell:<width$}").ok();
            } else {
                write!(text, "  {cell:>width$}").ok();
            }
        }
        text.push('\n');
    }
    text
}

/// Seconds in words, no finer than they are meant.
pub(crate) fn span(seconds: f64) -> String {
    let step = match seconds {
        ..1.0 => 0.01,
        ..60.0 => 1.0,
        ..7200.0 => 10.0,
        _ => 60.0,
    };
    let rounded = Duration::try_from_secs_f64((seconds / step).round() * step).unwrap_or(Duration::MAX);
    humantime::format_duration(Duration::from_millis(
        u64::try_from(rounded.as_millis()).unwrap_or(u64::MAX),
    ))
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_no_finer_than_they_are_meant() {
        let cases = [
            (0.0, "0s"),
            (0.052, "50ms"),
            (12.4, "12s"),
            (754.0, "12m 30s"),
            (12_029.0, "3h 20m"),
        ];
        for (seconds, expected) in cases {
            assert!(
                span(seconds).starts_with(expected),
                "{seconds}: {}",
                span(seconds)
            );
        }
    }
}
