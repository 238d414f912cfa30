//! A study: a search space, its objectives, how the next trial is chosen, and all trials so far.
//!
//! It holds no trials itself: everything is read from and written to the store, so that any number
//! of processes may work on one study.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use hourglass_core::Seed;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sampler::History;
use crate::store::{AskRequest, Asked, Lost, Requeued, Scope, Store, Suggestion};
use crate::{
    Direction, Error, FrozenTrial, Outcome, Param, Params, Pruner, PrunerConfig, Result, Sampler,
    SamplerConfig, SearchSpace, StudyId, StudyRecord, Trial, TrialState, frozen,
};

/// System attribute of a study with its [`StudyConfig`].
const CONFIG: &str = "hourglass:study";

/// System attribute of a study that asks all workers to stop.
pub(crate) const STOP: &str = "hourglass:stop";

/// How long a worker may be silent before its trial is given to another.
const LEASE: Duration = Duration::from_secs(60);

/// Everything that decides what a study does, as it is stored beside its trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyConfig {
    /// Its name, unique within the store.
    #[serde(skip)]
    pub name: String,
    /// One for each objective.
    #[serde(skip)]
    pub directions: Vec<Direction>,
    /// What may be chosen.
    pub space: SearchSpace,
    /// How it is chosen.
    pub sampler: SamplerConfig,
    /// When a trial is stopped early.
    pub pruner: PrunerConfig,
    /// What all randomness comes from.
    pub seed: Seed,
    /// How long a worker may be silent before its trial is given to another.
    pub lease: Duration,
    /// How many workers a trial may lose before it counts as failed.
    pub max_attempts: u32,
}

impl StudyConfig {
    /// A study with one objective that is minimised, the default sampler, no pruner, seed 0, leases
    /// of one minute, and three attempts.
    pub fn new(name: &str, space: SearchSpace) -> Self {
        StudyConfig {
            name: name.into(),
            directions: vec![Direction::Minimize],
            space,
            sampler: SamplerConfig::default(),
            pruner: PrunerConfig::default(),
            seed: Seed::new(0),
            lease: LEASE,
            max_attempts: 3,
        }
    }

    fn check(&self) -> Result<()> {
        let require = |ok: bool, field, value: String, expected| {
            if ok { Ok(()) } else { Err(Error::Config { what: "study", field, value, expected }) }
        };
        let objectives = self.directions.len();
        require(objectives > 0, "directions", objectives.to_string(), "at least one")?;
        let named = !self.name.is_empty() && self.name.len() <= 512;
        require(named, "name", format!("`{}`", self.name), "1 to 512 bytes long")?;
        let lease = self.lease.as_secs_f64();
        require(lease > 0.0, "lease", lease.to_string(), "longer than 0 s")?;
        let attempts = self.max_attempts;
        require(attempts > 0, "max_attempts", attempts.to_string(), "at least 1")?;
        self.sampler.check()?;
        self.pruner.check()
    }
}

/// A study in a store. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Study {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    id: StudyId,
    config: StudyConfig,
    sampler: Box<dyn Sampler>,
    pruner: Box<dyn Pruner>,
}

/// What a worker gets from [`Study::ask`].
pub enum Ask {
    /// A trial to work on.
    Trial(Box<Trial>),
    /// Nothing for now, but other workers' trials may come back: ask again later.
    Wait {
        /// Trials that are running.
        running: u64,
    },
    /// All trials are finished, and no more are to be made.
    Done,
    /// Someone asked the study to stop.
    Stopped,
}

impl Study {
    /// Makes a study.
    ///
    /// # Errors
    /// [`Error::StudyExists`], [`Error::Config`], or what the store says.
    pub fn create(store: Arc<dyn Store>, config: StudyConfig) -> Result<Study> {
        config.check()?;
        let id = store.create_study(&config.name, &config.directions)?;
        Study::keep(store, id, config)
    }

    /// Loads a study with the configuration that lies beside it.
    ///
    /// # Errors
    /// [`Error::UnknownStudy`], [`Error::ForeignStudy`], or what the store says.
    pub fn load(store: Arc<dyn Store>, name: &str) -> Result<Study> {
        let record = store.study(name)?;
        let config = stored_config(store.as_ref(), &record)?
            .ok_or_else(|| Error::ForeignStudy { name: name.into(), store: store.name() })?;
        Ok(Study::build(store, record.id, config))
    }

    /// Makes the study, or carries on with the one of that name under the given configuration, even
    /// if another program began it.
    ///
    /// # Errors
    /// [`Error::OtherDirections`] and [`Error::OtherDistribution`] where the stored study can't be
    /// carried on, or what the store says.
    pub fn create_or_load(store: Arc<dyn Store>, config: StudyConfig) -> Result<Study> {
        config.check()?;
        match store.create_study(&config.name, &config.directions) {
            Ok(id) => return Study::keep(store, id, config),
            Err(Error::StudyExists { .. }) => {}
            Err(error) => return Err(error),
        }
        let record = store.study(&config.name)?;
        if record.directions != config.directions {
            let (name, found) = (record.name, record.directions);
            return Err(Error::OtherDirections { name, found, given: config.directions });
        }
        check_distributions(&config, &store.trials(record.id)?)?;
        Study::keep(store, record.id, config)
    }

