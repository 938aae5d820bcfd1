//! Nothing calls up: the list of floors in ARCHITECTURE.md against the paths of `src/`.

use std::fs;
use std::path::{Path, PathBuf};

const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");

/// The modules of the list, from the ground up.
fn floors() -> Vec<&'static str> {
    let (_, list) = ARCHITECTURE.split_once("<!-- floors -->").unwrap();
    list.lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules that a text names by a path from the crate's root.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
    text.split("crate::").skip(1).map(move |rest| {
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        rest.split_at(end).0
    })
}

#[test]
fn nothing_calls_up() {
    let floors = floors();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floor = |module: &str| floors.iter().position(|known| *known == module);
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    for file in &files {
        let path = file.strip_prefix(&src).unwrap().display().to_string();
        let module = path.split('/').next().unwrap().trim_end_matches(".rs");
        let Some(own) = floor(module) else {
            wrong.push(format!("{path}: ARCHITECTURE.md has no floor for {module}"));
            continue;
        };
        let text = fs::read_to_string(file).unwrap();
        // Names in bytes of lowercase letters alone are modules; `pub(crate)` and macros name none.
        for name in named(&text).filter(|name| !name.is_empty() && *name != module) {
            match floor(name) {
                Some(other) if other < own => {}
                Some(_) => wrong.push(format!("{path} calls up to {name}")),
                None => wrong.push(format!("{path}: ARCHITECTURE.md has no floor for {name}")),
            }
        }
    }
    assert!(files.len() > 50 && floors.len() > 20, "{} files", files.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
