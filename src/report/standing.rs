//! What has become of a run's schemas since: on the target, of what was left to do, and on the source.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::baseline::{Moment, Noted, Origin, Place};
use crate::catalogue;
use crate::catalogue::activity::{self, Activity};
use crate::config::{SchemaName, Schemas};
use crate::error::Error;
use crate::finalize::keys;
use crate::ledger::{self, LoadState};
use crate::report::runs::Run;
use crate::server::session::Session;

/// What a schema is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// As its load has left it, or sealed.
    Whole,
    /// `prepare` has taken it down since.
    TakenDown,
    /// It is another one, or none.
    Gone,
    Changed(Vec<String>),
    /// By its objects as its load has left it; the server has forgotten what was written to it.
    Uncounted,
    /// A later run has loaded it again.
    Superseded,
}

/// Whether the source has written to what was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Untouched {
    /// No transaction of the whole server has begun since the snapshot, and no sequence has moved.
    Proved,
    /// No counter has moved.
    ByCounters,
    /// These were.
    Written(Vec<String>),
    /// Why nobody knows.
    Unknown(String),
}

/// A foreign key that leaves its schema and is not as the source has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Left {
    pub(super) key: String,
    pub(super) references: String,
    /// It is there, and not validated.
    pub(super) is_there: bool,
    /// A query for rows that it does not allow.
    pub(super) orphans: String,
}

/// All that is asked of the target.
#[derive(Debug, Default)]
pub(super) struct Target {
    pub(super) standings: BTreeMap<String, Standing>,
    pub(super) left: Vec<Left>,
    /// Of each schema what its source had counted shortly before the snapshot.
    activities: BTreeMap<String, Option<Activity>>,
    /// Where in the source's history units were loaded, each by one of its schemas.
    places: BTreeMap<String, Place>,
}

/// What the source is now.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) address: String,
    /// Every schema of users.
    pub(super) schemas: BTreeSet<String>,
    activity: Activity,
    /// Which server it is, or why that is not known.
    origin: Result<Origin, String>,
    moment: Moment,
}

impl Target {
    pub(super) async fn read(target: &Session, run: &Run) -> Result<Self, Error> {
        let mut found = Self::default();
        let mut deferred = Vec::new();
        for unit in run.units.iter().filter(|unit| unit.complete().is_some()) {
            for (schema, row) in &unit.rows {
                let Some(load) = ledger::latest(target, schema).await? else {
                    continue;
                };
                let standing = standing(target, schema, (&load, *row)).await?;
                if matches!(
                    standing,
                    Standing::Whole | Standing::Changed(_) | Standing::Uncounted
                ) {
                    let left = load.deferred(target)?;
                    deferred.extend(left.into_iter().map(|one| (load.id, one)));
                    found
                        .activities
                        .insert(schema.clone(), load.source_activity.clone());
                    if let Some(Noted::Known(baseline)) = load.baseline() {
                        found.places.insert(schema.clone(), baseline.contents.place);
                    }
                }
                found.standings.insert(schema.clone(), standing);
            }
        }
        let keys = keys::look(target, deferred).await?;
        let keys = keys.iter().filter(|key| !key.made || key.to_validate());
        found.left = keys
            .map(|key| Left {
                key: key.name(),
                references: key.deferred.foreign_key.references.quoted(),
                is_there: key.made,
                orphans: key.deferred.foreign_key.orphans.clone(),
            })
            .collect();
        Ok(found)
    }
}

async fn standing(
    target: &Session,
    schema: &str,
    (load, row): (&ledger::Load, i64),
) -> Result<Standing, Error> {
    if load.is_taken_down() {
        return Ok(Standing::TakenDown);
    }
    if load.id != row {
        return Ok(Standing::Superseded);
    }
    let now = catalogue::schema_oid(target, schema).await?;
    let Some(oid) = now.filter(|oid| load.schema_oid == Some(*oid)) else {
        return Ok(Standing::Gone);
    };
    if load.state == LoadState::Sealed {
        return Ok(Standing::Whole);
    }
    let tally = load.tally(target, oid).await?;
    let is_uncounted = tally.has_forgotten;
    let mut changes = load.altered(target).await?;
    changes.extend(tally.differences());
    Ok(if !changes.is_empty() {
        Standing::Changed(changes)
    } else if is_uncounted {
        Standing::Uncounted
    } else {
        Standing::Whole
    })
}

impl Source {
    /// Of the server at `address`, and of these schemas.
    pub(super) async fn read(source: &Session, address: String, schemas: &Schemas) -> Result<Self, Error> {
        let (origin, moment) = tokio::try_join!(Origin::read(source), Moment::read(source))?;
        let all = catalogue::schemas(source, schemas).await?;
        Ok(Self {
            address,
            schemas: all.into_iter().collect(),
            // After the moment: what is written in between counts as written.
            activity: activity::read(source, schemas).await?,
            origin,
            moment,
        })
    }

    /// Whether a unit's schemas were written to since it was loaded.
    pub(super) fn untouched(&self, unit: &crate::report::Unit, target: &Target) -> Untouched {
        let Some(load) = unit.complete() else {
            return Untouched::Unknown("it is not loaded".to_owned());
        };
        if load.source != self.address {
            return Untouched::Unknown(format!(
                "it was loaded from {}, not from {}",
                load.source, self.address
            ));
        }
        let place = unit.schemas.iter().find_map(|schema| target.places.get(schema));
        let known = place.zip(self.origin.as_ref().ok());
        if let Some(why) = known.and_then(|(place, origin)| place.estranged(origin, &self.moment)) {
            return Untouched::Unknown(why.to_owned());
        }
        let (mut written, mut is_forgotten) = (BTreeSet::new(), false);
        for schema in &unit.schemas {
            if !self.schemas.contains(schema) {
                written.insert(format!("schema {schema} is gone"));
                continue;
            }
            let Some(Some(then)) = target.activities.get(schema) else {
                return Untouched::Unknown("its load has left no counters to compare".to_owned());
            };
            let now = self.activity.of_schema(&SchemaName::of_ledger(schema.clone()));
            is_forgotten |= now.has_forgotten(then);
            written.extend(now.moved_since(then));
        }
        if !written.is_empty() {
            Untouched::Written(written.into_iter().collect())
        } else if known.is_some_and(|(place, _)| place.is_still(&self.moment)) {
            Untouched::Proved
        } else if is_forgotten {
            Untouched::Unknown("the source has forgotten what it had counted".to_owned())
        } else {
            Untouched::ByCounters
        }
    }
}