    /// Writes the configuration beside the study.
    fn keep(store: Arc<dyn Store>, id: StudyId, config: StudyConfig) -> Result<Study> {
        let stored = serde_json::to_value(&config)
            .map_err(|error| damaged(store.as_ref(), &config.name, error))?;
        store.set_study_attribute(id, Scope::System, CONFIG, &stored)?;
        Ok(Study::build(store, id, config))
    }

    fn build(store: Arc<dyn Store>, id: StudyId, config: StudyConfig) -> Study {
        let (sampler, pruner) = (config.sampler.build(), config.pruner.build());
        Study { shared: Arc::new(Shared { store, id, config, sampler, pruner }) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.config.name
    }

    /// The store's key of it.
    pub fn id(&self) -> StudyId {
        self.shared.id
    }

    /// Everything that decides what it does.
    pub fn config(&self) -> &StudyConfig {
        &self.shared.config
    }

    /// The store it lives in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    pub(crate) fn pruner(&self) -> &dyn Pruner {
        self.shared.pruner.as_ref()
    }

    /// The study as it stands in the store, with its attributes.
    ///
    /// # Errors
    /// What the store says.
    pub fn record(&self) -> Result<StudyRecord> {
        self.store().study(self.name())
    }

    /// All trials, by number.
    ///
    /// # Errors
    /// What the store says.
    pub fn trials(&self) -> Result<Vec<FrozenTrial>> {
        self.store().trials(self.id())
    }

    /// The values of a trial's parameters, with lists and tables as the space has them. A parameter
    /// that the space doesn't know keeps the value in the store.
    pub fn params_of(&self, trial: &FrozenTrial) -> Params {
        let value = |(name, param): (&String, &Param)| {
            let value = match self.config().space.distribution(name) {
                Some(distribution) if distribution.compatible(&param.distribution) => {
                    distribution.value(param.internal)
                }
                _ => param.value(),
            };
            (name.clone(), value)
        };
        trial.params.iter().map(value).collect()
    }

    /// Puts a trial into the queue whose parameters have the given values; the sampler chooses the
    /// others. Returns its number.
    ///
    /// # Errors
    /// [`Error::Value`] for a value outside the space, or what the store says.
    pub fn enqueue(&self, given: &Params) -> Result<u64> {
        self.config().space.check(given)?;
        let flat = given.iter().map(|(name, value)| {
            let param = self.param(name, value);
            (name.clone(), param.map_or(Value::Null, |param| param.value()))
        });
        self.store().enqueue(self.id(), &flat.collect(), &BTreeMap::new())
    }

    /// Claims the queued trial of the lowest number, or makes a new one if there are fewer than
    /// `limit`. Trials of workers that were lost come back into the queue first.
    ///
    /// # Errors
    /// What the store says.
    pub fn ask(&self, worker: &str, limit: Option<u64>) -> Result<Ask> {
        let config = self.config();
        let own = self.shared.sampler.limit(&config.space);
        let request = AskRequest {
            study: self.id(),
            worker,
            lease: config.lease,
            max_attempts: config.max_attempts,
            limit: own.into_iter().chain(limit).min(),
            history: self.shared.sampler.reads_history(),
        };
        let asked = self.store().ask(&request, &mut |suggestion| Ok(self.suggest(suggestion)))?;
        Ok(match asked {
            Asked::Trial(lease, trial) => {
                let params = self.params_of(&trial);
                Ask::Trial(Box::new(Trial::new(self.clone(), lease, params, *trial)))
            }
            Asked::Wait { running } => Ask::Wait { running },
            Asked::Done => Ask::Done,
            Asked::Stopped => Ask::Stopped,
        })
    }

