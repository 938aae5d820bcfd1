//! Rows of others among those that loads of ours have left on the target: by the numbers of the transactions, exactly, and whether the
//! server's counters tell of them yet.

pub(crate) mod settle;

use std::collections::{BTreeMap, BTreeSet};

use crate::baseline::{self, Baseline, Noted};
use crate::catalogue::{self, Counted, Relation, Table};
use crate::config::{SchemaName, Schemas};
use crate::error::Error;
use crate::ledger::{self, Load};
use crate::server::session::Session;

/// Tables that one statement looks at, in a transaction that keeps their locks and those of their indexes; a server of default size has
/// some 6,000.
const LOOKED_AT_MAX: usize = 1000;

/// What is counted as one.
pub(crate) struct Part {
    counted: Counted,
    pub(crate) tables: Vec<u32>,
    pub(crate) rows: u64,
    xids: Vec<u32>,
}

impl Part {
    /// Whether there are rows of which no transaction is known.
    pub(crate) fn is_unknown(&self) -> bool {
        self.rows > 0 && self.xids.is_empty()
    }
}

/// Tables by what they are counted under, by the names under which their rows have landed: the source may have others by now. A root that
/// leaves' rows were given to is counted whole.
pub(crate) fn parts(tables: &[(&Table, &baseline::Table)], landed: &BTreeMap<u32, Vec<u32>>) -> Vec<Part> {
    let listed = tables.iter().map(|(table, known)| Table {
        relation: known.relation.clone(),
        ..(*table).clone()
    });
    let listed: Vec<Table> = listed.collect();
    let by_root = tables.iter().enumerate().filter(|(_, (_, known))| known.by_root);
    let units = catalogue::units(&listed, &by_root.map(|(index, _)| index).collect());
    let mut parts: BTreeMap<Counted, Part> = BTreeMap::new();
    for (counted, (table, known)) in units.into_iter().zip(tables) {
        let part = parts.entry(counted.clone()).or_insert_with(|| Part {
            counted,
            tables: Vec::new(),
            rows: 0,
            xids: Vec::new(),
        });
        part.tables.push(table.oid);
        part.rows += known.rows;
        part.xids.extend(landed.get(&table.oid).into_iter().flatten());
    }
    parts.into_values().collect()
}

/// Tables, by their OIDs on the source, with what was noted of them, but for those that a crash has emptied.
pub(crate) fn noted<'b>(
    baseline: &'b Baseline,
    tables: Vec<Table>,
    emptied: &BTreeSet<Relation>,
) -> Vec<(Table, &'b baseline::Table)> {
    let of_source = baseline.contents.tables.iter();
    let of_source: BTreeMap<&Relation, &baseline::Table> =
        of_source.map(|table| (&table.relation, table)).collect();
    let tables = tables
        .into_iter()
        .filter(|table| !emptied.contains(&table.relation));
    let both = tables.filter_map(|table| {
        let noted = *of_source.get(&table.relation)?;
        let oid = noted.oid;
        Some((Table { oid, ..table }, noted))
    });
    both.collect()
}

