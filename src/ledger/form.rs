//! What the ledger is made of, and whether the one that is there can be relied on.

use std::fmt::Write as _;

use crate::error::{Error, Refused};
use crate::server::session::Session;

/// The layout that this release makes, as the table's comment says. One without such a comment is of layout 1.
const LAYOUT: i32 = 4;

/// A table of the ledger.
struct Table {
    name: &'static str,
    columns: &'static [Column],
    /// What it is searched by.
    key: [&'static str; 2],
    /// Statements that follow its creation.
    settings: &'static str,
}

const LOADS: Table = Table {
    name: "load",
    columns: &LOAD,
    key: ["schema_name", "id"],
    settings: "",
};

/// What has landed in each transaction of the loads; rows are deleted from it, which a publication of all tables allows only where
/// they can be told apart.
const ROWS: Table = Table {
    name: "landed",
    columns: &LANDED,
    key: ["load_id", "table_oid"],
    settings: "; ALTER TABLE schemaferry.landed REPLICA IDENTITY FULL",
};

/// A column of a table.
#[derive(Clone, Copy)]
struct Column {
    name: &'static str,
    type_name: &'static str,
    /// What follows the type.
    constraints: &'static str,
    /// What rows get that were there before a column that somebody has dropped came back; empty for null.
    filler: &'static str,
    /// The first layout that has it.
    since: i32,
}

const fn column(name: &'static str, type_name: &'static str, constraints: &'static str) -> Column {
    Column {
        name,
        type_name,
        constraints,
        filler: "",
        since: 1,
    }
}

const fn filled(filler: &'static str, column: Column) -> Column {
    Column { filler, ..column }
}

const NOW: &str = "NOT NULL DEFAULT pg_catalog.clock_timestamp()";

/// With these values for what was lost, nothing is replaced that would not have been.
const LOAD: [Column; 19] = [
    column("id", "bigint", "GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    filled("''", column("schema_name", "text", "NOT NULL")),
    column("schema_oid", "oid", ""),
    filled("true", column("adopted", "boolean", "NOT NULL")),
    filled(
        "'complete'",
        column(
            "state",
            "text",
            "NOT NULL CHECK (state IN ('clearing', 'loading', 'complete', 'sealed'))",
        ),
    ),
    column("run_id", "text", ""),
    filled("''", column("attempt", "text", "NOT NULL")),
    filled("''", column("source", "text", "NOT NULL")),
    filled("'{}'", column("variables", "jsonb", "NOT NULL")),
    column("snapshot_at", "text", ""),
    column("snapshot_lsn", "text", ""),
    column("inventory", "jsonb", ""),
    column("activity", "jsonb", ""),
    Column {
        since: 2,
        ..column("source_activity", "jsonb", "")
    },
    Column {
        since: 3,
        ..column("baseline", "jsonb", "")
    },
    column("deferred", "jsonb", "NOT NULL DEFAULT '[]'"),
    column("summary", "jsonb", ""),
    column("started_at", "timestamp with time zone", NOW),
    column("updated_at", "timestamp with time zone", NOW),
];

const LANDED: [Column; 5] = [
    filled("0", column("load_id", "bigint", "NOT NULL")),
    filled("0", column("table_oid", "oid", "NOT NULL")),
    filled("0", column("rows", "bigint", "NOT NULL")),
    filled("'0'", column("xid", "xid8", "NOT NULL")),
    column("baseline", "jsonb", ""),
];

impl Column {
    fn clause(&self) -> String {
        format!("{} {}", self.type_name, self.constraints)
    }

    /// What adds it to a table that has rows.
    fn added_clause(&self) -> String {
        let default = if self.filler.is_empty() {
            String::new()
        } else {
            format!(" DEFAULT {}", self.filler)
        };
        format!("{}{default}", self.clause().trim_end())
    }
}

/// The ledger as it stands.
pub(super) struct Form {
    pub(super) is_there: bool,
    layout: i32,
    may_alter: bool,
}

impl Form {
    /// Whether it has to be made, or is one of an earlier release.
    pub(super) fn is_outdated(&self) -> bool {
        !self.is_there || self.layout < LAYOUT
    }
}

/// Looks at the loads, and refuses a ledger that cannot be relied on or may not be read.
pub(super) async fn look(target: &Session) -> Result<Form, Error> {
    LOADS.look(target).await
}

/// The same of what has landed, which only ledgers of this layout have.
pub(super) async fn look_at_landed(target: &Session) -> Result<Form, Error> {
    ROWS.look(target).await
}

impl Table {
    async fn look(&self, target: &Session) -> Result<Form, Error> {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        let types: Vec<&str> = self.columns.iter().map(|column| column.type_name).collect();
        let clauses: Vec<String> = self.columns.iter().map(Column::added_clause).collect();
        let since: Vec<i32> = self.columns.iter().map(|column| column.since).collect();
        let sql = include_str!("sql/form.sql").replace("{TABLE}", self.name);
        let row = target
            .query_one("look for the ledger", &sql, &[&names, &types, &clauses, &since])
            .await?;
        let side = target.side();
        let (defects, cures): (Vec<String>, Vec<String>) = (row.get("defects"), row.get("cures"));
        let is_foreign: bool = row.get("is_foreign");
        let layout = row.get::<_, Option<i32>>("layout").unwrap_or(LAYOUT);
        let refused = if !is_foreign && !row.get::<_, bool>("may_read") {
            Refused::denied(
                side,
                "the ledger may not be read",
                row.get::<_, String>("read_hint"),
            )
        } else if !is_foreign && layout > LAYOUT {
            Refused::config(
                side,
                format!("the ledger has layout {layout} of a later release; this one knows {LAYOUT}"),
                "run that release",
            )
        } else if !defects.is_empty() {
            Refused::config(
                side,
                format!("the ledger cannot be relied on: {}", defects.join(", ")),
                cures.join("; "),
            )
        } else {
            return Ok(Form {
                is_there: row.get("is_there"),
                layout,
                may_alter: row.get("may_alter"),
            });
        };
        Err(Error::Refused(refused))
    }

    fn creation(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.clause()))
            .collect();
        let (name, key) = (self.name, self.key);
        format!(
            "CREATE TABLE IF NOT EXISTS schemaferry.{name} ({}); \
             CREATE INDEX IF NOT EXISTS {name}_{} ON schemaferry.{name} ({}){}",
            columns.join(", "),
            key[0],
            key.join(", "),
            self.settings
        )
    }

