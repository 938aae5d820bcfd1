//! What earlier loads have measured, for the schedule of the next: an estimate, on which nothing but time depends.

use std::collections::HashMap;

use serde_json::Value;

use crate::config::Schemas;
use crate::error::Error;
use crate::ledger::form;
use crate::server::session::Session;

/// How fast rows came, and how long builds took.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Measured {
    /// Bytes of rows in a millisecond, all streams together; 0 where nothing is known.
    pub(crate) bytes_per_ms: u64,
    /// Milliseconds of the builds of a table, by `schema.name`.
    pub(crate) builds_ms: HashMap<String, u64>,
}

impl Measured {
    fn of(summary: &Value) -> Self {
        let list = |name: &str| summary.get(name).and_then(Value::as_array).into_iter().flatten();
        let rows_ms: u64 = list("phases")
            .filter(|phase| phase.get("phase").is_some_and(|phase| phase == "rows"))
            .filter_map(|phase| phase.get("elapsed_ms")?.as_u64())
            .sum();
        let bytes = summary.pointer("/totals/bytes").and_then(Value::as_u64);
        let builds = summary
            .get("builds")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        Self {
            bytes_per_ms: bytes.unwrap_or(0).checked_div(rows_ms).unwrap_or(0),
            builds_ms: builds
                .filter_map(|(table, ms)| Some((table.clone(), ms.as_u64()?)))
                .collect(),
        }
    }
}

/// What the latest complete load of any of the schemas has measured.
pub(crate) async fn measured(target: &Session, schemas: &Schemas) -> Result<Measured, Error> {
    if !form::look(target).await?.is_there {
        return Ok(Measured::default());
    }
    let sql = "SELECT l.summary FROM schemaferry.load l \
               WHERE l.schema_name = ANY ($1) AND l.summary ? 'builds' AND pg_catalog.jsonb_typeof(l.summary -> 'refreshed') IS DISTINCT FROM 'object' ORDER BY l.id DESC LIMIT 1";
    let rows = target.query("read the ledger", sql, &[&schemas.names()]).await?;
    Ok(rows
        .first()
        .map(|row| Measured::of(&row.get(0)))
        .unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_summary_tells_how_fast_rows_and_builds_were() {
        let summary = json!({
            "totals": {"bytes": 5000},
            "phases": [{"phase": "archive", "elapsed_ms": 7}, {"phase": "rows", "elapsed_ms": 10}],
            "builds": {"s.t": 300},
        });
        let expected = Measured {
            bytes_per_ms: 500,
            builds_ms: HashMap::from([("s.t".to_owned(), 300)]),
        };
        assert_eq!(Measured::of(&summary), expected);
        assert_eq!(Measured::of(&json!({"exit": 65})), Measured::default());
    }
}
