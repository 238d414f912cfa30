//! `cargo xtask`: starts the release binary, and holds the repository's own chores.
//!
//! It links none of our crates and nothing from elsewhere, so that it is built in a second. What a
//! command of the binary does is not known here, only its name.

mod bench;
mod bench_sampler;
mod bench_sweep;
mod ci;
mod start;
mod tidy;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Commands of the binary, with what they are for, in the order of the help.
const COMMANDS: [(&str, &str); 6] = [
    ("pipeline", "run a pipeline file, check it, explain what would run"),
    ("doctor", "find what goes wrong with an autoencoder, before and after training; try cures"),
    ("data", "list, describe and download the data sets of the catalogue"),
    ("report", "show, compare, verify and open runs; benchmark a folder of pipelines"),
    ("sweep", "search for better values: run a study, join it, show its best trial"),
    ("schedule", "sweeps that go on by themselves: fire what is due, show what comes next"),
];

/// Chores of the repository, with what they are for, in the order of the help.
const CHORES: [(&str, &str); 5] = [
    ("bench", "criterion's benches; `peers`: with other people's; `sampler`, `sweep`: of searches"),
    ("ci", "format check, tidy, lints, documentation, tests; stops at the first failure"),
    ("tidy", "check the repository's own rules: arrows between crates, walls, text"),
    ("schema", "write schemas/pipeline.json for editors, and the reference page with it"),
    ("reference", "write docs/reference.md and docs/doctor: pages made from the code"),
];

/// What went wrong and the exit code it deserves: 1 the work failed, 2 the arguments are wrong.
struct Failure {
    message: String,
    code: u8,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Failure { message, code: 1 }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&format!("error: {}", failure.message));
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(args: &[String]) -> Result<(), Failure> {
    let Some((command, rest)) = args.split_first() else {
        complain(&help());
        return Err(Failure { message: "no command given".into(), code: 2 });
    };
    match (command.as_str(), rest) {
        ("help" | "--help" | "-h", []) => say(&help()),
        ("bench", [what, rest @ ..]) if what == "sampler" => bench_sampler::run(rest)?,
        ("bench", [what, rest @ ..]) if what == "sweep" => bench_sweep::run(rest)?,
        ("ci", []) => ci::run()?,
        ("bench", rest) if !rest.iter().any(|arg| arg == "--help" || arg == "-h") => {
            bench::run(rest)?;
        }
        ("tidy", []) => tidy::run()?,
        ("schema", []) => {
            start::run_and_wait(&["pipeline", "schema", "--write", "schemas/pipeline.json"])?;
            // The page says in words what the schema says: neither is right without the other.
            start::run_and_wait(&["pipeline", "reference", "--write", "docs/reference.md"])?;
        }
        ("reference", []) => {
            start::run_and_wait(&["pipeline", "reference", "--write", "docs/reference.md"])?;
            start::run_and_wait(&["doctor", "explain", "--write", "docs/doctor"])?;
        }
        ("ci" | "tidy" | "schema" | "reference" | "bench", [flag])
            if ["--help", "-h"].contains(&flag.as_str()) =>
        {
            say(&help());
        }
        ("ci" | "tidy" | "schema" | "reference", _) => {
            let message = format!("`{command}` takes no arguments, found `{}`", rest.join(" "));
            return Err(Failure { message, code: 2 });
        }
        _ if COMMANDS.iter().any(|(name, _)| name == command) => start::become_binary(args)?,
        _ => return Err(Failure { message: unknown(command), code: 2 }),
    }
    Ok(())
}

fn help() -> String {
    let mut text = String::from(
        "Usage: cargo xtask <COMMAND> [ARGUMENTS]...\n\n\
         Commands of the hourglass binary, which is built first where that is needed:\n",
    );
    for (name, about) in COMMANDS {
        text += &format!("  {name:<10} {about}\n");
    }
    text += "\nChores of this repository:\n";
    for (name, about) in CHORES {
        text += &format!("  {name:<10} {about}\n");
    }
    text += "\nStart with:\n  cargo xtask pipeline run pipelines/mnist.toml\n\n\
             `cargo xtask pipeline --help` tells more.";
    text
}

fn unknown(command: &str) -> String {
    let names = COMMANDS.iter().chain(&CHORES).map(|(name, _)| *name);
    match names.clone().min_by_key(|name| edits(name, command)) {
        Some(name) if edits(name, command) <= 2 => {
            format!("unknown command `{command}`\nhint: did you mean `{name}`?")
        }
        _ => format!(
            "unknown command `{command}`\nhint: it is one of {}",
            names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Levenshtein distance: how many letters to add, drop or change.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The root of the repository that `cargo xtask` was called in.
fn root() -> PathBuf {
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest_dir.parent().map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// The cargo that called us, in the root of the repository.
///
/// What `cargo run` tells about *this* package is taken out of the environment: build scripts that
/// watch those variables (that of `ring` does) would run again at every turn.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let about_this_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if about_this_package || name == "CARGO_PRIMARY_PACKAGE" {
            command.env_remove(name);
        }
    }
    command
}

#[expect(clippy::print_stdout, reason = "the one way out to standard output")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the one way out to standard error")]
fn complain(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_answered_with_the_nearest_command() {
        for (typed, expected) in [
            ("pipline", "unknown command `pipline`\nhint: did you mean `pipeline`?"),
            ("tydi", "unknown command `tydi`\nhint: did you mean `tidy`?"),
            (
                "frobnicate",
                "unknown command `frobnicate`\nhint: it is one of `pipeline`, `doctor`, \
                 `data`, `report`, `sweep`, `schedule`, `bench`, `ci`, `tidy`, `schema`, `reference`",
            ),
        ] {
            assert_eq!(unknown(typed), expected);
        }
    }

    #[test]
    fn help_names_every_command() {
        for (name, about) in COMMANDS.iter().chain(&CHORES) {
            assert!(help().contains(&format!("  {name:<10} {about}\n")), "{name}");
        }
    }

    #[test]
    fn edits_are_counted() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("run", "run", 0),
            ("rnu", "run", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edits(a, b), expected, "{a} {b}");
        }
    }
}
