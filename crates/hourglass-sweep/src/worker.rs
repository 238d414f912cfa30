//! One worker: takes trials until there are none, runs each, and writes down what came out.
//!
//! It does not choose parameters and starts no process. Whatever happens in a trial is the trial's:
//! a failure or a panic marks it failed, with the reason, and the next one is taken.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use hourglass_core::{Interrupt, Progress};
use hourglass_pipeline::{Error as PipelineError, TrialOutcome, TrialRoom, Verdict};
use hourglass_search::{Ask, Outcome, PrunerConfig, Trial};

use crate::patience::{patiently, rest};
use crate::{Error, Result, Sweep};

/// Time between two looks for a trial where others still run.
const WAIT: Duration = Duration::from_millis(100);

/// Time between two looks whether a running trial has to stop.
const LOOK: Duration = Duration::from_millis(50);

/// A lease is renewed so many times before it would run out.
const BEATS: u32 = 4;

/// User attribute of a trial: seconds in training and judging.
pub(crate) const WORK_SECONDS: &str = "work_seconds";

/// A worker of a sweep.
pub struct Worker<'a> {
    /// The sweep.
    pub sweep: &'a Sweep,
    /// What its trials share.
    pub room: &'a TrialRoom,
    /// Its name, unique among the workers of the study.
    pub name: &'a str,
    /// Who is told.
    pub progress: &'a dyn Progress,
    /// Who may stop it: the trial at work is saved and released.
    pub interrupt: &'a Interrupt,
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Trials that it brought to their end.
    pub n_complete: usize,
    /// Trials that it ended early.
    pub n_pruned: usize,
    /// Trials that failed.
    pub n_failed: usize,
    /// Trials that went to another worker meanwhile.
    pub n_lost: usize,
}

/// How a trial ended for its worker.
enum End {
    Told(Outcome),
    /// It is another worker's by now.
    Lost,
    /// It was put back; the worker was asked to stop.
    Released,
}

