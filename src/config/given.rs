//! The variables as they were given, and the reader that collects what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use serde::Deserialize;

use crate::config::variables::{self, VARIABLES};
use crate::config::{PasswordSource, SchemaName, Schemas, ServerConfig, parse};
use crate::error::{Error, Problem};
use crate::server::login;
use crate::server::{SslMode, SslRootCert};
use crate::word::Word as _;

/// Variables that belong to the run rather than to a side, each under its own name.
#[derive(Debug, Deserialize)]
pub(super) struct Own {
    pub(super) schema_name: Option<String>,
    pub(super) method: Option<String>,
    pub(super) jobs: Option<String>,
    pub(super) build_jobs: Option<String>,
    pub(super) split: Option<String>,
    pub(super) maintenance_work_mem: Option<String>,
    pub(super) toast_compression: Option<String>,
    pub(super) verify: Option<String>,
    pub(super) privileges: Option<String>,
    pub(super) role_map: Option<String>,
    pub(super) on_existing: Option<String>,
    pub(super) resume: Option<String>,
    pub(super) refresh: Option<String>,
    pub(super) accept: Option<String>,
    pub(super) accept_reason: Option<String>,
    pub(super) run_id: Option<String>,
    pub(super) run_schemas: Option<String>,
    pub(super) report_bucket: Option<String>,
    pub(super) max_runtime: Option<String>,
    pub(super) stall_timeout: Option<String>,
    pub(super) lock_timeout: Option<String>,
    pub(super) wait_timeout: Option<String>,
    pub(super) run_dir: Option<String>,
    pub(super) log_level: Option<String>,
    pub(super) log_format: Option<String>,
    /// Not of ours: where RUN_DIR is unless said.
    pub(super) tmpdir: Option<String>,
    /// Not of ours: searched for client programs.
    pub(super) path: Option<String>,
    /// What ECS tells every container.
    pub(super) ecs_container_metadata_uri_v4: Option<String>,
}

/// Variables of one side, without its prefix.
#[derive(Debug, Deserialize)]
pub(super) struct Side {
    pub(super) host: Option<String>,
    pub(super) port: Option<String>,
    pub(super) dbname: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) secret_id: Option<String>,
    pub(super) iam_auth: Option<String>,
    pub(super) sslmode: Option<String>,
    pub(super) sslrootcert: Option<String>,
}

/// Everything that was given; an empty variable counts as unset.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) own: Own,
    pub(super) source: Side,
    pub(super) target: Side,
    /// The names of all of it.
    pub(super) names: BTreeSet<String>,
}

/// What is wrong with a value that is none.
const NO_TEXT: &str = "is not valid UTF-8";

/// A variable: its name without a side's prefix, in small letters, and its value.
pub(super) type Field<'a> = (&'static str, Option<&'a str>);

/// The variable that a field of [`Own`] or [`Side`] holds: a name that does not exist does not compile.
macro_rules! given {
    ($of:ident.$field:ident) => {
        (stringify!($field), $of.$field.as_deref())
    };
}
pub(super) use given;

impl Given {
    /// Known names only, and what is not text among them. envy takes text alone, so that is looked at before.
    pub(super) fn read(
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(Self, Vec<Problem>), Error> {
        let known = known_names();
        let mut texts = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, value) in environment {
            let Ok(name) = name.into_string() else { continue };
            if !known.contains(&name) || value.is_empty() {
                continue;
            }
            match value.into_string() {
                Ok(value) => {
                    texts.insert(name, value);
                }
                Err(_) => problems.push(Problem {
                    variable: name,
                    reason: NO_TEXT.to_owned(),
                }),
            }
        }
        let all = || texts.iter().map(|(name, value)| (name.clone(), value.clone()));
        let failed =
            |error: envy::Error| Error::Internal(format!("the environment is not readable: {error}"));
        let given = Self {
            own: envy::from_iter(all()).map_err(failed)?,
            source: envy::prefixed("SOURCE_").from_iter(all()).map_err(failed)?,
            target: envy::prefixed("TARGET_").from_iter(all()).map_err(failed)?,
            names: texts.keys().cloned().collect(),
        };
        Ok((given, problems))
    }
}

fn known_names() -> BTreeSet<String> {
    let mut names = BTreeSet::from(["PATH", "TMPDIR", "ECS_CONTAINER_METADATA_URI_V4"].map(str::to_owned));
    for variable in VARIABLES {
        match variable.name.strip_prefix('…') {
            Some(rest) => names.extend([format!("SOURCE{rest}"), format!("TARGET{rest}")]),
            None => names.extend([variable.name.to_owned()]),
        }
    }
    names
}

/// Collects every problem while the environment is read.
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
    /// Of the side that is read.
    prefix: &'static str,
}

