//! Sealing: what protects a schema that is live from every load, whatever `ON_EXISTING` says.

use crate::catalogue;
use crate::config::{Config, SchemaName};
use crate::credentials;
use crate::error::{Error, Refused, Side};
use crate::ledger::{self, LoadState};
use crate::lock::Lock;
use crate::preflight;
use crate::progress::{Phase, Progress};
use crate::server::ApplicationName;
use crate::server::session::Session;
use crate::shutdown::Shutdown;

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealOptions {
    /// Every schema of the ledger, rather than those of the configuration.
    pub(crate) all: bool,
    /// Take the seal away.
    pub(crate) undo: bool,
}

/// Seals the schemas whose last load is complete, or takes their seal away. Those that cannot be sealed are the error;
/// the others are sealed all the same: protecting what can be protected harms nobody.
pub(crate) async fn seal(
    config: &Config,
    shutdown: &Shutdown,
    progress: &Progress,
    options: SealOptions,
) -> Result<(), Error> {
    shutdown.guard(Box::pin(mark(config, progress, options))).await
}

async fn mark(config: &Config, progress: &Progress, options: SealOptions) -> Result<(), Error> {
    progress.enter(Phase::Connect);
    let limit = config.lock_timeout;
    let (server, session) = credentials::connect(&config.target, Side::Target, async |server| {
        Session::open(server, "sf/seal", limit).await
    })
    .await?;
    preflight::refuse_reader(&session).await?;
    let schemas = if options.all {
        ledger::schemas(&session).await?
    } else {
        config.schemas.clone()
    };

    progress.enter(Phase::Lock);
    let names = ApplicationName::new(&server.address(), &schemas.names());
    let lock = Lock::acquire(&server, &names, &schemas, config.wait_timeout).await?;

    progress.enter(Phase::Complete);
    let target = lock.session();
    let (mut marked, mut refused) = (Vec::new(), Vec::new());
    target.batch("begin", "BEGIN").await?;
    for schema in &schemas {
        match set(target, schema, !options.undo).await? {
            None => marked.push(schema.as_str()),
            Some(reason) => refused.push(reason),
        }
    }
    target.batch("write the ledger", "COMMIT").await?;
    let schemas = marked.join(",");
    if options.undo {
        tracing::info!(schemas, "no longer sealed");
    } else {
        tracing::info!(schemas, "sealed");
    }
    if refused.is_empty() {
        Ok(())
    } else {
        Err(Error::Preflight(refused))
    }
}

/// `None` where the schema is as wanted now, else why it cannot be.
async fn set(target: &Session, schema: &SchemaName, sealed: bool) -> Result<Option<Refused>, Error> {
    let refused = |reason: String, hint: &str| Some(Refused::occupied(Side::Target, reason, hint));
    let Some(load) = ledger::latest(target, schema.as_str()).await? else {
        return Ok(refused(
            format!("schema \"{schema}\" was not made by a load of ours"),
            "only what was loaded into this database can be sealed; ON_EXISTING=own never touches anything else",
        ));
    };
    if !sealed {
        if load.state == LoadState::Sealed {
            load.set_sealed(target, false).await?;
        }
        return Ok(None);
    }
    if !matches!(load.state, LoadState::Complete | LoadState::Sealed) {
        return Ok(refused(
            format!("the last load of schema \"{schema}\" did not complete"),
            "load it again first",
        ));
    }
    if load.schema_oid != catalogue::schema_oid(target, schema.as_str()).await? {
        return Ok(refused(
            format!("schema \"{schema}\" is no longer the one that was loaded"),
            "only what was loaded into this database can be sealed",
        ));
    }
    load.set_sealed(target, true).await?;
    Ok(None)
}
