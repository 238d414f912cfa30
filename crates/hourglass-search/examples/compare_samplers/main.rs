//! Our samplers against Optuna 5's default on five problems, and what pruning saves: prints the
//! tables of `docs/search.md`, or writes them there.
//!
//!     cargo xtask bench sampler            what is printed is the page's tables
//!     cargo xtask bench sampler --write    and they are written into the page
//!
//! Optuna's results are read from `optuna.csv` beside this file; they are made again first where
//! `HOURGLASS_PYTHON` names a Python with Optuna 5.

mod problems;
mod pruning;
mod statistics;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use hourglass_core::Seed;
use hourglass_search::{MemoryStore, SamplerConfig, Study, StudyConfig};
use rayon::prelude::*;

use self::problems::Problem;
use self::statistics::{larger, median};

/// Seeds of each sampler on each problem.
pub const SEEDS: u64 = 40;
/// Evaluations after which the best is read.
const BUDGETS: [usize; 2] = [50, 150];
/// Chance of a wrong alarm at which a difference counts.
pub const LEVEL: f64 = 0.05;
const PEER: &str = "optuna";
const BEGIN: &str = "<!-- begin: cargo xtask bench sampler -->";
const END: &str = "<!-- end -->";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Best values by sampler, problem and budget, one for each seed.
type Results = BTreeMap<(String, String, usize), Vec<f64>>;

#[expect(clippy::print_stdout, reason = "the tables are what it is for")]
fn main() -> Result<(), Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = folder.join("examples/compare_samplers");
    let peer = beside.join("optuna.csv");
    if let Ok(python) = std::env::var("HOURGLASS_PYTHON") {
        run_peer(&python, &folder.join("../../tests/peers/optuna_samplers.py"), &beside)?;
    }
    let mut results = read_peer(&peer)?;
    let problems = problems::all()?;
    for sampler in samplers() {
        for problem in &problems {
            run(&sampler, problem, &mut results)?;
        }
    }
    let names: Vec<&str> = problems.iter().map(|problem| problem.name).collect();
    let tables = format!("{}\n{}", table(&results, &names)?, pruning::table()?);
    println!("{tables}");
    if std::env::args().any(|argument| argument == "--write") {
        write(&folder.join("../../docs/search.md"), &tables)?;
    }
    Ok(())
}

fn samplers() -> Vec<SamplerConfig> {
    let examples = SamplerConfig::examples();
    examples.into_iter().filter(|sampler| sampler.name() != "grid").collect()
}

/// Runs the same problems in Python.
fn run_peer(python: &str, script: &Path, beside: &Path) -> Result<(), Failure> {
    let output = Command::new(python).arg(script).arg(beside.join("digits.csv")).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(std::fs::write(beside.join("optuna.csv"), output.stdout)?)
}

fn read_peer(path: &Path) -> Result<Results, Failure> {
    let text = std::fs::read_to_string(path)?;
    let mut results = Results::new();
    for line in text.lines().skip(1) {
        let columns: Vec<&str> = line.split(',').collect();
        let [problem, budget, _seed, best] = columns[..] else {
            return Err(format!("`{line}` of {} has other columns", path.display()).into());
        };
        let key = (PEER.into(), problem.into(), budget.parse()?);
        results.entry(key).or_default().push(best.parse()?);
    }
    Ok(results)
}

/// One study for each seed; a budget is the beginning of a longer one.
fn run(sampler: &SamplerConfig, problem: &Problem, results: &mut Results) -> Result<(), Failure> {
    let curves = (0..SEEDS).into_par_iter().map(|seed| curve(sampler, problem, Seed::new(seed)));
    for curve in curves.collect::<Result<Vec<_>, Failure>>()? {
        for budget in BUDGETS {
            let best = curve[..budget].iter().copied().fold(f64::INFINITY, f64::min);
            let key = (sampler.name().into(), problem.name.into(), budget);
            results.entry(key).or_default().push(best);
        }
    }
    Ok(())
}

fn curve(sampler: &SamplerConfig, problem: &Problem, seed: Seed) -> Result<Vec<f64>, Failure> {
    let sampler = sampler.clone();
    let config =
        StudyConfig { sampler, seed, ..StudyConfig::new(problem.name, problem.space.clone()) };
    let study = Study::create(MemoryStore::shared(), config)?;
    let mut losses = Vec::new();
    study.optimize(BUDGETS[1] as u64, |trial| {
        let loss = (problem.loss)(trial.params());
        losses.push(loss);
        Ok(loss.into())
    })?;
    Ok(losses)
}

fn table(results: &Results, problems: &[&str]) -> Result<String, Failure> {
    let get = |sampler: &str, problem: &str, budget: usize| {
        let key = (sampler.to_owned(), problem.to_owned(), budget);
        results.get(&key).map(Vec::as_slice).ok_or(format!("no results of {key:?}"))
    };
    let names = ["random", "sobol", "tpe", "multivariate_tpe", PEER];
    let mut text = format!(
        "| problem | evaluations | {} | worse than Optuna, p | better than random, p |\n",
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" | ")
    );
    writeln!(text, "|---|---|{}", "---|".repeat(names.len() + 2))?;
    let (mut no_worse, mut better, mut rows) = (0, 0, 0);
    for problem in problems {
        for budget in BUDGETS {
            write!(text, "| {problem} | {budget} |")?;
            for name in &names {
                write!(text, " {:.4} |", median(get(name, problem, budget)?))?;
            }
            let ours = get("multivariate_tpe", problem, budget)?;
            let worse = larger(ours, get(PEER, problem, budget)?);
            let beats = larger(get("random", problem, budget)?, ours);
            writeln!(text, " {worse:.3} | {} |", small(beats))?;
            rows += 1;
            no_worse += usize::from(worse >= LEVEL);
            better += usize::from(beats < LEVEL);
        }
    }
    writeln!(
        text,
        "\nMedians over {SEEDS} seeds, less is better. The two last columns are one-sided \
         Mann-Whitney tests of\n`multivariate_tpe`: it is worse than Optuna, or better than \
         random, where p < {LEVEL}. No worse than Optuna in\n{no_worse} of {rows} rows, better \
         than random in {better} of {rows}."
    )?;
    Ok(text)
}

/// A chance that may be tiny.
fn small(chance: f64) -> String {
    if chance < 1e-3 { "< 0.001".into() } else { format!("{chance:.3}") }
}

/// Replaces what stands between the marks of the page.
fn write(page: &Path, tables: &str) -> Result<(), Failure> {
    let text = std::fs::read_to_string(page)?;
    let marks = text.find(BEGIN).zip(text.find(END));
    let Some((begin, end)) = marks else {
        return Err(format!("{} has no `{BEGIN}` and `{END}`", page.display()).into());
    };
    let page_text = format!("{}{BEGIN}\n{tables}{}", &text[..begin], &text[end..]);
    Ok(std::fs::write(page, page_text)?)
}
