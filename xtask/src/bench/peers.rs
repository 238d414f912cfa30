//! Runs the works: both sides in turn, A B A B, and compares round by round.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::page;
use super::side::{Refusal, Side, Words};
use super::works::{Better, WORKS, Work};
use crate::{Failure, cargo, complain, root, say};

/// What was asked for.
pub struct Options {
    /// One work instead of all of them.
    only: Option<String>,
    /// Instead of each work's own number.
    rounds: Option<usize>,
    csv: bool,
}

impl Options {
    pub fn parse(args: &[&str]) -> Result<Options, Failure> {
        let wrong = |message: String| Failure { message, code: 2 };
        let mut options = Options { only: None, rounds: None, csv: false };
        let mut args = args.iter();
        while let Some(&arg) = args.next() {
            match arg {
                "--csv" => options.csv = true,
                "--only" => {
                    let names: Vec<&str> = WORKS.iter().map(|work| work.name).collect();
                    let name = args.next().filter(|name| names.contains(name));
                    let list = || format!("`--only` takes one of {}", names.join(", "));
                    options.only = Some(name.ok_or_else(|| wrong(list()))?.to_string());
                }
                "--rounds" => {
                    let rounds = args.next().and_then(|text| text.parse().ok());
                    let rounds = rounds.filter(|&rounds| rounds > 0);
                    let complain = || wrong("`--rounds` takes a number of 1 or more".into());
                    options.rounds = Some(rounds.ok_or_else(complain)?);
                }
                _ => return Err(wrong(format!("`bench peers` doesn't know `{arg}`"))),
            }
        }
        Ok(options)
    }
}

/// What a work came to.
pub struct Outcome {
    pub work: &'static Work,
    pub result: Result<Figures, String>,
}

/// Medians over the rounds.
pub struct Figures {
    pub ours: f64,
    /// Of the peer, where there is one: its figure and the median of the rounds' ratios.
    pub peer: Option<(f64, f64)>,
    /// Peak memory of ours and of the peer, in MiB.
    pub memory: [Option<f64>; 2],
    pub losses: [Option<f64>; 2],
    /// Versions that the sides told.
    pub about: Words,
}

