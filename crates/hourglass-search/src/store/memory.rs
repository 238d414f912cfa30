//! The store of one process: for a search that nobody has to find again, and for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    AskRequest, Asked, FIXED, Lease, Lost, Requeued, Scope, Store, StudyId, StudyRecord, Suggest,
    Suggestion, later,
};
use crate::frozen::{Holder, REASON};
use crate::schedule::{Fire, FireState, Schedule};
use crate::study::STOP;
use crate::{Clock, Direction, Error, FrozenTrial, Outcome, Result, SystemClock, TrialState};

/// Keeps everything in this process.
pub struct MemoryStore {
    clock: Box<dyn Clock>,
    contents: Mutex<Contents>,
}

#[derive(Default)]
struct Contents {
    studies: BTreeMap<StudyId, (StudyRecord, Vec<FrozenTrial>)>,
    last_study: i64,
    last_trial: i64,
    schedules: BTreeMap<String, Schedule>,
    fires: BTreeMap<(String, Timestamp), Fire>,
}

impl MemoryStore {
    /// An empty store.
    pub fn shared() -> Arc<dyn Store> {
        MemoryStore::with_clock(SystemClock)
    }

    /// An empty store with a clock of the caller's.
    pub fn with_clock(clock: impl Clock + 'static) -> Arc<dyn Store> {
        Arc::new(MemoryStore { clock: Box::new(clock), contents: Mutex::default() })
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until(&self, lease: Duration) -> Timestamp {
        later(self.clock.now(), lease)
    }

    /// Gives `write` the trial of a lease that still holds; the lease begins anew.
    fn write<T>(&self, lease: &Lease, write: impl FnOnce(&mut FrozenTrial) -> T) -> Result<T> {
        let (now, until) = (self.clock.now(), self.until(lease.duration));
        let mut contents = self.contents();
        let lost = || super::lease_lost(lease);
        let (_, trials) = contents.studies.get_mut(&lease.study).ok_or_else(lost)?;
        let trial = trials.get_mut(lease.number as usize).ok_or_else(lost)?;
        let holder = trial.holder.as_mut().ok_or_else(lost)?;
        let holds = trial.state == TrialState::Running
            && (holder.worker.as_str(), holder.attempt) == (&lease.worker, lease.attempt);
        if !holds {
            return Err(lost());
        }
        holder.heartbeat = now;
        holder.lease_until = Some(until);
        Ok(write(trial))
    }
}

impl Store for MemoryStore {
    fn name(&self) -> String {
        "memory".into()
    }

    fn now(&self) -> Result<Timestamp> {
        Ok(self.clock.now())
    }

    fn create_study(&self, name: &str, directions: &[Direction]) -> Result<StudyId> {
        let mut contents = self.contents();
        if contents.studies.values().any(|(study, _)| study.name == name) {
            return Err(Error::StudyExists { name: name.into(), store: self.name() });
        }
        contents.last_study += 1;
        let id = StudyId(contents.last_study);
        let record = StudyRecord {
            id,
            name: name.into(),
            directions: directions.to_vec(),
            user_attributes: BTreeMap::new(),
            system_attributes: BTreeMap::new(),
        };
        contents.studies.insert(id, (record, Vec::new()));
        Ok(id)
    }

    fn study(&self, name: &str) -> Result<StudyRecord> {
        let studies = self.studies()?;
        studies.iter().find(|study| study.name == name).cloned().ok_or_else(|| {
            let known = studies.into_iter().map(|study| study.name).collect();
            Error::UnknownStudy { name: name.into(), store: self.name(), known }
        })
    }

    fn studies(&self) -> Result<Vec<StudyRecord>> {
        Ok(self.contents().studies.values().map(|(study, _)| study.clone()).collect())
    }

    fn delete_study(&self, study: StudyId) -> Result<()> {
        self.contents().studies.remove(&study);
        Ok(())
    }

    fn set_study_attribute(
        &self,
        study: StudyId,
        scope: Scope,
        key: &str,
        value: &Value,
    ) -> Result<()> {
        let mut contents = self.contents();
        let Some((record, _)) = contents.studies.get_mut(&study) else { return Ok(()) };
        let attributes = match scope {
            Scope::User => &mut record.user_attributes,
            Scope::System => &mut record.system_attributes,
        };
        if value.is_null() {
            attributes.remove(key);
        } else {
            attributes.insert(key.into(), value.clone());
        }
        Ok(())
    }

    fn trials(&self, study: StudyId) -> Result<Vec<FrozenTrial>> {
        Ok(self.contents().studies.get(&study).map_or(Vec::new(), |(_, trials)| trials.clone()))
    }

