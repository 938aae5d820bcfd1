//! What was measured, as Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cost::Cost;
use crate::sets::LINE_BITS_PER_SECOND;
use crate::tools::{How, word};
use crate::{Measured, Row};

/// The middle one of the rounds' figures.
pub(crate) fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

impl Measured {
    /// A tool's costs, where it was run on the set and did not fail.
    pub(crate) fn costs(&self, word: &str) -> Option<&[Cost]> {
        let row = self.rows.iter().find(|row| row.tool.word == word)?;
        row.ended.as_deref().ok()
    }

    /// A tool's time.
    pub(crate) fn seconds(&self, word: &str) -> Option<f64> {
        Some(median(self.costs(word)?, |cost| cost.wall.as_secs_f64()))
    }
}

/// One set's table; ratios are to the original pipe.
pub(crate) fn table(measured: &Measured) -> String {
    let Measured { set, data, rows } = measured;
    let mut text = format!(
        "### {}: {} of rows and TOAST, {} tables\n\n\
         | tool | time, s | times faster | client CPU, s | source CPU, s | target CPU, s | client memory, MB \
         | source snapshot held, s |{}\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |{}\n",
        set.name,
        data.size,
        data.tables,
        set.way.line.map_or("", |_| " round trips to the source |"),
        set.way.line.map_or("", |_| " --- |"),
    );
    let original = measured.seconds(word::ORIGINAL);
    for row in rows {
        let name = row.tool.name.replace('|', "\\|");
        let cells = match &row.ended {
            Ok(costs) => cells(row, costs, original),
            Err(_) => "failed | – | – | – | – | – | – |".to_owned(),
        };
        writeln!(text, "| {name} | {cells}").unwrap();
    }
    for row in rows {
        if let Err(problem) = &row.ended {
            writeln!(text, "\n{} failed: {problem}", row.tool.name).unwrap();
        } else if let Ok(costs) = &row.ended
            && set.way.line.is_some_and(|line| line.bits_per_second.is_some())
            && let Some(share) = line_share(costs)
        {
            let percent = share * 100.0;
            writeln!(
                text,
                "\n{}: {percent:.0} % of the line was used while rows moved",
                row.tool.name
            )
            .unwrap();
        }
    }
    text
}

fn cells(row: &Row, costs: &[Cost], original: Option<f64>) -> String {
    let seconds = |of: fn(&Cost) -> Duration| median(costs, |cost| of(cost).as_secs_f64());
    let time = seconds(|cost| cost.wall);
    let mut text = format!(
        "{time:.1} | {} | {:.1} | {:.1} | {:.1} | {} | {:.1} |",
        original.map_or("–".to_owned(), |original| format!("{:.2}", original / time)),
        seconds(|cost| cost.client),
        seconds(|cost| cost.source),
        seconds(|cost| cost.target),
        memory(costs),
        seconds(|cost| cost.held),
    );
    if matches!(row.tool.how, How::Floor) {
        text = format!(
            "{time:.1} | {} | – | {:.1} | {:.1} | – | – |",
            original.map_or("–".to_owned(), |original| format!("{:.2}", original / time)),
            seconds(|cost| cost.source),
            seconds(|cost| cost.target),
        );
    }
    if let Some(turns) = costs.first().and_then(|cost| cost.turns) {
        write!(text, " {turns} |").unwrap();
    }
    text
}

/// Each program's largest process in any round.
fn memory(costs: &[Cost]) -> String {
    let mut programs: Vec<&String> = costs.iter().flat_map(|cost| cost.peaks.keys()).collect();
    programs.sort();
    programs.dedup();
    let programs = programs.into_iter().map(|program| {
        let peak = peak_mb(costs, program).unwrap_or_default();
        format!("{program} {peak:.0}")
    });
    programs.collect::<Vec<_>>().join(", ")
}

/// The most memory that a process of this program had.
pub(crate) fn peak_mb(costs: &[Cost], program: &str) -> Option<f64> {
    let peaks = costs.iter().filter_map(|cost| cost.peaks.get(program));
    let highest = peaks.max()?;
    Some(f64::from(u32::try_from(*highest).unwrap()) * 1024.0 / 1e6)
}

/// The share of the line's width that the rows took.
pub(crate) fn line_share(costs: &[Cost]) -> Option<f64> {
    let bytes = costs.first()?.row_bytes()?;
    let bytes_per_second = bytes / median(costs, |cost| cost.row_seconds().unwrap_or(f64::INFINITY));
    let width = f64::from(u32::try_from(LINE_BITS_PER_SECOND / 8).unwrap());
    Some(bytes_per_second / width)
}