impl Reader {
    /// Goes on from what was found already.
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems, prefix: "" }
    }

    /// Notes what is wrong with a variable; one that is no text is not missing as well.
    fn problem(&mut self, field: &str, reason: impl Into<String>) {
        let variable = format!("{}{}", self.prefix, field.to_uppercase());
        if self
            .problems
            .iter()
            .any(|problem| problem.variable == variable && problem.reason == NO_TEXT)
        {
            return;
        }
        self.problems.push(Problem {
            variable,
            reason: reason.into(),
        });
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let withheld = |reason: String| {
            // A side's secret may stand in any of its variables.
            if self.prefix.is_empty() {
                reason
            } else {
                reason.replace(&format!("{text:?} "), "")
            }
        };
        let parsed = parse(text).map_err(withheld);
        parsed.map_err(|reason| self.problem(name, reason)).ok()
    }

    /// The value, or that of the default; `None` with a problem.
    pub(super) fn required<T>(
        &mut self,
        (name, text): Field<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = text.unwrap_or_else(|| variables::default_of(name));
        self.parsed(name, text, parse)
    }

    /// The value, if there is one.
    pub(super) fn optional<T>(
        &mut self,
        (name, text): Field<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.parsed(name, text?, parse)
    }

    pub(super) fn schemas(&mut self, (name, text): Field<'_>) -> Schemas {
        if text.is_none() {
            self.problem(name, "is not set: name the schema to move");
        }
        self.names((name, text))
    }

    /// Names of schemas, if there are any.
    pub(super) fn names(&mut self, (name, text): Field<'_>) -> Schemas {
        let Some(text) = text else {
            return Schemas::default();
        };
        let names = self.parsed(name, text, |text| parse::list(text, &[',']));
        let names = names.unwrap_or_default().into_iter().flatten();
        names
            .filter_map(|one| {
                SchemaName::try_from(one)
                    .map_err(|reason| self.problem(name, reason))
                    .ok()
            })
            .collect()
    }

    /// One side; `prefix` is `SOURCE_` or `TARGET_`.
    pub(super) fn server(&mut self, prefix: &'static str, side: &Side, needed: bool) -> ServerConfig {
        self.prefix = prefix;
        let password = self.password(side);
        let host = self.optional(given!(side.host), parse::host);
        let has_secret = matches!(password, PasswordSource::Secret(_));
        if needed && side.host.is_none() && !has_secret {
            self.problem("host", "is not set: name the server");
        }
        let sslrootcert = self.optional(given!(side.sslrootcert), parse::root_certificate);
        let config = ServerConfig {
            sslmode: self.sslmode(side, &password, sslrootcert.as_ref()),
            port: self.optional(given!(side.port), parse::port),
            dbname: self.optional(given!(side.dbname), parse::dbname),
            user: self.optional(given!(side.user), parse::user),
            host,
            password,
            sslrootcert,
        };
        self.agree(side, &config);
        self.prefix = "";
        config
    }

    /// `sslmode`, whose default is as strong as what else is said demands.
    fn sslmode(
        &mut self,
        side: &Side,
        password: &PasswordSource,
        sslrootcert: Option<&SslRootCert>,
    ) -> SslMode {
        let default = match (sslrootcert, password) {
            (Some(SslRootCert::System), _) => Some(SslMode::VerifyFull),
            (_, PasswordSource::Iam) => Some(SslMode::Require),
            _ => None,
        };
        match (&side.sslmode, default) {
            (None, Some(default)) => default,
            // What is no word demands nothing else.
            _ => self
                .required(given!(side.sslmode), SslMode::named)
                .unwrap_or(SslMode::Require),
        }
    }

    /// What a side's variables demand of each other.
    fn agree(&mut self, side: &Side, config: &ServerConfig) {
        let (prefix, sslmode) = (self.prefix, config.sslmode);
        let has_iam = matches!(config.password, PasswordSource::Iam);
        if has_iam && config.host.as_ref().is_some_and(|host| host.starts_with('/')) {
            self.problem("host", format!("is a socket, and {prefix}IAM_AUTH needs TLS"));
        }
        let word = sslmode.word();
        if has_iam && matches!(sslmode, SslMode::Disable | SslMode::Allow | SslMode::Prefer) {
            let reason = format!("{word} may go without TLS, which {prefix}IAM_AUTH needs");
            self.problem("sslmode", reason);
        }
        let checks = side.sslmode.is_some() && matches!(sslmode, SslMode::VerifyCa | SslMode::VerifyFull);
        if checks && side.sslrootcert.is_none() {
            let reason = format!("is not set, but {prefix}SSLMODE={word} needs it");
            self.problem("sslrootcert", reason);
        }
        if config.sslrootcert == Some(SslRootCert::System) && sslmode != SslMode::VerifyFull {
            let reason = format!("{word} is too weak for {prefix}SSLROOTCERT=system: use verify-full");
            self.problem("sslmode", reason);
        }
    }

    fn password(&mut self, side: &Side) -> PasswordSource {
        let has_iam = self
            .optional(given!(side.iam_auth), parse::switch)
            .unwrap_or(false);
        let (no_iam, iam) = (("iam_auth", None), given!(side.iam_auth));
        let sources = [
            given!(side.password),
            given!(side.password_file),
            given!(side.secret_id),
            if has_iam { iam } else { no_iam },
        ];
        let mut set = sources.iter().filter(|(_, value)| value.is_some());
        if let (Some(_), Some((second, _))) = (set.next(), set.next()) {
            let names = sources.map(|(name, _)| format!("{}{}", self.prefix, name.to_uppercase()));
            let reason = format!(
                "is one source of the password too many: set one of {}",
                names.join(", ")
            );
            self.problem(second, reason);
        }
        if has_iam {
            return PasswordSource::Iam;
        }
        if let Some(password) = self.optional(given!(side.password), login::password) {
            return PasswordSource::Value(password);
        }
        let file = self.optional(given!(side.password_file), parse::password_file);
        if let Some(path) = file {
            return PasswordSource::File(path);
        }
        self.optional(given!(side.secret_id), parse::secret_id)
            .map_or(PasswordSource::None, PasswordSource::Secret)
    }

    /// The directory under which the run's own is made.
    pub(super) fn run_dir(&mut self, own: &Own) -> PathBuf {
        let given = own.run_dir.as_ref().or(own.tmpdir.as_ref());
        let path = given.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        // The only way to know: permissions, a read-only mount and a missing directory all show here.
        if let Err(error) = tempfile::tempfile_in(&path) {
            let reason = format!("{}: no file can be made there: {error}", path.display());
            self.problem("run_dir", reason);
        }
        path
    }
}
