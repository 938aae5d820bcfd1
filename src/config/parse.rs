//! Words, names, numbers and durations of the environment; an error is what is wrong with the value, to be read after the
//! variable's name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::Level;

use crate::hazard::Hazard;
use crate::server::SslRootCert;
use crate::word::{Word as _, not_one_of};

/// What a server's timeouts can hold: milliseconds in 32 bits with a sign.
const DURATION_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// What `maintenance_work_mem` takes in kB, and every server has.
const MEMORY_KB: std::ops::RangeInclusive<u64> = 1024..=2047 * 1024 * 1024;

/// Streams that one load may have in flight on each side.
const JOBS: std::ops::RangeInclusive<u8> = 1..=64;

pub(super) fn readable(path: &Path) -> Result<(), String> {
    read_some(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn read_some(path: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    std::io::Read::read(&mut file, &mut [0]).map(|_| ())
}

/// A file that holds a password. The value is not shown: it may be the password itself.
pub(super) fn password_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match read_some(&path) {
        Ok(()) => Ok(path),
        Err(error) => Err(format!(
            "names no file that can be read ({error}); a password itself belongs into PASSWORD"
        )),
    }
}

/// A host: its name, its address, or the directory of a socket. What it holds instead may be a secret, and is not shown.
pub(super) fn host(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    if text.contains(',') && !is_address(text) {
        return Err("names more than one host".to_owned());
    }
    let is_part = |c: char| c.is_alphanumeric() || "-._:%[]".contains(c);
    if text.chars().all(is_part) {
        Ok(text.to_owned())
    } else {
        Err("is no host's name: a URI's parts belong into HOST, PORT, DBNAME, USER and PASSWORD".to_owned())
    }
}

/// The name of a database.
pub(super) fn dbname(text: &str) -> Result<String, String> {
    if is_address(text) {
        return Err("holds a URI: its parts belong into HOST, PORT, DBNAME, USER and PASSWORD".to_owned());
    }
    if is_conninfo(text) {
        return Err(
            "holds a connection string: its parts belong into HOST, PORT, DBNAME, USER and PASSWORD"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// The name of a role.
pub(super) fn user(text: &str) -> Result<String, String> {
    if text.contains(':') {
        return Err("holds a colon: a password belongs into PASSWORD".to_owned());
    }
    Ok(text.to_owned())
}

/// The name or ARN of a secret: what Secrets Manager allows in one.
pub(super) fn secret_id(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:!".contains(c);
    if text.chars().all(is_part) {
        Ok(text.to_owned())
    } else {
        Err("is no secret's name or ARN; what a secret holds belongs into PASSWORD".to_owned())
    }
}

fn is_address(text: &str) -> bool {
    text.contains("://")
}

/// Whether a word of libpq's stands before an equals sign.
fn is_conninfo(text: &str) -> bool {
    const KEYWORDS: [&str; 8] = [
        "host", "hostaddr", "port", "dbname", "user", "password", "service", "sslmode",
    ];
    let mut before_signs = text.split('=').rev().skip(1);
    before_signs.any(|before| {
        let word = before.split_whitespace().next_back();
        word.is_some_and(|word| KEYWORDS.contains(&word))
    })
}

pub(super) fn root_certificate(text: &str) -> Result<SslRootCert, String> {
    if text == "system" {
        return Ok(SslRootCert::System);
    }
    let path = PathBuf::from(text);
    readable(&path).map(|()| SslRootCert::File(path))
}

/// A TCP port.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("{text:?} is no port: 1 to 65535")),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{text:?} is no duration such as 90s, 10m or 2h 30m: {error}"))?;
    if duration > DURATION_MAX {
        return Err(format!("{text:?} is longer than 24 days"));
    }
    Ok(duration)
}

/// The value that `text` names among `words`.
fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| not_one_of(text, words.iter().map(|(word, _)| *word)))
}

/// A duration, `none` to switch it off.
pub(super) fn limit(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "none" => Ok(None),
        text => match duration(text)? {
            Duration::ZERO => Err("is zero: write none to switch it off".to_owned()),
            limit => Ok(Some(limit)),
        },
    }
}

