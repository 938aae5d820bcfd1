//! Kills for want of memory, as the kernel counts them for this process's control group, which in a container is the
//! container's: a program that was killed cannot say why.

use std::fs;

/// Where a control group's count is kept, by the controllers of its line in `/proc/self/cgroup`: none in version 2, one
/// of several hierarchies in version 1.
const COUNTS: [(&str, &str, &str); 2] = [
    ("", "/sys/fs/cgroup", "memory.events"),
    ("memory", "/sys/fs/cgroup/memory", "memory.oom_control"),
];

/// How many processes were killed so far because the limit was reached; `None` where the kernel does not tell.
pub(crate) fn kills() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (_, root, file) = COUNTS.iter().find(|(name, ..)| *name == controllers)?;
        // A container sees its own group as the root, whatever the path says.
        let counts = fs::read_to_string(format!("{root}{path}/{file}"))
            .or_else(|_| fs::read_to_string(format!("{root}/{file}")));
        count(&counts.ok()?)
    })
}

/// The number after `oom_kill`.
fn count(counts: &str) -> Option<u64> {
    counts
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_count_under_the_same_name() {
        let cases = [
            (
                "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n",
                Some(2),
            ),
            ("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", Some(7)),
            ("oom_kill_disable 0\nunder_oom 0\n", None),
        ];
        for (text, expected) in cases {
            assert_eq!(count(text), expected, "{text}");
        }
    }
}
