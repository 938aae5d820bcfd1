//! What schemas are built on outside of themselves, as the source's catalogue tells.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::server::session::Session;

/// What a schema, or one set of schemas, is built on.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// Extensions, each with its schema.
    pub(crate) extensions: BTreeMap<String, String>,
    /// Foreign servers, each with the statement that creates it.
    pub(crate) servers: BTreeMap<String, String>,
    /// Objects of other schemas: schema, type, identity.
    pub(crate) objects: BTreeSet<(String, String, String)>,
}

/// Reads it on the source, for the schemas as one.
pub(super) async fn references(source: &Session, schemas: &[&str]) -> Result<References, Error> {
    let mut found = References::default();
    for (_, own) in references_by_schema(source, schemas).await? {
        found.extensions.extend(own.extensions);
        found.servers.extend(own.servers);
        found.objects.extend(own.objects);
    }
    found
        .objects
        .retain(|(schema, ..)| !schemas.contains(&schema.as_str()));
    Ok(found)
}

/// Reads it on the source, for each schema by itself: what others of them hold is outside too.
pub(crate) async fn references_by_schema(
    source: &Session,
    schemas: &[&str],
) -> Result<BTreeMap<String, References>, Error> {
    let rows = source
        .query(
            "list what the schemas lean on",
            include_str!("sql/references.sql"),
            &[&schemas],
        )
        .await?;
    let mut found: BTreeMap<String, References> = BTreeMap::new();
    for row in rows {
        let own = found.entry(row.get("of_schema")).or_default();
        let text = |name: &str| row.get::<_, Option<String>>(name);
        if let (Some(extension), Some(schema)) = (text("extension"), text("extension_schema")) {
            own.extensions.insert(extension, schema);
        } else if let Some(create) = text("create_server") {
            own.servers.insert(row.get("identity"), create);
        } else if let Some(schema) = text("schema") {
            own.objects.insert((schema, row.get("type"), row.get("identity")));
        }
    }
    Ok(found)
}
