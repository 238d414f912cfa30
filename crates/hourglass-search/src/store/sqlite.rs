//! The store in a SQLite file: one machine, some workers. Never on a network file system, where
//! its locks don't hold.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hourglass_core::Seed;
use jiff::Timestamp;
use rusqlite::types::{Value as Stored, ValueRef};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, params_from_iter,
};

use super::Store;
use super::sql::{Access, Cell, Database, Dialect, Row, Session, SqlStore, write_time};
use crate::{Clock, Error, Result, SystemClock};

/// How long to wait for another writer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest pause between two tries to become the writer; a transaction takes a tenth of it.
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

static DIALECT: Dialect = Dialect {
    serial: "INTEGER",
    real: "FLOAT",
    datetime: "DATETIME",
    names: ["VARCHAR(8)", "VARCHAR(8)", "VARCHAR(7)", "VARCHAR(7)"],
    alone: "",
    before: "",
    // Foreign keys are off unless every program switches them on; a trigger needs nobody.
    cascade: "",
    after: "CREATE TRIGGER hourglass_forget AFTER DELETE ON trials BEGIN \
            DELETE FROM hourglass_leases WHERE trial_id = OLD.trial_id; END;",
    has_table: "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1",
    // A writer is alone anyway.
    skip_locked: "",
    lock: "",
};

/// Opens a file, or makes it.
pub struct SqliteStore;

impl SqliteStore {
    /// Opens the store in a file with the clock of this machine.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Version`], [`Error::Locked`], [`Error::Full`],
    /// [`Error::Store`].
    pub fn open(path: &Path) -> Result<Arc<dyn Store>> {
        SqliteStore::with_clock(path, SystemClock)
    }

    /// The same with a clock of the caller's.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn with_clock(path: &Path, clock: impl Clock + 'static) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(SqlStore::new(SqliteFile::new(path, Box::new(clock), PATIENCE, None)?)?))
    }
}

struct SqliteFile {
    name: Arc<str>,
    path: PathBuf,
    clock: Box<dyn Clock>,
    patience: Duration,
    /// The file grows no further; stands in for a full disk.
    max_pages: Option<u32>,
    /// Connections that no thread is using.
    idle: Mutex<Vec<Connection>>,
    /// Pauses so far, by which they differ.
    n_pauses: AtomicU64,
}

impl SqliteFile {
    fn new(
        path: &Path,
        clock: Box<dyn Clock>,
        patience: Duration,
        max_pages: Option<u32>,
    ) -> Result<Self> {
        let name = path.display().to_string().into();
        let file = SqliteFile {
            name,
            path: path.into(),
            clock,
            patience,
            max_pages,
            idle: Mutex::default(),
            n_pauses: AtomicU64::new(0),
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| file.unreachable(&error))?;
        }
        Ok(file)
    }

    fn connect(&self) -> Result<Connection> {
        let flags = OpenFlags::default() | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)
            .map_err(|error| self.unreachable(&error))?;
        let prepare = || {
            connection.busy_timeout(self.patience)?;
            // Readers don't wait for the writer. Killed processes lose nothing; at a power failure
            // the last transactions may be missing.
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            if let Some(pages) = self.max_pages {
                connection.pragma_update(None, "max_page_count", pages)?;
            }
            Ok(())
        };
        prepare().map_err(|error| self.explain("opening", error))?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }

    /// Begins a transaction. SQLite's own way to wait for another writer pauses for longer and
    /// longer, so that those who wait lose against those who just came, and some never have a turn:
    /// here all pauses are short, and by chance, so that nobody stays behind.
    fn begin<'c>(
        &self,
        connection: &'c Connection,
        behavior: TransactionBehavior,
    ) -> rusqlite::Result<Transaction<'c>> {
        let end = Instant::now() + self.patience;
        connection.busy_timeout(Duration::ZERO)?;
        let begun = loop {
            match Transaction::new_unchecked(connection, behavior) {
                Err(error) if is_busy(&error) && Instant::now() < end => self.pause(),
                begun => break begun,
            }
        };
        connection.busy_timeout(self.patience)?;
        begun
    }

    /// Rests for a moment whose length no other process or thread shares. It decides nothing that
    /// is stored.
    fn pause(&self) {
        let own = Seed::new(u64::from(std::process::id())).child("pause");
        let count = self.n_pauses.fetch_add(1, Ordering::Relaxed);
        let share = own.nth(count).value() as f64 / u64::MAX as f64;
        std::thread::sleep(LONGEST_PAUSE.mul_f64(share));
    }

    fn unreachable(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Unreachable {
            store: self.name.to_string(),
            reason: reason.to_string(),
            hint: "the folder has to be writable, and the file a SQLite file",
        }
    }

    fn explain(&self, action: &'static str, error: rusqlite::Error) -> Error {
        let store = self.name.to_string();
        match error.sqlite_error_code() {
            _ if is_busy(&error) => {
                Error::Locked { store, waited_seconds: self.patience.as_secs() }
            }
            Some(ErrorCode::DiskFull) => Error::Full { store },
            Some(ErrorCode::CannotOpen | ErrorCode::NotADatabase | ErrorCode::ReadOnly) => {
                self.unreachable(&error)
            }
            _ => Error::Store { store, action, reason: error.to_string() },
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database for SqliteFile {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn transaction(
        &self,
        access: Access,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<()>,
    ) -> Result<()> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        // A writer says so at once: two that both began as readers could only give up.
        let behavior = match access {
            Access::Read => TransactionBehavior::Deferred,
            Access::Write => TransactionBehavior::Immediate,
        };
        let transaction = self
            .begin(&connection, behavior)
            .map_err(|error| self.explain("beginning a transaction", error))?;
        work(&mut SqliteSession { file: self, connection: &transaction })?;
        transaction.commit().map_err(|error| self.explain("committing", error))?;
        self.idle().push(connection);
        Ok(())
    }
}

struct SqliteSession<'a> {
    file: &'a SqliteFile,
    connection: &'a Connection,
}

