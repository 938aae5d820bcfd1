//! Functions of the user's own that the server calls by itself while it loads, and in which order that has to be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::catalogue::Table;
use crate::config::Schemas;
use crate::error::{Error, Refused, Side};
use crate::server::quoting::quote_ident;
use crate::server::session::Session;

/// Functions that are called while rows are written and while indexes and materialized views are made, and whatever
/// they call in turn, as far as their texts tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Code {
    functions: Vec<Function>,
    /// Those that the server itself calls for rows that are there, by OID.
    called: Vec<u32>,
    /// What pg_restore is bound to fail for while it writes rows: functions of theirs that name without a schema what is not
    /// of pg_catalog's.
    pub(crate) unfound: Vec<Refused>,
    /// Where a name without a schema is looked for, if the empty path of every session does not do.
    pub(crate) path: SearchPath,
}

/// A function; tables and functions by OID.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Function {
    oid: u32,
    /// Tables whose generated columns call it.
    written: Vec<u32>,
    /// Tables whose checks, domains or partition keys call it.
    checked: Vec<u32>,
    calls: Vec<u32>,
    /// Tables that its text names.
    tables: Vec<u32>,
    reads: bool,
    /// Its text does not tell all that it reads.
    opaque: bool,
    /// It says itself where names without a schema are looked for.
    fixed: bool,
    /// Refuses to choose what it surely means, where that is in several schemas.
    refused: Option<Refused>,
}

/// The schemas that a name without a schema is looked for in: those of the source's database and role that exist on the
/// target, then the unit's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SearchPath {
    schemas: Vec<String>,
    /// Why nobody can tell which of several things such a name means.
    refused: Option<Refused>,
}

impl SearchPath {
    /// The schemas as SET writes them.
    pub(crate) fn list(&self) -> Result<String, Error> {
        match &self.refused {
            Some(refused) => Err(Error::Refused(refused.clone())),
            None => Ok(list(&self.schemas)),
        }
    }
}

/// Schemas as SET writes them.
pub(crate) fn list(schemas: &[String]) -> String {
    let names: Vec<String> = schemas.iter().map(|schema| quote_ident(schema)).collect();
    names.join(", ")
}

impl Code {
    /// Reads it under the snapshot.
    pub(crate) async fn read(source: &Session, target: &Session, schemas: &Schemas) -> Result<Self, Error> {
        const PATH: &str = "SELECT reset_val, reset_val <> boot_val, session_user::text \
                            FROM pg_catalog.pg_settings WHERE name = 'search_path'";
        let row = source.query_one("read the search path", PATH, &[]).await?;
        let (setting, chosen, user): (String, bool, String) = (row.get(0), row.get(1), row.get(2));
        let wanted = elements(&setting, &user);
        let exist = "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1)";
        let exist = target.query("list schemas", exist, &[&wanted]).await?;
        let exist: HashSet<String> = exist.iter().map(|row| row.get(0)).collect();
        let unit = schemas.names();
        let own: Vec<String> = wanted
            .into_iter()
            .filter(|schema| exist.contains(schema) || unit.contains(&schema.as_str()))
            .collect();
        let mut path = own.clone();
        path.extend(
            unit.iter()
                .filter(|name| !own.iter().any(|own| own == *name))
                .map(|name| (*name).to_owned()),
        );
        // The path that every server has by itself says nothing about what was meant.
        let deciding: &[String] = if chosen { &own } else { &[] };
        let sql = include_str!("sql/code.sql");
        let rows = source
            .query(
                "list functions that a load calls",
                sql,
                &[&unit, &path.as_slice(), &deciding],
            )
            .await?;
        let function = |row: &tokio_postgres::Row| Function {
            oid: row.get("oid"),
            written: row.get("written"),
            checked: row.get("checked"),
            calls: row.get("calls"),
            tables: row.get("tables"),
            reads: row.get("reads"),
            opaque: row.get("opaque"),
            fixed: row.get("fixed"),
            refused: refused(std::slice::from_ref(row), "meant", &path),
        };
        Ok(Self {
            functions: rows.iter().map(function).collect(),
            called: rows
                .iter()
                .filter(|row| row.get("called"))
                .map(|row| row.get("oid"))
                .collect(),
            unfound: rows.iter().filter_map(|row| unfound(row, &path)).collect(),
            path: SearchPath {
                refused: refused(&rows, "ambiguous", &path),
                schemas: path,
            },
        })
    }

