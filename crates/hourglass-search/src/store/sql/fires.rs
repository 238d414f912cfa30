//! Schedules and fires in our own tables. One insert decides who records a due time, one update
//! who runs it.

use std::time::Duration;

use jiff::Timestamp;

use super::cell::{Cell, micros};
use super::read::{from_micros, optional_micros};
use super::{Session, later, optuna};
use crate::Result;
use crate::schedule::{Fire, FireState, Schedule};

pub(super) fn put_schedule(session: &mut dyn Session, schedule: &Schedule) -> Result<()> {
    session.execute(
        "INSERT INTO hourglass_schedules (name, spec_json, suspended, since) \
         VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE SET \
         spec_json = excluded.spec_json, suspended = excluded.suspended, since = excluded.since",
        &[
            schedule.name.as_str().into(),
            schedule.spec.to_string().into(),
            i64::from(schedule.suspended).into(),
            micros(schedule.since),
        ],
    )?;
    Ok(())
}

pub(super) fn schedules(session: &mut dyn Session) -> Result<Vec<Schedule>> {
    let select = "SELECT name, spec_json, suspended, since FROM hourglass_schedules ORDER BY name";
    let rows = session.query(select, &[])?;
    rows.iter()
        .map(|row| {
            Ok(Schedule {
                name: row.text(0)?.into(),
                spec: optuna::read_attribute(row.text(1)?),
                suspended: row.int(2)? != 0,
                since: from_micros(row, row.int(3)?)?,
            })
        })
        .collect()
}

pub(super) fn record(
    session: &mut dyn Session,
    schedule: &str,
    due_at: Timestamp,
    state: FireState,
) -> Result<bool> {
    let changed = session.execute(
        "INSERT INTO hourglass_fires (schedule, due_at, state, note) VALUES (?1, ?2, ?3, '') \
         ON CONFLICT (schedule, due_at) DO NOTHING",
        &[schedule.into(), micros(due_at), state.name().into()],
    )?;
    Ok(changed == 1)
}

pub(super) fn claim(
    session: &mut dyn Session,
    schedule: &str,
    due_at: Timestamp,
    worker: &str,
    lease: Duration,
) -> Result<bool> {
    if session.is_repeated() && renew(session, schedule, due_at, worker, lease)? {
        return Ok(true);
    }
    let now = session.now()?;
    let changed = session.execute(
        "UPDATE hourglass_fires SET state = 'running', worker = ?3, started = ?4, \
         lease_until = ?5 WHERE schedule = ?1 AND due_at = ?2 \
         AND (state = 'waiting' OR (state = 'running' AND lease_until <= ?4))",
        &[schedule.into(), micros(due_at), worker.into(), micros(now), micros(later(now, lease))],
    )?;
    Ok(changed == 1)
}

pub(super) fn renew(
    session: &mut dyn Session,
    schedule: &str,
    due_at: Timestamp,
    worker: &str,
    lease: Duration,
) -> Result<bool> {
    let until = later(session.now()?, lease);
    let changed = session.execute(
        "UPDATE hourglass_fires SET lease_until = ?4 \
         WHERE schedule = ?1 AND due_at = ?2 AND state = 'running' AND worker = ?3",
        &[schedule.into(), micros(due_at), worker.into(), micros(until)],
    )?;
    Ok(changed == 1)
}

pub(super) fn finish(
    session: &mut dyn Session,
    schedule: &str,
    due_at: Timestamp,
    worker: &str,
    state: FireState,
    note: &str,
) -> Result<bool> {
    let now = session.now()?;
    let changed = session.execute(
        "UPDATE hourglass_fires SET state = ?4, lease_until = NULL, finished = ?5, note = ?6 \
         WHERE schedule = ?1 AND due_at = ?2 AND state = 'running' AND worker = ?3",
        &[
            schedule.into(),
            micros(due_at),
            worker.into(),
            state.name().into(),
            micros(now),
            note.into(),
        ],
    )?;
    Ok(changed == 1)
}

pub(super) fn fires(session: &mut dyn Session, schedule: &str) -> Result<Vec<Fire>> {
    let rows = session.query(
        "SELECT due_at, state, worker, lease_until, started, finished, note \
         FROM hourglass_fires WHERE schedule = ?1 ORDER BY due_at",
        &[Cell::from(schedule)],
    )?;
    rows.iter()
        .map(|row| {
            let state = row.text(1)?;
            let unknown = || row.damaged("a fire", format!("its state is `{state}`"));
            Ok(Fire {
                schedule: schedule.into(),
                due_at: from_micros(row, row.int(0)?)?,
                state: optuna::fire_state(state).ok_or_else(unknown)?,
                worker: row.optional_text(2)?.map(str::to_owned),
                lease_until: optional_micros(row, 3)?,
                started: optional_micros(row, 4)?,
                finished: optional_micros(row, 5)?,
                note: row.text(6)?.into(),
            })
        })
        .collect()
}
