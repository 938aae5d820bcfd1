//! The only writer of records: a thread of its own behind a bounded queue. Whoever reads may stop reading for as long as
//! he likes (a log driver in blocking mode does): no deadline, signal or heartbeat waits for him.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::log::bar;

/// Bytes that may wait: some minutes of records at the usual pace.
const QUEUE_MAX: usize = 4 * 1024 * 1024;
/// How long the last lines may take, once the run is over.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// What a line is worth where not all can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// Debug and progress: what comes later says it again, or nobody needs it.
    Little,
    Record,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<(Worth, Vec<u8>)>,
    bytes: usize,
    /// A line that was taken is not written yet.
    writing: bool,
    lost: u64,
    started: bool,
}

#[derive(Debug, Default)]
struct Writer {
    queue: Mutex<Queue>,
    changed: Condvar,
}

static WRITER: LazyLock<Writer> = LazyLock::new(Writer::default);
/// Lines go to standard error.
static ASIDE: AtomicBool = AtomicBool::new(false);

/// Has all further lines go to standard error.
pub(super) fn turn_aside() {
    ASIDE.store(true, Ordering::Relaxed);
}

/// Hands a line over.
pub(super) fn write(worth: Worth, line: Vec<u8>) {
    let mut queue = WRITER.queue();
    if !queue.started {
        queue.started = true;
        let started = thread::Builder::new()
            .name("log".to_owned())
            .spawn(|| WRITER.run());
        // Without a thread there is no other way.
        if started.is_err() {
            drop(queue);
            return put(&line);
        }
    }
    queue.push(worth, line);
    WRITER.changed.notify_all();
}

/// How many lines were dropped so far.
pub(crate) fn lost() -> u64 {
    WRITER.queue().lost
}

/// Waits until everything is written, for a short time.
pub(crate) fn flush() {
    let queue = WRITER.queue();
    let waits = |queue: &mut Queue| queue.writing || !queue.lines.is_empty();
    drop(WRITER.changed.wait_timeout_while(queue, FLUSH_LIMIT, waits));
}

impl Writer {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut queue = self.queue();
        loop {
            if let Some((_, line)) = queue.lines.pop_front() {
                queue.bytes -= line.len();
                queue.writing = true;
                drop(queue);
                put(&line);
                queue = self.queue();
                queue.writing = false;
                self.changed.notify_all();
            } else {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Queue {
    /// Makes room by dropping the oldest of what is worth least.
    fn push(&mut self, worth: Worth, line: Vec<u8>) {
        while self.bytes + line.len() > QUEUE_MAX {
            let little = self.lines.iter().position(|(worth, _)| *worth == Worth::Little);
            if little.is_none() && worth == Worth::Little {
                self.lost += 1;
                return;
            }
            let Some((_, dropped)) = self.lines.remove(little.unwrap_or(0)) else {
                break;
            };
            self.bytes -= dropped.len();
            self.lost += 1;
        }
        self.bytes += line.len();
        self.lines.push_back((worth, line));
    }
}

fn put(line: &[u8]) {
    bar::aside(|| {
        // Nobody reads any more: the run goes on, its exit code still tells.
        if ASIDE.load(Ordering::Relaxed) {
            io::stderr().lock().write_all(line).ok();
        } else {
            let mut stdout = io::stdout().lock();
            stdout.write_all(line).and_then(|()| stdout.flush()).ok();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worth_least_goes_first_and_is_counted() {
        let mut queue = Queue::default();
        let line = |mark: u8| vec![mark; QUEUE_MAX / 4];
        for (worth, mark) in [
            (Worth::Record, 1),
            (Worth::Little, 2),
            (Worth::Record, 3),
            (Worth::Little, 4),
            (Worth::Record, 5),
        ] {
            queue.push(worth, line(mark));
        }
        let marks = |queue: &Queue| -> Vec<u8> { queue.lines.iter().map(|(_, line)| line[0]).collect() };
        assert_eq!(marks(&queue), [1, 3, 4, 5]);
        queue.push(Worth::Record, line(6));
        queue.push(Worth::Little, line(7));
        assert_eq!((marks(&queue), queue.lost), (vec![1, 3, 5, 6], 3));
        queue.push(Worth::Record, line(8));
        assert_eq!((marks(&queue), queue.lost), (vec![3, 5, 6, 8], 4));
        assert!(queue.bytes <= QUEUE_MAX);
    }
}