/// What rows of others a complete load's schema holds, in words, whatever counters tell; `among`: only these tables are looked at. `None`
/// where that cannot be told, or of too many. `outside` may read the ledger; the rows are looked up in the transaction of `target`.
pub(crate) async fn rows_of_others(
    (target, outside): (&Session, &Session),
    load: &Load,
    (schema_oid, among): (u32, Option<&[u32]>),
) -> Result<Option<Vec<String>>, Error> {
    let Some(Noted::Known(baseline)) = load.baseline_of_unit(outside).await? else {
        return Ok(None);
    };
    let landed = ledger::transactions(outside, &baseline.loads).await?;
    let tally = load.tally(target, schema_oid).await?;
    let emptied = tally.emptied.iter().map(|name| load.relation(name)).collect();
    let schemas: Schemas = std::iter::once(SchemaName::of_ledger(load.schema.clone())).collect();
    let mut tables = catalogue::tables(target, &schemas).await?;
    let count = tables.len();
    tables.retain(|table| among.is_none_or(|among| among.contains(&table.oid)));
    let is_part = tables.len() < count;
    if tables.len() > LOOKED_AT_MAX {
        return Ok(None);
    }
    let both = noted(&baseline, tables, &emptied);
    // What was given to a root may be in any of its leaves.
    if is_part && both.iter().any(|(_, noted)| noted.by_root) {
        return Ok(None);
    }
    let both: Vec<_> = both.iter().map(|(table, noted)| (table, *noted)).collect();
    if !are_known(&both, &landed) {
        return Ok(None);
    }
    let strange = seen_by(target, &both, &landed);
    let strange = match target.aside(strange).await? {
        Err(error) if error.is_unanswerable() => return Ok(None),
        strange => strange?,
    };
    let strange = both.iter().filter(|(table, _)| strange.contains(&table.oid));
    let changes = strange.map(|(table, _)| in_words(&table.relation));
    Ok(Some(changes.collect()))
}

/// Of a table that somebody has written to, in words.
pub(crate) fn in_words(table: &Relation) -> String {
    format!("rows of {} were written", table.quoted())
}

/// Names the tables, by their OIDs on the source, whose rows are not exactly those that have `landed` and that are expected of `tables`,
/// looked up by one session, in its transaction.
pub(crate) async fn seen_by(
    session: &Session,
    tables: &[(&Table, &baseline::Table)],
    landed: &BTreeMap<u32, Vec<u32>>,
) -> Result<BTreeSet<u32>, Error> {
    let parts = parts(tables, landed);
    let counted = if parts.is_empty() {
        Vec::new()
    } else {
        count(session, &parts).await?
    };
    Ok(strange(parts, counted).into_iter().collect())
}

/// Whether it is known of all of them by which transactions their rows have come.
fn are_known(tables: &[(&Table, &baseline::Table)], landed: &BTreeMap<u32, Vec<u32>>) -> bool {
    !parts(tables, landed).iter().any(Part::is_unknown)
}

/// Tables of the parts of which something else was counted than is expected.
pub(crate) fn strange(parts: Vec<Part>, counted: Vec<(u64, u64)>) -> Vec<u32> {
    let strange = parts
        .into_iter()
        .zip(counted)
        .filter(|(part, counted)| *counted != (part.rows, part.rows));
    strange.flat_map(|(part, _)| part.tables).collect()
}

/// Of each part, how many rows are ours, and how many there are.
pub(crate) async fn count(session: &Session, parts: &[Part]) -> Result<Vec<(u64, u64)>, Error> {
    let counts = parts.iter().enumerate().map(|(index, part)| {
        let xids: Vec<String> = part.xids.iter().map(u32::to_string).collect();
        format!(
            "SELECT {index} AS index, pg_catalog.count(*) FILTER (WHERE xmin = ANY ('{{{}}}'::pg_catalog.xid[])) AS ours, \
             pg_catalog.count(*) AS rows FROM {}",
            xids.join(","),
            part.counted.sql()
        )
    });
    let sql = format!(
        "{} ORDER BY index",
        counts.collect::<Vec<String>>().join(" UNION ALL ")
    );
    let rows = match session.query("look who has written the rows", &sql, &[]).await {
        Ok(rows) => rows,
        // Whoever has dropped one of them: none of these is known.
        Err(error) if error.is_name_not_found() => return Ok(vec![(0, u64::MAX); parts.len()]),
        Err(error) => return Err(error),
    };
    let number = |row: &tokio_postgres::Row, name| u64::try_from(row.get::<_, i64>(name)).unwrap_or_default();
    Ok(rows
        .iter()
        .map(|row| (number(row, "ours"), number(row, "rows")))
        .collect())
}
