//! What was measured, as Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cost::Cost;
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

const COLUMNS: [&str; 8] = [
    "tool",
    "time, s",
    "times faster",
    "client CPU, s",
    "source CPU, s",
    "target CPU, s",
    "client memory, MB",
    "source snapshot held, s",
];
/// Where a proxy counts them.
const TURNS: &str = "round trips to the source";
/// What isn't known, or isn't meant.
const NONE: &str = "–";

/// One set's table; ratios are to the original pipe.
pub(crate) fn table(measured: &Measured) -> String {
    let Measured { set, data, rows, .. } = measured;
    let turns = set.way.line.map(|_| TURNS);
    let columns: Vec<&str> = COLUMNS.into_iter().chain(turns).collect();
    let mut text = format!(
        "### {}: {} of rows and TOAST, tables: {}\n\n| {} |\n|{}\n",
        set.name,
        data.size,
        data.tables,
        columns.join(" | "),
        " --- |".repeat(columns.len()),
    );
    let original = measured.seconds(word::ORIGINAL);
    for row in rows {
        let mut cells = match &row.ended {
            Ok(costs) => cells(row, costs, original),
            Err(_) => vec!["failed".to_owned()],
        };
        cells.insert(0, row.tool.name.replace('|', "\\|"));
        cells.resize(columns.len(), NONE.to_owned());
        writeln!(text, "| {} |", cells.join(" | ")).unwrap();
    }
    for note in rows.iter().filter_map(|row| note(measured, row)) {
        writeln!(text, "\n{note}").unwrap();
    }
    text
}

/// What doesn't fit a column.
fn note(measured: &Measured, row: &Row) -> Option<String> {
    let name = row.tool.name;
    let costs = match &row.ended {
        Ok(costs) => costs,
        Err(problem) => return Some(format!("{name} failed: {problem}")),
    };
    if matches!(row.tool.how, How::Floor(_)) {
        let parts = costs.first()?.parts.iter().map(|part| {
            let (wall, target) = (part.wall.as_secs_f64(), part.target.as_secs_f64());
            format!("{} {wall:.1} s (target CPU {target:.1} s)", part.what)
        });
        return Some(format!("{name}: {}", parts.collect::<Vec<_>>().join(", ")));
    }
    let (line, servers) = (line_seconds(measured, costs)?, servers_seconds(measured)?);
    let time = median(costs, |cost| cost.wall.as_secs_f64()) / line.max(servers);
    let mut text = format!(
        "{name}: what it read takes the line {line:.1} s, and the servers' CPU is all there is for {servers:.1} s: \
         {time:.2} times the longer"
    );
    // What a worker says of itself is not said of several.
    let share = line_share(measured, costs).filter(|_| row.tool.word != word::FIVE);
    if let Some(share) = share {
        write!(
            text,
            "; {:.0} % of the line was used while rows moved",
            share * 100.0
        )
        .unwrap();
    }
    Some(text)
}

/// How long the line takes at least for what was read.
pub(crate) fn line_seconds(measured: &Measured, costs: &[Cost]) -> Option<f64> {
    let bits_per_second = measured.set.way.line?.bits_per_second?;
    let bytes = f64::from(u32::try_from(costs.first()?.carried?).ok()?);
    Some(bytes * 8.0 / f64::from(u32::try_from(bits_per_second).ok()?))
}

/// How long the servers alone take at least, if all cores are theirs.
fn servers_seconds(measured: &Measured) -> Option<f64> {
    let costs = measured.costs(word::FLOOR_LZ4)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = median(costs, |cost| (cost.source + cost.target).as_secs_f64());
    Some(cpu / f64::from(u32::try_from(cores).unwrap()))
}

/// A tool's time over a line against what takes longer: its bytes on the line, or the servers' CPU.
pub(crate) fn against_the_floor(measured: &Measured, word: &str) -> Option<f64> {
    let line = line_seconds(measured, measured.costs(word)?)?;
    Some(measured.seconds(word)? / line.max(servers_seconds(measured)?))
}

/// Time, and what follows it.
fn cells(row: &Row, costs: &[Cost], original: Option<f64>) -> Vec<String> {
    let seconds = |of: fn(&Cost) -> Duration| median(costs, |cost| of(cost).as_secs_f64());
    let figure = |of| format!("{:.1}", seconds(of));
    // The servers alone have no client, and no transaction that spans the run.
    let of_clients = |text: String| match row.tool.how {
        How::Floor(_) => NONE.to_owned(),
        How::Script(_) => text,
    };
    let time = seconds(|cost| cost.wall);
    let mut cells = vec![
        format!("{time:.1}"),
        original.map_or(NONE.to_owned(), |original| format!("{:.2}", original / time)),
        of_clients(figure(|cost| cost.client)),
        figure(|cost| cost.source),
        figure(|cost| cost.target),
        of_clients(memory(costs)),
        of_clients(figure(|cost| cost.held)),
    ];
    let turns = costs.first().and_then(|cost| cost.turns);
    cells.extend(turns.map(|turns| turns.to_string()));
    cells
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
pub(crate) fn line_share(measured: &Measured, costs: &[Cost]) -> Option<f64> {
    let bits_per_second = measured.set.way.line?.bits_per_second?;
    let bytes = costs.first()?.row_bytes()?;
    let bytes_per_second = bytes / median(costs, |cost| cost.row_seconds().unwrap_or(f64::INFINITY));
    Some(bytes_per_second * 8.0 / f64::from(u32::try_from(bits_per_second).unwrap()))
}
