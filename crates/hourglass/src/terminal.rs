//! The terminal: progress bars where there is one, plain lines elsewhere, all on standard error,
//! so that standard output holds data alone.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hourglass_core::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Time between two plain lines of the same work.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// What happens, for a person.
pub struct Terminal {
    is_terminal: bool,
    work: Mutex<Option<Work>>,
}

struct Work {
    what: String,
    total: Option<u64>,
    started: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

impl Terminal {
    pub fn new() -> Self {
        Terminal { is_terminal: io::stderr().is_terminal(), work: Mutex::new(None) }
    }

    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Progress for Terminal {
    fn begin(&self, what: &str, total: Option<u64>) {
        let bar = self.is_terminal.then(|| new_bar(what, total));
        let now = Instant::now();
        let what = what.to_owned();
        *self.work() = Some(Work { what, total, started: now, last_line: now, bar });
    }

    fn advance(&self, done: u64, detail: &str) {
        let mut work = self.work();
        let Some(work) = work.as_mut() else { return };
        if let Some(bar) = &work.bar {
            bar.set_position(done);
            bar.set_message(detail.to_owned());
        } else if work.last_line.elapsed() >= LINE_INTERVAL {
            work.last_line = Instant::now();
            line(&format!("{}: {detail}{}", work.what, work.time_left(done)));
        }
    }

    fn end(&self, summary: &str) {
        let Some(work) = self.work().take() else { return };
        if let Some(bar) = &work.bar {
            bar.finish_and_clear();
        }
        if !summary.is_empty() {
            let seconds = work.started.elapsed().as_secs_f64();
            line(&format!("{}: {summary} ({seconds:.1} s)", work.what));
        }
    }

    fn say(&self, text: &str) {
        let text = match text.strip_prefix("**").and_then(|text| text.strip_suffix("**")) {
            Some(strong) if self.is_terminal => format!("\x1b[1m{strong}\x1b[0m"),
            _ => text.to_owned(),
        };
        match self.work().as_ref().and_then(|work| work.bar.as_ref()) {
            Some(bar) => bar.suspend(|| line(&text)),
            None => line(&text),
        }
    }
}

impl Work {
    fn time_left(&self, done: u64) -> String {
        match self.total {
            Some(total) if done > 0 && total > done => {
                let per_unit = self.started.elapsed().as_secs_f64() / done as f64;
                format!(", about {:.0} s left", per_unit * (total - done) as f64)
            }
            _ => String::new(),
        }
    }
}

fn new_bar(what: &str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => {
            (ProgressBar::new(total), "{prefix} {wide_bar:.cyan/blue} {msg}, {eta} left")
        }
        None => (ProgressBar::new_spinner(), "{prefix} {spinner} {msg}"),
    };
    // The templates are constants above; where one didn't parse, the plain bar is as good.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(what.to_owned());
    bar
}

/// Writes a line to standard error; nobody may be listening, which is no error.
pub fn line(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Writes to standard output; a reader that has left ends the program quietly.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result,
    }
}
