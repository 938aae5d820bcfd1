//! Which rows travel together, and which tables are cut: pure.

use std::collections::{BTreeMap, HashMap};

use crate::catalogue::{Format, Table, Tid, TidRange};
use crate::config::Split;
use crate::copy::schedule::{self, Job};
use crate::ledger::Measured;

/// Tables up to this size travel together: what they cost is round trips and commits.
const SMALL_BYTES: u64 = 256 * 1024;
/// Small tables that share a transaction. Each takes some seven locks while its keys are built.
const BATCH_MAX: usize = 50;
/// Tables below are never cut.
const CUT_MIN_BYTES: u64 = 64 << 20;
/// No piece of a table is made smaller, and none larger.
const PIECE_BYTES: std::ops::RangeInclusive<u64> = (16 << 20)..=(16 << 30);
/// Pieces that each stream gets on average, so that they end at about the same time.
const PIECES_EACH: u64 = 4;
/// TID range scans came with 14; before, each range would read the whole table.
const CUT_MAJOR: u32 = 14;

/// Rows that travel in one transaction of the target. Tables are named by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// Small tables.
    Batch(Vec<TableIndex>),
    Whole(TableIndex),
    Range {
        table: TableIndex,
        range: TidRange,
    },
}

/// The index of a table in the list that the catalogue gave.
pub(crate) type TableIndex = usize;

impl Task {
    /// Indexes of the tables whose rows these are.
    pub(crate) fn tables(&self) -> &[TableIndex] {
        match self {
            Self::Batch(tables) => tables,
            Self::Whole(table) | Self::Range { table, .. } => std::slice::from_ref(table),
        }
    }
}

/// What is to move.
#[derive(Debug)]
pub(crate) struct Division {
    /// In the order in which they begin: all of a table before any of the next.
    pub(crate) tasks: Vec<Task>,
    /// Which of the tables has the line before which others where it is what is short, and so as good as one stream.
    pub(crate) turns: HashMap<TableIndex, usize>,
}

/// What the plan depends on beside the tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Streams in flight.
    pub(crate) jobs: u64,
    pub(crate) split: Split,
    pub(crate) source_major: u32,
}

/// A byte of a B-tree keeps a processor of the target about as long as two bytes of rows keep a line of a gigabit a second.
const BUILD_FACTOR: u64 = 2;

/// Divides all tables that hold anything; an empty file holds no rows under any snapshot. Tables of several `waves` do not
/// travel together.
pub(crate) fn divide(
    tables: &[Table],
    formats: &HashMap<u32, Format>,
    (waves, measured): (&HashMap<u32, usize>, &Measured),
    terms: Terms,
) -> Division {
    let total: u64 = tables.iter().map(|table| table.size_bytes).sum();
    let mut small: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut groups: Vec<Vec<Task>> = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let Some(format) = formats.get(&table.oid).filter(|format| format.pages > 0) else {
            continue;
        };
        // What others compute must not see the settings that one is read under.
        if table.size_bytes <= SMALL_BYTES && format.pins.is_empty() {
            let wave = waves.get(&table.oid).copied().unwrap_or(0);
            small.entry(wave).or_default().push(index);
            continue;
        }
        match pieces(table, format, total, terms) {
            1 => groups.push(vec![Task::Whole(index)]),
            pieces => groups.push(ranges(index, format, pieces).collect()),
        }
    }
    let each = usize::try_from(terms.jobs * PIECES_EACH).unwrap_or(1).max(1);
    for small in small.values() {
        let size = small.len().div_ceil(each).clamp(1, BATCH_MAX);
        groups.extend(small.chunks(size).map(|chunk| vec![Task::Batch(chunk.to_vec())]));
    }
    let jobs: Vec<Job> = groups.iter().map(|group| job(tables, group, measured)).collect();
    let mut turns = HashMap::new();
    for (turn, group) in schedule::order(&jobs, 1).into_iter().enumerate() {
        let tables = groups.get(group).into_iter().flatten().flat_map(Task::tables);
        turns.extend(tables.map(|table| (*table, turn)));
    }
    let mut tasks = Vec::new();
    for group in schedule::order(&jobs, terms.jobs) {
        tasks.append(groups.get_mut(group).unwrap_or(&mut Vec::new()));
    }
    Division { tasks, turns }
}

