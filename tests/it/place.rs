//! A temporary folder to run Hourglass in, and what a run said.
//!
//! The binary is the release build beside this test; it is brought up to date once, so that no test
//! speaks of yesterday's. No test reads the caller's data folder unless it asks for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own for one test.
pub struct Place {
    dir: TempDir,
}

/// What a finished command left on its outputs.
#[derive(Debug)]
pub struct Said {
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    /// A place with one file, `pipeline.toml`.
    pub fn with_pipeline(text: &str) -> Place {
        let place = Place::new();
        place.write("pipeline.toml", text);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The command, ready to be started in this place, never touching the network.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .env_remove("HOURGLASS_DATA_DIR")
            .env_remove("RUST_LOG")
            .env_remove("RAYON_NUM_THREADS");
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Said {
        said(self.command(args).output().unwrap())
    }

    /// Runs the place's pipeline, which must succeed; returns the run directory.
    #[track_caller]
    pub fn run_pipeline(&self, more: &[&str]) -> RunDir {
        let mut args = vec!["pipeline", "run", "pipeline.toml", "--offline"];
        args.extend(more);
        let said = self.run(&args);
        assert_eq!(said.code, Some(0), "{said:#?}");
        self.run_dir(&said)
    }

    /// The run directory that a successful run printed last.
    #[track_caller]
    pub fn run_dir(&self, said: &Said) -> RunDir {
        let last = said.stdout.lines().last().unwrap_or_default();
        let path = self.dir.path().join(last);
        assert!(path.join("report.json").is_file(), "no report in {last:?}: {said:#?}");
        RunDir { path }
    }

    /// Starts a command with its standard error in a file, for tests that interfere with it.
    pub fn start(&self, args: &[&str]) -> Running {
        let heard = self.path("stderr.txt");
        let child = self
            .command(args)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&heard).unwrap())
            .spawn()
            .unwrap();
        Running { child, heard }
    }

    /// Epochs in the telemetry of all training stages, finished or not.
    pub fn epochs_trained(&self) -> usize {
        let lines = |dir: PathBuf| {
            let telemetry = fs::read_to_string(dir.join("telemetry.jsonl")).unwrap_or_default();
            telemetry.lines().count()
        };
        self.train_dirs().into_iter().map(lines).sum()
    }

    /// Every file that finished training stages keep, but for what measures time.
    pub fn trained_files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for dir in self.train_dirs() {
            for item in fs::read_dir(dir).unwrap() {
                let path = item.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if !["entry.json", "telemetry.jsonl"].contains(&name.as_str()) {
                    files.insert(name, fs::read(path).unwrap());
                }
            }
        }
        assert!(files.len() >= 2, "{:?}", files.keys());
        files
    }

    /// What every downstream model said of the test rows, in the order of their keys' inputs.
    pub fn judgements(&self) -> Vec<Value> {
        let items = fs::read_dir(self.path("runs/cache/downstream")).unwrap();
        let mut judgements: Vec<(String, Value)> = items
            .map(|item| {
                let dir = item.unwrap().path();
                let read = |name: &str| -> Value {
                    serde_json::from_str(&fs::read_to_string(dir.join(name)).unwrap()).unwrap()
                };
                // The keys of what it reads change with the data; what it is does not.
                let tables = read("entry.json")["inputs"]["tables"].to_string();
                let width = read("judgement.json")["n_features"].to_string();
                (tables + &width, read("judgement.json"))
            })
            .collect();
        judgements.sort_by(|a, b| a.0.cmp(&b.0));
        judgements.into_iter().map(|(_, judgement)| judgement).collect()
    }

    fn train_dirs(&self) -> Vec<PathBuf> {
        let Ok(items) = fs::read_dir(self.path("runs/cache/train")) else { return Vec::new() };
        items.map(|item| item.unwrap().path()).collect()
    }
}

/// A command that runs beside the test.
pub struct Running {
    child: Child,
    heard: PathBuf,
}

impl Running {
    /// Waits until something has happened, while the command runs.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, happened: impl Fn() -> bool) {
        let start = Instant::now();
        while !happened() {
            let over = self.child.try_wait().unwrap();
            let heard = fs::read_to_string(&self.heard).unwrap();
            assert!(over.is_none(), "it ended ({over:?}) before {what}:\n{heard}");
            assert!(start.elapsed() < Duration::from_secs(60), "never: {what}:\n{heard}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal by name, such as `INT`.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Sends a signal by name to every process that it has started.
    #[cfg(target_os = "linux")]
    pub fn signal_children(&self, name: &str) {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let status =
            Command::new("kill").arg(format!("-{name}")).args(children.split_whitespace()).status();
        assert!(status.unwrap().success(), "{children}");
    }

    /// Waits for its end.
    pub fn finish(self) -> Said {
        let mut said = said(self.child.wait_with_output().unwrap());
        said.stderr = fs::read_to_string(&self.heard).unwrap();
        said
    }
}

/// What a run left behind.
pub struct RunDir {
    pub path: PathBuf,
}

impl RunDir {
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path.join(name)).unwrap()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path.join(name)).unwrap()
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }
}

fn said(output: Output) -> Said {
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The release binary, or the one that `HOURGLASS_BIN` names.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("HOURGLASS_BIN") {
            return path.into();
        }
        let this = std::env::current_exe().unwrap();
        let profile_dir = this.parent().and_then(Path::parent).unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["build", "--quiet", "--release", "--package", "hourglass"]).current_dir(root());
        // What cargo tells about this package must not make build scripts that watch it run again.
        for (name, _) in std::env::vars().filter(|(name, _)| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        }) {
            cargo.env_remove(name);
        }
        assert!(cargo.status().unwrap().success(), "the binary was not built");
        profile_dir.join(format!("hourglass{}", std::env::consts::EXE_SUFFIX))
    })
}
