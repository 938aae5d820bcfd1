//! Which schemas move together: those that need each other in a ring. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// What each schema cannot be loaded without, and why.
pub(super) type Needs = BTreeMap<String, BTreeMap<String, String>>;

/// Everything that a schema needs, directly or by way of others.
fn reached<'a>(needs: &'a Needs, schema: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![schema];
    while let Some(next) = open.pop() {
        for needed in needs.get(next).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(needed.as_str()) {
                open.push(needed);
            }
        }
    }
    reached
}

/// The rings, each in the order of its names; what stands in none is one by itself.
pub(super) fn groups<'a>(
    schemas: impl IntoIterator<Item = &'a str>,
    needs: &'a Needs,
) -> Vec<BTreeSet<&'a str>> {
    let all: BTreeMap<&str, BTreeSet<&str>> = schemas
        .into_iter()
        .map(|schema| (schema, reached(needs, schema)))
        .collect();
    let mut groups = Vec::new();
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    for (schema, reached) in &all {
        if placed.contains(schema) {
            continue;
        }
        let comes_back = |other: &&&str| all.get(**other).is_some_and(|back| back.contains(schema));
        let mut group: BTreeSet<&str> = reached.iter().filter(comes_back).copied().collect();
        group.insert(schema);
        placed.extend(group.iter().copied());
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_of_any_length_are_one_and_chains_are_not() {
        let arrows = [
            ("a", "b"),
            ("b", "a"),
            ("c", "d"),
            ("d", "e"),
            ("e", "f"),
            ("f", "c"),
            ("g", "a"),
            ("h", "g"),
            ("c", "h"),
            ("gone", "a"),
        ];
        let mut needs = Needs::new();
        for (from, to) in arrows {
            needs
                .entry(from.to_owned())
                .or_default()
                .insert(to.to_owned(), String::new());
        }
        let schemas = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        let found: Vec<String> = groups(schemas, &needs)
            .iter()
            .map(|group| group.iter().copied().collect())
            .collect();
        assert_eq!(found, ["ab", "cdef", "g", "h", "i"]);
    }
}