/// The tasks of one table, or of several small ones, as the schedule wants them.
fn job(tables: &[Table], tasks: &[Task], measured: &Measured) -> Job {
    let carried = || {
        let indexes = tasks.first().map_or(&[][..], Task::tables);
        indexes.iter().filter_map(|index| tables.get(*index))
    };
    Job {
        rows: carried().map(|table| table.size_bytes).sum(),
        builds: carried().map(|table| builds(table, measured)).sum(),
        whole: tasks.len() == 1,
    }
}

/// How many pieces a table is cut into. Cutting costs the order of rows and FREEZE, so it is done where otherwise one
/// stream would still be busy when all others have nothing left.
fn pieces(table: &Table, format: &Format, total: u64, terms: Terms) -> u32 {
    let share = total / terms.jobs;
    let wanted = match terms.split {
        Split::Never => false,
        Split::Auto => !format.ordered && table.size_bytes > share,
        Split::Always => true,
    };
    if !wanted || terms.source_major < CUT_MAJOR || table.size_bytes < CUT_MIN_BYTES || terms.jobs < 2 {
        return 1;
    }
    let piece = (share / PIECES_EACH).clamp(*PIECE_BYTES.start(), *PIECE_BYTES.end());
    let rows = u64::from(format.pages) * u64::from(format.rows_per_page);
    u32::try_from(table.size_bytes.div_ceil(piece).clamp(1, rows.max(1))).unwrap_or(u32::MAX)
}

/// Bounds lie between blocks, or within them where rows are few and long: the rows of a block are only guessed, and
/// what lies behind the guess belongs to the last range of the block.
fn ranges(table: TableIndex, format: &Format, pieces: u32) -> impl Iterator<Item = Task> {
    let (pages, each) = (u64::from(format.pages), u64::from(format.rows_per_page));
    let bound = move |piece: u32| -> Tid {
        let row = pages * each * u64::from(piece) / u64::from(pieces);
        let (block, offset) = (row / each, row % each);
        (
            u32::try_from(block).unwrap_or(u32::MAX),
            u32::try_from(offset).unwrap_or(0),
        )
    };
    (0..pieces).map(move |piece| Task::Range {
        table,
        range: (bound(piece), (piece + 1 < pieces).then(|| bound(piece + 1))),
    })
}

