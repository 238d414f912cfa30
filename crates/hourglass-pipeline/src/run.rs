//! Runs the stages of a pipeline, each from the cache where it can be, and leaves a run directory.
//!
//! What a repeat does is in [`crate::repeat`], what the numbers mean in [`crate::summary`].

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use hourglass_core::{Interrupt, Progress};
use hourglass_data::{Locations, Resolved};
use hourglass_report::{Report, StageTiming};

use crate::cache::{Cache, Claim, Entry, Slot};
use crate::config::Pipeline;
use crate::diagnosis;
use crate::error::{Doing, Error};
use crate::plan::{Kind, Plan, Stage};
use crate::repeat::{self, RepeatResult};
use crate::run_folder::{self, RunRecord};
use crate::scores::Scores;
use crate::summary;
use crate::unfinished::{self, Failure};

/// What a stage must take to be spoken of.
const SECONDS_WORTH_A_LINE: f64 = 0.1;

/// What surrounds a run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Folder that paths in the pipeline file are relative to.
    pub base: PathBuf,
    /// Where data is looked for.
    pub locations: Locations,
    /// Folder of runs and of the cache.
    pub runs_dir: PathBuf,
    /// Run every stage, whatever the cache holds.
    pub force: bool,
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// The run directory.
    pub folder: PathBuf,
    /// What it says.
    pub report: Report,
}

/// How a run ended that was begun.
pub(crate) enum Ended {
    /// With a report.
    Finished(Box<RunOutcome>),
    /// With an error; its directory holds what there is.
    Failed {
        /// The run directory.
        folder: PathBuf,
        /// What went wrong.
        error: Error,
    },
}

/// Runs a pipeline. A second run of the same pipeline waits for the first and is then served. A run
/// that fails in training or later leaves a run directory with what there is.
///
/// # Errors
/// Whatever a stage says; [`Error::Interrupted`] (and like it) after Ctrl-C. What is finished by
/// then is kept, and the same call goes on from there.
pub fn run(
    pipeline: &Pipeline,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<RunOutcome, Error> {
    match run_in(&options.runs_dir, pipeline, options, progress, interrupt)? {
        Ended::Finished(outcome) => {
            run_folder::point_latest(&outcome.folder)?;
            Ok(*outcome)
        }
        Ended::Failed { folder, error } => {
            run_folder::point_latest(&folder)?;
            let shown = folder.display();
            progress
                .say(&format!("`doctor examine {shown}` says how far it came, and what to try"));
            Err(error)
        }
    }
}

/// The same with the run directory in a folder of its own and the cache where it always is; the
/// latest run remains what it was.
pub(crate) fn run_in(
    home: &Path,
    pipeline: &Pipeline,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Ended, Error> {
    let (started, clock) = (SystemTime::now(), Instant::now());
    let locations = &options.locations;
    let source =
        hourglass_data::resolve(&pipeline.data, &options.base, locations, progress, interrupt)?;
    let fingerprint = source.fingerprint(pipeline.data_seed())?;
    let plan = Plan::new(pipeline, &fingerprint);
    for folder in [&options.runs_dir, home] {
        std::fs::create_dir_all(folder).doing("create", folder)?;
    }
    let name = format!("{}-{}", pipeline.name, plan.key().short());
    let folder = home.join(&name);

    let cache = Cache::new(&options.runs_dir);
    let waiting = "another run of this pipeline is at work; waiting for it";
    let (_lock, waited) = cache.lock(&format!("run-{name}"), waiting, progress, interrupt)?;
    unfinished::begin(&folder, pipeline, &plan, &cache, &options.base)?;
    let force = options.force && !waited;
    let mut runner = Runner {
        pipeline,
        plan: &plan,
        cache: &cache,
        source: &source,
        force,
        progress,
        interrupt,
        timings: vec![StageTiming {
            repeat: None,
            stage: "data".to_owned(),
            seconds: clock.elapsed().as_secs_f64(),
            from_cache: false,
        }],
        n_run: 0,
        at: None,
    };
    let mut repeats: Vec<RepeatResult> = Vec::with_capacity(pipeline.n_runs());
    for repeat in 0..pipeline.n_runs() {
        match repeat::run(&mut runner, repeat) {
            Ok(result) => repeats.push(result),
            Err(error) if error.is_interrupt() => return Err(error),
            Err(error) => return failed(folder, runner.at.take(), error),
        }
    }
    // A run that made nothing new leaves the folder, and the timings of the first run, as they are.
    if runner.n_run == 0
        && let Ok((report, Some(_))) = run_folder::read(&folder)
        // A report of an earlier version was not examined.
        && report.diagnosis.is_some()
    {
        progress.say("everything was in the cache");
        return Ok(Ended::Finished(Box::new(RunOutcome { folder, report })));
    }
    let samples = repeats.first_mut().and_then(|repeat| repeat.samples.take());
    let report_clock = Instant::now();
    let report = summary::report(pipeline, &repeats)?;
    let mut timings = runner.timings;
    timings.push(StageTiming {
        repeat: None,
        stage: "report".to_owned(),
        seconds: report_clock.elapsed().as_secs_f64(),
        from_cache: false,
    });
    let record = RunRecord {
        pipeline,
        report,
        fingerprint: &fingerprint,
        bundles: repeats.iter().map(|repeat| repeat.bundle.as_path()).collect(),
        stages: timings,
        downstream: Scores::new(pipeline, &repeats).timings(),
        started,
        clock,
        base: &options.base,
    };
    let report = run_folder::write(&folder, record, |partial| {
        diagnosis::of_run(partial, samples, options, interrupt)
    })?;
    Ok(Ended::Finished(Box::new(RunOutcome { folder, report })))
}

/// Leaves what there is of a run that failed; before training there is nothing but the file.
fn failed(folder: PathBuf, at: Option<(Kind, String)>, error: Error) -> Result<Ended, Error> {
    match at {
        Some((kind, stage)) if kind != Kind::Preprocess => {
            unfinished::fail(&folder, Failure::of(stage, &error))?;
            Ok(Ended::Failed { folder, error })
        }
        _ => {
            unfinished::drop_begun(&folder)?;
            Err(error)
        }
    }
}

/// What every stage needs.
pub(crate) struct Runner<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) plan: &'a Plan,
    pub(crate) source: &'a Resolved,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) interrupt: &'a Interrupt,
    cache: &'a Cache,
    force: bool,
    timings: Vec<StageTiming>,
    n_run: usize,
    /// The stage at work: its kind and its label.
    at: Option<(Kind, String)>,
}

