//! The environment, read once and checked whole: every problem is reported, each by its variable's name.

mod given;
pub(crate) mod parse;
mod schemas;
mod variables;

pub(crate) use schemas::{SchemaName, Schemas, listed};
pub(crate) use variables::{VARIABLES, default_of};

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use strum::{EnumString, IntoStaticStr, VariantNames};
use tracing::Level;

use crate::config::given::{Given, Reader, given};
use crate::error::Error;
use crate::hazard::Hazard;
use crate::server::{SslMode, SslRootCert};
use crate::word::Word as _;

/// How rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Method {
    /// Many COPY streams under one snapshot.
    Copy,
    /// `pg_dump | pg_restore`.
    Pipe,
}

/// Whether large tables are cut into ranges of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Split {
    /// Where one stream would otherwise outlast all others, and nobody counts on the order of rows.
    Auto,
    Never,
    Always,
}

/// How the target compresses large values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum ToastCompression {
    /// lz4 where the target has it and no index reads a value that could be compressed.
    Auto,
    /// As the target is set.
    Server,
    Lz4,
    Pglz,
}

/// How far a load is checked before it counts as complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Verify {
    /// Exact counts, sequences, objects.
    Rows,
    /// The same, and a hash over every value.
    Hash,
    None,
}

/// Whether owners, grants, default privileges and policies' roles are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Privileges {
    Keep,
    /// Everything belongs to the target user.
    Skip,
}

/// What happens to a schema that the target already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum OnExisting {
    /// Only what a load of ours made, and only while it is as that load left it.
    Own,
    /// Only leftovers of the same RUN_ID.
    Fail,
    /// Whatever is there, unless it is sealed.
    Replace,
}

/// What `refresh` does where it cannot tell table by table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Refresh {
    /// Loads everything.
    Auto,
    /// Refuses.
    Only,
}

/// What `load` does with what an interrupted one has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Resume {
    /// Keeps the tables that have landed, as far as they hold what the source holds by now.
    Auto,
    /// Drops everything and begins anew.
    Never,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// JSON unless standard output is a terminal.
    Auto,
    Json,
    Text,
}

/// What a command does with a part of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Ignored,
    Optional,
    Required,
}

/// What a command cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The `SOURCE_` variables.
    pub(crate) source: Need,
    /// The `TARGET_` variables.
    pub(crate) target: Need,
    /// `SCHEMA_NAME`.
    pub(crate) schemas: Need,
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
    /// METHOD=copy: sessions that build on the target beside the streams, 1 to 64.
    pub(crate) build_jobs: u8,
    pub(crate) split: Split,
    /// METHOD=copy: memory of one build on the target, in kB; `None`: what the target bears.
    pub(crate) maintenance_work_mem_kb: Option<u64>,
    pub(crate) toast_compression: ToastCompression,
    pub(crate) verify: Verify,
    pub(crate) privileges: Privileges,
    /// Role on the source, role on the target.
    pub(crate) role_map: Vec<(String, String)>,
    pub(crate) on_existing: OnExisting,
    pub(crate) resume: Resume,
    pub(crate) refresh: Refresh,
    pub(crate) accept: BTreeSet<Hazard>,
    /// Who has accepted them and why.
    pub(crate) accept_reason: Option<String>,
    pub(crate) run_id: Option<String>,
    /// What the run that this worker is part of brings.
    pub(crate) run_schemas: Schemas,
    /// Where a report is put.
    pub(crate) report_bucket: Option<String>,
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
    /// Cores that the task may use, once it was asked.
    pub(crate) task_cores: Option<f64>,
    /// Variables that belong to the other METHOD, noted at the start.
    pub(crate) unused: Vec<String>,
}

/// Variables of METHOD=copy: under the other METHOD they are noted, which is no error.
const COPY_ONLY: [&str; 5] = [
    "JOBS",
    "BUILD_JOBS",
    "SPLIT",
    "MAINTENANCE_WORK_MEM",
    "TOAST_COMPRESSION",
];

/// How records are to be written, whatever is wrong with the rest of the environment.
pub(crate) fn log_format() -> LogFormat {
    #[expect(clippy::disallowed_methods, reason = "this module is the only reader")]
    let given = std::env::var("LOG_FORMAT").unwrap_or_default();
    LogFormat::named(&given).unwrap_or(LogFormat::Auto)
}

impl Config {
    /// Reads this process's environment, as far as it is needed.
    pub(crate) fn from_env(needs: Needs) -> Result<Self, Error> {
        #[expect(clippy::disallowed_methods, reason = "this module is the only reader")]
        Self::read(needs, std::env::vars_os())
    }

