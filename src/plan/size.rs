//! The size of a unit's task. Pure.

/// What the input says of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Streams.
    pub(super) jobs: u8,
    /// CPU units, 1024 to a core.
    pub(super) cpu: u32,
    /// MiB.
    pub(super) memory: u32,
}

const GIB: f64 = 1_073_741_824.0;
/// Streams and CPU units of what holds less than so many bytes, indexes included. A stream needs some tenth of a core.
const CLASSES: [(f64, u8, u32); 4] = [
    (GIB, 2, 512),
    (64.0 * GIB, 4, 1024),
    (512.0 * GIB, 8, 1024),
    (f64::INFINITY, 16, 2048),
];
/// MiB that Fargate has for CPU units, the least and the most, in steps of 1024.
const FARGATE: [(u32, u32, u32); 4] = [
    (512, 1024, 4096),
    (1024, 2048, 8192),
    (2048, 4096, 16384),
    (4096, 8192, 30720),
];
const STEP: usize = 1024;
/// MiB of worker, client program and tmpfs.
const BASE: f64 = 512.0;
/// MiB that an object of the catalogue takes in the worker, in pg_dump and in the archive, rounded up.
const OBJECT: f64 = 1.0 / 32.0;
/// MiB beside, where client programs carry the rows: one of them may be a gigabyte.
const PIPE: f64 = 3072.0;

/// What a unit of so many bytes and objects needs.
pub(super) fn size(bytes: f64, objects: f64, is_pipe: bool) -> Size {
    let class = CLASSES.iter().find(|(most, ..)| bytes < *most);
    let (jobs, cpu) = class.map_or((16, 2048), |(_, jobs, cpu)| (*jobs, *cpu));
    let needed = BASE + objects * OBJECT + if is_pipe { PIPE } else { 0.0 };
    let mut offers = FARGATE
        .iter()
        .filter(|(offered, ..)| *offered >= cpu)
        .flat_map(|(cpu, least, most)| (*least..=*most).step_by(STEP).map(|memory| (*cpu, memory)));
    let (cpu, memory) = offers
        .find(|(_, memory)| f64::from(*memory) >= needed)
        .unwrap_or((4096, 30720));
    Size { jobs, cpu, memory }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_that_fargate_has() {
        let cases = [
            (0.0, 10.0, false, (2, 512, 1024)),
            (10.0 * GIB, 1000.0, false, (4, 1024, 2048)),
            (100.0 * GIB, 1000.0, false, (8, 1024, 2048)),
            (3000.0 * GIB, 1000.0, false, (16, 2048, 4096)),
            (0.0, 30_000.0, false, (2, 512, 2048)),
            (0.0, 200_000.0, false, (2, 1024, 7168)),
            (0.0, 10.0, true, (2, 512, 4096)),
            (0.0, 1e9, false, (2, 4096, 30720)),
        ];
        for (bytes, objects, is_pipe, expected) in cases {
            let Size { jobs, cpu, memory } = size(bytes, objects, is_pipe);
            assert_eq!((jobs, cpu, memory), expected, "{bytes} {objects}");
        }
    }
}
