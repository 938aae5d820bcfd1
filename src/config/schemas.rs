//! Names of schemas, and the unit that some of them make.

use std::fmt;

use crate::server::quoting::quote_ident;

/// Names have to fit the server's identifiers (`NAMEDATALEN` - 1); longer ones would be cut and hit another schema.
const NAME_MAX_BYTES: usize = 63;

/// A schema's name, literal: case is kept and nothing is a pattern. At most 63 bytes, never a system schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SchemaName(String);

impl SchemaName {
    /// A name that the ledger holds.
    pub(crate) fn of_ledger(name: String) -> Self {
        Self(name)
    }

    /// The name as the catalogue holds it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SchemaName {
    /// Why no load may touch a schema of that name.
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name.len() > NAME_MAX_BYTES {
            Err(format!(
                "{name:?} has {} bytes, and the server cuts names at {NAME_MAX_BYTES}",
                name.len()
            ))
        } else if name.contains('\0') {
            Err(format!("{name:?} holds a NUL byte"))
        } else if name.starts_with("pg_") || name == "information_schema" {
            Err(format!("{name:?} is a system schema"))
        } else if name == "schemaferry" {
            Err("\"schemaferry\" is the ledger's own schema".to_owned())
        } else {
            Ok(Self(name))
        }
    }
}

/// Names as SCHEMA_NAME takes them.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let name = |name: &str| {
        if name.contains([',', '"']) || name.trim() != name {
            quote_ident(name)
        } else {
            name.to_owned()
        }
    };
    let names: Vec<String> = names.into_iter().map(name).collect();
    names.join(",")
}

/// The schemas of one unit, in the order of their names, each once: in which order they were given means nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Schemas(Vec<SchemaName>);

impl Schemas {
    /// One after the other.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, SchemaName> {
        self.0.iter()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names, as queries take them.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.iter().map(SchemaName::as_str).collect()
    }
}

impl FromIterator<SchemaName> for Schemas {
    fn from_iter<I: IntoIterator<Item = SchemaName>>(names: I) -> Self {
        let mut names: Vec<SchemaName> = names.into_iter().collect();
        names.sort();
        names.dedup();
        Self(names)
    }
}

impl<'a> IntoIterator for &'a Schemas {
    type Item = &'a SchemaName;
    type IntoIter = std::slice::Iter<'a, SchemaName>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}
