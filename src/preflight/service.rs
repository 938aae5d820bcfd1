//! Whose server it is: on RDS and Aurora nobody reaches its machine or its superuser, so what helps is another act.

use std::fmt;

use crate::error::Error;
use crate::server::session::Session;

/// Who runs a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Whoever may be its superuser.
    Own,
    Rds,
    Aurora,
}

impl Service {
    /// Known by a setting that either service has, and by a function that Aurora alone has.
    pub(super) async fn of(session: &Session) -> Result<Self, Error> {
        let sql = include_str!("sql/service.sql");
        let row = session.query_one("look whose server it is", sql, &[]).await?;
        Ok(match (row.get("is_aurora"), row.get("is_rds")) {
            (true, _) => Self::Aurora,
            (false, true) => Self::Rds,
            (false, false) => Self::Own,
        })
    }

    /// How a setting is changed that only a start of the server reads.
    pub(super) fn set_at_start(self, name: &str, value: i64) -> String {
        let group = match self {
            Self::Own => return format!("ALTER SYSTEM SET {name} = {value}; then restart the server"),
            Self::Rds => "DB parameter group",
            Self::Aurora => "DB cluster parameter group",
        };
        format!("set {name} = {value} in its {group}, then reboot the instance")
    }

    /// What helps where the server knows no such collation.
    pub(super) fn collation_hint(self) -> String {
        match self {
            Self::Own => "install the locale on the target's machine, then \
                          SELECT pg_import_system_collations('pg_catalog')"
                .to_owned(),
            Self::Rds | Self::Aurora => {
                format!("give the source's column one of those that {self} has, in the target's pg_collation")
            }
        }
    }

    /// Why an extension is not to be had, where it is not.
    pub(super) fn lacks_extension(self) -> String {
        match self {
            Self::Own => "its package has to be added first".to_owned(),
            Self::Rds | Self::Aurora => format!(
                "{self} has those of pg_available_extensions, and rds.allowed_extensions may leave some out"
            ),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "PostgreSQL",
            Self::Rds => "RDS",
            Self::Aurora => "Aurora",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_what_only_a_superuser_may() {
        for service in [Service::Rds, Service::Aurora] {
            let hints = [
                service.set_at_start("max_locks_per_transaction", 256),
                service.collation_hint(),
                service.lacks_extension(),
            ];
            for hint in hints {
                assert!(
                    !hint.contains("ALTER SYSTEM") && !hint.contains("machine"),
                    "{hint}"
                );
            }
        }
        assert_eq!(
            Service::Aurora.set_at_start("max_locks_per_transaction", 256),
            "set max_locks_per_transaction = 256 in its DB cluster parameter group, then reboot the instance"
        );
    }
}