    /// What a load is bound to be refused for: functions that it calls, or that those call, and that name without a schema
    /// what is in several.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = &Refused> {
        let by_oid: HashMap<u32, &Function> = self.functions.iter().map(|one| (one.oid, one)).collect();
        let mut open = self.called.clone();
        let mut reached = BTreeSet::new();
        while let Some(oid) = open.pop() {
            // What it calls looks in its path.
            let function = by_oid.get(&oid).filter(|one| !one.fixed && reached.insert(oid));
            open.extend(function.iter().flat_map(|one| &one.calls));
        }
        let functions = self.functions.iter();
        functions
            .filter(move |one| reached.contains(&one.oid))
            .filter_map(|one| one.refused.as_ref())
    }

    /// Whether writing a row of the table calls any of them, so that every error may be one of theirs.
    pub(crate) fn is_called_by(&self, table: u32) -> bool {
        self.functions
            .iter()
            .any(|function| function.written.contains(&table) || function.checked.contains(&table))
    }

    /// Tables by OID that are to be filled after others, because their generated columns may read them; each with the
    /// number of its wave, from 1 on.
    pub(crate) fn waves(&self, tables: &[Table]) -> HashMap<u32, usize> {
        let by_oid: HashMap<u32, &Function> = self.functions.iter().map(|one| (one.oid, one)).collect();
        let mut late: BTreeMap<(&super::Relation, u32), Reads> = BTreeMap::new();
        for table in tables {
            let reads = self.reads_of(table.oid, &by_oid);
            if reads.any {
                late.insert((&table.relation, table.oid), reads);
            }
        }
        let mut waves = HashMap::new();
        for wave in 1.. {
            if late.is_empty() {
                break;
            }
            let left: BTreeSet<u32> = late.keys().map(|(_, oid)| *oid).collect();
            let all_opaque = late.values().all(|reads| reads.opaque);
            let is_next = |oid: u32, reads: &Reads| {
                (all_opaque || !reads.opaque)
                    && left
                        .iter()
                        .all(|other| *other == oid || !reads.tables.contains(other))
            };
            let mut next: Vec<_> = late
                .iter()
                .filter(|((_, oid), reads)| is_next(*oid, reads))
                .map(|(key, _)| *key)
                .collect();
            if next.is_empty() {
                // They read each other: as pg_dump has it, by name.
                let first = late.iter().find(|(_, reads)| !reads.opaque || all_opaque);
                next.extend(first.map(|(key, _)| *key));
            }
            for key in next {
                late.remove(&key);
                waves.insert(key.1, wave);
            }
        }
        waves
    }

    /// What the generated columns of a table may read.
    fn reads_of(&self, table: u32, by_oid: &HashMap<u32, &Function>) -> Reads {
        let called = self.functions.iter().filter(|one| one.written.contains(&table));
        let mut open: Vec<u32> = called.map(|one| one.oid).collect();
        let mut reached = HashSet::new();
        let mut reads = Reads::default();
        while let Some(oid) = open.pop() {
            let Some(function) = by_oid.get(&oid).filter(|_| reached.insert(oid)) else {
                continue;
            };
            reads.any |= function.reads;
            reads.opaque |= function.opaque;
            reads.tables.extend(&function.tables);
            open.extend(&function.calls);
        }
        reads
    }
}

#[derive(Debug, Default)]
struct Reads {
    any: bool,
    opaque: bool,
    tables: HashSet<u32>,
}

/// The elements of a search path, with the user's name for `$user`.
fn elements(setting: &str, user: &str) -> Vec<String> {
    let mut elements = Vec::new();
    let mut rest = setting.trim_start();
    while !rest.is_empty() {
        let name;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut end = 0;
            while let Some(at) = quoted.get(end..).and_then(|tail| tail.find('"')) {
                end += at + 1;
                if !quoted.get(end..).is_some_and(|tail| tail.starts_with('"')) {
                    break;
                }
                end += 1;
            }
            name = quoted
                .get(..end.saturating_sub(1))
                .unwrap_or_default()
                .replace("\"\"", "\"");
            rest = quoted.get(end..).unwrap_or_default();
        } else {
            let (word, _) = rest.split_once(',').unwrap_or((rest, ""));
            name = word.trim_end().to_lowercase();
            rest = rest.get(word.len()..).unwrap_or_default();
        }
        elements.push(if name == "$user" { user.to_owned() } else { name });
        let after = rest.trim_start();
        rest = after.strip_prefix(',').unwrap_or("").trim_start();
    }
    elements.retain(|name| !name.is_empty());
    elements
}