    fn enqueue(
        &self,
        study: StudyId,
        fixed: &BTreeMap<String, Value>,
        user_attributes: &BTreeMap<String, Value>,
    ) -> Result<u64> {
        let mut contents = self.contents();
        let mut trial = contents.blank(study);
        trial.user_attributes = user_attributes.clone();
        let fixed = fixed.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        trial.system_attributes.insert(FIXED.into(), Value::Object(fixed));
        let number = trial.number;
        contents.put(study, trial);
        Ok(number)
    }

    fn ask(&self, request: &AskRequest<'_>, suggest: Suggest<'_>) -> Result<Asked> {
        let (now, until) = (self.clock.now(), self.until(request.lease));
        let mut contents = self.contents();
        let Some((record, _)) = contents.studies.get(&request.study) else {
            return Ok(Asked::Done);
        };
        if record.system_attributes.get(STOP) == Some(&Value::Bool(true)) {
            return Ok(Asked::Stopped);
        }
        contents.requeue(request.study, Lost::Expired, request.max_attempts, now);
        let trials = contents.trials(request.study);
        let running = trials.iter().filter(|trial| trial.state == TrialState::Running).count();
        let queued = trials.iter().find(|trial| trial.state == TrialState::Queued).cloned();
        let full = request.limit.is_some_and(|limit| trials.len() as u64 >= limit);
        let mut trial = match queued {
            Some(trial) => trial,
            None if !full => contents.blank(request.study),
            None if running > 0 => return Ok(Asked::Wait { running: running as u64 }),
            None => return Ok(Asked::Done),
        };
        let mut others = contents.trials(request.study).to_vec();
        others.retain(|other| request.history && other.number != trial.number);
        let (number, fixed) = (trial.number, super::fixed(&trial));
        trial.params = suggest(&Suggestion { number, fixed: &fixed, trials: &others })?;
        trial.state = TrialState::Running;
        trial.started = Some(now);
        let (attempt, losses) =
            trial.holder.as_ref().map_or((1, 0), |holder| (holder.attempt + 1, holder.losses));
        trial.holder = Some(Holder {
            worker: request.worker.into(),
            attempt,
            losses,
            lease_until: Some(until),
            heartbeat: now,
        });
        let lease = request.lease_on(&trial, attempt);
        contents.put(request.study, trial.clone());
        Ok(Asked::Trial(lease, Box::new(trial)))
    }

    fn requeue(&self, study: StudyId, lost: Lost<'_>, max_attempts: u32) -> Result<Vec<Requeued>> {
        let now = self.clock.now();
        Ok(self.contents().requeue(study, lost, max_attempts, now))
    }

    fn heartbeat(&self, lease: &Lease) -> Result<()> {
        self.write(lease, |_| ())
    }

    fn report(&self, lease: &Lease, step: i64, value: f64) -> Result<()> {
        self.write(lease, |trial| {
            trial.intermediate.insert(step, value);
        })
    }

    fn set_trial_attribute(
        &self,
        lease: &Lease,
        scope: Scope,
        key: &str,
        value: &Value,
    ) -> Result<()> {
        self.write(lease, |trial| {
            let attributes = match scope {
                Scope::User => &mut trial.user_attributes,
                Scope::System => &mut trial.system_attributes,
            };
            attributes.insert(key.into(), value.clone());
        })
    }

    fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<()> {
        let now = self.clock.now();
        let study = |(study, _): &(StudyRecord, _)| study.directions.len();
        let objectives = self.contents().studies.get(&lease.study).map_or(0, study);
        self.write(lease, |trial| {
            let ended = super::Ended::new(outcome, trial.last_report(), objectives);
            trial.state = ended.state;
            trial.values = ended.values;
            if let Some(reason) = ended.reason {
                trial.user_attributes.insert(REASON.into(), reason.into());
            }
            trial.finished = Some(now);
            end_lease(trial);
        })
    }

    fn release(&self, lease: &Lease) -> Result<()> {
        self.write(lease, |trial| {
            trial.state = TrialState::Queued;
            end_lease(trial);
        })
    }

    fn put_schedule(&self, schedule: &Schedule) -> Result<()> {
        self.contents().schedules.insert(schedule.name.clone(), schedule.clone());
        Ok(())
    }

    fn schedules(&self) -> Result<Vec<Schedule>> {
        Ok(self.contents().schedules.values().cloned().collect())
    }

    fn record_fire(&self, schedule: &str, due_at: Timestamp, state: FireState) -> Result<bool> {
        let mut contents = self.contents();
        let key = (schedule.to_owned(), due_at);
        if contents.fires.contains_key(&key) {
            return Ok(false);
        }
        let fire = Fire {
            schedule: schedule.into(),
            due_at,
            state,
            worker: None,
            lease_until: None,
            started: None,
            finished: None,
            note: String::new(),
        };
        contents.fires.insert(key, fire);
        Ok(true)
    }

