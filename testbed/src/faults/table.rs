//! What can go wrong between two servers, when, and what a run has to make of it: one table.

/// Which server a fault belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Source,
    Target,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Every connection is cut: both ends see the end of the stream.
    Cut,
    /// Every connection is reset.
    Reset,
    /// Every connection is reset after some more bytes.
    ResetAfterBytes,
    /// Nothing passes any more, new connections are accepted and never answered; later all is well again.
    Silence,
    /// A NAT forgets the connections of one role.
    Forgotten(&'static str),
    /// What the server answers to these words of a role is lost, and so is all that it says after that.
    LostAnswer {
        role: &'static str,
        words: &'static [u8],
    },
    /// `-m immediate`, and up again.
    Restart,
    /// Down, and then in recovery for longer than the run cares.
    Recovery,
    /// Restarted as a read-only standby.
    Demotion,
    /// The backend that is about to work is terminated.
    Terminated,
    /// The backend of this role is terminated.
    RoleTerminated(&'static str),
    /// The statement that takes its time is cancelled.
    Cancelled,
    /// Others take every connection slot.
    NoSlots,
    /// Others fill the lock table.
    LockTableFull,
    /// The target's disk is full.
    DiskFull,
    /// The host's name stops resolving.
    NameGone,
    /// Somebody else has locked a table of the source.
    SourceLock,
    /// A table of the source is dropped before it can be locked.
    SourceDrop,
    /// A table is made on the source while rows are read.
    SourceCreate,
    /// Somebody's ALTER waits behind the run's own lock.
    AlterQueued,
    /// Somebody reads the old load on the target and does not end.
    Reader,
    /// Sequences move all the time.
    MovingSequences,
    /// The same schema is loaded to another database at the same time.
    TwoTargets,
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// SIGSTOP for longer than `STALL_TIMEOUT`, then SIGCONT.
    Freeze,
    /// SIGSTOP until another worker has taken over and is done, then SIGCONT.
    Usurped,
    /// The disk of `RUN_DIR` is full.
    RunDirFull,
    /// A value of 64 MB, and no more memory than that.
    MemoryLimit,
    /// Somebody removes the archive.
    ArchiveDeleted,
    /// Somebody removes the passfiles.
    PassfileDeleted,
    /// `MAX_RUNTIME` passes.
    Deadline,
    /// An index takes longer than `STALL_TIMEOUT`.
    LongIndex,
}

/// One expectation.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub fault: Fault,
    pub side: Side,
    /// Each is played by itself.
    pub phases: &'static [&'static str],
    pub methods: &'static [&'static str],
    /// Exit codes that are right, a signal as its number with a minus.
    pub exits: &'static [i32],
    /// From the fault to the end of the run.
    pub seconds: u64,
}

/// Phases in their order.
pub(super) const PHASES: [&str; 15] = [
    "configure",
    "connect",
    "lock",
    "preflight",
    "snapshot",
    "archive",
    "clear",
    "pre-data",
    "rows",
    "sequences",
    "post-data",
    "analyze",
    "verify",
    "privileges",
    "complete",
];

const BOTH: &[&str] = &["copy", "pipe"];
const COPY: &[&str] = &["copy"];
const PIPE: &[&str] = &["pipe"];

/// While the source is read.
const READING: &[&str] = &["rows", "connect", "preflight", "snapshot", "archive", "sequences"];
/// While the source is asked something in a session that is there.
const ASKING: &[&str] = &["rows", "preflight", "snapshot", "sequences"];
/// While the target is asked something in a session that is there.
const TELLING: &[&str] = &[
    "rows",
    "lock",
    "preflight",
    "clear",
    "pre-data",
    "sequences",
    "post-data",
    "analyze",
    "verify",
    "privileges",
    "complete",
];
/// When it is read no more, only a control session is there, which comes back by itself.
const READ: &[&str] = &["post-data", "analyze", "verify", "privileges", "complete"];
/// While the target is used: always.
const WRITING: &[&str] = &[
    "rows",
    "connect",
    "lock",
    "preflight",
    "clear",
    "pre-data",
    "sequences",
    "post-data",
    "analyze",
    "verify",
    "privileges",
    "complete",
];
/// Where a server's restart meets each kind of work.
const RESTARTED: &[&str] = &["rows", "lock", "clear", "pre-data", "post-data", "complete"];