    fn suggest(&self, suggestion: &Suggestion<'_>) -> BTreeMap<String, Param> {
        let config = self.config();
        let space = &config.space;
        let (directions, trials) = (&config.directions[..], suggestion.trials);
        let history = History { space, directions, trials, seed: config.seed };
        // The store holds lists and tables as text: find the choices they stand for.
        let fixed = suggestion.fixed.iter().filter_map(|(name, value)| {
            let distribution = space.distribution(name)?;
            let internal = distribution.flat().internal(value)?;
            Some((name.clone(), distribution.value(internal)))
        });
        let params = self.shared.sampler.suggest(&history, suggestion.number, &fixed.collect());
        params
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), self.param(name, value)?)))
            .collect()
    }

    /// A value as the store holds it.
    fn param(&self, name: &str, value: &Value) -> Option<Param> {
        let distribution = self.config().space.distribution(name)?;
        let internal = distribution.internal(value)?;
        Some(Param { distribution: distribution.flat(), internal })
    }

    /// Takes back the trials of workers whose lease has run out.
    ///
    /// # Errors
    /// What the store says.
    pub fn requeue_expired(&self) -> Result<Vec<Requeued>> {
        self.store().requeue(self.id(), Lost::Expired, self.config().max_attempts)
    }

    /// Takes back the trials of a worker that is known to be gone, without waiting for its lease.
    ///
    /// # Errors
    /// What the store says.
    pub fn requeue_worker(&self, worker: &str) -> Result<Vec<Requeued>> {
        self.store().requeue(self.id(), Lost::Worker(worker), self.config().max_attempts)
    }

    /// Asks all workers to take no more trials, or lifts that.
    ///
    /// # Errors
    /// What the store says.
    pub fn set_stop(&self, stop: bool) -> Result<()> {
        let value = if stop { Value::Bool(true) } else { Value::Null };
        self.store().set_study_attribute(self.id(), Scope::System, STOP, &value)
    }

    /// Whether someone asked all workers to stop.
    ///
    /// # Errors
    /// What the store says.
    pub fn stop_requested(&self) -> Result<bool> {
        Ok(self.record()?.system_attributes.get(STOP) == Some(&Value::Bool(true)))
    }

    /// The complete trial with the best value.
    ///
    /// # Errors
    /// [`Error::NoCompleteTrial`], [`Error::SeveralObjectives`], or what the store says.
    pub fn best_trial(&self) -> Result<FrozenTrial> {
        let directions = &self.config().directions;
        if directions.len() > 1 {
            let (study, objectives) = (self.name().into(), directions.len());
            return Err(Error::SeveralObjectives { study, objectives });
        }
        let trials = self.trials()?;
        let count = |state| trials.iter().filter(|trial| trial.state == state).count();
        frozen::best_trial(&trials, directions).cloned().ok_or_else(|| Error::NoCompleteTrial {
            study: self.name().into(),
            failed: count(TrialState::Failed),
            pruned: count(TrialState::Pruned),
        })
    }

    /// The complete trials that no other beats in one objective without losing in another.
    ///
    /// # Errors
    /// What the store says.
    pub fn pareto_front(&self) -> Result<Vec<FrozenTrial>> {
        let trials = self.trials()?;
        let front = frozen::pareto_front(&trials, &self.config().directions);
        Ok(front.into_iter().cloned().collect())
    }

    /// Works through trials in this thread until the study has `trials` of them. A trial whose
    /// objective returns an error or panics has failed, and the study goes on.
    ///
    /// # Errors
    /// What the store says.
    pub fn optimize<F>(&self, trials: u64, mut objective: F) -> Result<()>
    where
        F: FnMut(&mut Trial) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>>,
    {
        let worker = format!("process {}", std::process::id());
        loop {
            let mut trial = match self.ask(&worker, Some(trials))? {
                Ask::Trial(trial) => *trial,
                Ask::Wait { .. } | Ask::Done | Ask::Stopped => return Ok(()),
            };
            let outcome = match catch_unwind(AssertUnwindSafe(|| objective(&mut trial))) {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => Outcome::Failed(error.to_string()),
                Err(panic) => Outcome::Failed(panic_message(panic.as_ref())),
            };
            trial.tell(&outcome)?;
        }
    }
}

/// What a panic had to say.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("no message"))
}

/// The configuration beside a study, if it is one of ours.
fn stored_config(store: &dyn Store, record: &StudyRecord) -> Result<Option<StudyConfig>> {
    let Some(stored) = record.system_attributes.get(CONFIG) else { return Ok(None) };
    let mut config: StudyConfig = serde_json::from_value(stored.clone())
        .map_err(|error| damaged(store, &record.name, error))?;
    config.name = record.name.clone();
    config.directions = record.directions.clone();
    Ok(Some(config))
}

fn damaged(store: &dyn Store, name: &str, error: serde_json::Error) -> Error {
    let what = format!("a configuration of study `{name}`");
    Error::Damaged { store: store.name(), what, reason: error.to_string() }
}

/// Whether the trials there are and those to come can belong to one study.
fn check_distributions(config: &StudyConfig, trials: &[FrozenTrial]) -> Result<()> {
    for (parameter, param) in trials.iter().flat_map(|trial| &trial.params) {
        let Some(given) = config.space.distribution(parameter) else { continue };
        if !given.compatible(&param.distribution) {
            return Err(Error::OtherDistribution {
                name: config.name.clone(),
                parameter: parameter.clone(),
                found: Box::new(param.distribution.clone()),
                given: Box::new(given.clone()),
            });
        }
    }
    Ok(())
}