    fn claim_fire(
        &self,
        schedule: &str,
        due_at: Timestamp,
        worker: &str,
        lease: Duration,
    ) -> Result<bool> {
        let now = self.clock.now();
        self.write_fire(schedule, due_at, |fire| {
            let lost = fire.state == FireState::Running
                && fire.lease_until.is_some_and(|until| until <= now);
            if !lost && fire.state != FireState::Waiting {
                return false;
            }
            fire.state = FireState::Running;
            fire.worker = Some(worker.into());
            fire.lease_until = Some(later(now, lease));
            fire.started = Some(now);
            true
        })
    }

    fn renew_fire(
        &self,
        schedule: &str,
        due_at: Timestamp,
        worker: &str,
        lease: Duration,
    ) -> Result<bool> {
        let until = self.until(lease);
        self.write_fire(schedule, due_at, |fire| {
            let holds = fire.state == FireState::Running && fire.worker.as_deref() == Some(worker);
            if holds {
                fire.lease_until = Some(until);
            }
            holds
        })
    }

    fn finish_fire(
        &self,
        schedule: &str,
        due_at: Timestamp,
        worker: &str,
        state: FireState,
        note: &str,
    ) -> Result<bool> {
        let now = self.clock.now();
        self.write_fire(schedule, due_at, |fire| {
            let holds = fire.state == FireState::Running && fire.worker.as_deref() == Some(worker);
            if holds {
                fire.state = state;
                fire.lease_until = None;
                fire.finished = Some(now);
                fire.note = note.into();
            }
            holds
        })
    }

    fn fires(&self, schedule: &str) -> Result<Vec<Fire>> {
        let contents = self.contents();
        Ok(contents.fires.values().filter(|fire| fire.schedule == schedule).cloned().collect())
    }
}

impl MemoryStore {
    fn write_fire(
        &self,
        schedule: &str,
        due_at: Timestamp,
        write: impl FnOnce(&mut Fire) -> bool,
    ) -> Result<bool> {
        let mut contents = self.contents();
        Ok(contents.fires.get_mut(&(schedule.to_owned(), due_at)).is_some_and(write))
    }
}

impl Contents {
    fn trials(&self, study: StudyId) -> &[FrozenTrial] {
        self.studies.get(&study).map_or(&[], |(_, trials)| trials)
    }

    /// The next trial of a study, not yet part of it.
    fn blank(&mut self, study: StudyId) -> FrozenTrial {
        self.last_trial += 1;
        FrozenTrial {
            id: self.last_trial,
            number: self.trials(study).len() as u64,
            state: TrialState::Queued,
            values: Vec::new(),
            params: BTreeMap::new(),
            intermediate: BTreeMap::new(),
            user_attributes: BTreeMap::new(),
            system_attributes: BTreeMap::new(),
            started: None,
            finished: None,
            holder: None,
        }
    }

    /// Writes a trial at its number, which is at most one beyond the last.
    fn put(&mut self, study: StudyId, trial: FrozenTrial) {
        let Some((_, trials)) = self.studies.get_mut(&study) else { return };
        match trials.get_mut(trial.number as usize) {
            Some(old) => *old = trial,
            None => trials.push(trial),
        }
    }

    fn requeue(
        &mut self,
        study: StudyId,
        lost: Lost<'_>,
        max_attempts: u32,
        now: Timestamp,
    ) -> Vec<Requeued> {
        let mut requeued = Vec::new();
        let Some((_, trials)) = self.studies.get_mut(&study) else { return requeued };
        for trial in trials.iter_mut().filter(|trial| trial.state == TrialState::Running) {
            let Some(holder) = &mut trial.holder else { continue };
            let is_lost = match lost {
                Lost::Expired => holder.lease_until.is_some_and(|until| until <= now),
                Lost::Worker(worker) => holder.worker == worker,
            };
            if !is_lost {
                continue;
            }
            holder.losses += 1;
            let losses = holder.losses;
            let again = losses < max_attempts;
            requeued.push(Requeued {
                number: trial.number,
                worker: holder.worker.clone(),
                attempt: holder.attempt,
                again,
            });
            if again {
                trial.state = TrialState::Queued;
            } else {
                let reason = super::lost_reason(losses);
                trial.state = TrialState::Failed;
                trial.finished = Some(now);
                trial.user_attributes.insert(REASON.into(), reason.into());
            }
            end_lease(trial);
        }
        requeued
    }
}

fn end_lease(trial: &mut FrozenTrial) {
    if let Some(holder) = &mut trial.holder {
        holder.lease_until = None;
    }
}
