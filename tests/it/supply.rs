//! What the project is built from: versions that are said more than once are one, and every licence is one that may be
//! used.

use std::process::Command;

use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};

const CARGO: &str = include_str!("../../Cargo.toml");
const DOCKERFILE: &str = include_str!("../../Dockerfile");
const SERVER: &str = include_str!("../../demo/Dockerfile");
const TOOLCHAIN: &str = include_str!("../../rust-toolchain.toml");

/// Licences that go with MIT OR Apache-2.0 in one executable.
const ACCEPTED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What stands between a word and the end of its line, without quotes.
fn after<'a>(text: &'a str, word: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    line.unwrap().trim_matches('"')
}

#[test]
fn versions_are_the_same_wherever_they_are_said() {
    let rust = after(CARGO, "rust-version = ");
    assert!(after(TOOLCHAIN, "channel = ").starts_with(rust));
    assert!(after(DOCKERFILE, "ARG BUILD_IMAGE=").starts_with(&format!("rust:{rust}-alpine")));
    assert_eq!(
        after(DOCKERFILE, "ARG RUN_IMAGE="),
        after(SERVER, "ARG RUN_IMAGE=")
    );
    let alpine = |image: &'static str| image.rsplit_once("alpine").unwrap().1;
    assert_eq!(
        alpine(after(DOCKERFILE, "ARG BUILD_IMAGE=")),
        alpine(after(DOCKERFILE, "ARG RUN_IMAGE="))
    );
}

/// Whether an SPDX expression can be met by what is accepted.
fn is_accepted(expression: &str) -> bool {
    // Old crates write a slash for OR.
    let parsed = Expression::parse_mode(expression, ParseMode::LAX);
    let accepted = |licence: &LicenseReq| ACCEPTED.contains(&licence.to_string().as_str());
    parsed.is_ok_and(|parsed| parsed.evaluate(accepted))
}

#[test]
fn licences_are_read_as_they_are_written() {
    assert!(is_accepted("MIT/Apache-2.0"));
    assert!(is_accepted("MIT OR (Apache-2.0 AND GPL-3.0-only)"));
    assert!(!is_accepted("MIT AND GPL-3.0-only"));
    assert!(!is_accepted("(MIT OR Apache-2.0) AND GPL-3.0-only"));
}

#[test]
fn every_licence_may_be_used() {
    #[expect(clippy::disallowed_methods, reason = "a test that asks cargo")]
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform"])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(is_accepted))
        .map(|package| format!("{} {}", package["name"], package["license"]))
        .collect();
    assert!(packages.len() > 100, "{}", packages.len());
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