impl Session for SqliteSession<'_> {
    fn execute(&mut self, sql: &str, params: &[Cell]) -> Result<u64> {
        let run = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.execute(params_from_iter(params.iter().map(stored)))
        };
        run().map(|changed| changed as u64).map_err(|error| self.file.explain("writing", error))
    }

    fn query(&mut self, sql: &str, params: &[Cell]) -> Result<Vec<Row>> {
        let run = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let columns = statement.column_count();
            let rows = statement.query_map(params_from_iter(params.iter().map(stored)), |row| {
                let cells = (0..columns).map(|at| row.get_ref(at).map(cell));
                let cells = cells.collect::<Result<Vec<Cell>, _>>()?;
                Ok(Row { store: Arc::clone(&self.file.name), cells })
            })?;
            rows.collect::<Result<Vec<Row>, _>>()
        };
        run().map_err(|error| self.file.explain("reading", error))
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        self.connection
            .execute_batch(sql)
            .map_err(|error| self.file.explain("making tables", error))
    }

    fn now(&mut self) -> Result<Timestamp> {
        Ok(self.file.clock.now())
    }

    fn is_repeated(&self) -> bool {
        false
    }

    fn store(&self) -> String {
        self.file.name.to_string()
    }
}

/// Whether another program holds what is needed.
fn is_busy(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn stored(cell: &Cell) -> Stored {
    match cell {
        Cell::Null => Stored::Null,
        Cell::Int(value) => Stored::Integer(*value),
        Cell::Real(value) => Stored::Real(*value),
        Cell::Text(value) => Stored::Text(value.clone()),
        Cell::Time(time) => Stored::Text(write_time(*time)),
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            Cell::Text(String::from_utf8_lossy(text).into_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::{Scope, StudyId};
    use crate::{Direction, Store};

    fn store(path: &Path, patience: Duration, max_pages: Option<u32>) -> SqlStore<SqliteFile> {
        let file = SqliteFile::new(path, Box::new(SystemClock), patience, max_pages).unwrap();
        SqlStore::new(file).unwrap()
    }

    fn attribute(store: &dyn Store, study: StudyId, size: usize) -> Result<()> {
        let value = json!("x".repeat(size));
        store.set_study_attribute(study, Scope::User, &format!("{size}"), &value)
    }

    #[test]
    fn a_full_disk_is_said_and_leaves_the_store_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder.path().join("s.db"), PATIENCE, Some(60));
        let study = store.create_study("s", &[Direction::Minimize]).unwrap();
        attribute(&store, study, 10).unwrap();
        let error = attribute(&store, study, 1_000_000).unwrap_err().to_string();
        assert!(error.contains("the disk is full") && error.contains("hint:"), "{error}");
        attribute(&store, study, 20).unwrap();
        assert_eq!(store.study("s").unwrap().user_attributes.len(), 2);
    }

    #[test]
    fn a_locked_file_is_waited_for_and_then_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.db");
        let store = store(&path, Duration::from_millis(50), None);
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        // Readers don't mind.
        assert!(store.studies().unwrap().is_empty());
        let error = store.create_study("s", &[Direction::Minimize]).unwrap_err().to_string();
        assert!(error.contains("was locked by another program"), "{error}");
        other.execute_batch("COMMIT").unwrap();
        store.create_study("s", &[Direction::Minimize]).unwrap();
    }
}
