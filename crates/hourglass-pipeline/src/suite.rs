//! Runs every pipeline of a folder, several at once, and puts what they found together: ranks, the
//! gain over raw features, what it cost.
//!
//! Each run is an ordinary one, in the same cache, so that a suite that was stopped goes on where
//! it was, and a second call is served. A pipeline that fails is named; the others go on.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hourglass_core::{Interrupt, Progress};
use hourglass_downstream::statistics;
use hourglass_report as report;
use hourglass_report::{
    Report, SuiteCost, SuiteCosts, SuiteEntry, SuiteFailure, SuiteGain, SuiteRanks, SuiteReport,
    SuiteRow, Timings,
};
use ndarray::Array2;
use serde::Deserialize;

use crate::config::Pipeline;
use crate::error::{Doing, Error};
use crate::repeat::TELEMETRY_FILE;
use crate::run::{RunOptions, RunOutcome};
use crate::side_by_side::Prefixed;

/// What the quick setting does to a pipeline: repeats and epochs at most.
const QUICK_REPEATS: usize = 2;
const QUICK_EPOCHS: usize = 20;

/// What a suite says, in its folder beside those of its runs.
const SUITE_FILE: &str = "suite.json";

/// Data sets below which ranks say nothing.
const LEAST_SETS: usize = 3;

/// How a suite is run.
#[derive(Clone, Debug)]
pub struct SuiteOptions {
    /// What surrounds each run; `base` is replaced by the suite's folder.
    pub run: RunOptions,
    /// Pipelines at a time, 1 or more.
    pub jobs: usize,
    /// At most two repeats and twenty epochs each.
    pub quick: bool,
    /// Overrides for every pipeline, as in `--set`.
    pub overrides: Vec<String>,
}

/// A finished suite.
#[derive(Clone, Debug)]
pub struct SuiteOutcome {
    /// What it says.
    pub report: SuiteReport,
    /// What it cost.
    pub costs: SuiteCosts,
    /// Where `suite.json`, `suite.md` and `suite.html` lie.
    pub folder: PathBuf,
}

