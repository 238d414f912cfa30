//! How a study stands while it runs: a table that is drawn over itself on a terminal, a line for
//! each finished trial elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;

use hourglass_search::TrialState;
use hourglass_sweep::Status;

/// Draws a status again and again.
pub struct Live {
    is_terminal: bool,
    drawn: Mutex<Drawn>,
}

#[derive(Default)]
struct Drawn {
    /// Lines of the last table, to go back over.
    n_lines: usize,
    /// Finished trials that were spoken of.
    told: std::collections::BTreeSet<u64>,
    is_first: bool,
}

impl Live {
    pub fn new() -> Self {
        let drawn = Drawn { is_first: true, ..Drawn::default() };
        Live { is_terminal: io::stderr().is_terminal(), drawn: Mutex::new(drawn) }
    }

    /// Shows how the study stands now.
    pub fn show(&self, status: &Status) {
        let mut drawn = self.drawn.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut stderr = io::stderr().lock();
        let text = if self.is_terminal {
            let table = table(status);
            let back = if drawn.n_lines > 0 {
                format!("\x1b[{}A\x1b[J", drawn.n_lines)
            } else {
                String::new()
            };
            drawn.n_lines = table.lines().count();
            back + &table
        } else {
            drawn.lines(status)
        };
        // Nobody may be listening, which is no error.
        drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
    }
}

impl Drawn {
    /// A line for each trial that has finished since the last look.
    fn lines(&mut self, status: &Status) -> String {
        let mut text = String::new();
        let n_before = if self.is_first { status.finished.len().saturating_sub(1) } else { 0 };
        // What was finished before this run began is not news.
        if self.is_first && !status.running.is_empty() {
            self.told.extend(status.finished.iter().map(|trial| trial.0));
        } else if self.is_first {
            self.told.extend(status.finished.iter().take(n_before).map(|trial| trial.0));
        }
        self.is_first = false;
        for (number, state, values, reason) in &status.finished {
            if self.told.insert(*number) {
                let what = match state {
                    TrialState::Pruned => "pruned".to_owned(),
                    TrialState::Failed => {
                        format!("failed: {}", reason.as_deref().unwrap_or("no reason"))
                    }
                    _ => numbers(values),
                };
                text += &format!("trial {number}: {what}; {}\n", progress(status));
            }
        }
        text
    }
}

fn table(status: &Status) -> String {
    let mut text = format!("{}  {}\n", status.study, counts(status));
    text += &format!("{}\n", best(status));
    if !status.running.is_empty() {
        text += &format!(
            "{:>6}  {:<28} {:>7} {:>6}  {}\n",
            "trial", "worker", "attempt", "epoch", "validation loss"
        );
    }
    for trial in &status.running {
        let (epoch, loss) = match trial.last {
            Some((epoch, loss)) => (epoch.to_string(), format!("{loss:.6}")),
            None => ("–".to_owned(), "–".to_owned()),
        };
        let worker: String = trial.worker.chars().take(28).collect();
        text +=
            &format!("{:>6}  {worker:<28} {:>7} {epoch:>6}  {loss}\n", trial.number, trial.attempt);
    }
    text
}

/// One line on how far the study is.
pub fn counts(status: &Status) -> String {
    let done = status.finished.len();
    let mut parts = vec![format!("{done} of {} trials", status.limit)];
    for (count, word) in [
        (status.n_complete, "finished"),
        (status.n_pruned, "pruned"),
        (status.n_failed, "failed"),
        (status.running.len(), "running"),
        (status.n_queued, "waiting"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    parts.join(", ") + &left(status)
}

fn progress(status: &Status) -> String {
    format!("{} of {}, {}{}", status.finished.len(), status.limit, best(status), left(status))
}

pub fn best(status: &Status) -> String {
    match (&status.best, status.n_front) {
        (Some((number, values)), _) => format!("best {} (trial {number})", numbers(values)),
        (None, 0) => "no trial has come to its end".to_owned(),
        (None, n) => format!("{n} trials on the Pareto front"),
    }
}

fn left(status: &Status) -> String {
    match status.seconds_left {
        Some(seconds) if seconds >= 90.0 => format!(", about {:.0} min left", seconds / 60.0),
        Some(seconds) if seconds >= 1.0 => format!(", about {seconds:.0} s left"),
        _ => String::new(),
    }
}

pub fn numbers(values: &[f64]) -> String {
    let number = |value: &f64| {
        let text = format!("{value:.6}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    values.iter().map(number).collect::<Vec<_>>().join(", ")
}