    /// Reads an environment; the error names everything that is wrong with it.
    #[expect(clippy::too_many_lines, reason = "two lines for each variable")]
    fn read(needs: Needs, environment: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, Error> {
        let (given, problems) = Given::read(environment)?;
        let mut reader = Reader::new(problems);
        let own = &given.own;
        let method = reader.required(given!(own.method), Method::named);
        let unused = unused(method, &given);
        let config = (|| {
            let schemas = match needs.schemas {
                Need::Required => reader.schemas(given!(own.schema_name)),
                Need::Optional => reader.names(given!(own.schema_name)),
                Need::Ignored => Schemas::default(),
            };
            let source = reader.server("SOURCE_", &given.source, needs.source == Need::Required);
            let target = reader.server("TARGET_", &given.target, needs.target == Need::Required);
            let jobs = reader.required(given!(own.jobs), parse::jobs);
            let build_jobs = reader.required(given!(own.build_jobs), parse::build_jobs);
            let split = reader.required(given!(own.split), Split::named);
            let maintenance_work_mem_kb = reader.required(given!(own.maintenance_work_mem), parse::memory);
            let toast_compression = reader.required(given!(own.toast_compression), ToastCompression::named);
            let verify = reader.required(given!(own.verify), Verify::named);
            let privileges = reader.required(given!(own.privileges), Privileges::named);
            let role_map = reader.optional(given!(own.role_map), parse::role_map);
            let on_existing = reader.required(given!(own.on_existing), OnExisting::named);
            let resume = reader.required(given!(own.resume), Resume::named);
            let refresh = reader.required(given!(own.refresh), Refresh::named);
            let accept = reader.optional(given!(own.accept), parse::accept);
            let accept_reason = reader.optional(given!(own.accept_reason), parse::reason);
            let report_bucket = reader.optional(given!(own.report_bucket), parse::bucket);
            let run_schemas = reader.names(given!(own.run_schemas));
            let max_runtime = reader.required(given!(own.max_runtime), parse::limit);
            let stall_timeout = reader.required(given!(own.stall_timeout), parse::limit);
            let lock_timeout = reader.required(given!(own.lock_timeout), parse::limit);
            let wait_timeout = reader.required(given!(own.wait_timeout), parse::duration);
            let run_dir = reader.run_dir(own);
            let log_level = reader.required(given!(own.log_level), parse::log_level);
            let log_format = reader.required(given!(own.log_format), LogFormat::named);
            Some(Self {
                schemas,
                source,
                target,
                method: method?,
                jobs: jobs?,
                build_jobs: build_jobs?.or(jobs)?,
                split: split?,
                maintenance_work_mem_kb: maintenance_work_mem_kb?,
                toast_compression: toast_compression?,
                verify: verify?,
                privileges: privileges?,
                role_map: role_map.unwrap_or_default(),
                on_existing: on_existing?,
                resume: resume?,
                refresh: refresh?,
                accept: accept.unwrap_or_default(),
                accept_reason,
                run_id: own.run_id.clone(),
                run_schemas,
                report_bucket,
                max_runtime: max_runtime?,
                stall_timeout: stall_timeout?,
                lock_timeout: lock_timeout?,
                wait_timeout: wait_timeout?,
                run_dir,
                log_level: log_level?,
                log_format: log_format?,
                path: own.path.clone().unwrap_or_default(),
                metadata_uri: own.ecs_container_metadata_uri_v4.clone(),
                task_cores: None,
                unused,
            })
        })();
        match config {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(Error::Config(reader.problems)),
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
            "BUILD_JOBS": self.build_jobs,
            "SPLIT": self.split.word(),
            "MAINTENANCE_WORK_MEM": self.maintenance_work_mem_kb.map_or_else(|| "auto".to_owned(), |kb| format!("{kb}kB")),
            "TOAST_COMPRESSION": self.toast_compression.word(),
            "VERIFY": self.verify.word(),
            "PRIVILEGES": self.privileges.word(),
            "ROLE_MAP": self.role_map.iter().map(|(old, new)| format!("{old}={new}")).collect::<Vec<_>>(),
            "ON_EXISTING": self.on_existing.word(),
            "RESUME": self.resume.word(),
            "REFRESH": self.refresh.word(),
            "ACCEPT": self.accept.iter().map(|hazard| hazard.word()).collect::<Vec<_>>(),
            "ACCEPT_REASON": self.accept_reason,
            "RUN_ID": self.run_id,
            "RUN_SCHEMAS": self.run_schemas.names(),
            "REPORT_BUCKET": self.report_bucket,
            "MAX_RUNTIME": limit(self.max_runtime),
            "STALL_TIMEOUT": limit(self.stall_timeout),
            "LOCK_TIMEOUT": limit(self.lock_timeout),
            "WAIT_TIMEOUT": limit(Some(self.wait_timeout)),
            "RUN_DIR": self.run_dir,
        })
    }
}