impl Worker<'_> {
    /// Works until there is nothing left to do.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; what the store says for longer than ten minutes; and what would fail
    /// in every trial: data that is gone, a folder that can't be written.
    pub fn work(&self) -> Result<Work> {
        let mut work = Work::default();
        loop {
            if self.interrupt.is_raised() {
                return Err(Error::Interrupted);
            }
            let (limit, is_late) = patiently(self.interrupt, || self.sweep.bounds())?;
            if is_late {
                return Ok(work);
            }
            let ask = || self.sweep.study.ask(self.name, Some(limit));
            let trial = match patiently(self.interrupt, ask)? {
                Ask::Trial(trial) => *trial,
                Ask::Wait { .. } => {
                    rest(WAIT, self.interrupt);
                    continue;
                }
                Ask::Done | Ask::Stopped => return Ok(work),
            };
            let number = trial.number();
            match self.run(trial)? {
                End::Told(Outcome::Complete(values)) => {
                    work.n_complete += 1;
                    let values: Vec<String> = values.iter().map(f64::to_string).collect();
                    self.progress.say(&format!("trial {number}: {}", values.join(", ")));
                }
                End::Told(Outcome::Pruned) => {
                    work.n_pruned += 1;
                    self.progress.say(&format!("trial {number}: pruned"));
                }
                End::Told(Outcome::Failed(reason)) => {
                    work.n_failed += 1;
                    self.progress.say(&format!("trial {number} failed: {reason}"));
                }
                End::Lost => work.n_lost += 1,
                End::Released => return Err(Error::Interrupted),
            }
        }
    }

    fn run(&self, trial: Trial) -> Result<End> {
        let lease = self.sweep.study.config().lease;
        let alive = trial.keep_alive(lease / BEATS);
        let stop = Interrupt::new();
        let (over, is_over) = channel::<()>();
        let trial = Mutex::new(trial);
        let trouble: Mutex<Option<hourglass_search::Error>> = Mutex::new(None);
        let reporting = Mutex::new(Duration::ZERO);
        let fails = |error| {
            *lock(&trouble) = Some(error);
            stop.raise();
        };
        let clock = Instant::now();
        let result = std::thread::scope(|scope| {
            let (alive, stop) = (&alive, &stop);
            scope.spawn(move || {
                // Ends at once when the other end is dropped.
                while is_over.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    if self.interrupt.is_raised() || alive.is_lost() {
                        stop.raise();
                    }
                }
            });
            // Where nobody asks whether to go on, training doesn't wait for the store.
            let (tell, told) = channel::<(usize, f64)>();
            let (trial, fails) = (&trial, &fails);
            scope.spawn(move || {
                for (epoch, loss) in told {
                    if let Err(error) = self.report(&mut lock(trial), epoch, loss) {
                        fails(error);
                    }
                }
            });
            let tell = Mutex::new(tell);
            let watch = |epoch: usize, loss: f64, is_last: bool| {
                if !self.asks() || is_last {
                    // The other end stays until this one is dropped.
                    let _ = lock(&tell).send((epoch, loss));
                    return Verdict::GoOn;
                }
                let clock = Instant::now();
                let reported = self.report_and_ask(&mut lock(trial), epoch, loss);
                *lock(&reporting) += clock.elapsed();
                reported.unwrap_or_else(|error| {
                    fails(error);
                    Verdict::GoOn
                })
            };
            let result = catch_unwind(AssertUnwindSafe(|| self.measure(trial, &watch, stop)));
            drop(over);
            result
        });
        let spent = clock.elapsed();
        let is_lost = alive.is_lost();
        drop(alive);
        let trial = trial.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let trouble = trouble.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        match trouble {
            Some(hourglass_search::Error::LeaseLost { .. }) => return Ok(End::Lost),
            Some(error) => return Err(error.into()),
            None if is_lost => return Ok(End::Lost),
            None => {}
        }
        // Writing down is no work on the trial.
        let worked = |seconds: f64| {
            let seconds = seconds - lock(&reporting).as_secs_f64();
            let write = || trial.set_user_attribute(WORK_SECONDS, seconds);
            match patiently(self.interrupt, write) {
                // Telling the outcome finds that out, too.
                Err(hourglass_search::Error::LeaseLost { .. }) => Ok(()),
                written => written,
            }
        };
        let outcome = match result {
            Err(panic) => Outcome::Failed(format!("it panicked: {}", said(panic.as_ref()))),
            Ok(Ok(outcome)) => {
                worked(outcome.work_seconds)?;
                Outcome::Complete(outcome.values)
            }
            Ok(Err(Error::Pipeline(PipelineError::Ended { .. }))) => {
                worked(spent.as_secs_f64())?;
                Outcome::Pruned
            }
            Ok(Err(error)) if error.is_interrupt() => {
                return Ok(self.give_back(&trial)?.unwrap_or(End::Released));
            }
            Ok(Err(error)) if spoils_every_trial(&error) => {
                self.give_back(&trial)?;
                return Err(error);
            }
            Ok(Err(error)) => Outcome::Failed(chain(&error)),
        };
        match patiently(self.interrupt, || trial.tell(&outcome)) {
            Ok(()) => Ok(End::Told(outcome)),
            Err(hourglass_search::Error::LeaseLost { .. }) => Ok(End::Lost),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a trial back into the queue; says so where it is another's already.
    fn give_back(&self, trial: &Trial) -> Result<Option<End>> {
        match trial.release() {
            Ok(()) => Ok(None),
            Err(hourglass_search::Error::LeaseLost { .. }) => Ok(Some(End::Lost)),
            Err(error) => Err(error.into()),
        }
    }

    fn measure(
        &self,
        trial: &Mutex<Trial>,
        watch: &(dyn Fn(usize, f64, bool) -> Verdict + Sync),
        stop: &Interrupt,
    ) -> Result<TrialOutcome> {
        let params = lock(trial).params().clone();
        let pipeline = self.sweep.file.trial(&params)?;
        // Ending a trial in its last epoch would save nothing.
        let last = pipeline.train.epochs;
        let watch = |epoch: usize, loss: f64| watch(epoch, loss, epoch >= last);
        let objectives = self.sweep.search().objectives();
        Ok(self.room.run(&pipeline, objectives, &watch, self.progress, stop)?)
    }

    /// Whether a pruner is asked after each epoch but the last.
    fn asks(&self) -> bool {
        let config = self.sweep.study.config();
        config.pruner != PrunerConfig::None && config.directions.len() == 1
    }

    fn report(
        &self,
        trial: &mut Trial,
        epoch: usize,
        loss: f64,
    ) -> Result<(), hourglass_search::Error> {
        let value = loss * self.sweep.loss_sign();
        patiently(self.interrupt, || trial.report(epoch as i64, value))
    }

    fn report_and_ask(
        &self,
        trial: &mut Trial,
        epoch: usize,
        loss: f64,
    ) -> Result<Verdict, hourglass_search::Error> {
        self.report(trial, epoch, loss)?;
        let prune = patiently(self.interrupt, || trial.should_prune())?;
        Ok(if prune { Verdict::Prune } else { Verdict::GoOn })
    }
}

