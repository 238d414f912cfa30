//! Waits for a store that is away for a while: a server that restarts, a file that another program
//! has locked.

use std::time::{Duration, Instant};

use hourglass_core::Interrupt;
use hourglass_search::Error;

/// How long a store may be away before a worker gives up.
const LONGEST: Duration = Duration::from_secs(600);

const FIRST_PAUSE: Duration = Duration::from_millis(100);

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Calls `act` until the store answers, or says something that waiting doesn't mend.
pub(crate) fn patiently<T>(
    interrupt: &Interrupt,
    mut act: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match act() {
            Err(Error::Unreachable { .. } | Error::Locked { .. })
                if !interrupt.is_raised() && start.elapsed() < LONGEST =>
            {
                rest(pause, interrupt);
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
            other => return other,
        }
    }
}

/// Sleeps, but for no longer than until the interrupt.
pub(crate) fn rest(pause: Duration, interrupt: &Interrupt) {
    let end = Instant::now() + pause;
    while !interrupt.is_raised() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}
