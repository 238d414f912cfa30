//! Writes the table of docs/benchmarks.md, with machine and versions. What is written by hand
//! there, below the line that says so, is kept.

use std::collections::BTreeMap;

use super::peers::{Figures, Outcome, differing, shown};
use super::side::N_THREADS;
use super::works::Better;
use crate::root;

const PAGE: &str = "docs/benchmarks.md";

/// Everything from this line on is written by hand.
const NOTES: &str = "## Notes";

pub fn write(outcomes: &[Outcome]) -> Result<(), String> {
    let path = root().join(PAGE);
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let notes = old.find(NOTES).map_or(NOTES, |start| &old[start..]);
    let text = format!("{}\n{}\n", table(outcomes), notes.trim_end());
    std::fs::write(&path, text).map_err(|error| format!("cannot write `{PAGE}`: {error}"))
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "# Benchmarks\n\n\
         `cargo xtask bench peers` makes this table: both sides in turn, A B A B, on the same\n\
         data, shapes, batch and optimiser, with {N_THREADS} threads each; medians over the\n\
         rounds. A ratio above 1 says that ours is better; of memory it is ours / peer.\n\
         `--only NAME` runs one line, `--csv` prints figures alone.\n\n\
         Machine: {}.\n{}\n\n\
         | work | ours | peer | unit | ratio | at least | go for | memory, ours / peer (MiB) |\n\
         |---|---|---|---|---|---|---|---|\n",
        machine(),
        versions(outcomes),
    );
    for outcome in outcomes {
        text += &row(outcome);
    }
    for outcome in outcomes {
        if let Some(message) = differing(outcome) {
            text += &format!("\n**Not the same result:** {message}\n");
        }
    }
    text
}

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

fn versions(outcomes: &[Outcome]) -> String {
    let mut all = BTreeMap::new();
    for figures in outcomes.iter().filter_map(|outcome| outcome.result.as_ref().ok()) {
        all.extend(&figures.about);
    }
    let list: Vec<String> = all.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!("Versions: {}.", list.join(", "))
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores, {}", std::env::consts::OS)
}
