//! One side of the move: where a server is and how it is reached.

pub(crate) mod connect;
pub(crate) mod home;
pub(crate) mod keepalive;
pub(crate) mod login;
pub(crate) mod parameter;
pub(crate) mod passfile;
pub(crate) mod quoting;
pub(crate) mod reframe;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod threads;

use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::time::Instant;

use sha2::{Digest, Sha256};
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::error::Side;
use crate::server::home::Home;
use crate::server::login::Login;
use crate::server::session::Session;
use crate::server::settings::Dialect;

/// libpq's six words for `sslmode`, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Where the certificates come from that a server's certificate is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SslRootCert {
    /// The operating system's trusted authorities; only with `verify-full`, as in libpq.
    System,
    /// A PEM file with one or more authorities.
    File(PathBuf),
}

/// The same thing on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sides<T> {
    pub(crate) source: T,
    pub(crate) target: T,
}

impl Sides<Session> {
    /// The servers' major versions.
    pub(crate) fn dialects(&self) -> Sides<Dialect> {
        Sides {
            source: self.source.dialect(),
            target: self.target.dialect(),
        }
    }
}

/// A server with everything that is needed to connect. `Debug` shows no password.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) side: Side,
    /// Host name, address, or a socket directory beginning with `/`.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) dbname: String,
    pub(crate) user: String,
    pub(crate) login: Login,
    pub(crate) sslmode: SslMode,
    pub(crate) sslrootcert: Option<SslRootCert>,
    pub(crate) connector: connect::Connector,
    /// Where the run's first session has led.
    pub(crate) home: Home,
}

impl Server {
    /// `host:port/dbname`, as it stands in records and in the ledger.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.dbname)
    }
}

/// The name that every connection of a run carries, so that a later attempt finds what this one left.
///
/// `sf/<16 hex: target, database and schemas>/<8 hex: attempt>/<role>`; the server cuts names at 63 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApplicationName {
    unit: String,
    attempt: String,
}

impl ApplicationName {
    /// The name for a new attempt at moving `schemas`, in the order of their names, to the target at `address`.
    pub(crate) fn new(address: &str, schemas: &[&str]) -> Self {
        let mut hash = Sha256::new();
        hash.update(address);
        for name in schemas {
            hash.update([0]);
            hash.update(name);
        }
        let unit = hash
            .finalize()
            .iter()
            .take(8)
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Self {
            unit,
            attempt: format!("{:08x}", attempt()),
        }
    }

    /// The 16 hexadecimal digits that every attempt at this unit shares.
    pub(crate) fn unit(&self) -> &str {
        &self.unit
    }

    /// The 8 hexadecimal digits of this attempt.
    pub(crate) fn attempt(&self) -> &str {
        &self.attempt
    }

    /// `sf/<unit>/`: what every attempt at this unit shares.
    pub(crate) fn unit_prefix(&self) -> String {
        format!("sf/{}/", self.unit)
    }

    /// `sf/<unit>/<attempt>/`: what this attempt alone carries.
    pub(crate) fn attempt_prefix(&self) -> String {
        format!("sf/{}/{}/", self.unit, self.attempt)
    }

    /// The whole name for one role, such as `lock` or `pg_dump`.
    pub(crate) fn role(&self, role: &str) -> String {
        format!("sf/{}/{}/{role}", self.unit, self.attempt)
    }
}

/// A number that no other attempt has: of the moment and of the process.
fn attempt() -> u32 {
    let mixed = RandomState::new().hash_one(Instant::now());
    u32::try_from(mixed & u64::from(u32::MAX)).unwrap_or_default()
}
