//! A limit of memory, as a container has one: a control group of the kernel's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Version 1, which comes first because it has the controller where both are mounted, and version 2: where groups are
/// made, the files that hold their limits, of memory first, and whether that of swap includes memory.
const VERSIONS: [(&str, [&str; 2], bool); 2] = [
    (
        "/sys/fs/cgroup/memory",
        ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
        true,
    ),
    ("/sys/fs/cgroup", ["memory.max", "memory.swap.max"], false),
];
/// As good as no limit, to every version.
const PLENTY: u64 = 1 << 40;

/// A control group; removed on drop.
#[derive(Debug)]
pub struct ControlGroup {
    path: PathBuf,
    limits: [&'static str; 2],
}

impl ControlGroup {
    /// Makes one whose processes may use so many bytes in all, and no swap; `None` where this process may not.
    #[must_use]
    pub fn with_memory(name: &str, bytes: u64) -> Option<Self> {
        VERSIONS.into_iter().find_map(|(root, limits, includes_memory)| {
            let path = Path::new(root).join(name);
            fs::create_dir(&path).ok()?;
            let group = Self { path, limits };
            let [memory, swap] = limits;
            group.set(memory, bytes).ok()?;
            // A kernel that does not account for swap has no such file.
            group
                .set(swap, if includes_memory { bytes } else { 0 })
                .unwrap_or_default();
            Some(group)
        })
    }

    fn set(&self, limit: &str, bytes: u64) -> io::Result<()> {
        fs::write(self.path.join(limit), bytes.to_string())
    }

    /// The file that takes the process ids of members.
    #[must_use]
    pub fn processes(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Takes the limits away.
    pub fn lift(&self) {
        for limit in self.limits.iter().rev() {
            self.set(limit, PLENTY).unwrap_or_default();
        }
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // Members that have ended take a moment to leave.
        for _ in 0..50 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
