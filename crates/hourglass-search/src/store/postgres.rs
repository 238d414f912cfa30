//! The store on a PostgreSQL server: any number of machines. A lost connection or a restarting
//! server is waited for; the password is never shown. Encrypted connections aren't built in.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use postgres::error::SqlState;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, IsolationLevel, NoTls, Statement, Transaction};

use super::sql::{Access, Cell, Database, Dialect, Row, Session, SqlStore};
use super::{Address, Store};
use crate::{Clock, Error, Result};

/// How long to wait for a server that restarts.
const PATIENCE: Duration = Duration::from_secs(300);

/// Microseconds from 1970 to 2000, where PostgreSQL's times begin.
const YEAR_2000: i64 = 946_684_800_000_000;

static DIALECT: Dialect = Dialect {
    serial: "SERIAL",
    real: "FLOAT(53)",
    datetime: "TIMESTAMP WITHOUT TIME ZONE",
    names: ["studydirection", "trialstate", "trialvaluetype", "trialintermediatevaluetype"],
    alone: "SELECT pg_advisory_xact_lock(7236832011)",
    before: "CREATE TYPE studydirection AS ENUM ('NOT_SET', 'MINIMIZE', 'MAXIMIZE');
        CREATE TYPE trialstate AS ENUM ('RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING');
        CREATE TYPE trialvaluetype AS ENUM ('FINITE', 'INF_POS', 'INF_NEG');
        CREATE TYPE trialintermediatevaluetype AS ENUM ('FINITE', 'INF_POS', 'INF_NEG', 'NAN');",
    cascade: "REFERENCES trials (trial_id) ON DELETE CASCADE",
    after: "",
    has_table: "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = ?1",
    skip_locked: " FOR UPDATE SKIP LOCKED",
    lock: " FOR UPDATE",
};

/// Opens a database on a server.
pub struct PostgresStore;

impl PostgresStore {
    /// Opens the store at `postgres://user:password@host:port/database`. Leases run by the clock of
    /// the server, so that the clocks of the workers may differ.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Version`], [`Error::Store`].
    pub fn open(url: &str) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(SqlStore::new(Server::new(url, None)?)?))
    }

    /// The same with a clock of the caller's.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub fn with_clock(url: &str, clock: impl Clock + 'static) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(SqlStore::new(Server::new(url, Some(Box::new(clock)))?)?))
    }
}

struct Server {
    name: Arc<str>,
    config: Config,
    clock: Option<Box<dyn Clock>>,
    /// Connections that no thread is using.
    idle: Mutex<Vec<Connection>>,
}

/// A connection with the statements that it has prepared.
struct Connection {
    client: Client,
    prepared: HashMap<String, Statement>,
}

/// Why a transaction wasn't kept.
enum Failure {
    /// The connection is gone; it may come back.
    Lost(String),
    /// Two transactions got in each other's way; again.
    Conflict,
    /// Something else.
    Final(Error),
}

impl Server {
    fn new(url: &str, clock: Option<Box<dyn Clock>>) -> Result<Self> {
        let name: Arc<str> = Address::Postgres(url.into()).to_string().into();
        let mut config: Config =
            url.parse().map_err(|_| Error::Address { given: name.to_string() })?;
        config.connect_timeout(Duration::from_secs(10)).application_name("hourglass");
        let server = Server { name, config, clock, idle: Mutex::default() };
        // The first connection isn't waited for: an address may be wrong.
        let connection = server.connect().map_err(|failure| match failure {
            Failure::Lost(reason) => server.unreachable(reason),
            Failure::Conflict => server.unreachable("two connections at once".into()),
            Failure::Final(error) => error,
        })?;
        server.idle().push(connection);
        Ok(server)
    }

    fn connect(&self) -> Result<Connection, Failure> {
        match self.config.connect(NoTls) {
            Ok(client) => Ok(Connection { client, prepared: HashMap::new() }),
            Err(error) => Err(self.classify("connecting", &error)),
        }
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::Unreachable {
            store: self.name.to_string(),
            reason,
            hint: "check host, port, user, password and database of the address, and that the \
                   server runs",
        }
    }

    fn classify(&self, action: &'static str, error: &postgres::Error) -> Failure {
        let store = || self.name.to_string();
        let Some(answer) = error.as_db_error() else {
            let source = error.source();
            let reason = source.map_or(error.to_string(), |source| format!("{error}: {source}"));
            let broken = source.is_some_and(|source| source.is::<std::io::Error>());
            if error.is_closed() || broken {
                return Failure::Lost(reason);
            }
            return Failure::Final(match action {
                "connecting" => self.unreachable(reason),
                _ => Error::Store { store: store(), action, reason },
            });
        };
        let reason = answer.message().to_owned();
        let code = answer.code();
        // 08: connection exceptions. 57P01 to 57P03: shut down, crashed, starting up.
        let lost = code.code().starts_with("08")
            || [
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::TOO_MANY_CONNECTIONS,
            ]
            .contains(code);
        if lost {
            return Failure::Lost(reason);
        }
        if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code) {
            return Failure::Conflict;
        }
        Failure::Final(match action {
            _ if *code == SqlState::DISK_FULL => Error::Full { store: store() },
            "connecting" => self.unreachable(reason),
            _ => Error::Store { store: store(), action, reason },
        })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(
        &self,
        access: Access,
        is_repeated: bool,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<()>,
    ) -> Result<(), Failure> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let ran = self.run(&mut connection, access, is_repeated, work);
        // A connection that is in doubt is dropped; making a new one costs little.
        if !connection.client.is_closed() && !matches!(ran, Err(Failure::Lost(_))) {
            self.idle().push(connection);
        }
        ran
    }

    fn run(
        &self,
        Connection { client, prepared }: &mut Connection,
        access: Access,
        is_repeated: bool,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<()>,
    ) -> Result<(), Failure> {
        let mut begin = client.build_transaction();
        if access == Access::Read {
            // All questions of a reader see the same state.
            begin = begin.read_only(true).isolation_level(IsolationLevel::RepeatableRead);
        }
        let transaction = begin.start().map_err(|error| self.classify("beginning", &error))?;
        let failure = None;
        let mut session =
            PostgresSession { server: self, transaction, prepared, is_repeated, failure };
        match work(&mut session) {
            Ok(()) => {
                let kept = session.transaction.commit();
                kept.map_err(|error| self.classify("committing", &error))
            }
            // Dropped transactions are rolled back.
            Err(error) => Err(session.failure.take().unwrap_or(Failure::Final(error))),
        }
    }
}

