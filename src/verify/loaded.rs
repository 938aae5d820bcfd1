//! What a load compares before it counts as complete.

use std::collections::BTreeSet;

use crate::build::analyze;
use crate::catalogue::Analyzable;
use crate::catalogue::code::SearchPath;
use crate::config::{Config, SchemaName, Verify};
use crate::error::Error;
use crate::progress::{Phase, Progress};
use crate::server::session::Session;
use crate::verify::hasher::Hashed;
use crate::verify::objects::{self, Objects};
use crate::verify::{Expected, rows};

/// What the source held, as far as it is compared.
pub(crate) struct Comparison<'a> {
    pub(crate) objects: Option<Objects>,
    pub(crate) hashed: Option<Hashed<'a>>,
    pub(crate) expected: Expected,
    /// What statistics are still to be collected of.
    pub(crate) analyzable: Vec<Analyzable>,
    /// What statistics on expressions may look for names in.
    pub(crate) path: SearchPath,
}

/// The objects of the unit, if they are compared.
pub(crate) async fn described(session: &Session, config: &Config) -> Result<Option<Objects>, Error> {
    match config.verify {
        Verify::Rows | Verify::Hash => objects::read(session, &config.schemas).await.map(Some),
        Verify::None => Ok(None),
    }
}

impl Comparison<'_> {
    /// Collects statistics, and compares what the target holds with what the source held.
    pub(crate) async fn examine(
        self,
        config: &Config,
        (target, loaders): (&Session, Vec<Session>),
        adopted: &BTreeSet<SchemaName>,
        progress: &Progress,
    ) -> Result<(), Error> {
        progress.enter(Phase::Analyze);
        let sessions: Vec<&Session> = match loaders.as_slice() {
            [] => vec![target],
            loaders => loaders.iter().collect(),
        };
        let rows = async {
            let missing = analyze::run(&loaders, self.analyzable, &self.path, || progress.step()).await?;
            progress.not_carried(missing);
            progress.enter(Phase::Verify);
            match (&self.objects, &self.hashed) {
                (None, _) => Ok(Vec::new()),
                (_, Some(hashed)) => hashed.differences(&sessions, progress).await,
                (_, None) => rows::counts(&sessions, &self.expected.counted, progress).await,
            }
        };
        // No object changes any more.
        let (found, rows) = tokio::try_join!(described(target, config), rows)?;
        let (Some(objects), Some(found)) = (&self.objects, found) else {
            return Ok(());
        };
        let mut differences = objects::compare(target, objects, &found, adopted).await?;
        differences.extend(rows);
        let sequences = rows::sequences(target, &config.schemas, &self.expected.sequences).await?;
        differences.extend(sequences.into_iter().map(|(_, text)| text));
        Error::unless_equal(differences)
    }
}
