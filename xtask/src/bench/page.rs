//! Writes the table of docs/benchmarks.md, with machine and versions: the lines of what was
//! measured, and the others as they were. What is written by hand there, below the line that says
//! so, is kept.

use std::collections::BTreeMap;

use super::peers::{Figures, Outcome, differing, shown};
use super::side::N_THREADS;
use super::works::{Better, WORKS};
use crate::root;

const PAGE: &str = "docs/benchmarks.md";

/// Everything from this line on is written by hand.
const NOTES: &str = "## Notes";

const VERSIONS: &str = "Versions: ";

pub fn write(outcomes: &[Outcome]) -> Result<(), String> {
    let path = root().join(PAGE);
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let text = renewed(&old, outcomes, &machine());
    std::fs::write(&path, text).map_err(|error| format!("cannot write `{PAGE}`: {error}"))
}

/// The page with the lines of these works in place of the old ones.
fn renewed(old: &str, outcomes: &[Outcome], machine: &str) -> String {
    let mut text = format!(
        "# Benchmarks\n\n\
         `cargo xtask bench peers` makes this table: both sides in turn, A B A B, on the same\n\
         data, shapes, batch and optimiser, with {N_THREADS} threads each; medians over three\n\
         rounds, of what takes minutes one. A ratio above 1 says that ours is better; of memory\n\
         it is ours / peer. `--only NAME` runs one line, `--csv` prints figures alone.\n\n\
         Machine: {machine}.\n{}\n\n\
         | work | ours | peer | unit | ratio | at least | go for | memory, ours / peer (MiB) |\n\
         |---|---|---|---|---|---|---|---|\n",
        versions(old, outcomes),
    );
    let mut apart = String::new();
    for work in WORKS {
        let start = |what: &str| format!("{what}`{}`", work.name);
        let line = |start: String| old.lines().find(|line| line.starts_with(&start));
        match outcomes.iter().find(|outcome| outcome.work.name == work.name) {
            Some(outcome) => {
                text += &row(outcome);
                if let Some(message) = differing(outcome) {
                    apart += &format!("\n{DIFFERENT}{message}\n");
                }
            }
            None => {
                text.extend(line(start("| ")).map(|line| format!("{line}\n")));
                apart.extend(line(start(DIFFERENT)).map(|line| format!("\n{line}\n")));
            }
        }
    }
    let notes = old.find(NOTES).map_or(NOTES, |start| &old[start..]);
    format!("{text}{apart}\n{}\n", notes.trim_end())
}

const DIFFERENT: &str = "**Not the same result:** ";

fn row(outcome: &Outcome) -> String {
    let work = outcome.work;
    let name = format!("`{}`: {}", work.name, work.about);
    let [least, most] = work.goals;
    let Figures { ours, peer, memory, .. } = match &outcome.result {
        Ok(figures) => figures,
        Err(reason) => return format!("| {name} | {reason} | | | | {least} | {most} | |\n"),
    };
    let (peer, ratio) = match peer {
        Some((peer, ratio)) => {
            let who = work.peer.as_ref().map_or("", |peer| peer.name);
            (format!("{} ({who})", shown(*peer)), format!("{ratio:.2}"))
        }
        None => (String::new(), String::new()),
    };
    let sign = if work.peer.is_none() && work.better == Better::Lower { "≤ " } else { "" };
    let memory = match memory {
        [Some(ours), Some(peer)] => format!("{ours:.0} / {peer:.0} = {:.2}", ours / peer),
        [Some(ours), None] => format!("{ours:.0}"),
        _ => String::new(),
    };
    let (unit, ours) = (work.unit, shown(*ours));
    format!(
        "| {name} | {ours} | {peer} | {unit} | {ratio} | {sign}{least} | {sign}{most} | {memory} |\n"
    )
}

/// Versions of all that was measured; the newest of each.
fn versions(old: &str, outcomes: &[Outcome]) -> String {
    let line = old.lines().find_map(|line| line.strip_prefix(VERSIONS)).unwrap_or_default();
    let words = line.trim_end_matches('.').split(", ").filter_map(|word| word.split_once(' '));
    let mut all: BTreeMap<&str, &str> = words.collect();
    for figures in outcomes.iter().filter_map(|outcome| outcome.result.as_ref().ok()) {
        all.extend(figures.about.iter().map(|(name, version)| (name.as_str(), version.as_str())));
    }
    let list: Vec<String> = all.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!("{VERSIONS}{}.", list.join(", "))
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores, {}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_renewed_and_the_others_stay() {
        let old = "# Benchmarks\n\nVersions: hourglass 0.0.9, onnx 1.\n\n\
                   | `step-small`: a | 1 |\n| `encode`: b | 2 |\n| `gone`: c | 3 |\n\n\
                   ## Notes\n\nBy hand.\n";
        let work = WORKS.iter().find(|work| work.name == "check").unwrap();
        let figures = Figures {
            ours: 6.0,
            peer: None,
            memory: [Some(11.0), None],
            losses: [None, None],
            about: [("hourglass".to_owned(), "0.1.0".to_owned())].into(),
        };
        let page = renewed(old, &[Outcome { work, result: Ok(figures) }], "a machine");
        for part in [
            "Machine: a machine.\nVersions: hourglass 0.1.0, onnx 1.\n",
            "| `step-small`: a | 1 |\n| `encode`: b | 2 |\n| `check`: ",
            "\n\n## Notes\n\nBy hand.\n",
        ] {
            assert!(page.contains(part), "{page}");
        }
        assert!(!page.contains("gone"), "{page}");
    }
}
