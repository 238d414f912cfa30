//! `cargo xtask bench sweep`: what a sweep takes beside training, what a second worker is worth.
//!
//! It runs the sweep of a pipeline file in an empty folder of runs, with two workers and with one,
//! and reads the line that `sweep run` says at its end.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::{complain, root, say, start};

const FILE: &str = "pipelines/digits.toml";

/// Both sweeps have the same trials: Sobol points don't depend on what finished before.
const SAME_TRIALS: [&str; 2] = ["--set", "search.sampler={ sobol = {} }"];

/// A sweep as its last line tells.
struct Told {
    line: String,
    trials_per_minute: f64,
    /// Percent of the workers' time in training and judging.
    work: f64,
    /// Percent of the workers' time beside that, but for waiting.
    beside: f64,
}

/// Runs all three sweeps, or those of the names given (`default`, `two`, `one`), and prints what
/// they took.
pub fn run(names: &[String]) -> Result<(), String> {
    let binary = start::build()?;
    let wanted = |name: &str| names.is_empty() || names.iter().any(|given| given == name);
    let sweeps: [(&str, usize, &[&str]); 3] =
        [("default", 2, &[]), ("two", 2, &SAME_TRIALS), ("one", 1, &SAME_TRIALS)];
    if let Some(other) = names.iter().find(|name| !sweeps.iter().any(|sweep| sweep.0 == **name)) {
        return Err(format!("`bench sweep` takes `default`, `two` or `one`, found `{other}`"));
    }
    let mut told = Vec::new();
    for (name, n_workers, more) in sweeps.into_iter().filter(|sweep| wanted(sweep.0)) {
        complain(&format!("{FILE}, {n_workers} workers, {name}"));
        let sweep = sweep(&binary, n_workers, more)?;
        say(&format!("{name}, {n_workers} x 1 thread: {}", sweep.line));
        told.push((name, sweep));
    }
    let of = |wanted: &str| told.iter().find(|(name, _)| *name == wanted).map(|(_, told)| told);
    for (_, told) in told.iter().filter(|(name, _)| *name == "default") {
        say(&format!("beside training and judging: {:.1} %", told.beside));
    }
    if let Some((two, one)) = of("two").zip(of("one")) {
        let ratio = two.trials_per_minute / one.trials_per_minute;
        // A core that is idle half of the time wakes up slowly, in a virtual machine above all, so
        // that one worker alone may take longer over the same trials.
        let alike = 2.0 * two.work / one.work;
        say(&format!(
            "two workers: {ratio:.2} times the trials a minute of one; {alike:.2} times, if a trial \
             took as long in both"
        ));
    }
    Ok(())
}

fn sweep(binary: &Path, n_workers: usize, more: &[&str]) -> Result<Told, String> {
    let runs = std::env::temp_dir().join(format!("hourglass-bench-sweep-{}", std::process::id()));
    let workers = n_workers.to_string();
    let output = Command::new(binary)
        .args(["sweep", "run", FILE, "--no-test", "--offline"])
        // As many threads as workers: each has one.
        .args(["--workers", &workers, "--threads", &workers])
        .args(more)
        .arg("--runs-dir")
        .arg(&runs)
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start `{}`: {error}", binary.display()))?;
    drop(std::fs::remove_dir_all(&runs));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(format!("the sweep failed:\n{said}"));
    }
    read(&said).ok_or_else(|| format!("the sweep didn't say how long it took:\n{said}"))
}

/// Reads `... N a minute; ... N % beside it, ...`.
fn read(said: &str) -> Option<Told> {
    let line = said.lines().find(|line| line.contains(" a minute; "))?;
    let before = |mark: &str| -> Option<f64> {
        let words = line[..line.find(mark)?].trim_end().rsplit(' ').next()?;
        words.parse().ok()
    };
    Some(Told {
        line: line.to_owned(),
        trials_per_minute: before(" a minute")?,
        work: before(" % was training")?,
        beside: before(" % beside it")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_read() {
        let said = "trial 49: 0.98\n50 trials in 60.1 s, 49.9 a minute; of the workers' time 97.2 % was \
                    training and judging, 1.5 % beside it, 1.3 % waiting for the last trial\n";
        let told = read(said).unwrap();
        assert_eq!((told.trials_per_minute, told.work, told.beside), (49.9, 97.2, 1.5));
        assert!(read("trial 49: 0.98").is_none());
    }
}
