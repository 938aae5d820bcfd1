//! Which rows travel together, and which tables are cut: pure.

use std::collections::{BTreeMap, HashMap};

use crate::catalogue::{Format, Table, Tid, TidRange};
use crate::config::Split;
use crate::copy::kept::Added;
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

/// What is known of the tables beside their formats, by their OIDs.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    /// Tables that wait for others.
    pub(crate) waves: &'a HashMap<u32, usize>,
    pub(crate) measured: &'a Measured,
    /// Tables to whose rows others are added.
    pub(crate) added: &'a HashMap<u32, Added>,
}

/// A byte of a B-tree keeps a processor of the target about as long as two bytes of rows keep a line of a gigabit a second.
const BUILD_FACTOR: u64 = 2;
/// And one by which a B-tree grows row by row keeps it about as long as ten (measured: 100,000 rows into four indexes of 10 million take
/// 0.7 s, and make them some 8 MB larger).
const GROW_FACTOR: u64 = 10;

/// Divides all tables that hold anything; an empty file holds no rows under any snapshot. Tables of several `waves` do not
/// travel together.
pub(crate) fn divide(
    tables: &[Table],
    formats: &HashMap<u32, Format>,
    known: Known<'_>,
    terms: Terms,
) -> Division {
    let total: u64 = tables.iter().map(|table| known.weight(table)).sum();
    let mut small: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut groups: Vec<Vec<Task>> = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let Some(format) = formats.get(&table.oid).filter(|format| format.pages > 0) else {
            continue;
        };
        // What others compute must not see the settings that one is read under.
        if table.size_bytes <= SMALL_BYTES && format.pins.is_empty() {
            let wave = known.waves.get(&table.oid).copied().unwrap_or(0);
            small.entry(wave).or_default().push(index);
            continue;
        }
        let added = known.added.get(&table.oid);
        let first_block = added.map_or(0, |added| added.at.first_block.unwrap_or(format.pages));
        let blocks = (first_block, format.pages);
        let weights = (known.weight(table), total);
        let is_alone = added.is_some_and(|added| added.alone);
        match pieces(weights, format, blocks, terms) {
            pieces if pieces > 1 && !is_alone => groups.push(ranges(index, format, blocks, pieces).collect()),
            _ => groups.push(vec![Task::Whole(index)]),
        }
    }
    let each = usize::try_from(terms.jobs * PIECES_EACH).unwrap_or(1).max(1);
    for small in small.values() {
        let size = small.len().div_ceil(each).clamp(1, BATCH_MAX);
        groups.extend(small.chunks(size).map(|chunk| vec![Task::Batch(chunk.to_vec())]));
    }
    let jobs: Vec<Job> = groups.iter().map(|group| job(tables, group, known)).collect();
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
fn job(tables: &[Table], tasks: &[Task], known: Known<'_>) -> Job {
    let carried = || {
        let indexes = tasks.first().map_or(&[][..], Task::tables);
        indexes.iter().filter_map(|index| tables.get(*index))
    };
    Job {
        rows: carried().map(|table| known.weight(table)).sum(),
        builds: carried().map(|table| known.builds(table)).sum(),
        whole: tasks.len() == 1,
    }
}

/// How many pieces a table of that weight among all of them is cut into. Cutting costs the order of rows and FREEZE, so it is done where
/// otherwise one stream would still be busy when all others have nothing left.
fn pieces((weight, total): (u64, u64), format: &Format, (first, end): (u32, u32), terms: Terms) -> u32 {
    let share = total / terms.jobs;
    let wanted = match terms.split {
        Split::Never => false,
        Split::Auto => !format.ordered && weight > share,
        Split::Always => true,
    };
    if !wanted || terms.source_major < CUT_MAJOR || weight < CUT_MIN_BYTES || terms.jobs < 2 {
        return 1;
    }
    let piece = (share / PIECES_EACH).clamp(*PIECE_BYTES.start(), *PIECE_BYTES.end());
    let rows = u64::from(end.saturating_sub(first)) * u64::from(format.rows_per_page);
    u32::try_from(weight.div_ceil(piece).clamp(1, rows.max(1))).unwrap_or(u32::MAX)
}

