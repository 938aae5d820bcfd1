//! The environment, read once and checked whole: every problem is reported, each by its variable's name.

mod parse;
mod schemas;
mod variables;

pub(crate) use schemas::{SchemaName, Schemas};
pub(crate) use variables::VARIABLES;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use tracing::Level;

use crate::error::{Error, Problem};
use crate::hazard::Hazard;
use crate::server::login;
use crate::server::{SslMode, SslRootCert};

/// How rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// `pg_dump | pg_restore`.
    Pipe,
    /// Many COPY streams under one snapshot.
    Copy,
}

impl Method {
    /// The word of `METHOD`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pipe => "pipe",
            Self::Copy => "copy",
        }
    }
}

/// Whether large tables are cut into ranges of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Split {
    /// Where one stream would otherwise outlast all others, and nobody counts on the order of rows.
    Auto,
    Never,
    Always,
}

impl Split {
    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Never => "never",
            Self::Always => "always",
        }
    }
}

/// How the target compresses large values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToastCompression {
    /// lz4 where the target has it and no index reads a value that could be compressed.
    Auto,
    /// As the target is set.
    Server,
    Lz4,
    Pglz,
}

impl ToastCompression {
    /// The word of `TOAST_COMPRESSION`, and of `default_toast_compression`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Server => "server",
            Self::Lz4 => "lz4",
            Self::Pglz => "pglz",
        }
    }
}

/// How far a load is checked before it counts as complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Exact counts, sequences, objects.
    Rows,
    /// The same, and a hash over every value.
    Hash,
    None,
}

impl Verify {
    /// The word of `VERIFY`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Hash => "hash",
            Self::None => "none",
        }
    }
}

/// Whether owners, grants, default privileges and policies' roles are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privileges {
    Keep,
    /// Everything belongs to the target user.
    Skip,
}

impl Privileges {
    /// The word of `PRIVILEGES`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Skip => "skip",
        }
    }
}

/// What happens to a schema that the target already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnExisting {
    /// Only what a load of ours made, and only while it is as that load left it.
    Own,
    /// Only leftovers of the same RUN_ID.
    Fail,
    /// Whatever is there, unless it is sealed.
    Replace,
}

impl OnExisting {
    fn word(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Fail => "fail",
            Self::Replace => "replace",
        }
    }
}

/// Where a side's password comes from.
#[derive(Debug, Clone)]
pub(crate) enum PasswordSource {
    None,
    Value(SecretString),
    File(PathBuf),
    /// Name or ARN of a secret of Secrets Manager.
    Secret(String),
    /// Tokens of IAM database authentication, signed for each connection.
    Iam,
}

/// One side as the environment describes it; what a secret may supply is still open.
#[derive(Debug, Clone)]
pub(crate) struct ServerConfig {
    /// `None` only if a secret is named, which then has to hold `host`.
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) dbname: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: PasswordSource,
    pub(crate) sslmode: SslMode,
    pub(crate) sslrootcert: Option<SslRootCert>,
}

/// `LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// JSON unless standard output is a terminal.
    Auto,
    Json,
    Text,
}

/// What a command cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The `SOURCE_` variables.
    pub(crate) source: bool,
    /// `SCHEMA_NAME`.
    pub(crate) schemas: bool,
}

/// The checked environment of one run.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// They move together under one snapshot.
    pub(crate) schemas: Schemas,
    pub(crate) source: ServerConfig,
    pub(crate) target: ServerConfig,
    pub(crate) method: Method,
    /// METHOD=copy: streams in flight per side, 1 to 64.
    pub(crate) jobs: u8,
    pub(crate) split: Split,
    pub(crate) toast_compression: ToastCompression,
    pub(crate) verify: Verify,
    pub(crate) privileges: Privileges,
    /// Role on the source, role on the target.
    pub(crate) role_map: Vec<(String, String)>,
    pub(crate) on_existing: OnExisting,
    pub(crate) accept: BTreeSet<Hazard>,
    pub(crate) run_id: Option<String>,
    pub(crate) max_runtime: Option<Duration>,
    pub(crate) stall_timeout: Option<Duration>,
    pub(crate) lock_timeout: Option<Duration>,
    pub(crate) wait_timeout: Duration,
    /// The directory under which the run's private directory is made.
    pub(crate) run_dir: PathBuf,
    pub(crate) log_level: Level,
    pub(crate) log_format: LogFormat,
    /// `PATH`, searched for client programs.
    pub(crate) path: String,
    /// Where ECS describes the task that this worker runs in, if it does.
    pub(crate) metadata_uri: Option<String>,
    /// Variables that belong to the other METHOD, noted at the start.
    pub(crate) unused: Vec<String>,
}