/// Runs all `*.toml` files of a folder in the order of their names.
///
/// # Errors
/// If the folder holds no pipeline, or with the first file that is wrong, before any work; an
/// interrupt, after which the same call goes on. What fails while running is in the report.
pub fn run_suite(
    dir: &Path,
    options: &SuiteOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<SuiteOutcome, Error> {
    let clock = Instant::now();
    let pipelines = load_all(dir, options)?;
    let total = pipelines.len();
    let waiting = Mutex::new(pipelines.iter().enumerate().collect::<VecDeque<_>>());
    let done: Mutex<BTreeMap<usize, Result<RunOutcome, Error>>> = Mutex::new(BTreeMap::new());
    let work = || {
        while !interrupt.is_raised() {
            let Some((index, (file, pipeline))) = lock(&waiting).pop_front() else { return };
            progress.say(&format!("{file}: {} of {total}", index + 1));
            let quiet = Prefixed { name: file, inner: progress };
            let run = RunOptions { base: dir.to_owned(), ..options.run.clone() };
            let outcome = crate::run(pipeline, &run, &quiet, interrupt);
            match &outcome {
                Ok(outcome) => quiet.say(&outcome.report.verdict.sentence),
                Err(error) => quiet.say(&format!("failed: {error}")),
            }
            lock(&done).insert(index, outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, total) {
            scope.spawn(work);
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut finished = Vec::new();
    let mut failures = Vec::new();
    for (index, outcome) in done {
        let file = pipelines[index].0.clone();
        match outcome {
            Ok(outcome) => finished.push((file, outcome)),
            Err(error) if error.is_interrupt() => return Err(error),
            Err(error) => failures.push(SuiteFailure { file, error: error.to_string() }),
        }
    }
    if interrupt.is_raised() {
        return Err(Error::Interrupted { stage: "suite".to_owned() });
    }
    let name = dir.file_name().map_or("suite".into(), |name| name.to_string_lossy());
    let mut changed = options.overrides.clone();
    changed.extend(
        options
            .quick
            .then(|| format!("quick: at most {QUICK_REPEATS} repeats and {QUICK_EPOCHS} epochs")),
    );
    let reports: Vec<(String, Report)> =
        finished.iter().map(|(file, outcome)| (file.clone(), outcome.report.clone())).collect();
    let report = summarise(&name, changed, &reports, failures, |file| {
        let outcome = finished.iter().find(|(other, _)| other == file);
        outcome
            .and_then(|(_, outcome)| outcome.folder.file_name())
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    });
    let costs = SuiteCosts {
        total_seconds: clock.elapsed().as_secs_f64(),
        jobs: options.jobs.clamp(1, total),
        entries: finished.iter().filter_map(|(file, outcome)| cost(file, outcome)).collect(),
    };
    let folder = options.run.runs_dir.join(format!("suite-{name}"));
    write(&folder, &report, &costs)?;
    Ok(SuiteOutcome { report, costs, folder })
}

/// The run directories of a finished suite, or `None` where a folder holds none.
///
/// # Errors
/// If `suite.json` can't be read, or is none of this program.
pub fn runs_of_suite(folder: &Path) -> Result<Option<Vec<PathBuf>>, Error> {
    let path = folder.join(SUITE_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).doing("read", &path)?;
    let report = SuiteReport::from_json(&text)?;
    let beside = |run: &SuiteEntry| folder.with_file_name(&run.run);
    Ok(Some(report.entries.iter().map(beside).collect()))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file of a suite's folder that holds [`Variants`]; it is no pipeline.
pub(crate) const VARIANTS_FILE: &str = "variants.toml";

/// What every pipeline of the folder is also run with: overrides, as in `--set`, by a name that is
/// added to that of the pipeline. So that one file a data set serves several autoencoders:
///
/// ```toml
/// variational = ["model={ variational = { latent_dim = 16 } }"]
///
/// [undercomplete]
/// all = ["model={ undercomplete = { latent_dim = 8 } }"]
/// "mnist.toml" = ["model.undercomplete.latent_dim=32"]
/// ```
type Variants = BTreeMap<String, Variant>;

/// One variant: overrides for every pipeline, or also some for single files, which come after.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Variant {
    Alike(Vec<String>),
    ByFile(BTreeMap<String, Vec<String>>),
}

/// What stands for every file among the names of files.
const ALL_FILES: &str = "all";

impl Variant {
    fn overrides(&self, file: &str) -> Vec<String> {
        match self {
            Variant::Alike(overrides) => overrides.clone(),
            Variant::ByFile(by_file) => {
                let of = |name: &str| by_file.get(name).into_iter().flatten().cloned();
                of(ALL_FILES).chain(of(file)).collect()
            }
        }
    }

    /// A name that is none of the folder's files, which would be without effect.
    fn unknown_file(&self, files: &[PathBuf]) -> Option<&str> {
        let Variant::ByFile(by_file) = self else { return None };
        let is_known = |name: &&String| {
            *name == ALL_FILES || files.iter().any(|path| path.ends_with(name.as_str()))
        };
        by_file.keys().find(|name| !is_known(name)).map(String::as_str)
    }
}

fn variants(dir: &Path, files: &[PathBuf]) -> Result<Variants, Error> {
    let path = dir.join(VARIANTS_FILE);
    if !path.exists() {
        return Ok(Variants::new());
    }
    let text = std::fs::read_to_string(&path).doing("read", &path)?;
    let variants: Variants =
        toml::from_str(&text).map_err(|source| Error::Variants { path: path.clone(), source })?;
    match variants.values().find_map(|variant| variant.unknown_file(files)) {
        None => Ok(variants),
        Some(name) => {
            let message = format!("`{name}` is neither `{ALL_FILES}` nor a pipeline of the folder");
            Err(Error::Variants { path, source: serde::de::Error::custom(message) })
        }
    }
}

/// Every pipeline of the folder with its file name, checked.
fn load_all(dir: &Path, options: &SuiteOptions) -> Result<Vec<(String, Pipeline)>, Error> {
    let mut files = Vec::new();
    for item in std::fs::read_dir(dir).doing("read", dir)? {
        let path = item.doing("read", dir)?.path();
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        if is_toml && path.file_name().is_some_and(|name| name != VARIANTS_FILE) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::NoPipelines { path: dir.to_owned() });
    }
    let variants = variants(dir, &files)?;
    let load = |path: &PathBuf, variant: Option<(&String, &Variant)>| {
        let mut file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut overrides = variant.map_or_else(Vec::new, |(_, variant)| variant.overrides(&file));
        overrides.extend(options.overrides.iter().cloned());
        let mut pipeline = crate::load(path, &overrides)?;
        if options.quick {
            pipeline.repeats = pipeline.repeats.min(QUICK_REPEATS);
            pipeline.train.epochs = pipeline.train.epochs.min(QUICK_EPOCHS);
        }
        if let Some((name, _)) = variant {
            pipeline.name = format!("{}_{name}", pipeline.name);
            file = format!("{file}, {name}");
        }
        Ok((file, pipeline))
    };
    let all = files.iter().flat_map(|path| {
        let own = std::iter::once((path, None));
        own.chain(variants.iter().map(move |variant| (path, Some(variant))))
    });
    all.map(|(path, variant)| load(path, variant)).collect()
}

fn write(folder: &Path, report: &SuiteReport, costs: &SuiteCosts) -> Result<(), Error> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let text = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).doing("write", &path)
    };
    text(SUITE_FILE, report.to_json()?)?;
    text("suite.md", report::suite_to_markdown(report, Some(costs), true))?;
    text("suite.html", report::suite_to_html(report, Some(costs))?)?;
    crate::cache::write_json(&folder.join("costs.json"), costs)
}

