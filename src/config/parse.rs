//! Words, names, numbers and durations of the environment; an error is what is wrong with the value, to be read after the
//! variable's name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::Level;

use crate::config::{LogFormat, Method, OnExisting, Privileges, Split, ToastCompression, Verify};
use crate::hazard::Hazard;
use crate::server::{SslMode, SslRootCert};

/// What a server's timeouts can hold: milliseconds in 32 bits with a sign.
const DURATION_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// Streams that one load may have in flight on each side.
const JOBS: std::ops::RangeInclusive<u8> = 1..=64;

pub(super) fn readable(path: &Path) -> Result<(), String> {
    std::fs::File::open(path)
        .and_then(|mut file| std::io::Read::read(&mut file, &mut [0]))
        .map(|_| ())
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

pub(super) fn root_certificate(text: &str) -> Result<SslRootCert, String> {
    if text == "system" {
        return Ok(SslRootCert::System);
    }
    let path = PathBuf::from(text);
    readable(&path).map(|()| SslRootCert::File(path))
}

pub(super) fn port(text: &str) -> Result<u16, String> {
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
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("{text:?} is not one of {}", known.join(", "))
    })
}

pub(super) fn method(text: &str) -> Result<Method, String> {
    word(
        text,
        &[Method::Copy, Method::Pipe].map(|value| (value.word(), value)),
    )
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

pub(super) fn split(text: &str) -> Result<Split, String> {
    let words = [Split::Auto, Split::Never, Split::Always].map(|value| (value.word(), value));
    word(text, &words)
}

pub(super) fn toast_compression(text: &str) -> Result<ToastCompression, String> {
    let words = [
        ToastCompression::Auto,
        ToastCompression::Server,
        ToastCompression::Lz4,
        ToastCompression::Pglz,
    ];
    word(text, &words.map(|value| (value.word(), value)))
}

pub(super) fn verify(text: &str) -> Result<Verify, String> {
    let words = [Verify::Rows, Verify::Hash, Verify::None].map(|value| (value.word(), value));
    word(text, &words)
}

pub(super) fn privileges(text: &str) -> Result<Privileges, String> {
    let words = [Privileges::Keep, Privileges::Skip].map(|value| (value.word(), value));
    word(text, &words)
}

pub(super) fn on_existing(text: &str) -> Result<OnExisting, String> {
    let words = [OnExisting::Own, OnExisting::Fail, OnExisting::Replace].map(|value| (value.word(), value));
    word(text, &words)
}

pub(super) fn sslmode(text: &str) -> Result<SslMode, String> {
    word(text, &SslMode::ALL.map(|mode| (mode.word(), mode)))
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

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    let words = [
        ("auto", LogFormat::Auto),
        ("json", LogFormat::Json),
        ("text", LogFormat::Text),
    ];
    word(text, &words)
}

pub(super) fn accept(text: &str) -> Result<BTreeSet<Hazard>, String> {
    let words = Hazard::ALL.map(|hazard| (hazard.word(), hazard));
    let names = list(text, &[','])?.into_iter().flatten();
    names.map(|name| word(&name, &words)).collect()
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