impl<'a> Runner<'a> {
    /// Serves a stage from the cache, or has `make` fill its folder.
    pub(crate) fn stage(
        &mut self,
        stage: &Stage,
        make: impl FnOnce(&Slot) -> Result<(), Error>,
    ) -> Result<Entry, Error> {
        let clock = Instant::now();
        if self.interrupt.is_raised() {
            return Err(Error::Interrupted { stage: stage.label.clone() });
        }
        self.at = Some((stage.kind, stage.label.clone()));
        let claim = self.cache.claim(&stage.inputs, self.force, self.progress, self.interrupt)?;
        let (entry, from_cache) = match claim {
            Claim::Ready(entry) => (entry, true),
            Claim::Mine(slot) => {
                make(&slot)?;
                self.n_run += 1;
                (slot.finish(clock.elapsed().as_secs_f64())?, false)
            }
        };
        self.timed(stage, clock, from_cache);
        Ok(entry)
    }

    /// Whether a stage would run.
    pub(crate) fn needs(&self, stage: &Stage) -> bool {
        self.force || self.cache.find(&stage.inputs).is_none()
    }

    /// Notes how long a stage took that keeps nothing.
    pub(crate) fn timed(&mut self, stage: &Stage, clock: Instant, from_cache: bool) {
        let seconds = clock.elapsed().as_secs_f64();
        // Where the data came from is said first, and preparing it is part of that; on small data
        // most stages take no time worth a line.
        if !from_cache && stage.kind != Kind::Preprocess && seconds >= SECONDS_WORTH_A_LINE {
            let memory = crate::memory::peak_rss_bytes()
                .map_or(String::new(), |bytes| format!(", peak {} MiB", bytes >> 20));
            self.progress.say(&format!("{}: {seconds:.1} s{memory}", stage.label));
        }
        let name = stage.label.split(", repeat").next().unwrap_or_default().to_owned();
        self.timings.push(StageTiming { repeat: stage.repeat, stage: name, seconds, from_cache });
    }
}

