//! Move: what the archive says and the rows, by the METHOD that is asked for, and beside it the hashes of the source that
//! `VERIFY=hash` wants.

use crate::archive::dump::{Archive, Dump, Endpoint};
use crate::archive::parts::Division;
use crate::baseline::{self, Noted};
use crate::build::constraints;
use crate::build::statements::{self, Statement};
use crate::catalogue::Analyzable;
use crate::catalogue::code::SearchPath;
use crate::config::{Method, Verify};
use crate::copy::{Contents, Copy, Kept, Moved};
use crate::error::Error;
use crate::ledger::Begun;
use crate::lock::Lock;
use crate::pipe::Pipe;
use crate::privileges::Carried;
use crate::progress::Progress;
use crate::server::Sides;
use crate::server::session::Session;
use crate::snapshot::Snapshot;
use crate::unit::Unit;
use crate::verify::Expected;
use crate::verify::hasher::{Hashed, Hasher};
use crate::verify::loaded::Comparison;
use crate::verify::objects::Objects;
use crate::watchdog;

/// Everything that takes part.
pub(crate) struct Transfer<'a> {
    pub(crate) unit: &'a Unit<'a>,
    pub(crate) endpoints: Sides<Endpoint<'a>>,
    pub(crate) dump: Dump<'a>,
    pub(crate) archive: &'a Archive,
    pub(crate) parts: &'a Division,
    /// The session for what is done one after the other.
    pub(crate) target: &'a Session,
    pub(crate) contents: Contents,
    pub(crate) carried: &'a Carried,
    pub(crate) loads: &'a [Begun],
    pub(crate) lock: &'a Lock,
    pub(crate) progress: &'a Progress,
    /// The tables are there, with what has not changed of them.
    pub(crate) kept: Option<&'a Kept>,
}

/// What the source holds, and who has loaded it.
pub(crate) struct Transferred<'a> {
    pub(crate) expected: Expected,
    /// What the ledger is to keep of the source.
    pub(crate) noted: Noted<baseline::Contents>,
    /// Under `VERIFY=hash` alone.
    pub(crate) hashed: Option<Hashed<'a>>,
    /// What statistics are still to be collected of.
    analyzable: Vec<Analyzable>,
    /// What statistics on expressions may look for names in.
    path: SearchPath,
    /// Sessions on the target, for what else can be done side by side.
    pub(crate) loaders: Vec<Session>,
}

impl<'a> Transferred<'a> {
    /// What is compared with the target, given the source's `objects`, and the sessions that have loaded.
    pub(crate) fn against(
        self,
        objects: Option<Objects>,
    ) -> (Comparison<'a>, Noted<baseline::Contents>, Vec<Session>) {
        let comparison = Comparison {
            objects,
            hashed: self.hashed,
            expected: self.expected,
            analyzable: self.analyzable,
            path: self.path,
        };
        (comparison, self.noted, self.loaders)
    }
}

impl<'a> Transfer<'a> {
    /// Moves everything and gives up the snapshot as soon as the rows are through.
    pub(crate) async fn run(mut self, snapshot: Snapshot) -> Result<Transferred<'a>, Error> {
        let (unit, progress) = (self.unit, self.progress);
        let encoding = self.target.encoding.clone();
        let path = self.contents.code.path.clone();
        let validated = std::mem::take(&mut self.contents.validated);
        progress.not_carried(self.contents.not_analyzed.clone());
        // METHOD=copy collects them as soon as a table is built.
        let analyzable = match unit.config.method {
            Method::Pipe => self.contents.analyzable.clone(),
            Method::Copy => Vec::new(),
        };
        let mut readers = None;
        if unit.config.verify == Verify::Hash {
            let id = &snapshot.mark.id;
            readers = Some(Hasher::open(unit.config, &unit.servers.source, &unit.names, id).await?);
        }
        let reading = async {
            match readers {
                Some(hasher) => hasher.hash(&encoding, progress).await.map(Some),
                None => Ok(None),
            }
        };
        let moved = Box::pin(self.by_method(snapshot));
        let (moved, hashed) = tokio::try_join!(moved, reading)?;
        let Moved {
            expected,
            noted,
            loaders,
        } = moved;
        if let Some(reason) = noted.caveat() {
            progress.drift(reason);
        }
        if let Some(loader) = loaders.first() {
            let checks: Vec<Statement> = validated
                .iter()
                .map(|(table, name)| constraints::validate(table, name))
                .collect();
            statements::run(loader, &checks, &path).await?;
        }
        Ok(Transferred {
            expected,
            noted,
            hashed,
            analyzable,
            path,
            loaders,
        })
    }

    async fn by_method(self, snapshot: Snapshot) -> Result<Moved, Error> {
        let (unit, config) = (self.unit, self.unit.config);
        match config.method {
            Method::Pipe => {
                let (counter, builder) = (unit.names.role("count"), unit.names.role("build"));
                let limit = watchdog::lock_timeout(config.lock_timeout);
                let pipe = Pipe {
                    source: self.endpoints.source,
                    target: self.endpoints.target,
                    dump: self.dump,
                    archive: self.archive,
                    parts: self.parts,
                    counter: Session::open(&unit.servers.source, &counter, config.lock_timeout).await?,
                    session: self.target,
                    builder: Session::open(&unit.servers.target, &builder, limit).await?,
                    carried: self.carried,
                    config,
                    loads: self.loads,
                    lock: self.lock,
                    progress: self.progress,
                    count: config.verify == Verify::Rows,
                };
                let (expected, builder) = pipe.run(snapshot, &self.contents).await?;
                Ok(Moved {
                    expected,
                    noted: Noted::Unknown("it was loaded by METHOD=pipe".to_owned()),
                    loaders: vec![builder],
                })
            }
            Method::Copy => {
                let copy = Copy {
                    config,
                    servers: &unit.servers,
                    names: &unit.names,
                    archive: self.archive,
                    parts: self.parts,
                    session: self.target,
                    carried: self.carried,
                    loads: self.loads,
                    lock: self.lock,
                    progress: self.progress,
                    kept: self.kept,
                };
                copy.run(snapshot, self.contents).await
            }
        }
    }
}