/// An amount of memory in kB as `maintenance_work_mem` takes it, with a unit; `auto` leaves it to the server.
pub(super) fn memory(text: &str) -> Result<Option<u64>, String> {
    if text == "auto" {
        return Ok(None);
    }
    let units = [
        ("kB", 1),
        ("MB", 1024),
        ("GB", 1024 * 1024),
        ("TB", 1024 * 1024 * 1024),
    ];
    let kb = units.iter().find_map(|(unit, size)| {
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(*size)
    });
    kb.filter(|kb| MEMORY_KB.contains(kb))
        .map(Some)
        .ok_or_else(|| format!("{text:?} is no amount of memory such as 256MB, from 1MB to 2047GB, nor auto"))
}

/// `None`: as many as there are streams.
pub(super) fn build_jobs(text: &str) -> Result<Option<u8>, String> {
    if text == "auto" {
        return Ok(None);
    }
    jobs(text)
        .map(Some)
        .map_err(|problem| format!("{problem}, nor auto"))
}

pub(super) fn jobs(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(jobs) if JOBS.contains(&jobs) => Ok(jobs),
        _ => Err(format!(
            "{text:?} is not a number from {} to {}",
            JOBS.start(),
            JOBS.end()
        )),
    }
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    word(text, &[("true", true), ("false", false)])
}

pub(super) fn log_level(text: &str) -> Result<Level, String> {
    let words = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
    ];
    word(text, &words)
}

pub(super) fn accept(text: &str) -> Result<BTreeSet<Hazard>, String> {
    let names = list(text, &[','])?.into_iter().flatten();
    names.map(|name| Hazard::named(&name)).collect()
}

/// Characters of a reason: every row of the ledger keeps it.
const REASON_MAX: usize = 1000;

pub(super) fn reason(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if length > REASON_MAX {
        return Err(format!("has {length} characters, more than {REASON_MAX}"));
    }
    if text.contains('\0') {
        return Err("holds a NUL byte".to_owned());
    }
    Ok(text.trim().to_owned())
}

/// A bucket of S3.
pub(super) fn bucket(text: &str) -> Result<String, String> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let is_name = (3..=63).contains(&text.len()) && text.chars().all(is_of_name) && !text.contains("..");
    if is_name && !text.starts_with('.') {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no bucket's name"))
    }
}

pub(super) fn role_map(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut map: Vec<(String, String)> = Vec::new();
    for item in list(text, &[',', '='])? {
        let [old, new] = item.as_slice() else {
            return Err("is not of the form old=new,…".to_owned());
        };
        if map.iter().any(|(known, _)| known == old) {
            return Err(format!("maps {old:?} twice"));
        }
        map.push((old.clone(), new.clone()));
    }
    Ok(map)
}

/// Items separated by commas, each of one or more names separated by the other `stops`. A name is literal with
/// outer blanks cut, or quoted as in SQL.
pub(super) fn list(text: &str, stops: &[char]) -> Result<Vec<Vec<String>>, String> {
    let mut items = vec![Vec::new()];
    let mut rest = text;
    loop {
        let (name, after) = name(rest, stops)?;
        if let Some(item) = items.last_mut() {
            item.push(name);
        }
        let mut characters = after.chars();
        match characters.next() {
            None => return Ok(items),
            Some(',') => items.push(Vec::new()),
            Some(_) => {}
        }
        rest = characters.as_str();
    }
}

fn name<'a>(text: &'a str, stops: &[char]) -> Result<(String, &'a str), String> {
    let trimmed = text.trim_start();
    let Some(mut rest) = trimmed.strip_prefix('"') else {
        let end = trimmed.find(stops).unwrap_or(trimmed.len());
        let (name, after) = trimmed.split_at(end);
        let name = name.trim_end();
        return if name.is_empty() {
            Err("has an empty name".to_owned())
        } else if name.contains('"') {
            Err(format!(
                "has a double quote inside of {name}: write it as in SQL, \"a\"\"b\""
            ))
        } else {
            Ok((name.to_owned(), after))
        };
    };
    let mut name = String::new();
    loop {
        let Some((part, after)) = rest.split_once('"') else {
            return Err("has a double quote that is never closed".to_owned());
        };
        name.push_str(part);
        let Some(quoted) = after.strip_prefix('"') else {
            let after = after.trim_start();
            return if name.is_empty() {
                Err("has an empty name".to_owned())
            } else if after.is_empty() || after.starts_with(stops) {
                Ok((name, after))
            } else {
                Err(format!("has something after the closing quote of \"{name}\""))
            };
        };
        name.push('"');
        rest = quoted;
    }
}
