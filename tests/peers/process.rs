//! Whole processes: what a person waits for who types a command.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::{Measured, Place, Round};

/// Starts of a round, of which the median counts.
const N_STARTS: usize = 20;

/// Milliseconds that `pipeline check` takes, from the start of the process to its end.
pub fn check(place: &Place) -> Result<Round> {
    let hourglass = place.hourglass.clone();
    Ok(Box::new(move || {
        let mut seen = Vec::with_capacity(N_STARTS);
        for _ in 0..N_STARTS {
            let mut command = Command::new(&hourglass);
            command.args(["pipeline", "check", "pipelines/mnist.toml"]).stderr(Stdio::null());
            let start = Instant::now();
            let status = command.status()?;
            seen.push(start.elapsed().as_secs_f64() * 1e3);
            ensure!(status.success(), "`pipeline check` failed");
        }
        seen.sort_by(f64::total_cmp);
        Ok(Measured { value: seen[N_STARTS / 2], loss: None })
    }))
}
