//! What would do harm and may be accepted: the words of `ACCEPT`. How each is found is asked in `preflight/hazards.rs`.

use strum::{EnumString, IntoStaticStr, VariantArray, VariantNames};

use crate::error::Side;

/// A hazard that refuses a load unless `ACCEPT` names it; in the order of `docs/operations.md`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray, VariantNames,
)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Hazard {
    /// Large objects are referenced by columns of type `oid` or `lo`; they are not in any schema.
    LargeObjects,
    /// Children or partitions of the unit's tables live in other schemas; their rows would not move.
    OutsideChildren,
    /// Unlogged tables of a standby have no rows there.
    UnloggedOnStandby,
    /// Rows of a user's own in tables of extensions.
    ExtensionRows,
    /// Tables of another access method than heap.
    TableAccessMethod,
    /// Event triggers on the target that fire on the load's DDL.
    EventTriggers,
    /// Publications on the target that would replicate the load.
    Publications,
}

impl Hazard {
    /// What it is, to be read after "there are".
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::LargeObjects => "columns that may refer to large objects, which are not moved",
            Self::OutsideChildren => "children or partitions in other schemas, whose rows are not moved",
            Self::UnloggedOnStandby => "unlogged tables, which have no rows on a standby",
            Self::ExtensionRows => "rows of your own in tables of extensions, which are not moved",
            Self::TableAccessMethod => "tables of another access method than heap",
            Self::EventTriggers => "event triggers, which fire on the load's statements",
            Self::Publications => "publications, which would replicate the load",
        }
    }

    /// The side that has it.
    pub(crate) fn side(self) -> Side {
        match self {
            Self::EventTriggers | Self::Publications => Side::Target,
            Self::LargeObjects
            | Self::OutsideChildren
            | Self::UnloggedOnStandby
            | Self::ExtensionRows
            | Self::TableAccessMethod => Side::Source,
        }
    }
}
