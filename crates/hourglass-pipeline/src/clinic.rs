//! The doctor's own examination: files made sick beside healthy twins, and whether each gets the
//! finding that its name says.
//!
//! `<finding>.toml` and `<finding>-<what>.toml` are sick with that finding, `*.healthy.toml` with
//! none. Each file is run with several seeds, several runs at a time; the cache serves what was run
//! before, and findings are always made anew. Of files that only have to be healthy each repeat is
//! looked at, since each has a split, weights and an order of batches of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hourglass_core::{Interrupt, Progress, Silent};
use hourglass_doctor::{Finding, FindingId, Severity};
use serde::Serialize;

use crate::config::Pipeline;
use crate::doctor::{doctor_check, doctor_examine};
use crate::error::{Doing, Error};
use crate::run::{Ended, RunOptions, run_in};
use crate::side_by_side::side_by_side;
use crate::suite::VARIANTS_FILE;
use crate::treat::{Attempt, Patch, TreatOptions, Treatment, try_cures};

/// Where run directories of the clinic lie, below that of the runs.
const HOME: &str = "clinic";

/// Findings that are never more than a note.
const NOTES: [FindingId; 1] = [FindingId::ConstantColumns];

/// How the clinic is run.
#[derive(Clone, Debug)]
pub struct ClinicOptions {
    /// What surrounds each run; `base` is replaced by the folder of each file.
    pub run: RunOptions,
    /// Seeds of each file: its own and those that follow it; 1 or more. Repeats of files of
    /// `healthy` count as seeds.
    pub seeds: usize,
    /// Only files whose name begins so; empty for all.
    pub only: String,
    /// A folder of files that must be healthy, whatever their names.
    pub healthy: Option<PathBuf>,
    /// Runs at a time, 1 or more.
    pub jobs: usize,
    /// Overrides for every file, as in `--set`.
    pub overrides: Vec<String>,
    /// Attempts at curing each sick file; `None` to leave them sick.
    pub treat: Option<usize>,
}

/// What the clinic found.
#[derive(Clone, Debug, Serialize)]
pub struct Clinic {
    /// Every file with every seed.
    pub cases: Vec<ClinicCase>,
    /// Findings of the catalogue that no sick file is there for.
    pub not_covered: Vec<FindingId>,
}

/// One file with one seed.
#[derive(Clone, Debug, Serialize)]
pub struct ClinicCase {
    /// Name of the file, without its ending.
    pub pipeline: String,
    /// What it is sick with; `None` for a healthy one.
    pub expected: Option<FindingId>,
    /// Seed.
    pub seed: u64,
    /// Which repeat was looked at, counted from 0.
    pub repeat: usize,
    /// What was found, worst first.
    pub found: Vec<ClinicFinding>,
    /// Why the run failed, where it did: sick files may.
    pub failure: Option<String>,
    /// Whether the expected finding is there, or, of a healthy file, none above a note.
    pub ok: bool,
    /// What treating it did.
    pub treatment: Option<CaseTreatment>,
}

/// A finding, as the clinic counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClinicFinding {
    /// Which.
    pub id: FindingId,
    /// How much it matters.
    pub severity: Severity,
}

/// What treating a sick file did.
#[derive(Clone, Debug, Serialize)]
pub struct CaseTreatment {
    /// Attempts.
    pub attempts: usize,
    /// Lines of the file that were kept.
    pub kept: Vec<String>,
    /// Lines that were dropped, each with the reason.
    pub dropped: Vec<String>,
    /// Whether the finding is gone.
    pub removed: bool,
    /// Whether what it is about is better.
    pub improved: bool,
}

/// A file of the clinic.
struct Patient {
    path: PathBuf,
    name: String,
    expected: Option<FindingId>,
    pipeline: Pipeline,
    /// Repeats that are looked at, each as a seed.
    n_examined: usize,
}

impl Clinic {
    /// Sick cases that were found, and how many there are.
    pub fn sensitivity(&self) -> [usize; 2] {
        self.counted(|case| case.expected.is_some(), |case| case.ok)
    }

    /// Healthy cases with an alarm, and how many there are.
    pub fn false_alarms(&self) -> [usize; 2] {
        self.counted(|case| case.expected.is_none(), |case| !case.ok)
    }