/// Reads the report of a run directory, and its timings where they are.
///
/// # Errors
/// [`Error::NoRun`] where there is none, or what is wrong with it.
pub fn read_run(folder: &Path) -> Result<(Report, Option<hourglass_report::Timings>), Error> {
    run_folder::read(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use hourglass_core::Silent;

    use super::*;
    use crate::explain;

    const SMALL: &str = r#"
        name = "small"
        seed = 1
        repeats = 2
        data.builtin.dataset = "iris"
        split = { validation = 0.2, test = 0.3 }
        preprocess.numeric = "standard"
        model.undercomplete = { latent_dim = 2 }
        train = { epochs = 2, optimizer = { adam = { learning_rate = 1e-2 } } }
        downstream = { compare = ["raw", "pca", "autoencoder"], models = [{ knn = {} }, { majority = {} }] }
    "#;

    fn options(runs_dir: &Path, force: bool) -> RunOptions {
        let locations =
            Locations { data_dirs: Vec::new(), download_dir: runs_dir.join("data"), offline: true };
        let runs_dir = runs_dir.to_owned();
        RunOptions { base: PathBuf::new(), locations, runs_dir, force }
    }

    fn go(runs_dir: &Path, overrides: &[&str], force: bool) -> RunOutcome {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        let pipeline = crate::parse(SMALL, "small", &overrides).unwrap();
        run(&pipeline, &options(runs_dir, force), &Silent, &Interrupt::new()).unwrap()
    }

    fn stages(runs_dir: &Path) -> Vec<StageTiming> {
        read_run(&runs_dir.join("latest")).unwrap().1.unwrap().stages
    }

    #[test]
    fn the_same_file_gives_the_same_bits_and_forcing_does_not_change_them() {
        let folder = tempfile::tempdir().unwrap();
        let runs_dir = folder.path();
        let report = |outcome: &RunOutcome| fs::read(outcome.folder.join("report.json")).unwrap();
        let first = go(runs_dir, &[], false);
        assert_eq!(first.report.results.len(), 6);
        for file in
            ["report.html", "report.md", "pipeline.toml", "manifest.json", "repeat-2/model.json"]
        {
            assert!(first.folder.join(file).exists(), "{file}");
        }
        let before = report(&first);
        assert_eq!(report(&go(runs_dir, &[], false)), before);
        let forced = go(runs_dir, &["threads=1"], true);
        assert_eq!((report(&forced), &forced.folder), (before, &first.folder));
        assert!(stages(runs_dir).iter().all(|stage| !stage.from_cache));
    }

    #[test]
    fn an_earlier_run_can_be_looked_through() {
        let folder = tempfile::tempdir().unwrap();
        let runs_dir = folder.path();
        let first = go(runs_dir, &["repeats=1"], false);
        let bundle = first.folder.display().to_string();
        let perceptual =
            format!("model.undercomplete.perceptual={{bundle='{bundle}', weight=0.5}}");
        let second = go(runs_dir, &["repeats=1", &perceptual], false);
        let losses = &second.report.reconstruction.as_ref().unwrap().losses;
        let part = losses.iter().find(|loss| loss.name == "perceptual");
        assert!(part.is_some_and(|part| part.validation > 0.0), "{losses:?}");
        // Another encoder in the same place is another experiment.
        let other = go(runs_dir, &["repeats=1", "seed=2"], false);
        for file in ["model.json", "weights.safetensors"] {
            let [from, to] = [&other, &first].map(|run| run.folder.join("repeat-1").join(file));
            fs::copy(from, to).unwrap();
        }
        assert_ne!(go(runs_dir, &["repeats=1", &perceptual], false).folder, second.folder);

        let wide = ["repeats=1", "data.builtin.dataset='breast_cancer'", &perceptual];
        let overrides: Vec<String> = wide.iter().map(|text| (*text).to_owned()).collect();
        let pipeline = crate::parse(SMALL, "small", &overrides).unwrap();
        let error = run(&pipeline, &options(runs_dir, false), &Silent, &Interrupt::new());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`perceptual.bundle` is of an encoder for 4 columns"), "{error}");
    }

    #[test]
    fn event_files_lie_in_the_run_directory() {
        let folder = tempfile::tempdir().unwrap();
        let outcome = go(folder.path(), &["train.tensorboard=true"], false);
        for repeat in ["repeat-1", "repeat-2"] {
            let events = outcome.folder.join(repeat).join("tensorboard");
            assert_eq!(fs::read_dir(events).unwrap().count(), 1, "{repeat}");
        }
    }

    #[test]
    fn editing_downstream_trains_nothing_anew() {
        let folder = tempfile::tempdir().unwrap();
        let runs_dir = folder.path();
        let first = go(runs_dir, &[], false);
        let second = go(runs_dir, &["downstream.models=[{knn={k=3}}, {majority={}}]"], false);
        assert_ne!(first.folder, second.folder);
        for stage in stages(runs_dir) {
            let is_new = ["data", "report", "examine"].contains(&stage.stage.as_str())
                || stage.stage.starts_with("extract")
                || stage.stage.ends_with("knn");
            assert_eq!(stage.from_cache, !is_new, "{stage:?}");
        }
    }

    #[test]
    fn explain_says_what_would_run_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let runs_dir = folder.path();
        let why = |overrides: &[String]| {
            let pipeline = crate::parse(SMALL, "small", overrides).unwrap();
            let locations = options(runs_dir, false).locations;
            let stages = explain(&pipeline, Path::new(""), &locations, runs_dir).unwrap();
            stages.into_iter().map(|stage| (stage.stage, stage.why)).collect::<Vec<_>>()
        };
        let of = |all: &[(String, String)], name: &str| {
            all.iter().find(|(stage, _)| stage == name).unwrap().1.clone()
        };
        assert_eq!(of(&why(&[]), "train, repeat 1"), "never ran");
        go(runs_dir, &[], false);
        assert_eq!(of(&why(&[]), "train, repeat 1"), "in the cache");
        let changed = why(&["train.epochs=9".to_owned()]);
        assert_eq!(of(&changed, "train, repeat 1"), "changed: train.epochs 2 -> 9");
        assert_eq!(of(&changed, "downstream raw + knn, repeat 2"), "in the cache");
    }

    #[test]
    fn an_interrupted_run_leaves_no_run_directory() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = crate::parse(SMALL, "small", &[]).unwrap();
        let interrupt = Interrupt::new();
        interrupt.raise();
        let error =
            run(&pipeline, &options(folder.path(), false), &Silent, &interrupt).unwrap_err();
        assert!(error.is_interrupt(), "{error}");
        assert!(!folder.path().join("latest").exists());
    }

    #[test]
    fn a_run_that_diverges_leaves_its_file_its_telemetry_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let overrides = ["train.optimizer={ sgd = { learning_rate = 1e3 } }", "train.epochs=50"];
        let overrides = overrides.map(str::to_owned);
        let pipeline = crate::parse(SMALL, "small", &overrides).unwrap();
        let options = options(folder.path(), false);
        let again = || run(&pipeline, &options, &Silent, &Interrupt::new()).unwrap_err();
        let error = again();
        assert!(error.to_string().contains("the loss became"), "{error}");
        let latest = folder.path().join("latest");
        assert!(latest.join("pipeline.toml").exists());
        let left = unfinished::read(&latest).unwrap();
        assert!(left.why().starts_with("the run failed in `train, repeat 1`: the loss became"));
        assert!(left.failure.unwrap().not_finite.is_some());
        let error = read_run(&latest).unwrap_err().to_string();
        assert!(error.contains("there are no results in"), "{error}");
        // Trying again is no success, and finds the directory that it left.
        again();
        assert!(unfinished::read(&latest).unwrap().failure.is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "in the way").unwrap();
        let pipeline = crate::parse(SMALL, "small", &[]).unwrap();
        let error = run(&pipeline, &options(&file, false), &Silent, &Interrupt::new()).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("cannot create `{}`", file.display())),
            "{error}"
        );
    }
}