/// What ECS tells every container.
const METADATA_URI: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// Variables of METHOD=copy: under the other METHOD they are noted, which is no error.
const COPY_ONLY: &[&str] = &["JOBS", "SPLIT", "TOAST_COMPRESSION"];

/// `JOBS`, unless said.
const JOBS_DEFAULT: u8 = 4;

/// Variables and values as the process was given them, known names only, empty ones left out.
type Given = BTreeMap<String, OsString>;

/// Collects every problem while the environment is read.
struct Reader {
    given: Given,
    problems: Vec<Problem>,
}

impl Config {
    /// Reads this process's environment, as far as it is needed.
    pub(crate) fn from_env(needs: Needs) -> Result<Self, Error> {
        #[expect(clippy::disallowed_methods, reason = "this module is the only reader")]
        Self::read(needs, std::env::vars_os())
    }

    /// Reads an environment; the error names everything that is wrong with it.
    fn read(needs: Needs, environment: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, Error> {
        let known = known_names();
        let given = environment
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, value)| known.contains(name) && !value.is_empty())
            .collect();
        let mut reader = Reader {
            given,
            problems: Vec::new(),
        };
        let method = reader.parsed("METHOD", parse::method).unwrap_or(Method::Copy);
        let config = Self {
            schemas: if needs.schemas {
                reader.schemas()
            } else {
                Schemas::default()
            },
            source: reader.server("SOURCE", needs.source),
            target: reader.server("TARGET", true),
            method,
            jobs: reader.parsed("JOBS", parse::jobs).unwrap_or(JOBS_DEFAULT),
            split: reader.parsed("SPLIT", parse::split).unwrap_or(Split::Auto),
            toast_compression: reader
                .parsed("TOAST_COMPRESSION", parse::toast_compression)
                .unwrap_or(ToastCompression::Auto),
            verify: reader.parsed("VERIFY", parse::verify).unwrap_or(Verify::Rows),
            privileges: reader
                .parsed("PRIVILEGES", parse::privileges)
                .unwrap_or(Privileges::Keep),
            role_map: reader.parsed("ROLE_MAP", parse::role_map).unwrap_or_default(),
            on_existing: reader
                .parsed("ON_EXISTING", parse::on_existing)
                .unwrap_or(OnExisting::Own),
            accept: reader.parsed("ACCEPT", parse::accept).unwrap_or_default(),
            run_id: reader.text("RUN_ID"),
            max_runtime: reader.limit("MAX_RUNTIME", None),
            stall_timeout: reader.limit("STALL_TIMEOUT", Some(Duration::from_mins(10))),
            lock_timeout: reader.limit("LOCK_TIMEOUT", Some(Duration::from_mins(1))),
            wait_timeout: reader.parsed("WAIT_TIMEOUT", parse::duration).unwrap_or_default(),
            run_dir: reader.run_dir(),
            log_level: reader
                .parsed("LOG_LEVEL", parse::log_level)
                .unwrap_or(Level::INFO),
            log_format: reader
                .parsed("LOG_FORMAT", parse::log_format)
                .unwrap_or(LogFormat::Auto),
            path: reader.text("PATH").unwrap_or_default(),
            metadata_uri: reader.text(METADATA_URI),
            unused: COPY_ONLY
                .iter()
                .filter(|name| method != Method::Copy && reader.given.contains_key(**name))
                .map(|name| (*name).to_owned())
                .collect(),
        };
        if reader.problems.is_empty() {
            Ok(config)
        } else {
            Err(Error::Config(reader.problems))
        }
    }

    /// The effective configuration without any secret, for the start record.
    pub(crate) fn record(&self) -> Value {
        let limit = |limit: Option<Duration>| {
            limit.map_or_else(
                || "none".to_owned(),
                |limit| humantime::format_duration(limit).to_string(),
            )
        };
        json!({
            "SCHEMA_NAME": self.schemas.names(),
            "SOURCE": self.source.record(),
            "TARGET": self.target.record(),
            "METHOD": self.method.word(),
            "JOBS": self.jobs,
            "SPLIT": self.split.word(),
            "TOAST_COMPRESSION": self.toast_compression.word(),
            "VERIFY": self.verify.word(),
            "PRIVILEGES": self.privileges.word(),
            "ROLE_MAP": self.role_map.iter().map(|(old, new)| format!("{old}={new}")).collect::<Vec<_>>(),
            "ON_EXISTING": self.on_existing.word(),
            "ACCEPT": self.accept.iter().map(|hazard| hazard.word()).collect::<Vec<_>>(),
            "RUN_ID": self.run_id,
            "MAX_RUNTIME": limit(self.max_runtime),
            "STALL_TIMEOUT": limit(self.stall_timeout),
            "LOCK_TIMEOUT": limit(self.lock_timeout),
            "WAIT_TIMEOUT": limit(Some(self.wait_timeout)),
            "RUN_DIR": self.run_dir,
        })
    }
}

