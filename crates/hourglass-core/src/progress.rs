//! How long work reports, and how it is asked to stop. Libraries never print: the binary decides
//! what a person sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Receives what long work has to say. The binary draws bars or prints plain lines from it.
pub trait Progress: Sync {
    /// A piece of work begins; `total` counts its units (bytes, steps, fits) where it is known.
    fn begin(&self, what: &str, total: Option<u64>);
    /// `done` units of the current piece are finished; `detail` is a short line such as the loss.
    fn advance(&self, done: u64, detail: &str);
    /// The current piece is finished; `summary` is one line worth keeping, or empty.
    fn end(&self, summary: &str);
    /// One line that a person should read now.
    fn say(&self, line: &str);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, _done: u64, _detail: &str) {}
    fn end(&self, _summary: &str) {}
    fn say(&self, _line: &str) {}
}

/// A flag that Ctrl-C raises and long work looks at between steps.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// A flag that isn't raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the work to stop after its current step.
    pub fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether someone asked to stop.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
