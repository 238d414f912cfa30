//! Stores to test: each kind there is, fresh, with a clock that the test moves.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hourglass_search::{
    Distribution, ManualClock, MemoryStore, PostgresStore, SearchSpace, SqliteStore, Store,
    StudyConfig,
};

/// A store of each kind, its clock, and whatever has to be kept until the test ends.
pub struct Fixture {
    pub kind: &'static str,
    pub store: Arc<dyn Store>,
    pub clock: ManualClock,
    _folder: Option<tempfile::TempDir>,
}

/// Runs a test on a fresh store of each kind.
pub fn each(test: impl Fn(&Fixture)) {
    let clock = || ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let memory = clock();
    let store = MemoryStore::with_clock(memory.clone());
    test(&Fixture { kind: "memory", store, clock: memory, _folder: None });
    let (sqlite, folder) = (clock(), tempfile::tempdir().unwrap());
    let path = folder.path().join("new/studies.db");
    let store = SqliteStore::with_clock(&path, sqlite.clone()).unwrap();
    test(&Fixture { kind: "sqlite", store, clock: sqlite, _folder: Some(folder) });
    if let Some(server) = Server::shared() {
        let postgres = clock();
        let store = PostgresStore::with_clock(&server.database(), postgres.clone()).unwrap();
        test(&Fixture { kind: "postgres", store, clock: postgres, _folder: None });
    }
}

/// A study with one parameter from 0 to 1 and a lease of a minute.
pub fn config(name: &str) -> StudyConfig {
    let space = SearchSpace::new([("x", Distribution::float(0.0, 1.0).into())]).unwrap();
    StudyConfig { lease: Duration::from_secs(60), ..StudyConfig::new(name, space) }
}

/// A PostgreSQL server of the test's own, on a socket in a temporary folder.
pub struct Server {
    folder: tempfile::TempDir,
    pg_ctl: PathBuf,
    databases: AtomicU32,
}

impl Server {
    /// The server that all tests but those that restart it share; none where PostgreSQL isn't
    /// installed, unless `HOURGLASS_REQUIRE_POSTGRES` is set.
    pub fn shared() -> Option<&'static Server> {
        static SERVER: OnceLock<Option<Server>> = OnceLock::new();
        SERVER.get_or_init(Server::start).as_ref()
    }

    /// Starts another one.
    pub fn start() -> Option<Server> {
        let Some(pg_ctl) = find_pg_ctl() else {
            assert!(
                std::env::var_os("HOURGLASS_REQUIRE_POSTGRES").is_none(),
                "HOURGLASS_REQUIRE_POSTGRES is set, but pg_ctl is neither in PATH nor in \
                 /usr/lib/postgresql/*/bin"
            );
            println!("PostgreSQL is not installed: its tests are left out");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let server = Server { folder, pg_ctl, databases: AtomicU32::new(0) };
        if is_root() {
            // The server refuses to run as root.
            run(Command::new("chown").arg("postgres").arg(server.folder.path()));
        }
        let initdb = server.pg_ctl.with_file_name("initdb");
        run(server
            .command(&initdb)
            .args(["-U", "postgres", "-A", "trust", "-N", "-D"])
            .arg(server.data()));
        server.control("start");
        server.stop_after_this_process();
        Some(server)
    }

    /// Nothing drops a static: a shell waits for the end of this process, then stops the server
    /// and clears its folder away.
    #[expect(clippy::zombie_processes, reason = "it outlives this process by design")]
    fn stop_after_this_process(&self) {
        let script = "pid=$1; folder=$2; shift 2; while kill -0 $pid; do sleep 1; done; \"$@\"; \
                      rm -rf \"$folder\"";
        let mut stop = self.command(&self.pg_ctl);
        stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(self.data());
        Command::new("sh")
            .args(["-c", script, "guard", &std::process::id().to_string()])
            .arg(self.folder.path())
            .arg(stop.get_program())
            .args(stop.get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
    }

    /// `pg_ctl start`, `stop` or `restart`.
    pub fn control(&self, action: &str) {
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c fsync=off \
             -c max_connections=200",
            self.folder.path().display()
        );
        let log = self.folder.path().join("log");
        let mut command = self.command(&self.pg_ctl);
        command.args([action, "-w", "-s", "-m", "immediate", "-o", &options]);
        if action == "start" {
            command = self.command(&self.pg_ctl);
            command.args([action, "-w", "-s", "-o", &options]);
        }
        run(command.arg("-l").arg(log).arg("-D").arg(self.data()));
    }

    /// The address of a new, empty database.
    pub fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let socket = self.folder.path().display();
        let admin = format!("postgres://postgres@/postgres?host={socket}");
        let mut client = postgres::Client::connect(&admin, postgres::NoTls).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        format!("postgres://postgres@/{name}?host={socket}")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of PostgreSQL, as a user that may run it.
    fn command(&self, program: &Path) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path());
        command
    }
}

fn find_pg_ctl() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join("pg_ctl"));
    let mut installed: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin/pg_ctl"))
        .collect();
    installed.sort();
    let found = in_path.chain(installed.into_iter().rev()).find(|program| program.is_file());
    // A link in PATH leads to where the other programs are.
    found.map(|program| program.canonicalize().unwrap_or(program))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
}
