//! What schemas are built on outside of themselves, as the source's catalogue tells.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::server::session::Session;

/// What one set of schemas is built on.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Extensions, each with its schema.
    pub(super) extensions: BTreeMap<String, String>,
    /// Foreign servers, each with the statement that creates it.
    pub(super) servers: BTreeMap<String, String>,
    /// Objects of other schemas: schema, type, identity.
    pub(super) objects: BTreeSet<(String, String, String)>,
}

/// Reads it on the source.
pub(super) async fn references(source: &Session, schemas: &[&str]) -> Result<References, Error> {
    let rows = source
        .query(
            "list what the schemas lean on",
            include_str!("sql/references.sql"),
            &[&schemas],
        )
        .await?;
    let mut found = References::default();
    for row in rows {
        let text = |name: &str| row.get::<_, Option<String>>(name);
        if let (Some(extension), Some(schema)) = (text("extension"), text("extension_schema")) {
            found.extensions.insert(extension, schema);
        } else if let Some(create) = text("create_server") {
            found.servers.insert(row.get("identity"), create);
        } else if let Some(schema) = text("schema") {
            found
                .objects
                .insert((schema, row.get("type"), row.get("identity")));
        }
    }
    Ok(found)
}