impl ServerConfig {
    fn record(&self) -> Value {
        let (password, secret) = match &self.password {
            PasswordSource::None => ("none", None),
            PasswordSource::Value(_) => ("variable", None),
            PasswordSource::File(_) => ("file", None),
            PasswordSource::Secret(id) => ("secret", Some(id)),
            PasswordSource::Iam => ("iam", None),
        };
        json!({
            "HOST": self.host,
            "PORT": self.port,
            "DBNAME": self.dbname,
            "USER": self.user,
            "password_from": password,
            "SECRET_ID": secret,
            "SSLMODE": self.sslmode.word(),
            "SSLROOTCERT": self.sslrootcert.as_ref().map(|root| match root {
                SslRootCert::System => "system".to_owned(),
                SslRootCert::File(path) => path.display().to_string(),
            }),
        })
    }
}

fn known_names() -> BTreeSet<String> {
    let mut names = BTreeSet::from(["PATH", "TMPDIR", METADATA_URI].map(str::to_owned));
    for variable in VARIABLES {
        match variable.name.strip_prefix('…') {
            Some(rest) => names.extend([format!("SOURCE{rest}"), format!("TARGET{rest}")]),
            None => names.extend([variable.name.to_owned()]),
        }
    }
    names
}

impl Reader {
    fn problem(&mut self, variable: &str, reason: impl Into<String>) {
        self.problems.push(Problem {
            variable: variable.to_owned(),
            reason: reason.into(),
        });
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.given.get(name)?;
        let text = value.to_str().map(str::to_owned);
        if text.is_none() {
            self.problem(name, "is not valid UTF-8");
        }
        text
    }

    fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.problem(name, reason);
                None
            }
        }
    }

    /// A duration, `none` to switch it off.
    fn limit(&mut self, name: &str, default: Option<Duration>) -> Option<Duration> {
        let parse = |text: &str| match text {
            "none" => Ok(None),
            text => match parse::duration(text)? {
                Duration::ZERO => Err("is zero: write none to switch it off".to_owned()),
                limit => Ok(Some(limit)),
            },
        };
        self.parsed(name, parse).unwrap_or(default)
    }

    fn schemas(&mut self) -> Schemas {
        const NAME: &str = "SCHEMA_NAME";
        if !self.given.contains_key(NAME) {
            self.problem(NAME, "is not set: name the schema to move");
            return Schemas::default();
        }
        let names = self
            .parsed(NAME, |text| parse::list(text, &[',']))
            .unwrap_or_default()
            .into_iter()
            .flatten();
        let mut schemas = Vec::new();
        for name in names {
            match SchemaName::try_from(name) {
                Ok(schema) => schemas.push(schema),
                Err(reason) => self.problem(NAME, reason),
            }
        }
        schemas.into_iter().collect()
    }

    fn server(&mut self, side: &str, needed: bool) -> ServerConfig {
        let name = |rest: &str| format!("{side}_{rest}");
        let password = self.password(side);
        let host = self.parsed(&name("HOST"), |text| {
            if !text.starts_with('/') && text.contains(',') {
                Err("names more than one host".to_owned())
            } else {
                Ok(text.to_owned())
            }
        });
        let has_secret = matches!(password, PasswordSource::Secret(_));
        if needed && !self.given.contains_key(&name("HOST")) && !has_secret {
            self.problem(&name("HOST"), "is not set: name the server");
        }
        let has_iam = matches!(password, PasswordSource::Iam);
        if has_iam && host.as_ref().is_some_and(|host| host.starts_with('/')) {
            let reason = format!("is a socket, and {side}_IAM_AUTH needs TLS");
            self.problem(&name("HOST"), reason);
        }
        let sslrootcert = self.parsed(&name("SSLROOTCERT"), parse::root_certificate);
        let default = match sslrootcert {
            Some(SslRootCert::System) => SslMode::VerifyFull,
            Some(SslRootCert::File(_)) | None if has_iam => SslMode::Require,
            Some(SslRootCert::File(_)) | None => SslMode::Prefer,
        };
        let sslmode = self.parsed(&name("SSLMODE"), parse::sslmode).unwrap_or(default);
        if has_iam && matches!(sslmode, SslMode::Disable | SslMode::Allow | SslMode::Prefer) {
            let reason = format!(
                "{} may go without TLS, which {side}_IAM_AUTH needs",
                sslmode.word()
            );
            self.problem(&name("SSLMODE"), reason);
        }
        let checks = matches!(sslmode, SslMode::VerifyCa | SslMode::VerifyFull);
        if checks && !self.given.contains_key(&name("SSLROOTCERT")) {
            let reason = format!("is not set, but {side}_SSLMODE={} needs it", sslmode.word());
            self.problem(&name("SSLROOTCERT"), reason);
        }
        if sslrootcert == Some(SslRootCert::System) && sslmode != SslMode::VerifyFull {
            let reason = format!(
                "{} is too weak for {side}_SSLROOTCERT=system: use verify-full",
                sslmode.word()
            );
            self.problem(&name("SSLMODE"), reason);
        }
        ServerConfig {
            host,
            port: self.parsed(&name("PORT"), parse::port),
            dbname: self.text(&name("DBNAME")),
            user: self.text(&name("USER")),
            password,
            sslmode,
            sslrootcert,
        }
    }

    fn password(&mut self, side: &str) -> PasswordSource {
        let names =
            ["PASSWORD", "PASSWORD_FILE", "SECRET_ID", "IAM_AUTH"].map(|rest| format!("{side}_{rest}"));
        let [value, file, secret, iam] = &names;
        let has_iam = self.parsed(iam, parse::switch).unwrap_or(false);
        let given: Vec<&String> = names
            .iter()
            .filter(|name| self.given.contains_key(*name) && (*name != iam || has_iam))
            .collect();
        if let [_, second, ..] = given.as_slice() {
            let reason = format!(
                "is one source of the password too many: set one of {}",
                names.join(", ")
            );
            self.problem(second, reason);
        }
        if has_iam {
            return PasswordSource::Iam;
        }
        if let Some(password) = self.parsed(value, login::password) {
            return PasswordSource::Value(password);
        }
        if let Some(path) = self.parsed(file, |path| {
            parse::readable(Path::new(path)).map(|()| PathBuf::from(path))
        }) {
            return PasswordSource::File(path);
        }
        self.text(secret)
            .map_or(PasswordSource::None, PasswordSource::Secret)
    }

    fn run_dir(&mut self) -> PathBuf {
        let given = self.text("RUN_DIR").or_else(|| self.text("TMPDIR"));
        let path = given.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        // The only way to know: permissions, a read-only mount and a missing directory all show here.
        if let Err(error) = tempfile::tempfile_in(&path) {
            let reason = format!("{}: no file can be made there: {error}", path.display());
            self.problem("RUN_DIR", reason);
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStringExt as _;

    const LOAD: Needs = Needs {
        source: true,
        schemas: true,
    };

    type Variables<'a> = &'a [(&'a str, &'a str)];

    fn read(variables: Variables<'_>) -> Result<Config, Vec<String>> {
        let base = [("SCHEMA_NAME", "s"), ("SOURCE_HOST", "a"), ("TARGET_HOST", "b")];
        let environment: BTreeMap<OsString, OsString> = base
            .iter()
            .chain(variables)
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        match Config::read(LOAD, environment.into_iter()) {
            Ok(config) => Ok(config),
            Err(Error::Config(problems)) => Err(problems.iter().map(ToString::to_string).collect()),
            Err(other) => panic!("{other}"),
        }
    }

    fn names(text: &str) -> Result<Vec<String>, String> {
        parse::list(text, &[',']).map(|items| items.into_iter().flatten().collect())
    }

    #[test]
    fn names_are_literal_unless_quoted() {
        let cases: &[(&str, &[&str])] = &[
            ("finance", &["finance"]),
            (" a , b\t", &["a", "b"]),
            ("Camel*Case.x", &["Camel*Case.x"]),
            ("\"a,b\",c", &["a,b", "c"]),
            ("\"say \"\"hi\"\"\"", &["say \"hi\""]),
            ("\" outer \" , x", &[" outer ", "x"]),
            ("a=b", &["a=b"]),
            ("with\nnewline", &["with\nnewline"]),
        ];
        for (text, expected) in cases {
            assert_eq!(names(text).unwrap(), *expected, "{text}");
        }
        for text in ["a,", ",", "\"\"", "\"a", "a\"b", "\"a\"b", " "] {
            assert!(names(text).is_err(), "{text}");
        }
    }

    fn quoted(name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    proptest! {
        #[test]
        fn a_quoted_name_stands_for_itself(known in proptest::collection::vec("[^\0]{1,20}", 1..5)) {
            let text: Vec<String> = known.iter().map(|name| quoted(name)).collect();
            prop_assert_eq!(names(&text.join(" , ")).unwrap(), known);
        }

        #[test]
        fn no_environment_makes_the_reader_panic(
            values in proptest::collection::vec((0..VARIABLES.len(), any::<bool>(), value()), 0..8)
        ) {
            let environment = values.into_iter().map(|(variable, source, value)| {
                let name = VARIABLES.get(variable).map_or("", |variable| variable.name);
                let name = name.replace('…', if source { "SOURCE" } else { "TARGET" });
                (name.into(), OsString::from_vec(value))
            });
            if let Err(error) = Config::read(LOAD, environment) {
                let is_config = matches!(error, Error::Config(_));
                prop_assert!(is_config, "{}", error);
            }
        }
    }

    /// Words that variables know, and any bytes.
    fn value() -> impl Strategy<Value = Vec<u8>> {
        let words = "[0-9a-z\", =\n.:/_-]{0,12}|none|auto|copy|pipe|system|disable|2h 30m|99999999999999d";
        prop_oneof![
            words.prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..20)
        ]
    }

    /// Variables, and what each of the problems says.
    const PROBLEMS: &[(Variables<'_>, &[&str])] = &[
        (&[("SCHEMA_NAME", "")], &["SCHEMA_NAME is not set"]),
        (
            &[("SCHEMA_NAME", "pg_temp_1,schemaferry")],
            &["system schema", "ledger's own"],
        ),
        (
            &[("SCHEMA_NAME", "éééééééééééééééééééééééééééééééé")],
            &["has 64 bytes"],
        ),
        (
            &[("SOURCE_HOST", ""), ("TARGET_PORT", "0")],
            &["SOURCE_HOST", "TARGET_PORT"],
        ),
        (
            &[("SOURCE_HOST", "a,b")],
            &["SOURCE_HOST names more than one host"],
        ),
        (
            &[("SOURCE_PASSWORD", "x"), ("SOURCE_SECRET_ID", "y")],
            &["SOURCE_SECRET_ID is one source"],
        ),
        (
            &[("SOURCE_PASSWORD", "a\nb")],
            &["SOURCE_PASSWORD holds a line end"],
        ),
        (
            &[("TARGET_PASSWORD_FILE", "/nonexistent")],
            &["TARGET_PASSWORD_FILE /nonexistent cannot be read"],
        ),
        (
            &[("TARGET_SSLMODE", "verify-full")],
            &["TARGET_SSLROOTCERT is not set"],
        ),
        (
            &[("TARGET_SSLMODE", "prefer"), ("TARGET_SSLROOTCERT", "system")],
            &["TARGET_SSLMODE prefer is too weak"],
        ),
        (
            &[("SOURCE_SSLMODE", "on")],
            &["SOURCE_SSLMODE \"on\" is not one of disable, allow"],
        ),
        (
            &[("METHOD", "dump")],
            &["METHOD \"dump\" is not one of copy, pipe"],
        ),
        (
            &[("JOBS", "0"), ("SPLIT", "x")],
            &[
                "JOBS \"0\" is not a number from 1 to 64",
                "SPLIT \"x\" is not one of auto",
            ],
        ),
        (
            &[("TOAST_COMPRESSION", "zstd")],
            &["TOAST_COMPRESSION \"zstd\" is not one of auto, server"],
        ),
        (
            &[("VERIFY", "all")],
            &["VERIFY \"all\" is not one of rows, hash, none"],
        ),
        (&[("ROLE_MAP", "a=b,a=c")], &["ROLE_MAP maps \"a\" twice"]),
        (&[("ROLE_MAP", "a")], &["ROLE_MAP is not of the form"]),
        (
            &[("ACCEPT", "large-objects,moon")],
            &["ACCEPT \"moon\" is not one of"],
        ),
        (
            &[("STALL_TIMEOUT", "soon")],
            &["STALL_TIMEOUT \"soon\" is no duration"],
        ),
        (
            &[("LOCK_TIMEOUT", "0"), ("MAX_RUNTIME", "25d")],
            &[
                "MAX_RUNTIME \"25d\" is longer than 24 days",
                "LOCK_TIMEOUT is zero",
            ],
        ),
        (&[("RUN_DIR", "/nonexistent")], &["RUN_DIR /nonexistent"]),
    ];

    #[test]
    fn every_problem_is_reported_by_its_variable() {
        for (variables, expected) in PROBLEMS {
            let problems = read(variables).map(|_| ()).unwrap_err();
            assert_eq!(problems.len(), expected.len(), "{problems:?}");
            for (problem, text) in problems.iter().zip(*expected) {
                assert!(problem.contains(text), "{problem:?} lacks {text:?}");
            }
        }
    }

    #[test]
    fn values_and_defaults() {
        let config = read(&[
            ("TARGET_SSLROOTCERT", "system"),
            ("ROLE_MAP", "\"a=b\"=c, postgres = admin"),
            ("STALL_TIMEOUT", "none"),
            ("WAIT_TIMEOUT", "2h 30m"),
            ("ACCEPT", "publications"),
            ("JOBS", "8"),
            ("METHOD", "pipe"),
            ("RUN_ID", ""),
        ])
        .unwrap();
        assert_eq!(config.source.sslmode, SslMode::Prefer);
        assert_eq!(config.target.sslmode, SslMode::VerifyFull);
        let map = [("a=b", "c"), ("postgres", "admin")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(config.role_map, map);
        assert_eq!(config.stall_timeout, None);
        assert_eq!(config.lock_timeout, Some(Duration::from_mins(1)));
        assert_eq!(config.wait_timeout, Duration::from_mins(150));
        assert_eq!(config.accept, BTreeSet::from([Hazard::Publications]));
        assert_eq!(config.unused, ["JOBS"]);
        assert_eq!(config.run_id, None);
    }

    #[test]
    fn neither_record_nor_debug_shows_a_password() {
        let config = read(&[("SOURCE_PASSWORD", "hunter2")]).unwrap();
        assert!(!format!("{config:?} {}", config.record()).contains("hunter2"));
    }
}
