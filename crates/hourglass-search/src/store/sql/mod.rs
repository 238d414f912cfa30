//! The store on a database, once for SQLite and PostgreSQL: the same statements, in the layout of
//! Optuna's tables. What differs is a [`Database`] and its [`Dialect`].
//!
//! Every operation is one transaction. A claim takes the queued trial of the lowest number that no
//! other worker is claiming; a new trial takes its number under the lock of the study's row, as
//! Optuna does. A write begins by renewing the lease: no row changed means that it is lost.

mod cell;
mod fires;
mod optuna;
mod read;
mod schema;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use self::cell::micros;
pub(super) use self::cell::{Cell, Row, write_time};
pub(super) use self::schema::Dialect;
use super::{
    AskRequest, Asked, Ended, FIXED, Lease, Lost, Requeued, Scope, Store, StudyId, StudyRecord,
    Suggest, Suggestion, later,
};
use crate::frozen::REASON;
use crate::schedule::{Fire, FireState, Schedule};
use crate::study::STOP;
use crate::{Direction, Error, FrozenTrial, Outcome, Param, Result, TrialState};

/// A database that runs transactions.
pub(super) trait Database: Send + Sync {
    /// Its address without a password.
    fn name(&self) -> String;

    /// What it calls things.
    fn dialect(&self) -> &'static Dialect;

    /// Runs `work` as one transaction that is kept only if it succeeds. Where the connection was
    /// lost, `work` runs again on a new one.
    fn transaction(
        &self,
        access: Access,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<()>,
    ) -> Result<()>;
}

/// What a transaction is going to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Statements within a transaction. Parameters are `?1`, `?2`, ...
pub(super) trait Session {
    /// Runs a statement and returns how many rows it changed.
    fn execute(&mut self, sql: &str, params: &[Cell]) -> Result<u64>;

    /// Runs a statement and returns its rows.
    fn query(&mut self, sql: &str, params: &[Cell]) -> Result<Vec<Row>>;

    /// Runs statements without parameters.
    fn batch(&mut self, sql: &str) -> Result<()>;

    /// What time it is for leases.
    fn now(&mut self) -> Result<Timestamp>;

    /// Whether this work was begun before on a connection that was lost: it may have been kept.
    fn is_repeated(&self) -> bool;

    /// The address of the database without a password.
    fn store(&self) -> String;
}

/// A store on a database.
pub(super) struct SqlStore<D> {
    database: D,
}

impl<D: Database> SqlStore<D> {
    /// Brings the tables to the version that is needed.
    pub(super) fn new(database: D) -> Result<Self> {
        let store = SqlStore { database };
        let dialect = store.database.dialect();
        store.run(Access::Write, |session| schema::prepare(session, dialect))?;
        Ok(store)
    }

    fn run<T>(
        &self,
        access: Access,
        mut work: impl FnMut(&mut dyn Session) -> Result<T>,
    ) -> Result<T> {
        let mut result = None;
        self.database.transaction(access, &mut |session| {
            result = Some(work(session)?);
            Ok(())
        })?;
        result.ok_or_else(|| Error::Store {
            store: self.database.name(),
            action: "a transaction",
            reason: "it ended without a result".into(),
        })
    }

    fn dialect(&self) -> &'static Dialect {
        self.database.dialect()
    }
}

impl<D: Database> Store for SqlStore<D> {
    fn name(&self) -> String {
        self.database.name()
    }

    fn now(&self) -> Result<Timestamp> {
        self.run(Access::Read, |session| session.now())
    }

    fn create_study(&self, name: &str, directions: &[Direction]) -> Result<StudyId> {
        self.run(Access::Write, |session| {
            let insert = "INSERT INTO studies (study_name) VALUES (?1) \
                          ON CONFLICT (study_name) DO NOTHING RETURNING study_id";
            let rows = session.query(insert, &[name.into()])?;
            let Some(row) = rows.first() else {
                return Err(Error::StudyExists { name: name.into(), store: session.store() });
            };
            let study = row.int(0)?;
            for (objective, direction) in directions.iter().enumerate() {
                session.execute(
                    "INSERT INTO study_directions (direction, study_id, objective) \
                     VALUES (?1, ?2, ?3)",
                    &[
                        optuna::direction_name(*direction).into(),
                        study.into(),
                        (objective as i64).into(),
                    ],
                )?;
            }
            Ok(StudyId(study))
        })
    }

