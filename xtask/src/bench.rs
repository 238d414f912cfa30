//! `cargo xtask bench`: criterion's benches of operations and of a training step; and, as
//! `bench peers`, whole works in turn with what else one could use.
//!
//! It measures nothing itself and knows no crate of ours: it starts processes.

mod page;
mod peers;
mod side;
mod works;

use crate::{Failure, cargo};

/// Packages with criterion benches.
const PACKAGES: [&str; 3] = ["hourglass-core", "hourglass-nn", "hourglass-train"];

/// `bench [FILTER]` or `bench peers [--only NAME] [--csv]`.
pub fn run(args: &[String]) -> Result<(), Failure> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["peers", rest @ ..] => peers::run(&peers::Options::parse(rest)?),
        [] => criterion(None),
        [filter] if !filter.starts_with('-') => criterion(Some(filter)),
        _ => Err(Failure { message: USAGE.to_owned(), code: 2 }),
    }
}

const USAGE: &str = "`bench` takes a filter for the names of benches, or \
                     `peers [--only NAME] [--rounds N] [--csv]`";

fn criterion(filter: Option<&str>) -> Result<(), Failure> {
    let mut command = cargo();
    command.args(["bench", "--profile", "release"]);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    // Only the targets in `benches/`, since the tests' harness does not know criterion's options.
    command.args(["--bench", "*"]);
    command.args(filter.map(|filter| ["--", filter]).into_iter().flatten());
    let status = command.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the benches failed, see above".to_owned().into()) }
}
