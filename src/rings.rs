//! Which schemas need each other in a ring, and which of them come before which. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// What each schema cannot be there without, and why.
pub(crate) type Needs = BTreeMap<String, BTreeMap<String, String>>;

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
pub(crate) fn groups<'a>(
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

/// The same, each before whatever it needs.
pub(crate) fn dependents_first<'a>(
    schemas: impl IntoIterator<Item = &'a str>,
    needs: &'a Needs,
) -> Vec<BTreeSet<&'a str>> {
    // Whoever needs something reaches all that it reaches, and itself.
    let height = |group: &BTreeSet<&'a str>| {
        let mut all = group.clone();
        all.extend(group.iter().flat_map(|schema| reached(needs, schema)));
        all.len()
    };
    let mut groups = groups(schemas, needs);
    groups.sort_by_cached_key(|group| std::cmp::Reverse(height(group)));
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
        let in_order: Vec<String> = dependents_first(schemas, &needs)
            .iter()
            .map(|group| group.iter().copied().collect())
            .collect();
        assert_eq!(in_order, ["cdef", "h", "g", "ab", "i"]);
    }
}
