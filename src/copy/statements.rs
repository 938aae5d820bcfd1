//! The statements by which rows are read and written, and in which form they travel: pure.

use crate::catalogue::{self, Format, Relation, Table, Tid, TidRange};
use crate::config::ToastCompression;
use crate::copy::kept::Added;
use crate::server::quoting::quote_ident;
use crate::server::settings;

/// The statement that reads rows: of the table alone, its children left out.
pub(crate) fn copy_out(
    table: &Table,
    format: &Format,
    (range, added): (Option<TidRange>, Option<&Added>),
) -> String {
    let name = table.relation.quoted();
    let columns = column_list(&format.columns);
    let options = form(format);
    let conditions = match (range, added) {
        (None, None) => {
            let list = parenthesized(&columns);
            return format!("COPY {name}{list} TO STDOUT{options}");
        }
        (Some(range), None) => vec![catalogue::within(range)],
        (range, Some(added)) => of_added(range.unwrap_or(((0, 0), None)), added),
    };
    let selects = conditions
        .iter()
        .map(|condition| format!("SELECT {columns} FROM ONLY {name} WHERE {condition}"));
    let selects: Vec<String> = selects.collect();
    format!("COPY ({}) TO STDOUT{options}", selects.join(" UNION ALL "))
}

/// Conditions of which one holds for each added row of a range: a server that is told identifiers, or from where on, reads nothing else.
fn of_added((from, to): TidRange, Added { sql, at, .. }: &Added) -> Vec<String> {
    let first = at.first_block.map(|block| (block, 0));
    let is_here = |tid: &&Tid| {
        **tid >= from && to.is_none_or(|to| **tid < to) && first.is_none_or(|first| **tid < first)
    };
    let listed: Vec<String> = at
        .listed
        .iter()
        .filter(is_here)
        .map(|(block, row)| format!("\"({block},{row})\""))
        .collect();
    let mut conditions = Vec::new();
    if !listed.is_empty() {
        conditions.push(format!(
            "ctid = ANY ('{{{}}}'::pg_catalog.tid[])",
            listed.join(",")
        ));
    }
    if let Some(first) = first {
        conditions.push(format!("{} AND {sql}", catalogue::within((from.max(first), to))));
    }
    if conditions.is_empty() {
        conditions.push("false".to_owned());
    }
    conditions
}

/// The statement that writes rows into `into`.
pub(crate) fn copy_in(into: &Relation, format: &Format, freeze: bool) -> String {
    let list = parenthesized(&column_list(&format.columns));
    let name = into.quoted();
    match (format.unsafe_type.is_none(), freeze) {
        (true, true) => format!("COPY {name}{list} FROM STDIN (FORMAT binary, FREEZE)"),
        (false, true) => format!("COPY {name}{list} FROM STDIN (FREEZE)"),
        (_, false) => format!("COPY {name}{list} FROM STDIN{}", form(format)),
    }
}

fn form(format: &Format) -> &'static str {
    if format.unsafe_type.is_none() {
        " (FORMAT binary)"
    } else {
        ""
    }
}

fn column_list(columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quote_ident(column)).collect();
    names.join(", ")
}

/// COPY knows no empty list: a table without columns is named alone.
fn parenthesized(columns: &str) -> String {
    if columns.is_empty() {
        String::new()
    } else {
        format!(" ({columns})")
    }
}

/// The statement that sets what reading the rows depends on, for as long as the transaction lasts.
pub(crate) fn pins(format: &Format) -> Option<String> {
    let names: Vec<&str> = format.pins.iter().map(String::as_str).collect();
    let set: Vec<String> = settings::assignments(&names)
        .map(|assignment| format!("SET LOCAL {assignment}"))
        .collect();
    (!set.is_empty()).then(|| set.join("; "))
}

/// The compression that values of a table get, where it is not the server's own choice. lz4 is faster and its values
/// are larger, so that one which fits an index entry under pglz may not fit under lz4.
pub(crate) fn compression(wanted: ToastCompression, has_lz4: bool, format: &Format) -> Option<&'static str> {
    match wanted {
        ToastCompression::Auto => (has_lz4 && !format.indexes_values).then_some("lz4"),
        ToastCompression::Server => None,
        ToastCompression::Lz4 => Some("lz4"),
        ToastCompression::Pglz => Some("pglz"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Whereabouts;

    #[test]
    fn statements_name_tables_and_columns_as_sql_does() {
        let table = &Table {
            oid: 0,
            relation: Relation {
                schema: "s".to_owned(),
                name: "t0".to_owned(),
            },
            size_bytes: 0,
            build_bytes: 0,
            root: None,
            by_root: false,
        };
        let format = &Format {
            columns: vec!["a".to_owned(), "B\"".to_owned()],
            ..Format::default()
        };
        assert_eq!(
            copy_out(table, format, (None, None)),
            r#"COPY "s"."t0" ("a", "B""") TO STDOUT (FORMAT binary)"#
        );
        assert_eq!(
            copy_out(table, format, (Some(((3, 0), Some((9, 17)))), None)),
            r#"COPY (SELECT "a", "B""" FROM ONLY "s"."t0" WHERE ctid >= '(3,0)'::pg_catalog.tid AND ctid < '(9,17)'::pg_catalog.tid) TO STDOUT (FORMAT binary)"#
        );
        let text = Format {
            unsafe_type: Some("regclass".to_owned()),
            columns: Vec::new(),
            ..format.clone()
        };
        assert_eq!(copy_out(table, &text, (None, None)), r#"COPY "s"."t0" TO STDOUT"#);
        assert_eq!(
            copy_in(&table.relation, &text, true),
            r#"COPY "s"."t0" FROM STDIN (FREEZE)"#
        );
        assert_eq!(
            copy_in(&table.relation, format, true),
            r#"COPY "s"."t0" ("a", "B""") FROM STDIN (FORMAT binary, FREEZE)"#
        );
    }

    #[test]
    fn added_rows_are_read_where_they_are() {
        let read = |listed: &[Tid], first_block, range| {
            let added = Added {
                sql: "NOT (a OR b)".to_owned(),
                at: Whereabouts {
                    listed: listed.to_vec(),
                    first_block,
                },
                index_bytes: 0,
                alone: false,
            };
            of_added(range, &added)
        };
        let all = ((0, 0), None);
        assert_eq!(read(&[], None, all), ["false"]);
        assert_eq!(
            read(&[(1, 2), (8, 1), (9, 3)], Some(9), all),
            [
                r#"ctid = ANY ('{"(1,2)","(8,1)"}'::pg_catalog.tid[])"#,
                "ctid >= '(9,0)'::pg_catalog.tid AND NOT (a OR b)"
            ]
        );
        assert_eq!(
            read(&[(1, 2), (8, 1)], Some(9), ((10, 0), Some((12, 0)))),
            ["ctid >= '(10,0)'::pg_catalog.tid AND ctid < '(12,0)'::pg_catalog.tid AND NOT (a OR b)"]
        );
    }
}