    fn study(&self, name: &str) -> Result<StudyRecord> {
        let studies = self.run(Access::Read, |session| read::studies(session, Some(name)))?;
        match studies.into_iter().next() {
            Some(study) => Ok(study),
            None => {
                let known = self.studies()?.into_iter().map(|study| study.name).collect();
                Err(Error::UnknownStudy { name: name.into(), store: self.name(), known })
            }
        }
    }

    fn studies(&self) -> Result<Vec<StudyRecord>> {
        self.run(Access::Read, |session| read::studies(session, None))
    }

    fn delete_study(&self, study: StudyId) -> Result<()> {
        self.run(Access::Write, |session| {
            for table in [
                "trial_params",
                "trial_values",
                "trial_intermediate_values",
                "trial_user_attributes",
                "trial_system_attributes",
                "trial_heartbeats",
                "hourglass_leases",
            ] {
                let delete = format!(
                    "DELETE FROM {table} WHERE trial_id IN \
                     (SELECT trial_id FROM trials WHERE study_id = ?1)"
                );
                session.execute(&delete, &[study.0.into()])?;
            }
            for table in [
                "trials",
                "study_directions",
                "study_user_attributes",
                "study_system_attributes",
                "studies",
            ] {
                let delete = format!("DELETE FROM {table} WHERE study_id = ?1");
                session.execute(&delete, &[study.0.into()])?;
            }
            Ok(())
        })
    }

    fn set_study_attribute(
        &self,
        study: StudyId,
        scope: Scope,
        key: &str,
        value: &Value,
    ) -> Result<()> {
        self.run(Access::Write, |session| {
            set_attribute(session, "study", study.0, scope, key, value)
        })
    }

    fn trials(&self, study: StudyId) -> Result<Vec<FrozenTrial>> {
        self.run(Access::Read, |session| read::trials(session, study))
    }

    fn enqueue(
        &self,
        study: StudyId,
        fixed: &BTreeMap<String, Value>,
        user_attributes: &BTreeMap<String, Value>,
    ) -> Result<u64> {
        self.run(Access::Write, |session| {
            let number = count_trials(session, self.dialect(), study)?;
            let trial = insert_trial(session, study, number, TrialState::Queued, None)?;
            let fixed = fixed.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            set_attribute(session, "trial", trial, Scope::System, FIXED, &Value::Object(fixed))?;
            for (key, value) in user_attributes {
                set_attribute(session, "trial", trial, Scope::User, key, value)?;
            }
            Ok(number)
        })
    }

    fn ask(&self, request: &AskRequest<'_>, suggest: Suggest<'_>) -> Result<Asked> {
        self.run(Access::Write, |session| {
            if is_stopped(session, request.study)? {
                return Ok(Asked::Stopped);
            }
            requeue(session, self.dialect(), request.study, Lost::Expired, request.max_attempts)?;
            let now = session.now()?;
            let (trial, number) = match claim(session, self.dialect(), request.study, now)? {
                Some(claimed) => claimed,
                None => {
                    let number = count_trials(session, self.dialect(), request.study)?;
                    if request.limit.is_some_and(|limit| number >= limit) {
                        let running = count_running(session, request.study)?;
                        return Ok(match running {
                            0 => Asked::Done,
                            running => Asked::Wait { running },
                        });
                    }
                    let running = TrialState::Running;
                    (insert_trial(session, request.study, number, running, Some(now))?, number)
                }
            };
            let attempt = take_lease(session, request, trial, now)?;
            let mut frozen = read::trial(session, request.study, trial)?;
            let fixed = super::fixed(&frozen);
            let mut others = match request.history {
                true => read::trials(session, request.study)?,
                false => Vec::new(),
            };
            others.retain(|other| other.number != number);
            let params = suggest(&Suggestion { number, fixed: &fixed, trials: &others })?;
            write_params(session, trial, &params)?;
            frozen.params = params;
            Ok(Asked::Trial(request.lease_on(&frozen, attempt), Box::new(frozen)))
        })
    }

    fn requeue(&self, study: StudyId, lost: Lost<'_>, max_attempts: u32) -> Result<Vec<Requeued>> {
        self.run(Access::Write, |session| {
            requeue(session, self.dialect(), study, lost, max_attempts)
        })
    }

