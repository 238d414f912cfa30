//! Where studies live. One trait, and a conformance suite that every store passes.
//!
//! A store keeps and hands out trials; it knows nothing of samplers and pruners. Every write to a
//! running trial names the lease under which it was claimed, and is refused once that is lost.

mod address;
mod memory;
mod postgres;
mod sql;
mod sqlite;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub use self::address::Address;
pub use self::memory::MemoryStore;
pub use self::postgres::PostgresStore;
pub use self::sqlite::SqliteStore;
use crate::schedule::{Fire, FireState, Schedule};
use crate::{Direction, Error, FrozenTrial, Outcome, Param, Result, TrialState};

/// System attribute with the values that were given for an enqueued trial; Optuna's name for it.
const FIXED: &str = "fixed_params";

/// The key of a study within its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StudyId(pub i64);

/// A study as the store holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyRecord {
    /// The store's own key.
    pub id: StudyId,
    /// Its name, unique within the store.
    pub name: String,
    /// One for each objective.
    pub directions: Vec<Direction>,
    /// Attributes that people read.
    pub user_attributes: BTreeMap<String, Value>,
    /// Attributes that programs read.
    pub system_attributes: BTreeMap<String, Value>,
}

/// Who reads an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// People: dashboards and tables show it.
    User,
    /// Programs.
    System,
}

/// The right to write to a running trial: which one, whose, and which attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The study.
    pub study: StudyId,
    /// The store's key of the trial.
    pub trial: i64,
    /// Its number within the study.
    pub number: u64,
    /// The worker that holds it.
    pub worker: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How long the lease lasts from each sign of life.
    pub duration: Duration,
}

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct AskRequest<'a> {
    /// The study.
    pub study: StudyId,
    /// Name of the worker.
    pub worker: &'a str,
    /// How long a lease lasts without a sign of life.
    pub lease: Duration,
    /// How many workers a trial may lose before it counts as failed.
    pub max_attempts: u32,
    /// No trial is made once there are so many, whatever became of them.
    pub limit: Option<u64>,
    /// Whether the other trials are needed to draw the parameters.
    pub history: bool,
}

impl AskRequest<'_> {
    /// The lease on a trial that this request was given.
    fn lease_on(&self, trial: &FrozenTrial, attempt: u32) -> Lease {
        Lease {
            study: self.study,
            trial: trial.id,
            number: trial.number,
            worker: self.worker.into(),
            attempt,
            duration: self.lease,
        }
    }
}

/// What a store needs to be told before it can hand out a trial.
pub struct Suggestion<'a> {
    /// Number of the trial.
    pub number: u64,
    /// Values that were given for it, or that an earlier attempt had.
    pub fixed: &'a BTreeMap<String, Value>,
    /// All other trials of the study, by number; none if the request wants no history.
    pub trials: &'a [FrozenTrial],
}

/// Draws the parameters of a trial; may be called again with the same suggestion when a
/// transaction has to be repeated.
pub type Suggest<'a> = &'a mut dyn FnMut(&Suggestion<'_>) -> Result<BTreeMap<String, Param>>;

/// What a worker gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// A trial to work on.
    Trial(Lease, Box<FrozenTrial>),
    /// Nothing for now, but other workers' trials may come back.
    Wait {
        /// Trials that are running.
        running: u64,
    },
    /// All trials are finished, and no more are to be made.
    Done,
    /// Someone asked the study to stop.
    Stopped,
}

/// Which running trials go back into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost<'a> {
    /// Those whose lease has run out.
    Expired,
    /// Those of a worker that is known to be gone, even before its lease runs out.
    Worker(&'a str),
}

/// A trial whose worker was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requeued {
    /// Its number.
    pub number: u64,
    /// The worker that was lost.
    pub worker: String,
    /// The attempt that was lost.
    pub attempt: u32,
    /// Whether it is back in the queue; it has failed otherwise, after too many attempts.
    pub again: bool,
}

/// Keeps studies, trials, schedules and fires. All methods may be called from any thread.
///
/// Whatever is refused leaves everything as it was.
///
/// # Errors
/// Every method may say [`crate::Error::Unreachable`], [`crate::Error::Locked`],
/// [`crate::Error::Full`], [`crate::Error::Store`] or [`crate::Error::Damaged`]; those that take a
/// [`Lease`] say [`crate::Error::LeaseLost`] when the trial is no longer the worker's.
pub trait Store: Send + Sync {
    /// What it is called in messages: its address without a password.
    fn name(&self) -> String;

    /// What time it is for leases.
    fn now(&self) -> Result<Timestamp>;

    /// Makes a study.
    ///
    /// # Errors
    /// [`crate::Error::StudyExists`].
    fn create_study(&self, name: &str, directions: &[Direction]) -> Result<StudyId>;

    /// Reads a study by its name.
    ///
    /// # Errors
    /// [`crate::Error::UnknownStudy`].
    fn study(&self, name: &str) -> Result<StudyRecord>;

    /// All studies, in the order they were made.
    fn studies(&self) -> Result<Vec<StudyRecord>>;

    /// Deletes a study with all its trials.
    fn delete_study(&self, study: StudyId) -> Result<()>;

    /// Sets an attribute of a study, or removes it with a value of null.
    fn set_study_attribute(
        &self,
        study: StudyId,
        scope: Scope,
        key: &str,
        value: &Value,
    ) -> Result<()>;

