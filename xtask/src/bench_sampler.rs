//! `cargo xtask bench sampler`: our samplers and pruners against Optuna's, by the example that
//! holds the problems.

use crate::cargo;

/// Runs the comparison; `--write` puts its tables into docs/search.md.
pub fn run(args: &[String]) -> Result<(), String> {
    let status = cargo()
        .args(["run", "--release", "--quiet", "--package", "hourglass-search"])
        .args(["--example", "compare_samplers", "--"])
        .args(args)
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the comparison failed, see above".into()) }
}
