//! The same work on many things, several at a time, a thread each. Two trainings at once on a thread
//! each get more done than one after the other on two threads.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hourglass_core::{Interrupt, Progress};

/// Stack of a thread: that of a main thread, since the work of one is done there.
const STACK_BYTES: usize = 8 << 20;

/// Does `work` on every item in their order, `jobs` at a time; with one, on all threads. What was
/// not begun when asked to stop is missing from the result.
pub(crate) fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    interrupt: &Interrupt,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let waiting = Mutex::new(items.iter().enumerate().collect::<VecDeque<_>>());
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    let serve = || {
        while !interrupt.is_raised() {
            let Some((index, item)) = lock(&waiting).pop_front() else { return };
            let result = work(item);
            lock(&done).push((index, result));
        }
    };
    if jobs <= 1 {
        serve();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..jobs.min(items.len()) {
                scope.spawn(|| match pool() {
                    Some(pool) => pool.install(serve),
                    None => serve(),
                });
            }
        });
    }
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A pool of one thread; `None` where the system gives no more of them, which only costs time.
fn pool() -> Option<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new().num_threads(1).stack_size(STACK_BYTES).build().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes on lines with a name in front; bars of several works at once would be a jumble.
pub(crate) struct Prefixed<'a> {
    pub(crate) name: &'a str,
    pub(crate) inner: &'a dyn Progress,
}

impl Progress for Prefixed<'_> {
    fn begin(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, _done: u64, _detail: &str) {}
    fn end(&self, _summary: &str) {}
    fn say(&self, line: &str) {
        self.inner.say(&format!("{}: {line}", self.name));
    }
}

/// Shows how work goes on, and says nothing.
pub(crate) struct OnlyBars<'a>(pub(crate) &'a dyn Progress);

impl Progress for OnlyBars<'_> {
    fn begin(&self, what: &str, total: Option<u64>) {
        self.0.begin(what, total);
    }
    fn advance(&self, done: u64, detail: &str) {
        self.0.advance(done, detail);
    }
    fn end(&self, _summary: &str) {
        self.0.end("");
    }
    fn say(&self, _line: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..20).collect();
        for jobs in [1, 3] {
            let squares = side_by_side(&items, jobs, &Interrupt::new(), |item| {
                (item * item, rayon::current_num_threads())
            });
            assert!(squares.iter().map(|square| square.0).eq(items.iter().map(|i| i * i)));
            assert!(jobs == 1 || squares.iter().all(|square| square.1 == 1));
        }
    }

    #[test]
    fn an_interrupt_leaves_the_rest_undone() {
        let interrupt = Interrupt::new();
        let done = side_by_side(&[1, 2, 3], 1, &interrupt, |item| {
            interrupt.raise();
            *item
        });
        assert_eq!(done, [1]);
    }
}
