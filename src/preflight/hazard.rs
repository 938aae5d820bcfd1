//! What a load does not carry, and what would do harm: one list, the README's table says the same.

/// A hazard that refuses a load unless `ACCEPT` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hazard {
    /// Large objects are referenced by columns of type `oid` or `lo`; they are not in any schema.
    LargeObjects,
    /// Children or partitions of the unit's tables live in other schemas; their rows would not move.
    OutsideChildren,
    /// Unlogged tables of a standby have no rows there.
    UnloggedOnStandby,
    /// Rows of an extension's configuration tables.
    ExtensionRows,
    /// Tables of another access method than heap.
    TableAccessMethod,
    /// Event triggers on the target that fire on the load's DDL.
    EventTriggers,
    /// Publications on the target that would replicate the load.
    Publications,
}

impl Hazard {
    /// Every hazard, in the README's order.
    pub(crate) const ALL: [Self; 7] = [
        Self::LargeObjects,
        Self::OutsideChildren,
        Self::UnloggedOnStandby,
        Self::ExtensionRows,
        Self::TableAccessMethod,
        Self::EventTriggers,
        Self::Publications,
    ];

    /// The word that `ACCEPT` takes.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::LargeObjects => "large-objects",
            Self::OutsideChildren => "outside-children",
            Self::UnloggedOnStandby => "unlogged-on-standby",
            Self::ExtensionRows => "extension-rows",
            Self::TableAccessMethod => "table-access-method",
            Self::EventTriggers => "event-triggers",
            Self::Publications => "publications",
        }
    }
}
