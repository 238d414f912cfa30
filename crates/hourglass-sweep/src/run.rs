//! A sweep on this machine, from the file to the spent budget: finds the data, begins the study,
//! shares the cores, and has a crew work on it.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hourglass_core::{Interrupt, Progress};
use hourglass_pipeline::{Pipeline, RunOptions, TrialRoom};
use hourglass_schedule::Timestamp;
use hourglass_search::store::Scope;
use hourglass_search::{PrunerConfig, Store, TrialState};
use serde_json::{Value, json};

use crate::folder::write_dated;
use crate::share::{Share, share};
use crate::{Budget, Crew, CrewEnd, Effort, Error, File, Result, Status, Sweep, TimetableFile};

/// What surrounds the sweeps of a machine.
pub struct Site<'a> {
    /// Where studies lie.
    pub store: Arc<dyn Store>,
    /// Data, runs and the cache.
    pub options: &'a RunOptions,
    /// Cores to work with.
    pub n_cores: usize,
    /// Workers at once; as many as fit, where none is given.
    pub n_workers: Option<usize>,
    /// How long a worker may be silent; the study's own, where none is given.
    pub lease: Option<Duration>,
    /// Makes the command of a worker: study, its name, its threads.
    pub command: &'a (dyn Fn(&str, &str, usize) -> Command + Sync),
    /// Who is shown how a study stands, for the first time before anybody works on it.
    pub watch: &'a (dyn Fn(&Status) + Sync),
    /// Who is told.
    pub progress: &'a dyn Progress,
}

impl Site<'_> {
    /// Begins the study of a file, or goes on with it. Returns it with the bytes of its rows.
    ///
    /// # Errors
    /// If the file is wrong, or its data can't be had; what the store says.
    pub fn begin(&self, file: File, interrupt: &Interrupt) -> Result<(Sweep, u64)> {
        let pipeline = file.pipeline()?;
        if pipeline.search.is_none() {
            return Err(Error::NoSearch { path: file.path });
        }
        self.say_what_is_pruned(&pipeline);
        let options = RunOptions { base: file.base.clone(), ..self.options.clone() };
        let room = TrialRoom::open(&pipeline, &options, self.progress, interrupt)?;
        let look = room.look(&pipeline, interrupt)?;
        let (store, fingerprint) = (Arc::clone(&self.store), room.fingerprint());
        let sweep =
            Sweep::begin(store, file, fingerprint, look.higher_score_is_better, self.lease)?;
        Ok((sweep, look.row_bytes))
    }

    /// Says so where a pruner judges by something else than the objective.
    fn say_what_is_pruned(&self, pipeline: &Pipeline) {
        let Some(search) = &pipeline.search else { return };
        let figure = search.objectives()[0].figure.as_str();
        let is_loss = ["reconstruction", "training.epochs"].iter().any(|p| figure.starts_with(p));
        if search.pruner != PrunerConfig::None && !is_loss {
            self.progress.say(&format!(
                "the pruner compares losses on validation, not `{figure}`: trials that reconstruct \
                 badly end early, whatever they would score"
            ));
        }
    }

    /// Runs a firing of a schedule: adds its trials to the study and writes a dated page. A firing
    /// that was broken off goes on to the number of trials that it aimed at the first time.
    ///
    /// Test rows are not read: the study goes on with the next firing.
    ///
    /// # Errors
    /// As [`Site::begin`] and [`Site::go_on`].
    pub fn fire(
        &self,
        file: &TimetableFile,
        due: Timestamp,
        interrupt: &Interrupt,
    ) -> Result<String> {
        let (sweep, row_bytes) = self.begin(file.file.clone(), interrupt)?;
        let key = format!("hourglass:firing:{due}");
        let known = sweep.study.record()?.system_attributes.get(&key).and_then(Value::as_u64);
        let before = sweep.study.trials()?.len() as u64;
        let limit = match known {
            Some(limit) => limit,
            None => {
                let own = file.config.trials.map(|trials| trials as u64);
                let limit = before + own.unwrap_or(sweep.search().trials);
                let (store, id) = (sweep.study.store(), sweep.study.id());
                store.set_study_attribute(id, Scope::System, &key, &json!(limit))?;
                limit
            }
        };
        let minutes = file.config.minutes.or(sweep.search().minutes);
        self.go_on(&sweep, Budget { limit, minutes }, row_bytes, interrupt)?;
        // Names of folders have no colons everywhere.
        let time = due.to_string().trim_end_matches('Z').replace(':', "-");
        let folder = write_dated(&sweep, &self.options.runs_dir, &time)?;
        let added = (sweep.study.trials()?.len() as u64).saturating_sub(before);
        Ok(format!("{added} trials added, report in `{}`", folder.display()))
    }

    /// Works on a study until its budget is spent.
    ///
    /// # Errors
    /// Whatever [`Crew::run`] says; [`Error::AllFailed`] where no trial has come to its end.
    pub fn go_on(
        &self,
        sweep: &Sweep,
        budget: Budget,
        row_bytes: u64,
        interrupt: &Interrupt,
    ) -> Result<CrewEnd> {
        sweep.set_budget(budget)?;
        let before = Status::of(sweep, 1)?;
        let n_left = budget.limit.saturating_sub(before.finished.len() as u64);
        if n_left == 0 {
            self.progress.say(&format!("all {} trials are done already", budget.limit));
            return fine(sweep, CrewEnd::Done);
        }
        let shared = match self.n_workers {
            Some(n_workers) => {
                Share { n_workers, n_threads: (self.n_cores / n_workers.max(1)).max(1) }
            }
            None => share(self.n_cores, n_left, row_bytes),
        };
        let Share { n_workers, n_threads } = shared;
        self.progress.say(&format!(
            "study `{}` in {}: {n_left} of {} trials to go, {n_workers} x {n_threads} threads",
            sweep.study.name(),
            sweep.study.store().name(),
            budget.limit,
        ));
        (self.watch)(&before);
        let command = |worker: &str| (self.command)(sweep.study.name(), worker, n_threads);
        let crew = Crew { sweep, n_workers, command: &command, interrupt, watch: self.watch };
        let began = sweep.study.store().now()?;
        let end = crew.run()?;
        let ended = sweep.study.store().now()?;
        let effort = Effort::of(&sweep.study.trials()?, n_workers, began, ended);
        if effort.n_trials > 0 {
            self.progress.say(&effort.to_string());
        }
        fine(sweep, end)
    }
}

/// The end, unless every single trial failed.
fn fine(sweep: &Sweep, end: CrewEnd) -> Result<CrewEnd> {
    let trials = sweep.study.trials()?;
    let failed = || trials.iter().filter(|trial| trial.state == TrialState::Failed);
    match failed().next_back() {
        Some(last) if failed().count() == trials.len() => Err(Error::AllFailed {
            n_trials: trials.len(),
            reason: last.reason().unwrap_or("no reason").to_owned(),
        }),
        _ => Ok(end),
    }
}