    fn heartbeat(&self, lease: &Lease) -> Result<()> {
        self.run(Access::Write, |session| renew(session, lease))
    }

    fn report(&self, lease: &Lease, step: i64, value: f64) -> Result<()> {
        let (column, kind) = optuna::write_number(value);
        self.run(Access::Write, |session| {
            renew(session, lease)?;
            session.execute(
                "INSERT INTO trial_intermediate_values \
                 (trial_id, step, intermediate_value, intermediate_value_type) \
                 VALUES (?1, ?2, ?3, ?4) ON CONFLICT (trial_id, step) DO UPDATE SET \
                 intermediate_value = excluded.intermediate_value, \
                 intermediate_value_type = excluded.intermediate_value_type",
                &[lease.trial.into(), step.into(), column.into(), kind.into()],
            )?;
            Ok(())
        })
    }

    fn set_trial_attribute(
        &self,
        lease: &Lease,
        scope: Scope,
        key: &str,
        value: &Value,
    ) -> Result<()> {
        self.run(Access::Write, |session| {
            renew(session, lease)?;
            set_attribute(session, "trial", lease.trial, scope, key, value)
        })
    }

    fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<()> {
        self.run(Access::Write, |session| {
            if session.is_repeated() && is_finished_by(session, lease)? {
                return Ok(());
            }
            renew(session, lease)?;
            let objectives = read::count(
                session,
                "SELECT COUNT(*) FROM study_directions WHERE study_id = ?1",
                &[lease.study.0.into()],
            )?;
            let last = match outcome {
                Outcome::Pruned => read::trial(session, lease.study, lease.trial)?.last_report(),
                _ => None,
            };
            let ended = Ended::new(outcome, last, objectives as usize);
            for (objective, value) in ended.values.iter().enumerate() {
                let (column, kind) = optuna::write_number(*value);
                session.execute(
                    "INSERT INTO trial_values (trial_id, objective, value, value_type) \
                     VALUES (?1, ?2, ?3, ?4) ON CONFLICT (trial_id, objective) DO UPDATE SET \
                     value = excluded.value, value_type = excluded.value_type",
                    &[lease.trial.into(), (objective as i64).into(), column.into(), kind.into()],
                )?;
            }
            end(session, lease.trial, ended.state, ended.reason.as_deref())
        })
    }

    fn release(&self, lease: &Lease) -> Result<()> {
        self.run(Access::Write, |session| {
            renew(session, lease)?;
            end(session, lease.trial, TrialState::Queued, None)
        })
    }

    fn put_schedule(&self, schedule: &Schedule) -> Result<()> {
        self.run(Access::Write, |session| fires::put_schedule(session, schedule))
    }

    fn schedules(&self) -> Result<Vec<Schedule>> {
        self.run(Access::Read, |session| fires::schedules(session))
    }

    fn record_fire(&self, schedule: &str, due_at: Timestamp, state: FireState) -> Result<bool> {
        self.run(Access::Write, |session| fires::record(session, schedule, due_at, state))
    }

    fn claim_fire(
        &self,
        schedule: &str,
        due_at: Timestamp,
        worker: &str,
        lease: Duration,
    ) -> Result<bool> {
        self.run(Access::Write, |session| fires::claim(session, schedule, due_at, worker, lease))
    }

    fn renew_fire(
        &self,
        schedule: &str,
        due_at: Timestamp,
        worker: &str,
        lease: Duration,
    ) -> Result<bool> {
        self.run(Access::Write, |session| fires::renew(session, schedule, due_at, worker, lease))
    }

    fn finish_fire(
        &self,
        schedule: &str,
        due_at: Timestamp,
        worker: &str,
        state: FireState,
        note: &str,
    ) -> Result<bool> {
        self.run(Access::Write, |session| {
            fires::finish(session, schedule, due_at, worker, state, note)
        })
    }

    fn fires(&self, schedule: &str) -> Result<Vec<Fire>> {
        self.run(Access::Read, |session| fires::fires(session, schedule))
    }
}

