//! Who restores which entry of the archive: pg_restore, the worker itself, or a later command.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::toc::Entry;
use crate::server::quoting::unquote_ident;

/// The archive's entries, divided.
#[derive(Debug, Default)]
pub(crate) struct Division {
    /// Numbers of the entries that are restored as they are.
    pub(crate) restored: BTreeSet<i32>,
    /// Statements of the foreign keys that leave the unit, their comments among them, each key by its OID on the source.
    pub(crate) deferred: Vec<(u32, Vec<String>)>,
    /// Statements that comment on a schema, by the schema's name.
    pub(crate) schema_comments: BTreeMap<String, String>,
}

/// Divides the entries; `leaving` holds the OIDs of foreign keys that leave the unit.
pub(crate) fn divide(entries: &[Entry], leaving: &BTreeSet<u32>) -> Division {
    let mut parts = Division::default();
    let leaves = |entry: &&Entry| entry.desc == "FK CONSTRAINT" && leaving.contains(&entry.oid);
    let deferred = entries.iter().filter(leaves);
    parts.deferred = deferred.clone().map(|entry| (entry.oid, Vec::new())).collect();
    let positions: BTreeMap<i32, usize> = deferred.map(|entry| entry.dump_id).zip(0..).collect();
    for entry in entries {
        let statement = || entry.definition.trim().to_owned();
        let mut ids = std::iter::once(&entry.dump_id).chain(&entry.dependencies);
        let key = ids.find_map(|id| positions.get(id));
        if let Some((_, statements)) = key.and_then(|key| parts.deferred.get_mut(*key)) {
            statements.push(statement());
        } else if let Some(schema) = commented_schema(entry) {
            parts.schema_comments.insert(schema, statement());
        } else if !is_applied_by_worker(entry) {
            parts.restored.insert(entry.dump_id);
        }
    }
    parts
}

/// The name of the schema that the entry comments on, which its tag quotes where SQL has to.
fn commented_schema(entry: &Entry) -> Option<String> {
    let tag = (entry.desc == "COMMENT").then_some(entry.tag.as_str())?;
    tag.strip_prefix("SCHEMA ").map(unquote_ident)
}

/// Schemas, because `public` and adopted ones are there, and roles' matters, because they come last.
fn is_applied_by_worker(entry: &Entry) -> bool {
    match entry.desc.as_str() {
        "SCHEMA" | "ACL" | "DEFAULT ACL" | "POLICY" | "ROW SECURITY" | "SECURITY LABEL" => true,
        "COMMENT" => entry.tag.starts_with("SCHEMA ") || entry.tag.starts_with("POLICY "),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::toc::Section;

    fn entry(dump_id: i32, desc: &str, tag: &str, dependencies: &[i32]) -> Entry {
        Entry {
            dump_id,
            catalog_oid: 0,
            oid: u32::try_from(dump_id).unwrap() * 100,
            tag: tag.to_owned(),
            desc: desc.to_owned(),
            section: Section::PreData,
            definition: format!("{desc} {tag};\n"),
            namespace: "s".to_owned(),
            access_method: String::new(),
            owner: String::new(),
            operators: Vec::new(),
            dependencies: dependencies.to_vec(),
        }
    }

    #[test]
    fn foreign_keys_that_leave_are_deferred_with_their_comments() {
        let entries = [
            entry(1, "SCHEMA", "s", &[]),
            entry(2, "COMMENT", "SCHEMA s", &[1]),
            entry(3, "TABLE", "SCHEMA s", &[1]),
            entry(4, "FK CONSTRAINT", "t inside", &[3]),
            entry(5, "FK CONSTRAINT", "t outside", &[3]),
            entry(6, "COMMENT", "CONSTRAINT outside ON t", &[5]),
            entry(7, "POLICY", "t p", &[3]),
            entry(8, "COMMENT", "POLICY p ON t", &[7]),
            entry(9, "COMMENT", "TABLE \"POLICY \"", &[3]),
            entry(10, "COMMENT", "SCHEMA \"A \"\"b\"", &[1]),
        ];
        let parts = divide(&entries, &BTreeSet::from([500]));
        assert_eq!(parts.restored, BTreeSet::from([3, 4, 9]));
        let statements = ["FK CONSTRAINT t outside;", "COMMENT CONSTRAINT outside ON t;"];
        assert_eq!(parts.deferred, [(500, statements.map(str::to_owned).to_vec())]);
        assert_eq!(parts.schema_comments["s"], "COMMENT SCHEMA s;");
        assert!(parts.schema_comments.contains_key("A \"b"));
    }
}