pub fn run(options: &Options) -> Result<(), Failure> {
    // With the features of the whole workspace, as the tests have them: nothing is compiled twice.
    let build = ["build", "--release", "--workspace", "--bins", "--example", "peers"];
    let status = cargo().args(build).stdin(Stdio::null()).status();
    if !status.is_ok_and(|status| status.success()) {
        return Err("the benchmark was not built, see above".to_owned().into());
    }
    let folder = std::env::temp_dir().join(format!("hourglass-peers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
    let chosen = |work: &&Work| options.only.as_deref().is_none_or(|only| only == work.name);
    let mut outcomes = Vec::new();
    if options.csv {
        say("work,ours,peer,unit,ratio");
    }
    for work in WORKS.iter().filter(chosen) {
        let rounds = options.rounds.unwrap_or(work.rounds);
        let outcome = Outcome { work, result: compare(work, rounds, &folder) };
        say(&if options.csv { csv(&outcome) } else { text(&outcome) });
        outcomes.push(outcome);
    }
    std::fs::remove_dir_all(&folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
    page::write(&outcomes)?;
    let apart = outcomes.iter().find_map(differing);
    apart.map_or(Ok(()), |message| Err(message.into()))
}

/// Ours and theirs in turn; only ours where there is no peer.
fn compare(
    work: &'static Work,
    rounds: usize,
    folder: &std::path::Path,
) -> Result<Figures, String> {
    let mut ours = start(ours(work, folder))?;
    let mut peer = match &work.peer {
        Some(peer) => {
            let python = std::env::var_os("HOURGLASS_PYTHON").unwrap_or_else(|| "python3".into());
            let mut command = Command::new(python);
            command.arg(root().join("tests/peers").join(peer.script)).args(peer.args).arg(folder);
            Some(start(command)?)
        }
        None => None,
    };
    let mut seen: [Vec<f64>; 3] = Default::default();
    let mut losses = [None, None];
    for round in 0..rounds + usize::from(work.warm_up) {
        let counts = round > 0 || !work.warm_up;
        let a = ours.round()?;
        let b = peer.as_mut().map(Side::round).transpose()?;
        let value = |words: &Words| -> Result<f64, String> {
            number(words, "value").ok_or_else(|| format!("no value in {words:?}"))
        };
        losses = [number(&a, "loss"), b.as_ref().and_then(|b| number(b, "loss"))];
        if !counts {
            continue;
        }
        seen[0].push(value(&a)?);
        if let Some(b) = &b {
            let (a, b) = (value(&a)?, value(b)?);
            seen[1].push(b);
            seen[2].push(if work.better == Better::Higher { a / b } else { b / a });
        }
    }
    let mut about = ours.about.clone();
    about.extend(peer.iter().flat_map(|peer| peer.about.clone()));
    let [ours_seen, peer_seen, ratios] = seen;
    Ok(Figures {
        ours: median(ours_seen),
        peer: peer.is_some().then(|| (median(peer_seen), median(ratios))),
        memory: [ours.peak_mib(), peer.as_ref().and_then(Side::peak_mib)],
        losses,
        about,
    })
}

fn ours(work: &Work, folder: &std::path::Path) -> Command {
    let mut command = Command::new(beside("examples/peers"));
    command.current_dir(root()).arg(work.name).arg(folder).arg(beside("hourglass"));
    command
}

/// A program that was built into the same target folder as this one.
fn beside(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    this.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

fn start(command: Command) -> Result<Side, String> {
    Side::start(command).map_err(|refusal| match refusal {
        Refusal::Skipped(reason) => format!("skipped: {reason}"),
        Refusal::Failed(reason) => format!("failed: {reason}"),
    })
}

fn number(words: &Words, key: &str) -> Option<f64> {
    words.get(key)?.parse().ok()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// A sentence where the two sides did not come to the same.
pub fn differing(outcome: &Outcome) -> Option<String> {
    let Ok(figures) = &outcome.result else { return None };
    let [Some(ours), Some(theirs)] = figures.losses else { return None };
    let (work, tolerance) = (outcome.work.name, outcome.work.tolerance);
    let apart = (ours - theirs).abs() > tolerance * theirs.abs();
    apart.then(|| format!("`{work}` ends at {ours}, the peer at {theirs}: more than {tolerance}"))
}

fn csv(outcome: &Outcome) -> String {
    let Work { name, unit, .. } = outcome.work;
    match &outcome.result {
        Ok(Figures { ours, peer: Some((peer, ratio)), memory, .. }) => {
            let mut text = format!("{name},{ours:.6},{peer:.6},{unit},{ratio:.4}");
            if let [Some(ours), Some(peer)] = memory {
                text += &format!("\n{name}-memory,{ours:.1},{peer:.1},MiB,{:.4}", ours / peer);
            }
            text
        }
        Ok(Figures { ours, .. }) => format!("{name},{ours:.6},,{unit},"),
        Err(reason) => {
            complain(&format!("{name}: {reason}"));
            format!("{name},,,{unit},")
        }
    }
}

fn text(outcome: &Outcome) -> String {
    let name = outcome.work.name;
    let figures = match &outcome.result {
        Ok(figures) => figures,
        Err(reason) => return format!("{name:<20} {reason}"),
    };
    let (unit, ours) = (outcome.work.unit, shown(figures.ours));
    let mut text = match (&figures.peer, &outcome.work.peer) {
        (Some((peer, ratio)), Some(who)) => {
            format!("{name:<20} {ours} against {} {unit} ({}): {ratio:.2}", shown(*peer), who.name)
        }
        _ => format!("{name:<20} {ours} {unit}"),
    };
    if let [Some(ours), Some(peer)] = figures.memory {
        text += &format!("; memory {ours:.0} against {peer:.0} MiB: {:.2}", ours / peer);
    } else if let Some(ours) = figures.memory[0] {
        text += &format!("; memory {ours:.0} MiB");
    }
    if let [Some(ours), Some(peer)] = figures.losses {
        text += &format!("; loss {ours:.6} and {peer:.6}");
    }
    match differing(outcome) {
        Some(message) => text + "\n  " + &message,
        None => text,
    }
}

/// Four digits that count.
pub fn shown(value: f64) -> String {
    match value.abs() {
        1000.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(losses: [Option<f64>; 2]) -> Outcome {
        let figures = Figures {
            ours: 20.0,
            peer: Some((10.0, 2.0)),
            memory: [Some(100.0), Some(400.0)],
            losses,
            about: Words::new(),
        };
        Outcome { work: &WORKS[0], result: Ok(figures) }
    }

    #[test]
    fn losses_that_differ_are_told() {
        let same = outcome([Some(0.1), Some(0.1001)]);
        assert_eq!(differing(&same), None);
        assert!(csv(&same).ends_with(",100.0,400.0,MiB,0.2500"));
        let apart = differing(&outcome([Some(0.1), Some(0.2)])).unwrap();
        assert!(apart.contains("ends at 0.1, the peer at 0.2"), "{apart}");
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn options() {
        let options = Options::parse(&["--only", "encode", "--csv", "--rounds", "5"]).ok().unwrap();
        assert_eq!((options.only.as_deref(), options.rounds), (Some("encode"), Some(5)));
        assert!(options.csv);
        for wrong in [&["--only", "nothing"][..], &["--rounds", "0"], &["--fast"]] {
            assert_eq!(Options::parse(wrong).err().map(|failure| failure.code), Some(2));
        }
    }
}
