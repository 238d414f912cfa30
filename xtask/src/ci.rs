//! What continuous integration and a person call before a commit: every check, in the order of
//! their cost, up to the first that fails.
//!
//! All of it uses the one release profile, so that nothing is compiled twice.

use std::time::Instant;

use crate::{cargo, complain, tidy};

/// One call of cargo: its arguments, and what is added to its environment.
struct Step {
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
}

const FORMAT: Step = Step { args: &["fmt", "--all", "--check"], env: &[] };

/// Tests stand last, so that their summary closes the output.
const BUILDS: [Step; 3] = [
    Step {
        args: &["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"],
        env: &[],
    },
    Step {
        args: &["doc", "--release", "--workspace", "--no-deps"],
        env: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    Step { args: &["test", "--release", "--workspace"], env: &[] },
];

/// Runs every check.
pub fn run() -> Result<(), String> {
    call(&FORMAT)?;
    complain("\n==> cargo xtask tidy");
    tidy::run()?;
    BUILDS.iter().try_for_each(call)
}

fn call(step: &Step) -> Result<(), String> {
    let shown = format!("cargo {}", step.args.join(" "));
    complain(&format!("\n==> {shown}"));
    let start = Instant::now();
    let status = cargo()
        .args(step.args)
        .envs(step.env.iter().copied())
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !status.success() {
        return Err(format!("`{shown}` failed"));
    }
    complain(&format!("==> done in {} s", start.elapsed().as_secs()));
    Ok(())
}
