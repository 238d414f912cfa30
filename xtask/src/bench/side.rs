//! One side of a comparison: a process that does a round of work whenever it reads a line, and
//! answers with `key=value` words.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Threads of both sides.
pub const N_THREADS: &str = "2";

/// What a library reads its number of threads from.
const THREAD_VARIABLES: [&str; 5] = [
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
];

/// Words of an answer.
pub type Words = BTreeMap<String, String>;

/// A running side.
pub struct Side {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// What it said of itself when it was ready: versions.
    pub about: Words,
}

/// Why a side can't be measured.
pub enum Refusal {
    /// Something is missing here, in words.
    Skipped(String),
    Failed(String),
}

impl Side {
    /// Starts a side and waits until it is ready.
    pub fn start(mut command: Command) -> Result<Side, Refusal> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.envs(THREAD_VARIABLES.map(|variable| (variable, N_THREADS)));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Refusal::Skipped(format!("cannot start `{name}`: {error}")))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Refusal::Failed(format!("`{name}` has no pipes")));
        };
        let about = Words::new();
        let mut side = Side { child, stdin, stdout: BufReader::new(stdout), about };
        let line = side.line().map_err(Refusal::Failed)?;
        if let Some(reason) = line.strip_prefix("skip ") {
            return Err(Refusal::Skipped(reason.to_owned()));
        }
        match line.strip_prefix("ready") {
            Some(rest) => side.about = words(rest),
            None => return Err(Refusal::Failed(format!("`{name}` says `{line}`, not `ready`"))),
        }
        Ok(side)
    }

    /// Has it do one round.
    pub fn round(&mut self) -> Result<Words, String> {
        self.stdin.write_all(b"go\n").map_err(|error| format!("a side is gone: {error}"))?;
        Ok(words(&self.line()?))
    }

    /// Most memory it has held so far, in MiB; `None` where the system doesn't tell.
    pub fn peak_mib(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib / 1024.0)
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let n_read = self.stdout.read_line(&mut line).map_err(|error| error.to_string())?;
        if n_read == 0 {
            return Err("a side ended before it answered, see above".to_owned());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // Both may fail where it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn words(line: &str) -> Words {
    let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn shell(script: &str) -> Result<Side, Refusal> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Side::start(command)
    }

    #[cfg(unix)]
    #[test]
    fn a_side_is_asked_round_by_round() {
        let script = "echo ready torch=2.1; while read x; do echo value=3.5 loss=0.25; done";
        let mut side = shell(script).ok().unwrap();
        assert_eq!(side.about["torch"], "2.1");
        for _ in 0..2 {
            assert_eq!(side.round().unwrap()["value"], "3.5");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_missing_is_told() {
        match shell("echo skip torch is not installed") {
            Err(Refusal::Skipped(reason)) => assert_eq!(reason, "torch is not installed"),
            _ => panic!("a side that skips was started"),
        }
        assert!(matches!(shell("exit 1"), Err(Refusal::Failed(_))));
    }
}
