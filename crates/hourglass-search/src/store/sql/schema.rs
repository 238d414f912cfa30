//! The tables: Optuna's, as its version 5 makes them, and ours beside them. Brings a new database
//! to that shape, and refuses one of another version.

use super::{Session, cell::Row};
use crate::{Error, Result};

/// The revision of Optuna's tables that we read and write.
const OPTUNA: &str = "v3.2.0.a";

/// The version of Optuna whose tables these are.
const OPTUNA_LIBRARY: &str = "5.0.0";

/// The revision of our own tables.
const OURS: i64 = 1;

/// What the two databases call things.
pub(in crate::store) struct Dialect {
    /// A column that counts itself up.
    pub serial: &'static str,
    /// A 64-bit floating-point number.
    pub real: &'static str,
    /// A date with a time.
    pub datetime: &'static str,
    /// Columns that hold one of some names: direction, state, kind of value, of reported value.
    pub names: [&'static str; 4],
    /// Keeps other programs from making tables at the same time.
    pub alone: &'static str,
    /// Statements before the tables.
    pub before: &'static str,
    /// What makes sure that our rows go with the trial they belong to.
    pub cascade: &'static str,
    /// Statements after the tables.
    pub after: &'static str,
    /// Whether a table of that name (`?1`) exists.
    pub has_table: &'static str,
    /// Lets other workers claim other rows meanwhile.
    pub skip_locked: &'static str,
    /// Keeps a row until the end of the transaction.
    pub lock: &'static str,
}

/// Makes the tables that are missing.
///
/// # Errors
/// [`Error::Version`] if the tables there are of another version.
pub(super) fn prepare(session: &mut dyn Session, dialect: &Dialect) -> Result<()> {
    session.batch(dialect.alone)?;
    if !has_table(session, dialect, "studies")? {
        session.batch(dialect.before)?;
        session.batch(&tables(dialect))?;
        let stamp = "INSERT INTO alembic_version (version_num) VALUES (?1)";
        session.execute(stamp, &[OPTUNA.into()])?;
        let version = "INSERT INTO version_info (version_info_id, schema_version, library_version) \
                       VALUES (1, 12, ?1)";
        session.execute(version, &[OPTUNA_LIBRARY.into()])?;
    }
    check_optuna(session, dialect)?;
    if !has_table(session, dialect, "hourglass_version")? {
        session.batch(&own_tables(dialect))?;
        session.batch(dialect.after)?;
        session.execute("INSERT INTO hourglass_version (version) VALUES (?1)", &[OURS.into()])?;
    }
    check_ours(session)
}

fn has_table(session: &mut dyn Session, dialect: &Dialect, name: &str) -> Result<bool> {
    Ok(!session.query(dialect.has_table, &[name.into()])?.is_empty())
}

fn check_optuna(session: &mut dyn Session, dialect: &Dialect) -> Result<()> {
    let found = if has_table(session, dialect, "alembic_version")? {
        let rows = session.query("SELECT version_num FROM alembic_version", &[])?;
        rows.first().map(|row| row.text(0).map(str::to_owned)).transpose()?
    } else {
        None
    };
    let found = found.unwrap_or_else(|| "no revision".into());
    if found == OPTUNA {
        return Ok(());
    }
    // Optuna numbers its revisions so that they sort.
    let older = !found.starts_with('v') || found.as_str() < OPTUNA;
    let hint = if older {
        "`optuna storage upgrade --storage URL` brings it to the version of Optuna 5"
    } else {
        "a newer Optuna made it; choose another store, or a newer Hourglass"
    };
    let expected = format!("Optuna's {OPTUNA}");
    Err(Error::Version { store: session.store(), found, expected, hint })
}

fn check_ours(session: &mut dyn Session) -> Result<()> {
    let rows = session.query("SELECT version FROM hourglass_version", &[])?;
    let found = rows.first().map(|row: &Row| row.int(0)).transpose()?;
    if found == Some(OURS) {
        return Ok(());
    }
    let found = found.map_or("none".into(), |version| version.to_string());
    let hint = "another Hourglass made it; use that one, or choose another store";
    Err(Error::Version { store: session.store(), found, expected: OURS.to_string(), hint })
}

/// Optuna's tables, as SQLAlchemy makes them from its models.
fn tables(dialect: &Dialect) -> String {
    let Dialect { serial, real, datetime, names: [direction, state, value, reported], .. } =
        dialect;
    let attributes = |table: &str, owner: &str, owners: &str| {
        format!(
            "CREATE TABLE {table}s (
                {table}_id {serial} NOT NULL,
                {owner} INTEGER,
                key VARCHAR(512),
                value_json TEXT,
                PRIMARY KEY ({table}_id),
                UNIQUE ({owner}, key),
                FOREIGN KEY({owner}) REFERENCES {owners} ({owner})
            );"
        )
    };
    let study_user = attributes("study_user_attribute", "study_id", "studies");
    let study_system = attributes("study_system_attribute", "study_id", "studies");
    let trial_user = attributes("trial_user_attribute", "trial_id", "trials");
    let trial_system = attributes("trial_system_attribute", "trial_id", "trials");
    format!(
        "CREATE TABLE alembic_version (
            version_num VARCHAR(32) NOT NULL,
            CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
        );
        CREATE TABLE version_info (
            version_info_id INTEGER NOT NULL,
            schema_version INTEGER,
            library_version VARCHAR(256),
            PRIMARY KEY (version_info_id),
            CHECK (version_info_id=1)
        );
        CREATE TABLE studies (
            study_id {serial} NOT NULL,
            study_name VARCHAR(512) NOT NULL,
            PRIMARY KEY (study_id)
        );
        CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
        CREATE TABLE study_directions (
            study_direction_id {serial} NOT NULL,
            direction {direction} NOT NULL,
            study_id INTEGER NOT NULL,
            objective INTEGER NOT NULL,
            PRIMARY KEY (study_direction_id),
            UNIQUE (study_id, objective),
            FOREIGN KEY(study_id) REFERENCES studies (study_id)
        );
        {study_user}
        {study_system}
        CREATE TABLE trials (
            trial_id {serial} NOT NULL,
            number INTEGER,
            study_id INTEGER,
            state {state} NOT NULL,
            datetime_start {datetime},
            datetime_complete {datetime},
            PRIMARY KEY (trial_id),
            FOREIGN KEY(study_id) REFERENCES studies (study_id)
        );
        CREATE INDEX ix_trials_study_id ON trials (study_id);
        {trial_user}
        {trial_system}
        CREATE TABLE trial_params (
            param_id {serial} NOT NULL,
            trial_id INTEGER,
            param_name VARCHAR(512),
            param_value {real},
            distribution_json TEXT,
            PRIMARY KEY (param_id),
            UNIQUE (trial_id, param_name),
            FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
        );
        CREATE TABLE trial_values (
            trial_value_id {serial} NOT NULL,
            trial_id INTEGER NOT NULL,
            objective INTEGER NOT NULL,
            value {real},
            value_type {value} NOT NULL,
            PRIMARY KEY (trial_value_id),
            UNIQUE (trial_id, objective),
            FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
        );
        CREATE TABLE trial_intermediate_values (
            trial_intermediate_value_id {serial} NOT NULL,
            trial_id INTEGER NOT NULL,
            step INTEGER NOT NULL,
            intermediate_value {real},
            intermediate_value_type {reported} NOT NULL,
            PRIMARY KEY (trial_intermediate_value_id),
            UNIQUE (trial_id, step),
            FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
        );
        CREATE TABLE trial_heartbeats (
            trial_heartbeat_id {serial} NOT NULL,
            trial_id INTEGER NOT NULL,
            heartbeat {datetime} NOT NULL,
            PRIMARY KEY (trial_heartbeat_id),
            UNIQUE (trial_id),
            FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
        );"
    )
}

