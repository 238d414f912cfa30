//! Reading studies and trials out of Optuna's tables.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::{Cell, Row, Session, optuna};
use crate::store::{StudyId, StudyRecord};
use crate::{Error, FrozenTrial, Holder, Param, Result};

/// All studies, or those of one name.
pub(super) fn studies(session: &mut dyn Session, name: Option<&str>) -> Result<Vec<StudyRecord>> {
    let rows = match name {
        None => {
            let all = "SELECT study_id, study_name FROM studies ORDER BY study_id";
            session.query(all, &[])?
        }
        Some(name) => {
            let one = "SELECT study_id, study_name FROM studies WHERE study_name = ?1";
            session.query(one, &[name.into()])?
        }
    };
    rows.iter().map(|row| study(session, StudyId(row.int(0)?), row.text(1)?)).collect()
}

fn study(session: &mut dyn Session, id: StudyId, name: &str) -> Result<StudyRecord> {
    let mut directions = Vec::new();
    for row in session.query(
        "SELECT direction FROM study_directions WHERE study_id = ?1 ORDER BY objective",
        &[id.0.into()],
    )? {
        let direction = optuna::direction(row.text(0)?);
        let unset = || row.damaged("a study", format!("study `{name}` has no direction"));
        directions.push(direction.ok_or_else(unset)?);
    }
    let mut attributes = |scope: &str| -> Result<BTreeMap<String, serde_json::Value>> {
        let select =
            format!("SELECT key, value_json FROM study_{scope}_attributes WHERE study_id = ?1");
        let rows = session.query(&select, &[id.0.into()])?;
        rows.iter().map(|row| attribute(row, 0)).collect()
    };
    let (user_attributes, system_attributes) = (attributes("user")?, attributes("system")?);
    Ok(StudyRecord { id, name: name.into(), directions, user_attributes, system_attributes })
}

/// All trials of a study, by number.
pub(super) fn trials(session: &mut dyn Session, study: StudyId) -> Result<Vec<FrozenTrial>> {
    select(session, "t.study_id = ?1", study.0)
}

/// One trial.
pub(super) fn trial(session: &mut dyn Session, study: StudyId, trial: i64) -> Result<FrozenTrial> {
    let found = select(session, "t.trial_id = ?1", trial)?;
    found.into_iter().next().ok_or_else(|| Error::Damaged {
        store: session.store(),
        what: format!("study {}", study.0),
        reason: format!("its trial with the key {trial} is gone"),
    })
}