/// What a run cost when its stages ran, from its run directory.
fn cost(file: &str, outcome: &RunOutcome) -> Option<SuiteCost> {
    let (_, timings) = crate::read_run(&outcome.folder).ok()?;
    let timings: Timings = timings?;
    Some(SuiteCost {
        file: file.to_owned(),
        seconds: timings.total_seconds,
        seconds_per_epoch: fastest_epoch(&outcome.folder),
        fit_seconds: timings.downstream.iter().map(|fit| fit.fit_seconds).sum(),
    })
}

/// Seconds of the fastest epoch of all repeats, from what training left in the run directory.
fn fastest_epoch(folder: &Path) -> Option<f64> {
    #[derive(serde::Deserialize)]
    struct Line {
        seconds: f64,
    }
    let files = (1..).map(|repeat| folder.join(format!("repeat-{repeat}/{TELEMETRY_FILE}")));
    let texts = files.map_while(|path| std::fs::read_to_string(path).ok());
    let seconds: Vec<f64> = texts
        .flat_map(|text| {
            let lines = text.lines().map(serde_json::from_str::<Line>);
            lines.filter_map(|line| Some(line.ok()?.seconds)).collect::<Vec<_>>()
        })
        .collect();
    seconds.into_iter().min_by(f64::total_cmp)
}

/// Puts reports together; `run_of` names the run directory of a file.
pub(crate) fn summarise(
    name: &str,
    changed: Vec<String>,
    reports: &[(String, Report)],
    failures: Vec<SuiteFailure>,
    run_of: impl Fn(&str) -> String,
) -> SuiteReport {
    let entries: Vec<SuiteEntry> =
        reports.iter().map(|(file, report)| entry(file, run_of(file), report)).collect();
    let gains = gains(&entries);
    SuiteReport {
        schema_version: report::SUITE_SCHEMA_VERSION,
        name: name.to_owned(),
        changed,
        mean_gains: mean_gains(&gains),
        ranks: ranks(&entries),
        gains,
        failures,
        entries,
    }
}