/// Leases, schedules and fires. Times are microseconds since 1970. The two partial indexes find
/// queued trials and leases that ran out without looking at any other; one query for both was
/// fourteen times as slow.
///
/// `trial_heartbeats` stays empty: an Optuna that watches heartbeats leaves our trials alone then.
fn own_tables(dialect: &Dialect) -> String {
    let cascade = dialect.cascade;
    format!(
        "CREATE TABLE hourglass_version (version INTEGER NOT NULL);
        CREATE TABLE hourglass_leases (
            trial_id INTEGER NOT NULL PRIMARY KEY {cascade},
            study_id INTEGER NOT NULL,
            worker TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            losses INTEGER NOT NULL,
            lease_until BIGINT,
            heartbeat BIGINT NOT NULL
        );
        CREATE INDEX hourglass_leases_held ON hourglass_leases (study_id, lease_until)
            WHERE lease_until IS NOT NULL;
        CREATE INDEX hourglass_trials_queued ON trials (study_id, trial_id)
            WHERE state = 'WAITING';
        CREATE TABLE hourglass_schedules (
            name VARCHAR(512) NOT NULL PRIMARY KEY,
            spec_json TEXT NOT NULL,
            suspended INTEGER NOT NULL,
            since BIGINT NOT NULL
        );
        CREATE TABLE hourglass_fires (
            schedule VARCHAR(512) NOT NULL,
            due_at BIGINT NOT NULL,
            state VARCHAR(16) NOT NULL,
            worker TEXT,
            lease_until BIGINT,
            started BIGINT,
            finished BIGINT,
            note TEXT NOT NULL,
            UNIQUE (schedule, due_at)
        );"
    )
}