impl Database for Server {
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
        let begun = Instant::now();
        let mut pause = Duration::from_millis(20);
        let mut is_repeated = false;
        loop {
            match self.attempt(access, is_repeated, work) {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Conflict) => {}
                Err(Failure::Lost(reason)) if begun.elapsed() > PATIENCE => {
                    return Err(self.unreachable(reason));
                }
                Err(Failure::Lost(_)) => {
                    // The other connections went the same way.
                    self.idle().clear();
                    is_repeated = true;
                    pause = (2 * pause).min(Duration::from_secs(2));
                }
            }
            std::thread::sleep(pause);
        }
    }
}

struct PostgresSession<'a> {
    server: &'a Server,
    transaction: Transaction<'a>,
    prepared: &'a mut HashMap<String, Statement>,
    is_repeated: bool,
    /// What a statement ran into, beyond what an [`Error`] says.
    failure: Option<Failure>,
}

impl PostgresSession<'_> {
    fn prepare(&mut self, sql: &str) -> Result<Statement, postgres::Error> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.transaction.prepare(&sql.replace('?', "$"))?;
        self.prepared.insert(sql.into(), statement.clone());
        Ok(statement)
    }

    fn failed(&mut self, action: &'static str, error: &postgres::Error) -> Error {
        self.failure = Some(self.server.classify(action, error));
        Error::Store { store: self.store(), action, reason: error.to_string() }
    }
}

impl Session for PostgresSession<'_> {
    fn execute(&mut self, sql: &str, params: &[Cell]) -> Result<u64> {
        let ran = self
            .prepare(sql)
            .and_then(|statement| self.transaction.execute(&statement, &borrowed(params)));
        ran.map_err(|error| self.failed("writing", &error))
    }

    fn query(&mut self, sql: &str, params: &[Cell]) -> Result<Vec<Row>> {
        let ran = self
            .prepare(sql)
            .and_then(|statement| self.transaction.query(&statement, &borrowed(params)));
        let store = &self.server.name;
        let read = |row: postgres::Row| {
            let cells = (0..row.len()).map(|at| row.try_get(at)).collect::<Result<_, _>>();
            cells.map(|cells| Row { store: Arc::clone(store), cells })
        };
        let rows = ran.and_then(|rows| rows.into_iter().map(read).collect());
        rows.map_err(|error| self.failed("reading", &error))
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        let ran = self.transaction.batch_execute(sql);
        ran.map_err(|error| self.failed("making tables", &error))
    }

    fn now(&mut self) -> Result<Timestamp> {
        if let Some(clock) = &self.server.clock {
            return Ok(clock.now());
        }
        let now = "SELECT clock_timestamp()::timestamptz AT TIME ZONE 'UTC'";
        match self.query(now, &[])?.first().map(|row| &row.cells[0]) {
            Some(Cell::Time(now)) => Ok(*now),
            _ => Err(Error::Store {
                store: self.store(),
                action: "asking for the time",
                reason: "the answer is no time".into(),
            }),
        }
    }

    fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    fn store(&self) -> String {
        self.server.name.to_string()
    }
}

fn borrowed(params: &[Cell]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Cell {
    fn to_sql(
        &self,
        column: &Type,
        out: &mut postgres::types::private::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Cell::Null => return Ok(IsNull::Yes),
            Cell::Int(value) if *column == Type::INT4 => {
                out.extend_from_slice(&i32::try_from(*value)?.to_be_bytes());
            }
            Cell::Int(value) => out.extend_from_slice(&value.to_be_bytes()),
            Cell::Real(value) => out.extend_from_slice(&value.to_be_bytes()),
            // Names of states and the like are sent as their text, too.
            Cell::Text(text) => out.extend_from_slice(text.as_bytes()),
            Cell::Time(time) => {
                out.extend_from_slice(&(time.as_microsecond() - YEAR_2000).to_be_bytes());
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(
        column: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *column {
            Type::INT4 => Cell::Int(i32::from_sql(column, raw)?.into()),
            Type::INT8 => Cell::Int(i64::from_sql(column, raw)?),
            Type::FLOAT8 => Cell::Real(f64::from_sql(column, raw)?),
            Type::TIMESTAMP => {
                let micros = i64::from_be_bytes(raw.try_into()?) + YEAR_2000;
                Cell::Time(Timestamp::from_microsecond(micros)?)
            }
            _ => Cell::Text(std::str::from_utf8(raw)?.into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Cell::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