    /// Treated cases whose finding is gone, those in which what it is about is better, and all.
    pub fn cures(&self) -> Option<[usize; 3]> {
        let treated: Vec<&CaseTreatment> =
            self.cases.iter().filter_map(|case| case.treatment.as_ref()).collect();
        let n_removed = treated.iter().filter(|treated| treated.removed).count();
        let n_improved = treated.iter().filter(|treated| treated.improved).count();
        (!treated.is_empty()).then_some([n_removed, n_improved, treated.len()])
    }

    fn counted(
        &self,
        belongs: impl Fn(&ClinicCase) -> bool,
        counts: impl Fn(&ClinicCase) -> bool,
    ) -> [usize; 2] {
        let all = || self.cases.iter().filter(|case| belongs(case));
        [all().filter(|case| counts(case)).count(), all().count()]
    }
}

/// Runs the clinic.
///
/// # Errors
/// With the first file that is wrong or whose name says no finding, before any work; if the data of
/// a file can't be had; an interrupt, after which the same call goes on.
pub fn run_clinic(
    dir: &Path,
    options: &ClinicOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Clinic, Error> {
    let (patients, covered) = admit(dir, options)?;
    let visits: Vec<Visit> =
        patients.iter().flat_map(|patient| patient.visits(options.seeds)).collect();
    let total = visits.len();
    let results = side_by_side(&visits, options.jobs, interrupt, |visit| {
        let cases = visit.cases(options, interrupt);
        for case in cases.iter().flatten() {
            let word = if case.ok { "ok" } else { "MISSED" };
            progress.say(&format!("{}: {word}", case.name()));
        }
        cases
    });
    let n_visited = results.len();
    let cases = results.into_iter().collect::<Result<Vec<_>, Error>>()?.concat();
    if n_visited < total {
        return Err(Error::Interrupted { stage: "clinic".to_owned() });
    }
    let not_covered = FindingId::ALL.iter().copied().filter(|id| !covered.contains(id)).collect();
    Ok(Clinic { cases, not_covered })
}

/// The files that are asked for, checked, and the findings that all of them are there for.
fn admit(dir: &Path, options: &ClinicOptions) -> Result<(Vec<Patient>, Vec<FindingId>), Error> {
    let (mut patients, mut covered) = (Vec::new(), Vec::new());
    for path in files(dir)? {
        let name = stem(&path);
        let expected = match name.strip_suffix(".healthy") {
            Some(_) => None,
            None => {
                let id = name.split('-').next().unwrap_or_default();
                let known = FindingId::named(id);
                Some(known.ok_or_else(|| Error::ClinicName { path: path.clone() })?)
            }
        };
        covered.extend(expected);
        if name.starts_with(&options.only) {
            patients.push(patient(path, name, expected, options)?);
        }
    }
    if patients.is_empty() {
        return Err(Error::NoPipelines { path: dir.to_owned() });
    }
    for path in
        options.healthy.iter().map(|dir| files(dir)).collect::<Result<Vec<_>, _>>()?.concat()
    {
        let name = stem(&path);
        let patient = patient(path, name, None, options)?;
        let n_examined = patient.pipeline.n_runs();
        patients.push(Patient { n_examined, ..patient });
    }
    Ok((patients, covered))
}

fn patient(
    path: PathBuf,
    name: String,
    expected: Option<FindingId>,
    options: &ClinicOptions,
) -> Result<Patient, Error> {
    let pipeline = crate::load(&path, &options.overrides)?.without_sweep();
    Ok(Patient { path, name, expected, pipeline, n_examined: 1 })
}

/// The pipeline files of a folder, a sick one before its healthy twin.
fn files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = BTreeMap::new();
    for item in std::fs::read_dir(dir).doing("read", dir)? {
        let path = item.doing("read", dir)?.path();
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        if is_toml && path.file_name().is_some_and(|name| name != VARIANTS_FILE) {
            let name = stem(&path);
            let twin = name.strip_suffix(".healthy").map(str::to_owned);
            let is_twin = twin.is_some();
            found.insert((twin.unwrap_or(name), is_twin), path);
        }
    }
    Ok(found.into_values().collect())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A file with one seed.
struct Visit<'a> {
    patient: &'a Patient,
    seed: u64,
    n_examined: usize,
}

impl Patient {
    fn visits(&self, n_seeds: usize) -> impl Iterator<Item = Visit<'_>> {
        let n = self.n_examined;
        (0..n_seeds.div_ceil(n)).map(move |nth| Visit {
            patient: self,
            seed: self.pipeline.seed.wrapping_add(nth as u64),
            n_examined: n.min(n_seeds - nth * n),
        })
    }
}