/// Claims the queued trial of the lowest number that no other worker is claiming.
fn claim(
    session: &mut dyn Session,
    dialect: &Dialect,
    study: StudyId,
    now: Timestamp,
) -> Result<Option<(i64, u64)>> {
    let find = format!(
        "SELECT trial_id, number FROM trials WHERE study_id = ?1 AND state = 'WAITING' \
         ORDER BY trial_id LIMIT 1{}",
        dialect.skip_locked
    );
    let rows = session.query(&find, &[study.0.into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (trial, number) = (row.int(0)?, row.int(1)?);
    session.execute(
        "UPDATE trials SET state = 'RUNNING', datetime_start = ?2 WHERE trial_id = ?1",
        &[trial.into(), Cell::Time(now)],
    )?;
    Ok(Some((trial, number as u64)))
}

/// Counts the trials of a study, and keeps others from adding one until the transaction ends.
fn count_trials(session: &mut dyn Session, dialect: &Dialect, study: StudyId) -> Result<u64> {
    let lock = format!("SELECT study_id FROM studies WHERE study_id = ?1{}", dialect.lock);
    session.query(&lock, &[study.0.into()])?;
    let count = "SELECT COUNT(*) FROM trials WHERE study_id = ?1";
    read::count(session, count, &[study.0.into()])
}

fn count_running(session: &mut dyn Session, study: StudyId) -> Result<u64> {
    let count = "SELECT COUNT(*) FROM trials WHERE study_id = ?1 AND state = 'RUNNING'";
    read::count(session, count, &[study.0.into()])
}

fn insert_trial(
    session: &mut dyn Session,
    study: StudyId,
    number: u64,
    state: TrialState,
    started: Option<Timestamp>,
) -> Result<i64> {
    let rows = session.query(
        "INSERT INTO trials (number, study_id, state, datetime_start) VALUES (?1, ?2, ?3, ?4) \
         RETURNING trial_id",
        &[
            (number as i64).into(),
            study.0.into(),
            optuna::state_name(state).into(),
            started.map_or(Cell::Null, Cell::Time),
        ],
    )?;
    read::first(session, &rows)?.int(0)
}

/// Writes the lease of a trial that was just claimed, and returns which attempt it is.
fn take_lease(
    session: &mut dyn Session,
    request: &AskRequest<'_>,
    trial: i64,
    now: Timestamp,
) -> Result<u32> {
    let rows = session.query(
        "INSERT INTO hourglass_leases \
         (trial_id, study_id, worker, attempt, losses, lease_until, heartbeat) \
         VALUES (?1, ?2, ?3, 1, 0, ?4, ?5) ON CONFLICT (trial_id) DO UPDATE SET \
         worker = excluded.worker, attempt = hourglass_leases.attempt + 1, \
         lease_until = excluded.lease_until, heartbeat = excluded.heartbeat RETURNING attempt",
        &[
            trial.into(),
            request.study.0.into(),
            request.worker.into(),
            micros(later(now, request.lease)),
            micros(now),
        ],
    )?;
    Ok(read::first(session, &rows)?.int(0)? as u32)
}

fn write_params(
    session: &mut dyn Session,
    trial: i64,
    params: &BTreeMap<String, Param>,
) -> Result<()> {
    for (name, param) in params {
        session.execute(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) \
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT (trial_id, param_name) DO NOTHING",
            &[
                trial.into(),
                name.as_str().into(),
                param.internal.into(),
                optuna::write_distribution(&param.distribution).into(),
            ],
        )?;
    }
    Ok(())
}

/// Begins the lease anew, or says that it is lost.
fn renew(session: &mut dyn Session, lease: &Lease) -> Result<()> {
    let now = session.now()?;
    let changed = session.execute(
        "UPDATE hourglass_leases SET lease_until = ?4, heartbeat = ?5 \
         WHERE trial_id = ?1 AND worker = ?2 AND attempt = ?3 AND lease_until IS NOT NULL \
         AND EXISTS (SELECT 1 FROM trials WHERE trial_id = ?1 AND state = 'RUNNING')",
        &[
            lease.trial.into(),
            lease.worker.as_str().into(),
            i64::from(lease.attempt).into(),
            micros(later(now, lease.duration)),
            micros(now),
        ],
    )?;
    if changed == 0 { Err(super::lease_lost(lease)) } else { Ok(()) }
}

/// Whether the trial was ended under this very lease.
fn is_finished_by(session: &mut dyn Session, lease: &Lease) -> Result<bool> {
    let rows = session.query(
        "SELECT 1 FROM hourglass_leases l JOIN trials t ON t.trial_id = l.trial_id \
         WHERE l.trial_id = ?1 AND l.worker = ?2 AND l.attempt = ?3 \
         AND t.state IN ('COMPLETE', 'PRUNED', 'FAIL')",
        &[lease.trial.into(), lease.worker.as_str().into(), i64::from(lease.attempt).into()],
    )?;
    Ok(!rows.is_empty())
}

/// Ends the work on a trial, for good or until someone takes it up again.
fn end(
    session: &mut dyn Session,
    trial: i64,
    state: TrialState,
    reason: Option<&str>,
) -> Result<()> {
    if let Some(reason) = reason {
        set_attribute(session, "trial", trial, Scope::User, REASON, &reason.into())?;
    }
    let finished = if state.is_finished() { Cell::Time(session.now()?) } else { Cell::Null };
    session.execute(
        "UPDATE trials SET state = ?2, datetime_complete = ?3 \
         WHERE trial_id = ?1 AND state = 'RUNNING'",
        &[trial.into(), optuna::state_name(state).into(), finished],
    )?;
    session.execute(
        "UPDATE hourglass_leases SET lease_until = NULL WHERE trial_id = ?1",
        &[trial.into()],
    )?;
    Ok(())
}

fn requeue(
    session: &mut dyn Session,
    dialect: &Dialect,
    study: StudyId,
    lost: Lost<'_>,
    max_attempts: u32,
) -> Result<Vec<Requeued>> {
    let (condition, param) = match lost {
        Lost::Expired => ("lease_until <= ?2", micros(session.now()?)),
        Lost::Worker(worker) => ("lease_until IS NOT NULL AND worker = ?2", worker.into()),
    };
    let find = format!(
        "SELECT trial_id, worker, attempt, losses FROM hourglass_leases \
         WHERE study_id = ?1 AND {condition} ORDER BY trial_id{}",
        dialect.skip_locked
    );
    let mut requeued = Vec::new();
    for row in session.query(&find, &[study.0.into(), param])? {
        let trial = row.int(0)?;
        let number = session.query(
            "SELECT number FROM trials WHERE trial_id = ?1 AND state = 'RUNNING'",
            &[trial.into()],
        )?;
        let losses = row.int(3)? as u32 + 1;
        let again = losses < max_attempts;
        let (state, reason) = match again {
            true => (TrialState::Queued, None),
            false => (TrialState::Failed, Some(super::lost_reason(losses))),
        };
        session.execute(
            "UPDATE hourglass_leases SET losses = ?2, lease_until = NULL WHERE trial_id = ?1",
            &[trial.into(), i64::from(losses).into()],
        )?;
        // Another program may have ended it meanwhile: nothing is to be done then.
        let Some(number) = number.first() else { continue };
        end(session, trial, state, reason.as_deref())?;
        requeued.push(Requeued {
            number: number.int(0)? as u64,
            worker: row.text(1)?.into(),
            attempt: row.int(2)? as u32,
            again,
        });
    }
    Ok(requeued)
}

fn is_stopped(session: &mut dyn Session, study: StudyId) -> Result<bool> {
    let rows = session.query(
        "SELECT value_json FROM study_system_attributes WHERE study_id = ?1 AND key = ?2",
        &[study.0.into(), STOP.into()],
    )?;
    match rows.first() {
        Some(row) => Ok(row.optional_text(0)? == Some("true")),
        None => Ok(false),
    }
}

/// Sets an attribute of a study or a trial; null removes it.
fn set_attribute(
    session: &mut dyn Session,
    owner: &str,
    id: i64,
    scope: Scope,
    key: &str,
    value: &Value,
) -> Result<()> {
    let scope = match scope {
        Scope::User => "user",
        Scope::System => "system",
    };
    let table = format!("{owner}_{scope}_attributes");
    if value.is_null() {
        let delete = format!("DELETE FROM {table} WHERE {owner}_id = ?1 AND key = ?2");
        session.execute(&delete, &[id.into(), key.into()])?;
    } else {
        let set = format!(
            "INSERT INTO {table} ({owner}_id, key, value_json) VALUES (?1, ?2, ?3) \
             ON CONFLICT ({owner}_id, key) DO UPDATE SET value_json = excluded.value_json"
        );
        session.execute(&set, &[id.into(), key.into(), value.to_string().into()])?;
    }
    Ok(())
}