/// Says which names could mean several things, as that column has them, and how one is chosen: most likely its neighbour.
fn refused(rows: &[tokio_postgres::Row], column: &str, path: &[String]) -> Option<Refused> {
    let named: Vec<(&str, String)> = rows
        .iter()
        .map(|row| (row.get("name"), row.get::<_, Vec<String>>(column).join(", ")))
        .filter(|(_, names)| !names.is_empty())
        .collect();
    let (function, _) = named.first()?;
    let first = rows.iter().find(|row| row.get::<_, &str>("name") == *function)?;
    let named: Vec<String> = named
        .iter()
        .map(|(function, names)| format!("{function} names {names}"))
        .collect();
    Some(Refused::config(
        Side::Source,
        format!(
            "functions name without a schema what is in several of {}, and the search path of the database does not tell \
             which is meant: {}",
            path.join(", "),
            named.join("; ")
        ),
        with_path(first, path),
    ))
}

/// Says what pg_restore, whose search path is empty, does not find.
fn unfound(row: &tokio_postgres::Row, path: &[String]) -> Option<Refused> {
    let (function, names): (&str, Vec<String>) = (row.get("name"), row.get("unfound"));
    let reason = || {
        format!(
            "{function}, which is called for rows, names without a schema what pg_restore does not find: {}",
            names.join(", ")
        )
    };
    (!names.is_empty()).then(|| Refused::config(Side::Source, reason(), with_path(row, path)))
}

/// The statement that gives a function that path, with its own schema first.
fn with_path(row: &tokio_postgres::Row, path: &[String]) -> String {
    let (function, schema): (&str, &str) = (row.get("name"), row.get("schema"));
    let mut path = path.to_owned();
    path.sort_by_key(|one| one != schema);
    format!("ALTER ROUTINE {function} SET search_path = {}", list(&path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Relation;

    #[test]
    fn a_search_path_is_read_as_the_server_reads_it() {
        let rows: [(&str, &[&str]); 4] = [
            ("\"$user\", public", &["me", "public"]),
            ("Public,\"A \"\"b\", ap ", &["public", "A \"b", "ap"]),
            ("", &[]),
            ("\"\"", &[]),
        ];
        for (setting, expected) in rows {
            assert_eq!(elements(setting, "me"), expected, "{setting}");
        }
    }

    #[test]
    fn tables_wait_for_those_that_their_generated_columns_read() {
        let table = |oid: u32| Table {
            oid,
            relation: Relation {
                schema: "s".to_owned(),
                name: format!("t{oid}"),
            },
            size_bytes: 0,
            build_bytes: 0,
            root: None,
            by_root: false,
        };
        let function = |oid: u32, written: &[u32], calls: &[u32], tables: &[u32], (reads, opaque)| Function {
            oid,
            written: written.to_vec(),
            calls: calls.to_vec(),
            tables: tables.to_vec(),
            reads,
            opaque,
            ..Function::default()
        };
        let code = Code {
            functions: vec![
                // 1 calls what reads 2, 2 reads 9, 3 reads nothing, 4 anything; 5 and 6 read each other.
                function(100, &[1], &[101], &[], (false, false)),
                function(101, &[], &[100], &[2], (true, false)),
                function(102, &[2], &[], &[9], (true, false)),
                function(103, &[3], &[], &[], (false, false)),
                function(104, &[4], &[], &[], (true, true)),
                function(105, &[5], &[], &[6], (true, false)),
                function(106, &[6], &[], &[5], (true, false)),
            ],
            ..Code::default()
        };
        let tables: Vec<Table> = [9, 6, 5, 4, 3, 2, 1].map(table).to_vec();
        let waves: BTreeMap<u32, usize> = code.waves(&tables).into_iter().collect();
        assert_eq!(waves, BTreeMap::from([(2, 1), (1, 2), (5, 3), (6, 4), (4, 5)]));
    }
}
