//! A trial in the hands of a worker: its parameters, reports on the way, the question whether to
//! go on, and how it ended. Every write is refused once the lease is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::pruner::Progressing;
use crate::store::{Lease, Scope, Store};
use crate::{Error, FrozenTrial, Outcome, Params, Result, Study};

/// A trial that this process works on.
///
/// ```
/// use hourglass_search::{Ask, Distribution, MemoryStore, SearchSpace, Study, StudyConfig};
/// let space = SearchSpace::new([("x", Distribution::float(0.0, 1.0).into())])?;
/// let study = Study::create(MemoryStore::shared(), StudyConfig::new("by hand", space))?;
/// let Ask::Trial(mut trial) = study.ask("worker 1", None)? else { unreachable!() };
/// let x = trial.float("x")?;
/// trial.report(1, x + 1.0)?;
/// if trial.should_prune()? {
///     trial.tell(&hourglass_search::Outcome::Pruned)?;
/// } else {
///     trial.tell(&x.into())?;
/// }
/// # Ok::<(), hourglass_search::Error>(())
/// ```
pub struct Trial {
    study: Study,
    lease: Lease,
    params: Params,
    /// As it was when it was claimed, with what an earlier attempt left.
    claimed: FrozenTrial,
    last_step: Option<i64>,
}

impl Trial {
    pub(crate) fn new(study: Study, lease: Lease, params: Params, claimed: FrozenTrial) -> Self {
        Trial { study, lease, params, claimed, last_step: None }
    }

    /// Its number within the study.
    pub fn number(&self) -> u64 {
        self.lease.number
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.lease.attempt
    }

    /// The study it belongs to.
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// The right to write to it.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// All its parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The trial as it was when it was claimed: on a second attempt with the attributes (such as
    /// the path of a checkpoint) and the reports that the first one left.
    pub fn claimed(&self) -> &FrozenTrial {
        &self.claimed
    }

    /// A parameter as a number.
    ///
    /// # Errors
    /// [`Error::NoParameter`].
    pub fn float(&self, parameter: &str) -> Result<f64> {
        self.read(parameter, "numeric", Value::as_f64)
    }

    /// A parameter as a whole number.
    ///
    /// # Errors
    /// [`Error::NoParameter`].
    pub fn int(&self, parameter: &str) -> Result<i64> {
        self.read(parameter, "whole", Value::as_i64)
    }

    /// A parameter as text.
    ///
    /// # Errors
    /// [`Error::NoParameter`].
    pub fn text(&self, parameter: &str) -> Result<&str> {
        self.read(parameter, "text", Value::as_str)
    }

    fn read<'a, T>(
        &'a self,
        parameter: &str,
        kind: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T> {
        self.params.get(parameter).and_then(read).ok_or_else(|| Error::NoParameter {
            number: self.number(),
            parameter: parameter.into(),
            kind,
        })
    }

    /// Says how good it is after `step` units of work (epochs, rows), counted from 1.
    ///
    /// # Errors
    /// [`Error::LeaseLost`], or what the store says.
    pub fn report(&mut self, step: i64, value: f64) -> Result<()> {
        self.store().report(&self.lease, step, value)?;
        self.last_step = Some(step);
        Ok(())
    }

    /// Whether the pruner would stop it at the step reported last. Studies with several objectives
    /// prune nothing.
    ///
    /// # Errors
    /// What the store says.
    pub fn should_prune(&self) -> Result<bool> {
        let (Some(step), [direction]) = (self.last_step, &self.study.config().directions[..])
        else {
            return Ok(false);
        };
        let trials = self.study.trials()?;
        let (direction, number) = (*direction, self.number());
        let progress = Progressing { direction, trials: &trials, number, step };
        Ok(self.study.pruner().should_prune(&progress))
    }

    /// A sign of life: the lease begins anew. Every report is one, too.
    ///
    /// # Errors
    /// [`Error::LeaseLost`], or what the store says.
    pub fn heartbeat(&self) -> Result<()> {
        self.store().heartbeat(&self.lease)
    }

    /// Gives signs of life from a thread of its own until the result is dropped.
    pub fn keep_alive(&self, interval: Duration) -> KeepAlive {
        KeepAlive::start(Arc::clone(self.study.store()), self.lease.clone(), interval)
    }

    /// Sets an attribute that people read.
    ///
    /// # Errors
    /// [`Error::LeaseLost`], or what the store says.
    pub fn set_user_attribute(&self, key: &str, value: impl Into<Value>) -> Result<()> {
        self.store().set_trial_attribute(&self.lease, Scope::User, key, &value.into())
    }

    /// Sets an attribute that programs read.
    ///
    /// # Errors
    /// [`Error::LeaseLost`], or what the store says.
    pub fn set_system_attribute(&self, key: &str, value: impl Into<Value>) -> Result<()> {
        self.store().set_trial_attribute(&self.lease, Scope::System, key, &value.into())
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`Error::LeaseLost`], [`Error::ValueCount`], or what the store says.
    pub fn tell(&self, outcome: &Outcome) -> Result<()> {
        let expected = self.study.config().directions.len();
        if let Outcome::Complete(values) = outcome
            && values.len() != expected
        {
            let (number, found) = (self.number(), values.len());
            return Err(Error::ValueCount { number, found, expected });
        }
        self.store().finish(&self.lease, outcome)
    }

    /// Puts it back into the queue as it is, to be continued by anyone.
    ///
    /// # Errors
    /// [`Error::LeaseLost`], or what the store says.
    pub fn release(&self) -> Result<()> {
        self.store().release(&self.lease)
    }

    fn store(&self) -> &dyn Store {
        self.study.store().as_ref()
    }
}

/// A thread that gives signs of life for a trial. It ends when this is dropped.
pub struct KeepAlive {
    lost: Arc<AtomicBool>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl KeepAlive {
    fn start(store: Arc<dyn Store>, lease: Lease, interval: Duration) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = channel::<()>();
        let flag = Arc::clone(&lost);
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                // Anything but a lost lease may pass: the next beat tries again.
                if let Err(Error::LeaseLost { .. }) = store.heartbeat(&lease) {
                    flag.store(true, Ordering::SeqCst);
                    return;
                }
            }
        });
        KeepAlive { lost, stop: Some(stop), thread: Some(thread) }
    }

    /// Whether the trial belongs to another worker by now.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has nothing to say to the worker.
            let _ = thread.join();
        }
    }
}
