//! How a study stands while it runs: a table that is drawn over itself on a terminal, a line for
//! each finished trial elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;

use hourglass_search::TrialState;
use hourglass_sweep::Status;

/// Running trials that the table has room for.
const MOST_ROWS: usize = 12;

/// Draws a status again and again.
pub struct Live {
    is_terminal: bool,
    drawn: Mutex<Drawn>,
}

#[derive(Default)]
struct Drawn {
    /// Lines of the last table, to go back over.
    n_lines: usize,
    /// Finished trials that were spoken of, by study.
    told: BTreeMap<String, BTreeSet<u64>>,
}

impl Live {
    pub fn new() -> Self {
        Live { is_terminal: io::stderr().is_terminal(), drawn: Mutex::default() }
    }

    /// Shows how the study stands now.
    pub fn show(&self, status: &Status) {
        let mut drawn = self.drawn.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut stderr = io::stderr().lock();
        let text = if self.is_terminal {
            // How it ended is said by whoever called.
            let is_over = status.running.is_empty() && status.finished.len() as u64 >= status.limit;
            drawn.over(&if is_over { String::new() } else { table(status) })
        } else {
            drawn.lines(status)
        };
        // Nobody may be listening, which is no error.
        drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
    }
}

impl Drawn {
    /// A table in place of the last one. Lines that are too long for the terminal are cut off: the
    /// way back counts lines.
    fn over(&mut self, table: &str) -> String {
        let back = match self.n_lines {
            0 => String::new(),
            n_lines => format!("\x1b[{n_lines}A\x1b[J"),
        };
        self.n_lines = table.lines().count();
        format!("{back}\x1b[?7l{table}\x1b[?7h")
    }

    /// A line for each trial that has finished since the last look. At the first one, what has
    /// finished is no news.
    fn lines(&mut self, status: &Status) -> String {
        let Some(told) = self.told.get_mut(&status.study) else {
            let before = status.finished.iter().map(|trial| trial.0).collect();
            self.told.insert(status.study.clone(), before);
            return String::new();
        };
        let mut text = String::new();
        for (number, state, values, reason) in &status.finished {
            if told.insert(*number) {
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
    let failed = status.finished.iter().rev().find(|(_, state, ..)| *state == TrialState::Failed);
    if let Some((number, _, _, reason)) = failed {
        let reason = reason.as_deref().unwrap_or("no reason").replace('\n', " ");
        text += &format!("trial {number} failed: {reason}\n");
    }
    if !status.running.is_empty() {
        text += &format!(
            "{:>6}  {:<28} {:>7} {:>6}  {}\n",
            "trial", "worker", "attempt", "epoch", "validation loss"
        );
    }
    for trial in status.running.iter().take(MOST_ROWS) {
        let (epoch, loss) = match trial.last {
            Some((epoch, loss)) => (epoch.to_string(), format!("{loss:.6}")),
            None => ("–".to_owned(), "–".to_owned()),
        };
        let worker: String = trial.worker.chars().take(28).collect();
        text +=
            &format!("{:>6}  {worker:<28} {:>7} {epoch:>6}  {loss}\n", trial.number, trial.attempt);
    }
    let n_more = status.running.len().saturating_sub(MOST_ROWS);
    if n_more > 0 {
        text += &format!("{:>6}  {n_more} more\n", "");
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

#[cfg(test)]
mod tests {
    use hourglass_sweep::StatusTrial;

    use super::*;

    fn status(n_running: u64, n_failed: u64) -> Status {
        let running = (0..n_running).map(|at| StatusTrial {
            number: n_failed + at,
            worker: format!("host-{at}"),
            attempt: 1,
            last: (at > 0).then_some((at as i64, 0.25)),
            params: Vec::new(),
        });
        let reason = || Some("it ran out\nof memory".to_owned());
        let finished = (0..n_failed).map(|at| (at, TrialState::Failed, Vec::new(), reason()));
        Status {
            study: "digits-12345678".to_owned(),
            limit: 50,
            n_complete: 0,
            n_pruned: 0,
            n_failed: n_failed as usize,
            n_queued: 0,
            best: None,
            n_front: 0,
            running: running.collect(),
            finished: finished.collect(),
            seconds_left: Some(300.0),
        }
    }

    #[test]
    fn the_table_says_what_runs_and_what_failed() {
        assert_eq!(
            table(&status(2, 1)),
            "digits-12345678  1 of 50 trials, 1 failed, 2 running, about 5 min left\n\
             no trial has come to its end\n\
             trial 0 failed: it ran out of memory\n \
             trial  worker                       attempt  epoch  validation loss\n     \
             1  host-0                             1      –  –\n     \
             2  host-1                             1      1  0.250000\n"
        );
    }

    #[test]
    fn each_trial_is_told_once_and_those_from_before_not_at_all() {
        let mut drawn = Drawn::default();
        assert_eq!(drawn.lines(&status(1, 1)), "");
        let news = drawn.lines(&status(1, 2));
        assert!(
            news.starts_with("trial 1: failed: it ran out") && news.lines().count() == 2,
            "{news}"
        );
        assert_eq!(drawn.lines(&status(0, 2)), "");
    }

    #[test]
    fn the_table_is_drawn_over_itself_and_never_longer_than_a_screen() {
        let mut drawn = Drawn::default();
        let n_lines = table(&status(64, 1)).lines().count();
        assert!(n_lines < 20, "{n_lines}");
        assert!(!drawn.over(&table(&status(64, 1))).contains("\x1b[J"));
        let again = drawn.over(&table(&status(1, 0)));
        assert!(again.starts_with(&format!("\x1b[{n_lines}A\x1b[J")), "{again:?}");
        // Over: the place is left empty.
        assert_eq!(drawn.over(""), "\x1b[4A\x1b[J\x1b[?7l\x1b[?7h");
        assert_eq!(drawn.over(""), "\x1b[?7l\x1b[?7h");
    }
}