fn entry(file: &str, run: String, report: &Report) -> SuiteEntry {
    let rows = report.data.rows;
    let reconstruction = report.reconstruction.as_ref();
    let most = report.label_fractions.last().copied().unwrap_or(1.0);
    let results = report.results.iter().filter(|row| row.label_fraction == most);
    SuiteEntry {
        file: file.to_owned(),
        name: report.name.clone(),
        run,
        dataset: report.data.dataset.clone(),
        rows: [rows.n_train + rows.n_validation, rows.n_test],
        n_features: report.data.n_features,
        n_classes: report.data.classes.len(),
        kind: report.model.kind.clone(),
        description: report.model.description.clone(),
        n_parameters: report.model.n_parameters,
        repeats: report.repeats,
        metric: report.metric.clone(),
        verdict: report.verdict.clone(),
        findings: findings(report),
        reconstruction_error: reconstruction
            .and_then(|found| found.errors.iter().find(|e| e.name == report::AUTOENCODER)?.test),
        losses: reconstruction.map_or_else(Vec::new, |found| found.losses.clone()),
        results: results.map(row).collect(),
    }
}

/// What the doctor found, one sentence each; notes explain no result.
fn findings(report: &Report) -> Vec<String> {
    let found = report.diagnosis.iter().flat_map(|diagnosis| &diagnosis.findings);
    let matters = found.filter(|finding| finding.severity > report::Severity::Note);
    matters.map(report::Finding::line).collect()
}

fn row(row: &report::ResultRow) -> SuiteRow {
    let validation: Vec<f64> =
        row.chosen.iter().filter_map(|chosen| chosen.get("validation_score").copied()).collect();
    let all_there = !validation.is_empty() && validation.len() == row.chosen.len();
    SuiteRow {
        feature_set: row.feature_set.clone(),
        model: row.model.clone(),
        mean: row.mean.is_finite().then_some(row.mean),
        interval: row.ci_low.zip(row.ci_high).map(|(low, high)| [low, high]),
        against_raw: row.against_raw.clone(),
        validation_score: all_there
            .then(|| validation.iter().sum::<f64>() / validation.len() as f64),
    }
}

fn is_ours(feature_set: &str) -> bool {
    [report::AUTOENCODER, report::RAW_AND_AUTOENCODER].contains(&feature_set)
}

/// The first model of an entry that chooses by a validation score, so that features can be chosen
/// by it too.
fn judging_model(entry: &SuiteEntry) -> Option<&str> {
    entry.results.iter().find(|row| row.validation_score.is_some()).map(|row| row.model.as_str())
}

/// For each data set the autoencoder features with the highest validation score, and what they gain
/// on test.
fn gains(entries: &[SuiteEntry]) -> Vec<SuiteGain> {
    let mut best: BTreeMap<&str, (f64, SuiteGain)> = BTreeMap::new();
    for entry in entries {
        let Some(model) = judging_model(entry) else { continue };
        let of_model = || entry.results.iter().filter(|row| row.model == model);
        let raw = of_model().find(|row| row.feature_set == report::RAW).and_then(|row| row.mean);
        let Some(raw) = raw else { continue };
        for row in of_model().filter(|row| is_ours(&row.feature_set)) {
            let (Some(score), Some(with)) = (row.validation_score, row.mean) else { continue };
            let up = if entry.metric.higher_is_better { with - raw } else { raw - with };
            let gain = SuiteGain {
                dataset: entry.dataset.clone(),
                file: entry.file.clone(),
                feature_set: row.feature_set.clone(),
                model: model.to_owned(),
                raw,
                with,
                relative: up / raw.abs().max(f64::MIN_POSITIVE),
                mark: row.against_raw.as_ref().map(|against| against.mark),
            };
            let known = best.get(entry.dataset.as_str());
            if known.is_none_or(|(most, _)| score > *most) {
                best.insert(&entry.dataset, (score, gain));
            }
        }
    }
    best.into_values().map(|(_, gain)| gain).collect()
}