/// Whether the next trial would end in the same way, whatever its values.
fn spoils_every_trial(error: &Error) -> bool {
    matches!(
        error,
        Error::Pipeline(
            PipelineError::Io { .. } | PipelineError::Data(_) | PipelineError::Metric { .. }
        )
    )
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The error and its causes on one line, without hints.
fn chain(error: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        let first = text.split("\nhint:").next().unwrap_or_default().trim().replace('\n', " ");
        if !parts.iter().any(|part| part.contains(&first)) {
            parts.push(first);
        }
        next = error.source();
    }
    parts.join(": ")
}

/// What a panic had to say.
pub(crate) fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use hourglass_core::Silent;
    use hourglass_data::Locations;
    use hourglass_pipeline::RunOptions;
    use hourglass_search::{MemoryStore, TrialState};

    use super::*;
    use crate::{Budget, File};

    const FILE: &str = r#"
        name = "small"
        seed = 1
        data.builtin.dataset = "iris"
        split = { validation = 0.3, test = 0.3 }
        preprocess.numeric = "standard"
        model.undercomplete = { latent_dim = 2 }
        train = { epochs = 2, optimizer = { adam = { learning_rate = 1e-2 } } }
        downstream = { compare = ["raw", "autoencoder"], models = [{ knn = {} }] }
        [search]
        trials = 4
        [search.space]
        "train.optimizer.adam.learning_rate" = { float = [1e-3, 1e-1], log = true }
    "#;

    /// Panics in the training of the second trial.
    struct Panics {
        is_second: AtomicBool,
    }

    impl Progress for Panics {
        fn begin(&self, _what: &str, _total: Option<u64>) {
            if self.is_second.swap(false, Ordering::SeqCst) {
                let (rows, row) = ([1, 2, 3], 7);
                assert!(row < rows.len(), "index {row} is out of range");
            }
        }

        fn advance(&self, _done: u64, _detail: &str) {}

        fn end(&self, _summary: &str) {}

        fn say(&self, line: &str) {
            self.is_second.store(line.starts_with("trial 0:"), Ordering::SeqCst);
        }
    }

    #[test]
    fn a_trial_that_panics_fails_with_the_reason_and_the_worker_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.toml");
        std::fs::write(&path, FILE).unwrap();
        let file = File::read(&path, &[]).unwrap();
        let locations = Locations {
            data_dirs: Vec::new(),
            download_dir: folder.path().join("data"),
            offline: true,
        };
        let options = RunOptions {
            base: file.base.clone(),
            locations,
            runs_dir: folder.path().join("runs"),
            force: false,
        };
        let interrupt = Interrupt::new();
        let pipeline = file.pipeline().unwrap();
        let room = TrialRoom::open(&pipeline, &options, &Silent, &interrupt).unwrap();
        let store = MemoryStore::shared();
        let sweep = Sweep::begin(store, file, room.fingerprint(), true, None).unwrap();
        sweep.set_budget(Budget { limit: 4, minutes: None }).unwrap();
        let progress = Panics { is_second: AtomicBool::new(false) };
        let worker = Worker {
            sweep: &sweep,
            room: &room,
            name: "only",
            progress: &progress,
            interrupt: &interrupt,
        };
        let work = worker.work().unwrap();
        assert_eq!(work, Work { n_complete: 3, n_failed: 1, ..Work::default() });
        let trials = sweep.study.trials().unwrap();
        assert_eq!(trials[1].state, TrialState::Failed);
        assert_eq!(trials[1].reason(), Some("it panicked: index 7 is out of range"));
        assert!(trials[2..].iter().all(|trial| trial.state == TrialState::Complete));
    }
}
