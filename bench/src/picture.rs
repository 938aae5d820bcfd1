//! The picture: time per tool, a group of bars for each set, as SVG.

use std::fmt::Write as _;

use crate::Measured;
use crate::tools::How;

const WIDTH: u32 = 860;
/// Where bars begin, and how long the longest of a group is.
const LEFT: u32 = 290;
const LONGEST: f64 = 470.0;
const ROW: u32 = 24;
const TITLE: u32 = 40;
const MARGIN: u32 = 20;

/// One for the worker, one for its peers, one for what no tool can be much faster than.
const OURS: &str = "#2563a8";
const PEERS: &str = "#a9b4c0";
const FLOOR: &str = "#6b8f71";

/// Draws what was measured; tools that failed say so.
pub(crate) fn draw(measured: &[Measured]) -> String {
    let mut bars = String::new();
    let mut y = MARGIN;
    for measured in measured {
        y = group(&mut bars, measured, y);
    }
    let height = y + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#1f2933\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n{bars}</svg>\n"
    )
}

/// One set; where the next begins.
fn group(text: &mut String, measured: &Measured, top: u32) -> u32 {
    let Measured { set, data, rows, .. } = measured;
    writeln!(
        text,
        "<text x=\"{MARGIN}\" y=\"{}\" font-size=\"15\" font-weight=\"600\">{}: {}, tables: {}</text>",
        top + 22,
        set.name,
        data.size,
        data.tables
    )
    .unwrap();
    let seconds = |word| measured.seconds(word);
    let slowest = rows.iter().filter_map(|row| seconds(row.tool.word));
    let slowest = slowest.fold(f64::MIN_POSITIVE, f64::max);
    let mut y = top + TITLE;
    for row in rows {
        let colour = match row.tool.how {
            How::Floor(_) => FLOOR,
            How::Script(_) if row.tool.is_ours() => OURS,
            How::Script(_) => PEERS,
        };
        let (length, label) = match seconds(row.tool.word) {
            Some(seconds) => (LONGEST * seconds / slowest, format!("{seconds:.1} s")),
            None => (0.0, "failed".to_owned()),
        };
        writeln!(
            text,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" rx=\"2\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{label}</text>",
            LEFT - 10,
            y + 13,
            row.tool.name,
            ROW - 7,
            f64::from(LEFT) + length + 8.0,
            y + 13,
        )
        .unwrap();
        y += ROW;
    }
    y + MARGIN / 2
}