/// What was given and has no effect under this METHOD.
fn unused(method: Option<Method>, given: &Given) -> Vec<String> {
    let unused = COPY_ONLY
        .iter()
        .filter(|name| method == Some(Method::Pipe) && given.names.contains(**name));
    unused.map(|name| (*name).to_owned()).collect()
}

impl ServerConfig {
    /// Whether it says where the server is.
    pub(crate) fn is_given(&self) -> bool {
        self.host.is_some() || matches!(self.password, PasswordSource::Secret(_))
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::os::unix::ffi::OsStringExt as _;

    const LOAD: Needs = Needs {
        source: Need::Required,
        target: Need::Required,
        schemas: Need::Required,
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

    const LONG: &str = match std::str::from_utf8(&[b'x'; 1001]) {
        Ok(text) => text,
        Err(_) => "",
    };

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
            &[
                ("SOURCE_SECRET_ID", r#"{"password": "hunter2"}"#),
                ("SOURCE_HOST", "postgres://u:hunter2@h/d"),
                ("SOURCE_DBNAME", "postgres://u:hunter2@h/d"),
                ("TARGET_DBNAME", "host=h password = hunter2"),
                ("SOURCE_PORT", "hunter2"),
                ("SOURCE_SSLMODE", "hunter2"),
                ("TARGET_USER", "u:hunter2"),
                ("TARGET_PASSWORD_FILE", "hunter2"),
            ],
            &[
                "SOURCE_SECRET_ID is no secret's name",
                "SOURCE_HOST is no host's name",
                "SOURCE_SSLMODE is not one of disable",
                "SOURCE_PORT is no port",
                "SOURCE_DBNAME holds a URI",
                "TARGET_PASSWORD_FILE names no file",
                "TARGET_DBNAME holds a connection string",
                "TARGET_USER holds a colon",
            ],
        ),
        (
            &[("TARGET_PASSWORD_FILE", "/nonexistent")],
            &["TARGET_PASSWORD_FILE names no file that can be read (No such file"],
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
            &["SOURCE_SSLMODE is not one of disable, allow"],
        ),
        (
            &[("METHOD", "dump")],
            &["METHOD \"dump\" is not one of copy, pipe"],
        ),
        (
            &[("JOBS", "0"), ("BUILD_JOBS", "65"), ("SPLIT", "x")],
            &[
                "JOBS \"0\" is not a number from 1 to 64",
                "BUILD_JOBS \"65\" is not a number from 1 to 64, nor auto",
                "SPLIT \"x\" is not one of auto",
            ],
        ),
        (
            &[("MAINTENANCE_WORK_MEM", "256")],
            &["MAINTENANCE_WORK_MEM \"256\" is no amount of memory such as 256MB"],
        ),
        (
            &[("MAINTENANCE_WORK_MEM", "99999999999999999TB")],
            &["MAINTENANCE_WORK_MEM"],
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
            &[("ACCEPT_REASON", LONG)],
            &["ACCEPT_REASON has 1001 characters, more than 1000"],
        ),
        (
            &[("REPORT_BUCKET", "s3://reports")],
            &["REPORT_BUCKET \"s3://reports\" is no bucket's name"],
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
                assert!(!problem.contains("hunter2"), "{problem:?} shows a secret");
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
            ("BUILD_JOBS", "2"),
            ("MAINTENANCE_WORK_MEM", "2GB"),
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
        assert_eq!(config.maintenance_work_mem_kb, Some(2 * 1024 * 1024));
        assert_eq!(config.unused, ["JOBS", "BUILD_JOBS", "MAINTENANCE_WORK_MEM"]);
        assert_eq!(config.run_id, None);
    }

    #[test]
    fn neither_record_nor_debug_shows_a_password() {
        let config = read(&[("SOURCE_PASSWORD", "hunter2")]).unwrap();
        assert!(!format!("{config:?} {}", config.record()).contains("hunter2"));
    }
}