/// How many bytes of rows come while a table's indexes are built: as an earlier load has measured it, or by their sizes.
fn builds(table: &Table, measured: &Measured) -> u64 {
    let ms = measured.builds_ms.get(&table.relation.plain());
    match ms {
        Some(ms) if measured.bytes_per_ms > 0 => ms * measured.bytes_per_ms,
        Some(_) | None => table.build_bytes * BUILD_FACTOR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Relation;

    const TERMS: Terms = Terms {
        jobs: 4,
        split: Split::Auto,
        source_major: 15,
    };

    /// Tables of these sizes in MiB, and their formats.
    fn tables(sizes: &[u64]) -> (Vec<Table>, HashMap<u32, Format>) {
        let table = |(index, size): (usize, &u64)| Table {
            oid: u32::try_from(index).unwrap(),
            relation: Relation {
                schema: "s".to_owned(),
                name: format!("t{index}"),
            },
            size_bytes: size << 20,
            build_bytes: 0,
            root: None,
            by_root: false,
        };
        let format = |(index, size): (usize, &u64)| {
            let format = Format {
                columns: vec!["a".to_owned(), "B\"".to_owned()],
                pages: u32::try_from(size << 7).unwrap(),
                rows_per_page: 100,
                ..Format::default()
            };
            (u32::try_from(index).unwrap(), format)
        };
        (
            sizes.iter().enumerate().map(table).collect(),
            sizes.iter().enumerate().map(format).collect(),
        )
    }

    /// The tasks of tables that all go at once, of which nothing was measured.
    fn divided(tables: &[Table], formats: &HashMap<u32, Format>, terms: Terms) -> Vec<Task> {
        divide(tables, formats, (&HashMap::new(), &Measured::default()), terms).tasks
    }

    #[test]
    fn only_a_table_that_would_outlast_the_others_is_cut() {
        let (even, formats) = tables(&[200, 200, 200, 200, 100]);
        let tasks = divided(&even, &formats, TERMS);
        assert_eq!(tasks, (0..5).map(Task::Whole).collect::<Vec<_>>());

        let (lopsided, mut formats) = tables(&[2000, 100, 100]);
        let tasks = divided(&lopsided, &formats, TERMS);
        let ranges = tasks.iter().filter(|task| matches!(task, Task::Range { .. }));
        assert_eq!((ranges.count(), tasks.len()), (15, 17));
        let (one, old, never, always) = (
            Terms { jobs: 1, ..TERMS },
            Terms {
                source_major: 13,
                ..TERMS
            },
            Terms {
                split: Split::Never,
                ..TERMS
            },
            Terms {
                split: Split::Always,
                ..TERMS
            },
        );
        for terms in [one, old, never] {
            assert_eq!(divided(&lopsided, &formats, terms).len(), 3, "{terms:?}");
        }
        formats.get_mut(&0).unwrap().ordered = true;
        assert_eq!(divided(&lopsided, &formats, TERMS).len(), 3);
        assert!(divided(&lopsided, &formats, always).len() > 3);
    }

    #[test]
    fn what_takes_long_to_build_goes_first() {
        let (mut tables, formats) = tables(&[60, 50, 40, 30]);
        tables[2].build_bytes = 45 << 20;
        let one = Terms { jobs: 1, ..TERMS };
        let order = |measured: &Measured| {
            let tasks = divide(&tables, &formats, (&HashMap::new(), measured), one).tasks;
            tasks.iter().map(|task| task.tables()[0]).collect::<Vec<_>>()
        };
        assert_eq!(order(&Measured::default()), [2, 0, 1, 3]);
        let measured = Measured {
            bytes_per_ms: 1 << 20,
            builds_ms: HashMap::from([("s.t3".to_owned(), 31), ("s.t2".to_owned(), 1)]),
        };
        assert_eq!(order(&measured), [3, 2, 0, 1]);
    }

    #[test]
    fn what_begins_first_because_one_stream_carries_it_has_no_right_to_the_line() {
        let (mut tables, formats) = tables(&[1000, 100, 100]);
        tables[1].build_bytes = 400 << 20;
        let whole = Terms {
            split: Split::Never,
            ..TERMS
        };
        let Division { tasks, turns } =
            divide(&tables, &formats, (&HashMap::new(), &Measured::default()), whole);
        assert_eq!(tasks, [0, 1, 2].map(Task::Whole));
        assert_eq!([0, 1, 2].map(|table| turns[&table]), [1, 0, 2]);
    }

    #[test]
    fn ranges_follow_on_each_other_and_the_last_is_open() {
        for (pages, rows_per_page, pieces) in
            [(1, 1, 1), (10, 100, 3), (1, 64, 5), (2, 3, 6), (u32::MAX, 291, 5)]
        {
            let format = Format {
                pages,
                rows_per_page,
                ..Format::default()
            };
            let ranges: Vec<TidRange> = ranges(0, &format, pieces)
                .map(|task| match task {
                    Task::Range { range, .. } => range,
                    Task::Batch(_) | Task::Whole(_) => panic!("{task:?}"),
                })
                .collect();
            assert_eq!(ranges.len(), usize::try_from(pieces).unwrap());
            assert_eq!(ranges[0].0, (0, 0));
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].1, Some(pair[1].0));
                assert!(pair[0].0 < pair[1].0, "{ranges:?}");
            }
            assert_eq!(ranges[ranges.len() - 1].1, None);
        }
    }

    #[test]
    fn empty_tables_stay_at_home_and_small_ones_travel_together() {
        let (mut small, mut formats) = tables(&[1; 1000]);
        for table in &mut small {
            table.size_bytes = 8192;
        }
        formats.get_mut(&7).unwrap().pages = 0;
        let tasks = divided(&small, &formats, TERMS);
        assert_eq!(tasks.len(), 20);
        assert_eq!(tasks.iter().map(|task| task.tables().len()).sum::<usize>(), 999);
    }
}
