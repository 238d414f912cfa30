//! A sweep on PostgreSQL that is started anew in mid-sweep. The server is this test's own, on a
//! socket in a temporary folder; skipped with a word where PostgreSQL isn't installed, unless
//! `HOURGLASS_REQUIRE_POSTGRES` is set, as continuous integration does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::place::Place;
use crate::sweep::SLOW;

struct Server {
    folder: tempfile::TempDir,
    pg_ctl: PathBuf,
}

impl Server {
    fn start() -> Option<Server> {
        let Some(pg_ctl) = find_pg_ctl() else {
            let word = "skipped: PostgreSQL is not installed";
            assert!(std::env::var_os("HOURGLASS_REQUIRE_POSTGRES").is_none(), "{word}");
            println!("{word}");
            return None;
        };
        let server = Server { folder: tempfile::tempdir().unwrap(), pg_ctl };
        if is_root() {
            // The server refuses to run as root.
            run(Command::new("chown").arg("postgres").arg(server.folder.path()));
        }
        let initdb = server.pg_ctl.with_file_name("initdb");
        let arguments = ["-U", "postgres", "-A", "trust", "-N", "-D", "data"];
        run(server.command(&initdb).args(arguments));
        server.control(&["start"]);
        Some(server)
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

    fn control(&self, action: &[&str]) {
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c fsync=off",
            self.folder.path().display()
        );
        let more = ["-w", "-s", "-D", "data", "-l", "log", "-o", &options];
        run(self.command(&self.pg_ctl).args(action).args(more));
    }

    fn address(&self) -> String {
        format!("postgres://postgres@/postgres?host={}", self.folder.path().display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stop = ["stop", "-s", "-m", "immediate", "-D", "data"];
        drop(self.command(&self.pg_ctl).args(stop).status());
    }
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}

fn find_pg_ctl() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join("pg_ctl"));
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = installed.map(|version| version.path().join("bin/pg_ctl"));
    let found = in_path.chain(installed).find(|program| program.is_file());
    // A link in PATH leads to where the other programs are.
    found.map(|program| program.canonicalize().unwrap_or(program))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[test]
fn a_server_that_is_started_anew_in_mid_sweep_is_waited_for() {
    let Some(server) = Server::start() else { return };
    let place = Place::with_pipeline(SLOW);
    let address = server.address();
    let store = ["--store", address.as_str()];
    let sweep = ["sweep", "run", "pipeline.toml", "--workers", "2", "--no-test"];
    let mut running = place.start(&[&sweep[..], &store[..]].concat());
    running.wait_until("both trials run", || place.epochs_trained() >= 40);
    server.control(&["restart", "-m", "immediate"]);
    let said = running.finish();
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(said.stdout.contains("2 of 2 trials, 2 finished"), "{said:#?}");
    assert_eq!(place.epochs_trained(), 800, "no epoch was trained twice");
    assert!(!place.path("runs/studies.db").exists());
}