/// Bounds lie between blocks, or within them where rows are few and long: the rows of a block are only guessed, and
/// what lies behind the guess belongs to the last range of the block. What lies before the first block is the first range's.
fn ranges(
    table: TableIndex,
    format: &Format,
    (first, end): (u32, u32),
    pieces: u32,
) -> impl Iterator<Item = Task> {
    let (blocks, each) = (
        u64::from(end.saturating_sub(first)),
        u64::from(format.rows_per_page),
    );
    let bound = move |piece: u32| -> Tid {
        if piece == 0 {
            return (0, 0);
        }
        let row = blocks * each * u64::from(piece) / u64::from(pieces);
        let (block, offset) = (u64::from(first) + row / each, row % each);
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

impl Known<'_> {
    /// How many bytes of rows keep the line as long as the rows of a table, with the indexes that they go into, keep their stream.
    fn weight(self, table: &Table) -> u64 {
        let grown = self.added.get(&table.oid).map_or(0, |added| added.index_bytes);
        table.size_bytes + grown * GROW_FACTOR
    }

    /// How many bytes of rows come while a table's indexes are built: as an earlier load has measured it, or by their sizes.
    fn builds(self, table: &Table) -> u64 {
        if self
            .added
            .get(&table.oid)
            .is_some_and(|added| added.index_bytes > 0)
        {
            return 0;
        }
        let measured = self.measured;
        let ms = measured.builds_ms.get(&table.relation.plain());
        match ms {
            Some(ms) if measured.bytes_per_ms > 0 => ms * measured.bytes_per_ms,
            Some(_) | None => table.build_bytes * BUILD_FACTOR,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::baseline::Whereabouts;
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

    /// All tables go at once.
    fn knowing<'a>(measured: &'a Measured, added: &'a HashMap<u32, Added>) -> Known<'a> {
        static WAVES: LazyLock<HashMap<u32, usize>> = LazyLock::new(HashMap::new);
        Known {
            waves: &WAVES,
            measured,
            added,
        }
    }

    /// The tasks of tables of which nothing was measured.
    fn divided(tables: &[Table], formats: &HashMap<u32, Format>, terms: Terms) -> Vec<Task> {
        divide(
            tables,
            formats,
            knowing(&Measured::default(), &HashMap::new()),
            terms,
        )
        .tasks
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
            let tasks = divide(&tables, &formats, knowing(measured, &HashMap::new()), one).tasks;
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
        let Division { tasks, turns } = divide(
            &tables,
            &formats,
            knowing(&Measured::default(), &HashMap::new()),
            whole,
        );
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
            let ranges: Vec<TidRange> = ranges(0, &format, (0, pages), pieces)
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
    fn rows_that_are_added_are_cut_where_they_are_and_by_what_indexes_cost() {
        // 5 MB of rows at the end of a table, and as many of one without indexes.
        let (tables, mut formats) = tables(&[5, 5]);
        let end = 100_000;
        formats.get_mut(&0).unwrap().pages = end;
        let added = |index_bytes, alone| Added {
            sql: String::new(),
            at: Whereabouts {
                listed: Vec::new(),
                first_block: Some(90_000),
            },
            index_bytes,
            alone,
        };
        let divided = |growing| {
            let added = HashMap::from([(0, growing), (1, added(0, false))]);
            divide(&tables, &formats, knowing(&Measured::default(), &added), TERMS).tasks
        };
        let tasks = divided(added(8 << 20, false));
        assert_eq!(tasks.len(), 7, "{tasks:?}");
        let Task::Range {
            table: 0,
            range: first,
        } = tasks[0]
        else {
            panic!("{tasks:?}");
        };
        assert_eq!(first, ((0, 0), Some((90_000 + 10_000 / 6, 66))));
        for whole in [added(0, false), added(8 << 20, true)] {
            assert_eq!(divided(whole).len(), 2);
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
