//! `VERIFY=hash` within a load: the source's values under the run's snapshot, then the target's.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use crate::catalogue::Relation;
use crate::config::Config;
use crate::error::Error;
use crate::progress::Progress;
use crate::server::session::Session;
use crate::server::{ApplicationName, Server};
use crate::snapshot;
use crate::verify::narrow;
use crate::verify::values::{self, Shape, Sum};

/// Sessions on the source that read under the run's snapshot, and keep it and the locks when the run has let go of them.
pub(crate) struct Hasher<'a> {
    config: &'a Config,
    server: &'a Server,
    names: &'a ApplicationName,
    sessions: Vec<Session>,
}

/// What the source held under the snapshot.
pub(crate) struct Hashed<'a> {
    config: &'a Config,
    server: &'a Server,
    names: &'a ApplicationName,
    /// The source's.
    encoding: String,
    shapes: Vec<Shape>,
    sums: BTreeMap<Relation, Sum>,
}

impl<'a> Hasher<'a> {
    /// Opens `JOBS` sessions while the snapshot is still exported.
    pub(crate) async fn open(
        config: &'a Config,
        server: &'a Server,
        names: &'a ApplicationName,
        snapshot: &str,
    ) -> Result<Self, Error> {
        let sessions = try_join_all((0..config.jobs).map(async |_| {
            let session = Session::open(server, &names.role("hash"), config.lock_timeout).await?;
            snapshot::import(&session, snapshot).await?;
            Ok::<_, Error>(session)
        }))
        .await?;
        if let Some(first) = sessions.first() {
            snapshot::hold(first, &config.schemas).await?;
        }
        Ok(Self {
            config,
            server,
            names,
            sessions,
        })
    }

    /// Hashes every table, and lets go of the snapshot. The target has `other_encoding`.
    pub(crate) async fn hash(self, other_encoding: &str, progress: &Progress) -> Result<Hashed<'a>, Error> {
        let sessions: Vec<&Session> = self.sessions.iter().collect();
        let (mut shapes, mut encoding) = (Vec::new(), String::new());
        if let Some(first) = sessions.first() {
            shapes = values::shapes(first, &self.config.schemas, other_encoding).await?;
            encoding.clone_from(&first.encoding);
        }
        let sums = values::sums(&sessions, &shapes, true, progress).await?;
        Ok(Hashed {
            config: self.config,
            server: self.server,
            names: self.names,
            encoding,
            shapes,
            sums,
        })
    }
}

impl Hashed<'_> {
    /// Compares with what the target holds. Rows that differ are looked for on the source as it is now: the snapshot is gone.
    pub(crate) async fn differences(
        &self,
        target: &[&Session],
        progress: &Progress,
    ) -> Result<Vec<String>, Error> {
        let Some(first) = target.first() else {
            return Ok(Vec::new());
        };
        let shapes = values::shapes(first, &self.config.schemas, &self.encoding).await?;
        let found = values::sums(target, &shapes, true, progress).await?;
        let differing = values::differing(&self.sums, &found);
        if differing.is_empty() {
            return Ok(Vec::new());
        }
        let source = Session::open(self.server, &self.names.role("hash"), self.config.lock_timeout).await?;
        let concerned: Vec<Shape> = self
            .shapes
            .iter()
            .filter(|shape| differing.iter().any(|one| one.whole == *shape.whole()))
            .cloned()
            .collect();
        let now = values::sums(&[&source], &concerned, true, progress).await?;
        let (standing, moved): (Vec<_>, Vec<_>) = differing
            .into_iter()
            .partition(|one| now.get(&one.whole) == Some(&one.source));
        let sides = [(&source, self.shapes.as_slice()), (*first, shapes.as_slice())];
        let narrowed = narrow::tables(sides, standing).await?;
        let mut texts: Vec<String> = narrowed.into_iter().map(|difference| difference.text).collect();
        texts.extend(
            moved
                .iter()
                .map(|one| format!("{one} (rows are not looked for: the source has moved on)")),
        );
        Ok(texts)
    }
}