/// The mean for each model, the one that most data sets have first.
fn mean_gains(gains: &[SuiteGain]) -> Vec<report::MeanGain> {
    let mut by_model: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for gain in gains {
        by_model.entry(&gain.model).or_default().push(gain.relative);
    }
    let mut means: Vec<report::MeanGain> =
        by_model.into_iter().map(|(model, relative)| mean_gain(model, &relative)).collect();
    means.sort_by_key(|gain| std::cmp::Reverse(gain.n));
    means
}

fn mean_gain(model: &str, relative: &[f64]) -> report::MeanGain {
    let estimate = statistics::estimate_repeats(relative).ok();
    report::MeanGain {
        model: model.to_owned(),
        mean: relative.iter().sum::<f64>() / relative.len() as f64,
        interval: estimate.map(|estimate| [estimate.ci_low, estimate.ci_high]),
        n: relative.len(),
        up_down: [
            relative.iter().filter(|gain| **gain > 0.0).count(),
            relative.iter().filter(|gain| **gain < 0.0).count(),
        ],
        wilcoxon_p: statistics::wilcoxon(relative).p_value,
    }
}

/// Ranks of raw, PCA, the untrained encoder and every kind of autoencoder under the first model,
/// over the data sets that have all of them. Methods that few data sets have are left out.
fn ranks(entries: &[SuiteEntry]) -> Option<SuiteRanks> {
    let mut scores: BTreeMap<&str, BTreeMap<String, f64>> = BTreeMap::new();
    for entry in entries {
        let Some(model) = judging_model(entry) else { continue };
        let sign = if entry.metric.higher_is_better { 1.0 } else { -1.0 };
        for row in entry.results.iter().filter(|row| row.model == model) {
            let Some(mean) = row.mean else { continue };
            let method = match is_ours(&row.feature_set) {
                true => format!("{}: {}", entry.kind.replace('_', " "), row.feature_set),
                false => row.feature_set.replace('_', " "),
            };
            // Several files of a data set have the same raw features; the first one counts.
            scores.entry(&entry.dataset).or_default().entry(method).or_insert(sign * mean);
        }
    }
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for method in scores.values().flat_map(BTreeMap::keys) {
        *counts.entry(method).or_default() += 1;
    }
    // The methods that at least two thirds of the data sets have.
    let methods: Vec<&String> = counts
        .iter()
        .filter(|(_, count)| 3 * **count >= 2 * scores.len())
        .map(|(method, _)| *method)
        .collect();
    let rows: Vec<Vec<f64>> = scores
        .values()
        .filter_map(|of_set| methods.iter().map(|method| of_set.get(*method).copied()).collect())
        .collect();
    if rows.len() < LEAST_SETS || methods.len() < 2 {
        return None;
    }
    let matrix =
        Array2::from_shape_fn((rows.len(), methods.len()), |(row, method)| rows[row][method]);
    let test = statistics::friedman(matrix.view())?;
    let mut ranked: Vec<(String, f64)> =
        methods.iter().map(|method| (*method).clone()).zip(test.mean_ranks).collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    Some(SuiteRanks {
        n_sets: rows.len(),
        critical_difference: statistics::critical_difference(ranked.len(), rows.len()),
        methods: ranked,
        friedman_p: [test.p_value, test.p_iman_davenport],
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use hourglass_core::Silent;
    use hourglass_data::Locations;

    use super::*;

    const FILE: &str = r#"
        name = "NAME"
        seed = 1
        repeats = 3
        data.builtin.dataset = "DATA"
        split = { validation = 0.2, test = 0.3 }
        preprocess.numeric = "standard"
        model.undercomplete = { latent_dim = WIDTH }
        train = { epochs = 20, optimizer = { adam = { learning_rate = 1e-2 } } }
        downstream = { compare = ["raw", "pca", "autoencoder"], models = [{ logistic_regression = {} }] }
    "#;

    #[test]
    fn a_folder_is_run_put_together_and_served_again() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("small");
        fs::create_dir(&dir).unwrap();
        for (name, data, width) in
            [("a", "iris", "2"), ("b", "breast_cancer", "2"), ("c", "iris", "3")]
        {
            let text = FILE.replace("NAME", name).replace("DATA", data).replace("WIDTH", width);
            fs::write(dir.join(format!("{name}.toml")), text).unwrap();
        }
        fs::write(dir.join("notes.md"), "not a pipeline").unwrap();
        let wide = "[wide]\nall = [\"model.undercomplete.latent_dim=4\"]\n\
                    \"b.toml\" = [\"model.undercomplete.latent_dim=5\"]\n";
        fs::write(dir.join(VARIANTS_FILE), wide).unwrap();
        let runs_dir = folder.path().join("runs");
        let options = SuiteOptions {
            run: RunOptions {
                base: PathBuf::new(),
                locations: Locations {
                    data_dirs: Vec::new(),
                    download_dir: runs_dir.join("data"),
                    offline: true,
                },
                runs_dir: runs_dir.clone(),
                force: false,
            },
            jobs: 2,
            quick: true,
            overrides: vec!["train.batch_size=16".to_owned()],
        };
        let go = || run_suite(&dir, &options, &Silent, &Interrupt::new()).unwrap();
        let first = go();
        let files: Vec<&str> = first.report.entries.iter().map(|e| e.file.as_str()).collect();
        let expected =
            ["a.toml", "a.toml, wide", "b.toml", "b.toml, wide", "c.toml", "c.toml, wide"];
        assert_eq!(files, expected);
        assert_eq!(first.report.entries[1].name, "a_wide");
        let width = |at: usize| first.report.entries[at].description.clone();
        assert!(width(1).contains("4-4-4"), "{}", width(1));
        assert!(width(3).contains("30-5-30"), "{}", width(3));
        assert!(first.report.entries.iter().all(|entry| entry.repeats == 2), "quick");
        assert_eq!(first.report.gains.len(), 2);
        let [mean] = &first.report.mean_gains[..] else { panic!("one model") };
        assert_eq!((mean.n, mean.model.as_str()), (2, "logistic_regression"));
        assert_eq!(first.report.changed.len(), 2);
        let bytes = |name: &str| fs::read(first.folder.join(name)).unwrap();
        let before = bytes("suite.json");
        assert!(String::from_utf8(bytes("suite.md")).unwrap().contains("relative gain"));
        assert_eq!(go().report, first.report);
        assert_eq!(bytes("suite.json"), before);
        let runs = runs_of_suite(&first.folder).unwrap().unwrap();
        assert_eq!(runs.len(), 6);
        assert!(runs.iter().all(|run| run.join("report.json").exists()), "{runs:?}");
        assert!(runs_of_suite(&runs[0]).unwrap().is_none());
        let read = SuiteReport::from_json(&String::from_utf8(before).unwrap()).unwrap();
        assert_eq!(read, first.report);
        fs::write(dir.join("d.toml"), "name = 3").unwrap();
        let error = run_suite(&dir, &options, &Silent, &Interrupt::new()).unwrap_err();
        assert!(error.is_mistake(), "a wrong file is named before any work: {error}");
        fs::remove_file(dir.join("d.toml")).unwrap();
        fs::write(dir.join(VARIANTS_FILE), wide.replace("b.toml", "e.toml")).unwrap();
        let error = run_suite(&dir, &options, &Silent, &Interrupt::new()).unwrap_err();
        let said = format!("{:?}", std::error::Error::source(&error));
        assert!(said.contains("`e.toml` is neither"), "{said}");
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let error = run_suite(&empty, &options, &Silent, &Interrupt::new()).unwrap_err();
        assert!(error.to_string().contains("no pipeline file in"), "{error}");
    }
}