fn select(session: &mut dyn Session, condition: &str, id: i64) -> Result<Vec<FrozenTrial>> {
    let mut trials = Vec::new();
    let mut places = HashMap::new();
    let select = format!(
        "SELECT t.trial_id, t.number, CAST(t.state AS TEXT), t.datetime_start, \
         t.datetime_complete FROM trials t WHERE {condition} ORDER BY t.trial_id"
    );
    for row in session.query(&select, &[id.into()])? {
        places.insert(row.int(0)?, trials.len());
        trials.push(blank(&row)?);
    }
    let mut each = |columns: &str,
                    table: &str,
                    put: &mut dyn FnMut(&mut FrozenTrial, &Row) -> Result<()>| {
        let select = format!(
            "SELECT x.trial_id, {columns} FROM {table} x JOIN trials t ON t.trial_id = x.trial_id \
             WHERE {condition}"
        );
        for row in session.query(&select, &[id.into()])? {
            // A trial that was added since the first question is left out.
            if let Some(place) = places.get(&row.int(0)?) {
                put(&mut trials[*place], &row)?;
            }
        }
        Ok::<(), Error>(())
    };
    let mut distributions = HashMap::new();
    each("x.param_name, x.param_value, x.distribution_json", "trial_params", &mut |trial, row| {
        let text = row.text(3)?;
        let distribution = match distributions.get(text) {
            Some(distribution) => distribution,
            None => {
                let read = optuna::read_distribution(text)
                    .map_err(|reason| row.damaged("a distribution", reason))?;
                distributions.entry(text.to_owned()).or_insert(read)
            }
        };
        let distribution = crate::Distribution::clone(distribution);
        let internal = number(row, row.optional_real(2)?)?;
        trial.params.insert(row.text(1)?.into(), Param { distribution, internal });
        Ok(())
    })?;
    each("x.objective, x.value, CAST(x.value_type AS TEXT)", "trial_values", &mut |trial, row| {
        let objective = row.int(1)? as usize;
        trial.values.resize(trial.values.len().max(objective + 1), f64::NAN);
        let value = optuna::read_number(row.optional_real(2)?, row.text(3)?);
        trial.values[objective] = number(row, value)?;
        Ok(())
    })?;
    each(
        "x.step, x.intermediate_value, CAST(x.intermediate_value_type AS TEXT)",
        "trial_intermediate_values",
        &mut |trial, row| {
            let value = optuna::read_number(row.optional_real(2)?, row.text(3)?);
            trial.intermediate.insert(row.int(1)?, number(row, value)?);
            Ok(())
        },
    )?;
    each("x.key, x.value_json", "trial_user_attributes", &mut |trial, row| {
        let (key, value) = attribute(row, 1)?;
        trial.user_attributes.insert(key, value);
        Ok(())
    })?;
    each("x.key, x.value_json", "trial_system_attributes", &mut |trial, row| {
        let (key, value) = attribute(row, 1)?;
        trial.system_attributes.insert(key, value);
        Ok(())
    })?;
    each(
        "x.worker, x.attempt, x.losses, x.lease_until, x.heartbeat",
        "hourglass_leases",
        &mut |trial, row| {
            trial.holder = Some(Holder {
                worker: row.text(1)?.into(),
                attempt: row.int(2)? as u32,
                losses: row.int(3)? as u32,
                lease_until: optional_micros(row, 4)?,
                heartbeat: from_micros(row, row.int(5)?)?,
            });
            Ok(())
        },
    )?;
    trials.sort_by_key(|trial| trial.number);
    Ok(trials)
}

fn blank(row: &Row) -> Result<FrozenTrial> {
    let state = row.text(2)?;
    let unknown = || row.damaged("a trial", format!("its state is `{state}`"));
    Ok(FrozenTrial {
        id: row.int(0)?,
        number: row.int(1)? as u64,
        state: optuna::state(state).ok_or_else(unknown)?,
        values: Vec::new(),
        params: BTreeMap::new(),
        intermediate: BTreeMap::new(),
        user_attributes: BTreeMap::new(),
        system_attributes: BTreeMap::new(),
        started: row.optional_time(3)?,
        finished: row.optional_time(4)?,
        holder: None,
    })
}

fn attribute(row: &Row, at: usize) -> Result<(String, serde_json::Value)> {
    let value = row.optional_text(at + 1)?.map_or(serde_json::Value::Null, optuna::read_attribute);
    Ok((row.text(at)?.into(), value))
}

fn number(row: &Row, value: Option<f64>) -> Result<f64> {
    value.ok_or_else(|| row.damaged("a number", "its kind and its column don't agree".into()))
}

/// A time of our own tables, where there is one.
pub(super) fn optional_micros(row: &Row, at: usize) -> Result<Option<Timestamp>> {
    row.optional_int(at)?.map(|micros| from_micros(row, micros)).transpose()
}

/// A time of our own tables.
pub(super) fn from_micros(row: &Row, micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|error| row.damaged("a time", error.to_string()))
}

/// The first row of an answer that has to have one.
pub(super) fn first<'a>(session: &dyn Session, rows: &'a [Row]) -> Result<&'a Row> {
    rows.first().ok_or_else(|| Error::Store {
        store: session.store(),
        action: "a statement",
        reason: "it gave no row back".into(),
    })
}

/// The number that a statement counts.
pub(super) fn count(session: &mut dyn Session, sql: &str, params: &[Cell]) -> Result<u64> {
    let rows = session.query(sql, params)?;
    Ok(first(session, &rows)?.int(0)? as u64)
}