const fn row(
    fault: Fault,
    side: Side,
    phases: &'static [&'static str],
    exits: &'static [i32],
    seconds: u64,
) -> Row {
    Row {
        fault,
        side,
        phases,
        methods: BOTH,
        exits,
        seconds,
    }
}

const fn only(methods: &'static [&'static str], row: Row) -> Row {
    Row { methods, ..row }
}

use Fault::{
    AlterQueued, ArchiveDeleted, Cancelled, Cut, Deadline, Demotion, DiskFull, Forgotten, Freeze, Interrupt,
    Kill, LockTableFull, LongIndex, LostAnswer, MemoryLimit, MovingSequences, NameGone, NoSlots,
    PassfileDeleted, Reader, Recovery, Reset, ResetAfterBytes, Restart, RoleTerminated, RunDirFull, Silence,
    SourceCreate, SourceDrop, SourceLock, Terminate, Terminated, TwoTargets, Usurped,
};
use Side::{Source, Target};

/// CopyDone, the last that pg_restore says of a table's rows.
const COPY_DONE: &[u8] = b"c\0\0\0\x04";

/// The table. `make test` plays the first phase of every row under one METHOD, `make soak` all of it.
pub const ROWS: &[Row] = &[
    row(Reset, Source, READING, &[75], 30),
    row(Reset, Source, READ, &[0], 30),
    row(Reset, Target, WRITING, &[75], 30),
    row(Cut, Source, READING, &[75], 30),
    row(Cut, Target, WRITING, &[75], 30),
    row(ResetAfterBytes, Source, &["rows"], &[75], 30),
    row(ResetAfterBytes, Target, &["rows"], &[75], 30),
    row(Silence, Source, READING, &[75], 60),
    row(Silence, Source, READ, &[0, 75], 60),
    row(Silence, Target, WRITING, &[75], 60),
    row(Forgotten("/lock"), Target, &["rows", "post-data"], &[75], 40),
    only(COPY, row(Forgotten("/copy"), Target, &["post-data"], &[75], 60)),
    only(PIPE, row(Forgotten("/build"), Target, &["post-data"], &[75], 60)),
    only(
        COPY,
        row(
            LostAnswer {
                role: "/copy",
                words: b"COMMIT",
            },
            Target,
            &["rows"],
            &[75],
            60,
        ),
    ),
    only(
        PIPE,
        row(
            LostAnswer {
                role: "/pg_restore",
                words: COPY_DONE,
            },
            Target,
            &["rows"],
            &[75],
            60,
        ),
    ),
    row(
        LostAnswer {
            role: "/lock",
            words: b"COMMIT",
        },
        Target,
        &["complete"],
        &[75],
        60,
    ),
    row(Restart, Source, &["rows", "preflight", "archive"], &[75], 30),
    row(Restart, Target, RESTARTED, &[75], 30),
    row(Recovery, Source, &["archive", "rows"], &[75], 30),
    row(Recovery, Target, &["rows", "post-data"], &[75], 30),
    row(Demotion, Target, &["rows", "post-data", "complete"], &[75], 30),
    row(Terminated, Source, ASKING, &[75], 30),
    row(Terminated, Target, TELLING, &[75], 30),
    row(
        RoleTerminated("/lock"),
        Target,
        &["rows", "pre-data", "post-data"],
        &[75],
        15,
    ),
    row(
        RoleTerminated("/snapshot"),
        Source,
        &["archive", "pre-data"],
        &[75],
        15,
    ),
    only(
        COPY,
        row(RoleTerminated("/snapshot"), Source, &["rows"], &[75], 15),
    ),
    // The others have what they need of it by then.
    only(
        PIPE,
        row(RoleTerminated("/snapshot"), Source, &["rows"], &[0, 75], 15),
    ),
    row(Cancelled, Target, &["rows", "post-data"], &[75], 15),
    row(NoSlots, Source, &["connect", "archive"], &[75], 30),
    row(NoSlots, Target, &["connect", "pre-data"], &[75], 30),
    row(LockTableFull, Target, &["pre-data"], &[74], 30),
    row(DiskFull, Target, &["rows"], &[74], 30),
    row(NameGone, Source, &["archive"], &[75], 30),
    row(NameGone, Target, &["pre-data"], &[75], 30),
    row(SourceLock, Source, &["snapshot"], &[75], 30),
    row(SourceDrop, Source, &["snapshot"], &[0], 30),
    row(SourceCreate, Source, &["rows"], &[0], 30),
    row(AlterQueued, Source, &["archive"], &[75], 30),
    only(COPY, row(AlterQueued, Source, &["rows"], &[75], 30)),
    row(Reader, Target, &["clear"], &[75], 30),
    row(MovingSequences, Source, &["connect"], &[0], 60),
    row(TwoTargets, Target, &["rows"], &[0], 60),
    row(Kill, Target, WRITING, &[-9], 5),
    row(Kill, Source, READING, &[-9], 5),
    row(Terminate, Target, WRITING, &[143], 6),
    row(Terminate, Source, READING, &[143], 6),
    row(Interrupt, Target, WRITING, &[130], 6),
    row(Freeze, Target, &["rows", "post-data"], &[0, 75], 60),
    row(
        Usurped,
        Target,
        &["rows", "clear", "post-data", "complete"],
        &[75],
        60,
    ),
    row(RunDirFull, Source, &["archive", "connect"], &[74], 30),
    only(PIPE, row(MemoryLimit, Source, &["rows"], &[74], 30)),
    only(COPY, row(MemoryLimit, Source, &["rows"], &[0], 60)),
    row(ArchiveDeleted, Target, &["pre-data"], &[0], 30),
    only(PIPE, row(PassfileDeleted, Target, &["clear"], &[75], 30)),
    only(COPY, row(PassfileDeleted, Target, &["clear"], &[0], 30)),
    row(Deadline, Target, &["rows", "preflight"], &[75], 30),
    row(LongIndex, Target, &["post-data"], &[0], 60),
];

