//! Schema names are literal: no pattern, no folding of case, no cutting.

use crate::rig::{Rig, assert_exit};

const NAMES: &[&str] = &[
    "a.b",
    "star*",
    "sta?r",
    "[br]",
    "a|b",
    "(x)",
    "$1",
    "^s",
    "back\\slash",
    "say \"hi\"",
    "it's",
    " outer ",
    "a,b",
    "-dash",
    "--help",
    "new\nline",
    "tab\tbed",
    "ünïcødé€😀",
    "CamelCase",
    "100%",
    "a=b",
    "select",
    "semi;colon",
    "sixty-three-bytes-long-name-sixty-three-bytes-long-name-sixty-t",
];
/// What the names above would hit if they were patterns, folded, or cut.
const DECOYS: &[&str] = &[
    "starfish",
    "b",
    "r",
    "a",
    "camelcase",
    "x",
    "s",
    "outer",
    "sixty-three-bytes-long-name-sixty-three-bytes-long-name-sixty-",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[test]
fn names_move_as_they_are_and_decoys_stay() {
    let rig = Rig::new("");
    for name in NAMES.iter().chain(DECOYS) {
        let (schema, text) = (quoted(name), name.replace('\'', "''"));
        rig.at_source(&format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.t (v text); INSERT INTO {schema}.t VALUES ('{text}')"));
    }
    // Each of the trickiest alone, then all of them as one unit.
    for alone in ["CamelCase", "star*", "new\nline", "-dash", "[br]"] {
        assert_exit(&rig.worker(alone).run(), 0);
    }
    let all: Vec<String> = NAMES.iter().map(|name| quoted(name)).collect();
    assert_exit(&rig.worker(&all.join(",")).run(), 0);
    for name in NAMES {
        assert_eq!(rig.at_target(&format!("SELECT v FROM {}.t", quoted(name))), *name);
    }
    for decoy in DECOYS {
        let sql = format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{decoy}'");
        assert_eq!(rig.at_target(&sql), "0", "{decoy} was moved");
    }
}
