//! How many workers fit on this machine, and how many threads each gets.
//!
//! Trials don't wait for each other, so that one thread each is the best use of the cores; fewer
//! and wider workers are taken only where there are fewer trials than cores, or where the memory
//! doesn't hold as many.

use std::fs;

/// Memory of a worker beside its rows, in bytes: the program, a model and its optimiser.
const WORKER_BYTES: u64 = 256 << 20;

/// Copies of the rows that a trial holds at its peak: as read, as prepared, as features, and one
/// on the way between them.
const COPIES: u64 = 4;

/// Share of the free memory that workers may plan with.
const MOST_OF_MEMORY: f64 = 0.8;

/// How the cores are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Workers at once.
    pub n_workers: usize,
    /// Threads of each.
    pub n_threads: usize,
}

/// Shares `n_cores` between workers on rows of `row_bytes`, of which there is use for `n_trials`.
pub fn share(n_cores: usize, n_trials: u64, row_bytes: u64) -> Share {
    within(n_cores, n_trials, row_bytes, free_bytes())
}

fn within(n_cores: usize, n_trials: u64, row_bytes: u64, free: Option<u64>) -> Share {
    let need = (WORKER_BYTES + COPIES * row_bytes) as f64;
    let hold = free.map_or(usize::MAX, |free| (free as f64 * MOST_OF_MEMORY / need) as usize);
    let use_for = usize::try_from(n_trials).unwrap_or(usize::MAX);
    let n_workers = n_cores.min(hold).min(use_for).max(1);
    Share { n_workers, n_threads: (n_cores / n_workers).max(1) }
}

/// Memory that may still be taken: what the system has free, or what is left of this container's
/// limit.
fn free_bytes() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok();
    let available = meminfo.as_deref().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    });
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let left = number("/sys/fs/cgroup/memory.max")
        .zip(number("/sys/fs/cgroup/memory.current"))
        .map(|(limit, taken)| limit.saturating_sub(taken));
    available.map(|kibibytes| kibibytes * 1024).into_iter().chain(left).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_neither_idle_nor_fought_over() {
        let gib = 1_u64 << 30;
        for (n_cores, n_trials, row_bytes, free, expected) in [
            (2, 50, 1 << 20, Some(8 * gib), (2, 1)),
            (16, 50, 1 << 20, Some(64 * gib), (16, 1)),
            (16, 3, 1 << 20, Some(64 * gib), (3, 5)),
            (16, 50, 2 * gib, Some(40 * gib), (3, 5)),
            (4, 50, 9 * gib, Some(2 * gib), (1, 4)),
            (8, 50, 1 << 20, None, (8, 1)),
            (1, 0, 0, None, (1, 1)),
        ] {
            let share = within(n_cores, n_trials, row_bytes, free);
            assert_eq!((share.n_workers, share.n_threads), expected);
        }
    }
}