impl ClinicCase {
    /// The file and, beyond the first, the repeat.
    pub fn label(&self) -> String {
        match self.repeat {
            0 => self.pipeline.clone(),
            repeat => format!("{} (repeat {})", self.pipeline, repeat + 1),
        }
    }

    /// File, repeat and seed.
    pub fn name(&self) -> String {
        format!("{}, seed {}", self.label(), self.seed)
    }
}

impl Visit<'_> {
    fn run_options(&self, options: &ClinicOptions) -> RunOptions {
        let base = self.patient.path.parent().unwrap_or(Path::new("")).to_owned();
        RunOptions { base, ..options.run.clone() }
    }

    /// Runs the file and looks at as many repeats as are asked for.
    fn cases(
        &self,
        options: &ClinicOptions,
        interrupt: &Interrupt,
    ) -> Result<Vec<ClinicCase>, Error> {
        let Visit { patient, seed, n_examined } = *self;
        let run = self.run_options(options);
        let pipeline = Pipeline { seed, ..patient.pipeline.clone() };
        let home = run.runs_dir.join(HOME);
        let (folder, failure) = match run_in(&home, &pipeline, &run, &Silent, interrupt) {
            Ok(Ended::Finished(outcome)) => (Some(outcome.folder), None),
            Ok(Ended::Failed { folder, error }) => (Some(folder), Some(error.to_string())),
            Err(error) if error.is_interrupt() => return Err(error),
            // Nothing was trained: what is wrong must show before.
            Err(error) => (None, Some(error.to_string())),
        };
        let case = |repeat: usize| {
            let findings = match &folder {
                Some(folder) => doctor_examine(folder, repeat, &run, &Silent, interrupt)?.findings,
                None => doctor_check(&pipeline, &run, &Silent, interrupt)?,
            };
            let ok = match patient.expected {
                Some(id) => is_found(id, &findings),
                None => failure.is_none() && findings.iter().all(|f| f.severity == Severity::Note),
            };
            let found = |f: &Finding| ClinicFinding { id: f.id, severity: f.severity };
            let mut case = ClinicCase {
                pipeline: patient.name.clone(),
                expected: patient.expected,
                seed,
                repeat,
                found: findings.iter().map(found).collect(),
                failure: failure.clone(),
                ok,
                treatment: None,
            };
            if let (Some(trials), Some(id), true) = (options.treat, patient.expected, ok) {
                case.treatment = Some(self.treated(&case, id, trials, options, interrupt)?);
            }
            Ok(case)
        };
        (0..n_examined).map(case).collect()
    }

    fn treated(
        &self,
        case: &ClinicCase,
        id: FindingId,
        trials: usize,
        options: &ClinicOptions,
        interrupt: &Interrupt,
    ) -> Result<CaseTreatment, Error> {
        let (path, run) = (&self.patient.path, self.run_options(options));
        let treat = TreatOptions { run, trials, minutes: None, only: Some(id) };
        let mut overrides = options.overrides.clone();
        overrides.push(format!("seed={}", self.seed));
        let (treatment, _) = try_cures(path, &overrides, &treat, &Silent, interrupt)?;
        match treatment.interrupted {
            true => Err(Error::Interrupted { stage: case.name() }),
            false => Ok(summary(&treatment, id)),
        }
    }
}

/// Whether a finding is there and more than a note, unless it is never more than one.
fn is_found(id: FindingId, findings: &[Finding]) -> bool {
    let least = if NOTES.contains(&id) { Severity::Note } else { Severity::Warning };
    findings.iter().any(|finding| finding.id == id && finding.severity >= least)
}

fn summary(treatment: &Treatment, id: FindingId) -> CaseTreatment {
    let lines =
        |attempt: &Attempt| attempt.changes.iter().map(Patch::line).collect::<Vec<_>>().join(", ");
    let (kept, dropped): (Vec<&Attempt>, Vec<&Attempt>) =
        treatment.attempts.iter().partition(|attempt| attempt.is_kept);
    CaseTreatment {
        attempts: treatment.attempts.len(),
        kept: kept.into_iter().map(lines).collect(),
        dropped: dropped.into_iter().map(|a| format!("{}: {}", lines(a), a.why)).collect(),
        removed: treatment.after.failure.is_none() && !is_found(id, &treatment.after.findings),
        improved: treatment.improved == Some(true),
    }
}

#[cfg(test)]
mod tests {
    use hourglass_data::Locations;