    /// All trials of a study, by number.
    fn trials(&self, study: StudyId) -> Result<Vec<FrozenTrial>>;

    /// Puts a trial with some given values into the queue and returns its number.
    fn enqueue(
        &self,
        study: StudyId,
        fixed: &BTreeMap<String, Value>,
        user_attributes: &BTreeMap<String, Value>,
    ) -> Result<u64>;

    /// Takes back trials whose lease has run out, then claims the queued trial of the lowest
    /// number, then makes a new one.
    fn ask(&self, request: &AskRequest<'_>, suggest: Suggest<'_>) -> Result<Asked>;

    /// Takes trials back from lost workers. Those that have lost `max_attempts` workers fail.
    fn requeue(&self, study: StudyId, lost: Lost<'_>, max_attempts: u32) -> Result<Vec<Requeued>>;

    /// A sign of life: the lease begins anew.
    fn heartbeat(&self, lease: &Lease) -> Result<()>;

    /// Writes the value at a step; a second value for the same step replaces the first.
    fn report(&self, lease: &Lease, step: i64, value: f64) -> Result<()>;

    /// Sets an attribute of a running trial.
    fn set_trial_attribute(
        &self,
        lease: &Lease,
        scope: Scope,
        key: &str,
        value: &Value,
    ) -> Result<()>;

    /// Ends a trial.
    fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<()>;

    /// Puts a trial back into the queue as it is, to be continued by anyone.
    fn release(&self, lease: &Lease) -> Result<()>;

    /// Writes a schedule, or replaces the one of the same name.
    fn put_schedule(&self, schedule: &Schedule) -> Result<()>;

    /// All schedules, by name.
    fn schedules(&self) -> Result<Vec<Schedule>>;

    /// Records that a schedule was due at a time. Of any number of callers, one gets `true`.
    fn record_fire(&self, schedule: &str, due_at: Timestamp, state: FireState) -> Result<bool>;

    /// Takes a fire that waits, or whose worker was lost. Of any number of callers, one gets
    /// `true`.
    fn claim_fire(
        &self,
        schedule: &str,
        due_at: Timestamp,
        worker: &str,
        lease: Duration,
    ) -> Result<bool>;

    /// A sign of life of the worker that runs a fire; `false` if it is another's by now.
    fn renew_fire(
        &self,
        schedule: &str,
        due_at: Timestamp,
        worker: &str,
        lease: Duration,
    ) -> Result<bool>;

    /// Ends a fire that `worker` runs; `false` if it is another's by now.
    fn finish_fire(
        &self,
        schedule: &str,
        due_at: Timestamp,
        worker: &str,
        state: FireState,
        note: &str,
    ) -> Result<bool>;

    /// All fires of a schedule, by the time they were due.
    fn fires(&self, schedule: &str) -> Result<Vec<Fire>>;
}

/// Opens the store at an address; a SQLite file is made if it isn't there.
///
/// # Errors
/// [`crate::Error::Unreachable`], [`crate::Error::Version`] or what the database says.
pub fn open(address: &Address) -> Result<Arc<dyn Store>> {
    match address {
        Address::Memory => Ok(MemoryStore::shared()),
        Address::Sqlite(path) => SqliteStore::open(path),
        Address::Postgres(url) => PostgresStore::open(url),
    }
}

/// How a trial ends, after what it reported is taken into account.
struct Ended {
    state: TrialState,
    values: Vec<f64>,
    reason: Option<String>,
}

impl Ended {
    fn new(outcome: &Outcome, last_report: Option<(i64, f64)>, objectives: usize) -> Ended {
        let failed = |reason: &str| Ended {
            state: TrialState::Failed,
            values: Vec::new(),
            reason: Some(reason.into()),
        };
        match outcome {
            Outcome::Failed(reason) => failed(reason),
            Outcome::Complete(values) if values.iter().any(|value| value.is_nan()) => {
                failed("the objective is not a number")
            }
            Outcome::Complete(values) => {
                Ended { state: TrialState::Complete, values: values.clone(), reason: None }
            }
            Outcome::Pruned => {
                let last = last_report.filter(|(_, value)| objectives == 1 && !value.is_nan());
                let values = last.map(|(_, value)| value).into_iter().collect();
                Ended { state: TrialState::Pruned, values, reason: None }
            }
        }
    }
}

/// Values that an enqueued trial was given, or that an earlier attempt already had.
fn fixed(trial: &FrozenTrial) -> BTreeMap<String, Value> {
    let mut fixed = match trial.system_attributes.get(FIXED) {
        Some(Value::Object(given)) => given.clone().into_iter().collect(),
        _ => BTreeMap::new(),
    };
    fixed.extend(trial.values_of_params());
    fixed
}

fn lease_lost(lease: &Lease) -> Error {
    Error::LeaseLost { number: lease.number, worker: lease.worker.clone(), attempt: lease.attempt }
}

fn lost_reason(losses: u32) -> String {
    let times = if losses == 1 { "once".into() } else { format!("{losses} times") };
    format!("its worker was lost {times}")
}

/// When a lease that begins now ends.
fn later(now: Timestamp, lease: Duration) -> Timestamp {
    let lease = SignedDuration::try_from(lease).unwrap_or(SignedDuration::MAX);
    now.saturating_add(lease).unwrap_or(Timestamp::MAX)
}