/// Where a run is held for a fault in a phase: the side, the end of the client's `application_name`, and its words.
#[must_use]
pub(super) fn moment(
    fault: Fault,
    side: Side,
    phase: &str,
    method: &str,
) -> (Side, &'static str, &'static [u8]) {
    match (fault, phase, side) {
        // What some are about is there from the beginning.
        (SourceLock | Reader | MovingSequences, ..) | (_, "connect", _) => (side, "", b"sf/connect"),
        // New connections are what there are no slots or names for.
        (NoSlots | NameGone, "pre-data", _) if method == "copy" => (Target, "", b"/copy\0"),
        (NoSlots | NameGone, "pre-data", _) => (Target, "", b"/pg_restore\0"),
        // The rows of one table, to be looked for afterwards.
        (RoleTerminated("/lock"), "rows", _) if method == "copy" => (Target, "/copy", b"COPY \"s\".\"wide\""),
        (RoleTerminated("/lock"), "rows", _) => (Target, "/pg_restore", b"COPY s.wide"),
        (AlterQueued, "rows", _) => (Source, "/copy", b"\"s\".\"wide\""),
        (SourceDrop, ..) => (
            Source,
            "/snapshot",
            b"-- Tables of the unit that pg_dump will lock",
        ),
        (_, "lock", _) => (Target, "/lock", b"pg_try_advisory_lock"),
        (_, "preflight", _) => (side, "", b"-- What kind of server this is"),
        (_, "snapshot", _) => (Source, "/snapshot", b"pg_export_snapshot"),
        (_, "archive", _) => (Source, "", b"/pg_dump\0"),
        (_, "clear", _) => (Target, "/work", b"INSERT INTO schemaferry.load"),
        (_, "pre-data", _) => (Target, "", b"CREATE TABLE s."),
        (_, "rows", _) => (side, "", b"COPY "),
        (_, "sequences", Source) => (Source, "", b"-- Sequences of the unit"),
        (_, "sequences", Target) => (Target, "/work", b"setval("),
        (_, "post-data", _) => (Target, "", b" INDEX t_paused ON"),
        (_, "analyze", _) => (Target, "", b"ANALYZE "),
        (_, "verify", _) => (Target, "", b" AS rows FROM "),
        (_, "privileges", _) => (Target, "/work", b"-- Which of the roles lack a right"),
        (_, "complete", _) => (Target, "/lock", b"SET state = 'complete'"),
        _ => panic!("no words tell the phase {phase}"),
    }
}
