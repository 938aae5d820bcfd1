//! Threads beside the run's own: one carries about half a gigabyte of rows a second with TLS on both sides, however many cores a task
//! has.
//!
//! Both connections of a stream, and what carries bytes from one to the other, are on the same thread: threads that wake each other for
//! every piece of a row take almost half as much processor time again.

use std::num::NonZero;
use std::panic::resume_unwind;

use tokio_util::task::{AbortOnDropHandle, LocalPoolHandle};

use crate::error::Error;

/// The threads that carry rows.
#[derive(Debug)]
pub(crate) struct Threads {
    /// `None`: the run's own does.
    pool: Option<LocalPoolHandle>,
}

impl Threads {
    /// One for each core, but no more than there are streams; none where that is one. The task may have more or less than the machine
    /// shows: a container does not see what its task is held to.
    pub(crate) fn new(streams: usize, task_cores: Option<f64>) -> Self {
        let shown = std::thread::available_parallelism().map_or(1, NonZero::get);
        let cores = task_cores.map_or(shown, |cores| shown.min(whole(cores)));
        let threads = cores.min(streams);
        Self {
            pool: (threads > 1).then(|| LocalPoolHandle::new(threads)),
        }
    }

    /// The one that a stream is on, by the stream's number.
    pub(crate) fn of(&self, stream: usize) -> Thread {
        let pinned = self.pool.clone().map(|pool| {
            let index = stream % pool.num_threads();
            (pool, index)
        });
        Thread { pinned }
    }
}

/// Parts of a core do not count, but for one that is all there is.
fn whole(cores: f64) -> usize {
    let more = (2..=u16::MAX).take_while(|whole| f64::from(*whole) <= cores);
    1 + more.count()
}

/// Where a connection is driven.
#[derive(Debug, Clone)]
pub(crate) struct Thread {
    pinned: Option<(LocalPoolHandle, usize)>,
}

impl Thread {
    /// The run's own.
    pub(crate) const OWN: Self = Self { pinned: None };

    /// Whether both are the same, of one load's.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.index() == other.index()
    }

    fn index(&self) -> Option<usize> {
        self.pinned.as_ref().map(|(_, index)| *index)
    }

    /// Runs it there, with all that it spawns. It ends with whoever waits for it, and its panic is theirs.
    pub(crate) async fn run<F>(&self, future: F) -> Result<F::Output, Error>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let Some((pool, index)) = &self.pinned else {
            return Ok(future.await);
        };
        let running = AbortOnDropHandle::new(pool.spawn_pinned_by_idx(|| future, *index));
        running.await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => Error::Internal(format!("a thread that carries rows has ended: {error}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::thread::{ThreadId, current};
    use std::time::Duration;

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(future)
    }

    fn three() -> Threads {
        Threads {
            pool: Some(LocalPoolHandle::new(3)),
        }
    }

    #[test]
    fn a_stream_stays_on_its_thread_and_others_have_their_own() {
        let threads = three();
        let on = |stream: usize| -> ThreadId {
            let thread = threads.of(stream);
            run(thread.run(async { current().id() })).unwrap()
        };
        let seen = [0, 1, 2, 3, 4, 0].map(on);
        assert_eq!(
            seen[..3],
            seen[3..5].iter().chain(&seen[2..3]).copied().collect::<Vec<_>>()
        );
        assert_eq!(seen[5], seen[0]);
        assert!(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2]);
        assert!(!seen.contains(&current().id()));
        assert!(threads.of(1).is(&threads.of(4)) && !threads.of(1).is(&threads.of(2)));
        assert_eq!(
            run(Thread::OWN.run(async { current().id() })).unwrap(),
            current().id()
        );
    }

    #[test]
    fn there_are_no_more_than_cores_or_streams() {
        let threads = |streams, cores| Threads::new(streams, cores).pool.map(|pool| pool.num_threads());
        assert_eq!(
            [threads(1, None), threads(4, Some(0.25)), threads(4, Some(1.5))],
            [None; 3]
        );
        let shown = std::thread::available_parallelism().unwrap().get();
        for (streams, cores) in [(64, None), (64, Some(4096.0)), (2, Some(2.0))] {
            let expected = shown.min(streams);
            assert_eq!(threads(streams, cores), (expected > 1).then_some(expected));
        }
        assert_eq!([0.25, 1.0, 2.0, 3.9, 16.0].map(whole), [1, 1, 2, 3, 16]);
    }

    #[test]
    fn what_runs_there_ends_with_whoever_waits() {
        let thread = three().of(1);
        let held = Arc::new(());
        let holds = Arc::clone(&held);
        run(async {
            let waits = thread.run(async move {
                std::future::pending::<()>().await;
                drop(holds);
            });
            let limit = tokio::time::timeout(Duration::from_millis(50), waits);
            limit.await.unwrap_err();
            while Arc::strong_count(&held) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let panics = AssertUnwindSafe(|| run(thread.run(async { panic!("there") })));
        assert_eq!(catch_unwind(panics).unwrap_err().downcast_ref(), Some(&"there"));
    }
}
