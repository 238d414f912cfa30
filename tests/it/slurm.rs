//! Workers on a real Slurm: slurmctld, slurmd and munged of this machine, on loopback, with all
//! their state in a temporary folder. Skipped with a word where Slurm isn't installed, unless
//! `HOURGLASS_REQUIRE_SLURM` is set, as continuous integration does.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::place::Place;
use crate::sweep::SLOW;

/// A cluster of one node with two slots.
struct Cluster {
    conf: PathBuf,
    /// In the order in which they are stopped.
    daemons: Vec<(String, Child)>,
}

impl Cluster {
    /// Starts it, or says why not.
    fn start(dir: &Path) -> Option<Cluster> {
        let missing: Vec<&str> = ["munged", "slurmctld", "slurmd", "sbatch"]
            .into_iter()
            .filter(|name| program(name).is_none())
            .collect();
        if !missing.is_empty() {
            let word = format!("skipped: {} not installed", missing.join(", "));
            assert!(std::env::var_os("HOURGLASS_REQUIRE_SLURM").is_none(), "{word}");
            println!("{word}");
            return None;
        }
        for name in ["munge", "state", "run", "spool"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        for (name, mode) in [("", 0o755), ("munge", 0o700), ("state", 0o700), ("run", 0o755)] {
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let key = dir.join("munge/munge.key");
        let noise = fs::File::open("/dev/urandom").unwrap();
        let mut bytes = vec![0; 128];
        std::io::Read::read_exact(&mut { noise }, &mut bytes).unwrap();
        fs::write(&key, bytes).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();

        let path = |name: &str| dir.join(name).display().to_string();
        let socket = path("run/munge.sock");
        let munged = daemon(
            dir,
            "munged",
            &[
                "--foreground".to_owned(),
                "--force".to_owned(),
                format!("--key-file={}", path("munge/munge.key")),
                format!("--socket={socket}"),
                format!("--pid-file={}", path("munge/munged.pid")),
                format!("--seed-file={}", path("munge/munged.seed")),
            ],
        );
        let conf = dir.join("slurm.conf");
        fs::write(&conf, configuration(dir, &socket)).unwrap();
        let mut cluster =
            Cluster { conf: conf.clone(), daemons: vec![("munged".to_owned(), munged)] };
        wait(20, "munged's socket", || Path::new(&socket).exists());
        let conf_arg = conf.display().to_string();
        let slurmctld = daemon(dir, "slurmctld", &["-D".into(), "-f".into(), conf_arg.clone()]);
        // The controller is stopped first, munged last.
        cluster.daemons.insert(0, ("slurmctld".to_owned(), slurmctld));
        let arguments = ["-D".into(), "-N".into(), "n1".into(), "-f".into(), conf_arg];
        let slurmd = daemon(dir, "slurmd", &arguments);
        cluster.daemons.insert(1, ("slurmd".to_owned(), slurmd));
        wait(30, "an idle node", || {
            cluster.ask("sinfo", &["-h", "-N", "-t", "idle", "-o", "%N"]).contains("n1")
        });
        Some(cluster)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name).unwrap());
        command.env("SLURM_CONF", &self.conf);
        command
    }

