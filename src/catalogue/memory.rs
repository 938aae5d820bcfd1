//! How much of the target's memory one build of an index may take, while as many as `BUILD_JOBS` are at work.

use crate::config::Config;
use crate::error::Error;
use crate::server::session::Session;

/// PostgreSQL's own default: less makes every build slower and saves little.
const LEAST_KB: u64 = 64 * 1024;
/// More makes few builds faster.
const ENOUGH_KB: u64 = 256 * 1024;

/// What builds may take, in kB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuildMemory {
    /// `maintenance_work_mem` of each session that builds.
    pub(crate) each_kb: u64,
    /// What all builds of a run may take together without a look at anything else.
    pub(crate) share_kb: u64,
    pub(crate) is_aurora: bool,
}

/// What the target bears, or what the configuration says.
pub(crate) async fn of_builds(target: &Session, config: &Config) -> Result<BuildMemory, Error> {
    let sql = include_str!("sql/memory.sql");
    let row = target.query_one("look at the memory", sql, &[]).await?;
    let size = |name: &str| u64::try_from(row.get::<_, i64>(name)).unwrap_or_default();
    let is_aurora = row.get("is_aurora");
    let share_kb = share(size("shared_buffers_kb"), is_aurora);
    let borne = borne(
        size("setting_kb"),
        share_kb / u64::from(config.build_jobs),
        is_aurora,
    );
    Ok(BuildMemory {
        each_kb: config.maintenance_work_mem_kb.unwrap_or(borne),
        share_kb,
        is_aurora,
    })
}

/// Of five runs at once. Shared buffers are a quarter of a server's memory, and on Aurora three quarters.
fn share(shared_buffers_kb: u64, is_aurora: bool) -> u64 {
    shared_buffers_kb / if is_aurora { 32 } else { 2 }
}

/// A server's own larger setting stays, except on Aurora, where it is made for a build or two at a time.
fn borne(setting_kb: u64, each_kb: u64, is_aurora: bool) -> u64 {
    if is_aurora {
        each_kb.clamp(LEAST_KB, setting_kb.max(ENOUGH_KB))
    } else {
        each_kb.clamp(LEAST_KB, ENOUGH_KB).max(setting_kb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1024 * 1024;

    /// Memory, whether it is Aurora's, JOBS, and MB of one build.
    #[test]
    fn builds_of_five_runs_fit_beside_shared_buffers() {
        for (memory_gb, is_aurora, jobs, each_mb) in [
            (1, false, 4, 64),
            (16, false, 4, 256),
            (64, false, 16, 512),
            (16, true, 4, 96),
            (16, true, 16, 64),
            (128, true, 4, 768),
            (128, true, 16, 192),
        ] {
            let memory = memory_gb * GB;
            let shared_buffers = if is_aurora { memory * 3 / 4 } else { memory / 4 };
            // As RDS computes it from the memory: a sixty-second part.
            let setting = if is_aurora { memory / 62 } else { memory / 128 };
            let found = borne(setting, share(shared_buffers, is_aurora) / jobs, is_aurora);
            assert_eq!(found / 1024, each_mb, "{memory_gb} {is_aurora} {jobs}");
            let fits = 5 * jobs * found <= (memory - shared_buffers) * 7 / 8;
            assert!(fits || found == LEAST_KB, "{memory_gb} {is_aurora} {jobs}");
        }
    }
}