    /// Takes away what default privileges of the database have given on a new one.
    async fn keep_to_ourselves(&self, target: &Session) -> Result<(), Error> {
        let name = format!("schemaferry.{}", self.name);
        let sql = "SELECT DISTINCT coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC') AS grantee \
                   FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) g \
                   LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee \
                   WHERE c.oid = pg_catalog.to_regclass($1) AND g.grantee <> c.relowner";
        for row in target.query("look who may use the ledger", sql, &[&name]).await? {
            let sql = format!(
                "REVOKE ALL ON {name} FROM {} CASCADE",
                row.get::<_, String>("grantee")
            );
            target.batch("keep the ledger to its owner", &sql).await?;
        }
        Ok(())
    }
}

/// What keeps a load from bringing the ledger up to date, with the statement that does it.
pub(crate) async fn outdated(target: &Session) -> Result<Option<Refused>, Error> {
    let form = match look(target).await {
        // Told where the ledger is read.
        Err(Error::Refused(_)) => return Ok(None),
        other => other?,
    };
    Ok((form.is_there && form.is_outdated() && !form.may_alter).then(|| {
        Refused::denied(
            target.side(),
            "the ledger is an earlier release's, and the user may not alter it",
            format!("as its owner: {}; {}", ROWS.creation(), upgrade()),
        )
    }))
}

/// Creates the ledger where it is missing, and adds what an earlier release's lacks. Concurrent `CREATE … IF NOT
/// EXISTS` collide in the catalogue, so this is serialised by an advisory lock of its own.
pub(crate) async fn open(target: &Session) -> Result<(), Error> {
    let (loads, landed) = (look(target).await?, look_at_landed(target).await?);
    if !loads.is_outdated() && landed.is_there {
        return Ok(());
    }
    let sql = format!(
        "BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('schemaferry ledger', 0)); \
         CREATE SCHEMA IF NOT EXISTS schemaferry; {}; {}; {}",
        LOADS.creation(),
        ROWS.creation(),
        upgrade()
    );
    target.batch("create the ledger", &sql).await?;
    for (form, table) in [(loads, LOADS), (landed, ROWS)] {
        if !form.is_there {
            table.keep_to_ourselves(target).await?;
        }
    }
    target.batch("create the ledger", "COMMIT").await?;
    // Somebody may have made one meanwhile.
    look(target).await?;
    look_at_landed(target).await.map(|_| ())
}

/// Statements that make the newest layout of any earlier one.
fn upgrade() -> String {
    let mut sql = String::new();
    for column in LOAD.iter().filter(|column| column.since > 1) {
        write!(
            sql,
            "ALTER TABLE schemaferry.load ADD COLUMN IF NOT EXISTS {} {}; ",
            column.name,
            column.added_clause()
        )
        .ok();
    }
    write!(sql, "COMMENT ON TABLE schemaferry.load IS 'layout {LAYOUT}'").ok();
    sql
}