    use super::*;

    const FILE: &str = r#"
        name = "small"
        seed = 1
        repeats = 3
        data.builtin.dataset = "iris"
        split = { validation = 0.2, test = 0.3 }
        preprocess.numeric = "standard"
        model.undercomplete = { latent_dim = 2 }
        train = { epochs = 4, batch_size = 16, optimizer = { adam = { learning_rate = 1e-2 } } }
        downstream = { compare = ["raw", "autoencoder"], models = [{ majority = {} }] }
    "#;

    fn options(folder: &Path) -> ClinicOptions {
        let run = RunOptions {
            base: PathBuf::new(),
            locations: Locations {
                data_dirs: Vec::new(),
                download_dir: folder.join("data"),
                offline: true,
            },
            runs_dir: folder.join("runs"),
            force: false,
        };
        ClinicOptions {
            run,
            seeds: 2,
            only: String::new(),
            healthy: None,
            jobs: 2,
            overrides: Vec::new(),
            treat: None,
        }
    }

    #[test]
    fn sick_files_are_found_a_missed_one_is_named_and_cures_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("clinic");
        std::fs::create_dir(&dir).unwrap();
        let write = |name: &str, from: &str, to: &str| {
            let text = FILE.replacen(from, to, 1);
            std::fs::write(dir.join(name), text).unwrap();
        };
        write("batch_too_small.toml", "batch_size = 16", "batch_size = 1");
        write("batch_too_large-whole.toml", "batch_size = 16", "batch_size = 75");
        // Its name promises what it doesn't have.
        write("no_baseline.toml", "", "");
        let options = options(folder.path());
        let go = |options: &ClinicOptions| {
            run_clinic(&dir, options, &Silent, &Interrupt::new()).unwrap()
        };
        let found = go(&options);
        let names: Vec<(&str, bool)> =
            found.cases.iter().map(|case| (case.pipeline.as_str(), case.ok)).collect();
        assert_eq!(
            names,
            [
                ("batch_too_large-whole", true),
                ("batch_too_large-whole", true),
                ("batch_too_small", true),
                ("batch_too_small", true),
                ("no_baseline", false),
                ("no_baseline", false),
            ]
        );
        assert_eq!((found.sensitivity(), found.false_alarms()), ([4, 6], [0, 0]));
        assert_ne!(found.cases[0].seed, found.cases[1].seed);
        assert!(found.not_covered.contains(&FindingId::Blur));
        assert!(!found.not_covered.contains(&FindingId::BatchTooSmall));

        write("learning_rate_too_high.toml", "learning_rate = 1e-2", "learning_rate = 10.0");
        let treated = ClinicOptions {
            treat: Some(3),
            only: "learning_rate".to_owned(),
            seeds: 1,
            ..options.clone()
        };
        let found = go(&treated);
        let treatment = found.cases[0].treatment.as_ref().unwrap();
        assert!(treatment.removed, "{treatment:?}");
        assert_eq!(treatment.kept, ["train.optimizer.adam.learning_rate = 1e-3"]);
        assert_eq!(found.cures().unwrap()[2], 1);

        std::fs::write(dir.join("hiccup.toml"), FILE).unwrap();
        let error = run_clinic(&dir, &options, &Silent, &Interrupt::new()).unwrap_err();
        assert!(error.is_mistake() && error.to_string().contains("hiccup"), "{error}");
    }

    #[test]
    fn a_healthy_file_with_a_finding_is_a_false_alarm() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("clinic");
        std::fs::create_dir(&dir).unwrap();
        let text = FILE.replace("batch_size = 16", "batch_size = 1");
        std::fs::write(dir.join("batch_too_small.healthy.toml"), &text).unwrap();
        let shipped = folder.path().join("shipped");
        std::fs::create_dir(&shipped).unwrap();
        std::fs::write(shipped.join("any.toml"), &text).unwrap();
        let options = ClinicOptions { healthy: Some(shipped), ..options(folder.path()) };
        let found = run_clinic(&dir, &options, &Silent, &Interrupt::new()).unwrap();
        // Both repeats that are asked for of the shipped file, with its own seed.
        let looked_at: Vec<(u64, usize)> =
            found.cases.iter().map(|case| (case.seed, case.repeat)).collect();
        assert_eq!(looked_at, [(1, 0), (2, 0), (1, 0), (1, 1)]);
        assert_eq!((found.sensitivity(), found.false_alarms()), ([0, 0], [4, 4]));
    }
}