    fn ask(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.command(name).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Without a controller, slurmstepd and the job's processes would stay.
        let jobs = self.ask("squeue", &["-h", "-o", "%A"]);
        for job in jobs.lines() {
            self.ask("scancel", &[job]);
        }
        let start = Instant::now();
        while !self.ask("squeue", &["-h"]).is_empty() && start.elapsed() < Duration::from_secs(15) {
            std::thread::sleep(Duration::from_millis(100));
        }
        for (_, daemon) in &mut self.daemons {
            drop(Command::new("kill").arg(daemon.id().to_string()).status());
            let start = Instant::now();
            while daemon.try_wait().unwrap().is_none() {
                if start.elapsed() > Duration::from_secs(15) {
                    drop(daemon.kill());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Where a program is; daemons may lie outside of a user's path.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn daemon(dir: &Path, name: &str, arguments: &[String]) -> Child {
    let log = fs::File::create(dir.join(format!("{name}.out"))).unwrap();
    Command::new(program(name).unwrap())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn configuration(dir: &Path, socket: &str) -> String {
    let ports: Vec<TcpListener> =
        (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let port = |index: usize| ports[index].local_addr().unwrap().port();
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let (user, dir) = (user.trim(), dir.display());
    // None of the plugins touches cgroups, a database or systemd. A requeued job waits as long as a
    // credential lasts, and KillWait is what lies between SIGTERM and SIGKILL.
    format!(
        "ClusterName=test\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort={}\nSlurmUser={user}\n\
         SlurmdUser={user}\nAuthType=auth/munge\nCredType=cred/munge\n\
         AuthInfo=socket={socket},cred_expire=5\n\
         CommunicationParameters=NoInAddrAny,NoCtldInAddrAny\nProctrackType=proctrack/linuxproc\n\
         TaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/none\n\
         AccountingStorageType=accounting_storage/none\nJobCompType=jobcomp/none\n\
         SwitchType=switch/none\n\
         MpiDefault=none\nSelectType=select/cons_tres\nSelectTypeParameters=CR_Core\n\
         SchedulerType=sched/backfill\nSlurmdParameters=config_overrides\n\
         ReturnToService=2\nKillWait=3\n\
         SchedulerParameters=sched_interval=2,bf_interval=2,\
         batch_sched_delay=0,sched_min_interval=0\n\
         StateSaveLocation={dir}/state\nSlurmdSpoolDir={dir}/spool\n\
         SlurmctldPidFile={dir}/run/ctld.pid\n\
         SlurmdPidFile={dir}/run/slurmd.pid\nSlurmctldLogFile={dir}/slurmctld.log\n\
         SlurmdLogFile={dir}/slurmd.log\n\
         NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={} CPUs=2 RealMemory=1000\n\
         PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n",
        port(0),
        port(1)
    )
}

#[track_caller]
fn wait(seconds: u64, what: &str, happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(seconds), "never: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn an_array_of_workers_and_a_task_that_is_asked_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cluster) = Cluster::start(folder.path()) else { return };
    let place = Place::with_pipeline(&SLOW.replace("epochs = 400", "epochs = 1200"));
    let log = |task: u32| {
        let items = fs::read_dir(place.path("runs")).unwrap().flatten();
        let end = format!("_{task}.log");
        let logs = items.filter(|item| item.file_name().to_string_lossy().ends_with(&end));
        logs.map(|item| fs::read_to_string(item.path()).unwrap_or_default()).collect::<String>()
    };
    let submitted = place
        .command(&["sweep", "submit", "pipeline.toml", "--engine", "slurm", "--workers", "2"])
        .env("SLURM_CONF", &cluster.conf)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&submitted.stderr).into_owned();
    assert!(submitted.status.success(), "{stderr}");
    let job = String::from_utf8_lossy(&submitted.stdout).trim().to_owned();
    wait(30, "both tasks train", || place.epochs_trained() >= 20);

    // What Slurm does some time before the limit: a signal to the batch script.
    cluster.ask("scancel", &["--signal=USR1", "--batch", &format!("{job}_0")]);
    let states = || {
        let said = place.run(&["sweep", "show", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        let trials = report["trials"].as_array().unwrap().clone();
        trials.iter().map(|t| t["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    wait(20, "the trial is given back", || log(0).contains("the same command goes on"));
    wait(90, "all trials are finished", || states() == ["complete", "complete"]);
    // Whoever took it, it went on from where it was.
    assert!((log(0) + &log(1)).contains("resumed in epoch"), "{}\n{}", log(0), log(1));
    assert_eq!(place.epochs_trained(), 2400);
    wait(60, "the queue is empty", || cluster.ask("squeue", &["-h", "-j", &job]).is_empty());
}
