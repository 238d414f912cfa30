//! Many workers on one study: no trial is claimed twice, none is lost, and a server that restarts
//! is waited for.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hourglass_search::{
    Address, Ask, MemoryStore, PostgresStore, SamplerConfig, SqliteStore, Store, Study,
    StudyConfig, TrialState, open, sampler,
};

use crate::fixture::{Server, config};

/// Environment variables that turn this test binary into a worker process.
const WORKER_STORE: &str = "HOURGLASS_TEST_STORE";
const WORKER_NAME: &str = "HOURGLASS_TEST_WORKER";
const WORKER_TRIALS: &str = "HOURGLASS_TEST_TRIALS";
const WORKER_CREW: &str = "HOURGLASS_TEST_CREW";

fn random_study(store: Arc<dyn Store>) -> Study {
    let sampler = SamplerConfig::Random(sampler::Random::default());
    Study::create(store, StudyConfig { sampler, ..config("many") }).unwrap()
}

/// Works until the study has so many trials and all are finished; returns the numbers of the trials
/// that this worker ended.
fn work(study: &Study, worker: &str, trials: u64) -> Vec<u64> {
    let mut ended = Vec::new();
    loop {
        match study.ask(worker, Some(trials)).unwrap() {
            Ask::Trial(mut trial) => {
                let x = trial.float("x").unwrap();
                trial.report(1, x).unwrap();
                trial.tell(&x.into()).unwrap();
                ended.push(trial.number());
            }
            Ask::Wait { .. } => std::thread::sleep(Duration::from_millis(5)),
            Ask::Done | Ask::Stopped => return ended,
        }
    }
}

/// Sixteen threads; a quarter of the trials waits in the queue, the rest is made.
fn sixteen_workers(store: Arc<dyn Store>, trials: u64) {
    let study = random_study(store);
    for _ in 0..trials / 4 {
        study.enqueue(&BTreeMap::new()).unwrap();
    }
    let mut ended: Vec<u64> = std::thread::scope(|scope| {
        let study = &study;
        let workers: Vec<_> = (0..16)
            .map(|worker| scope.spawn(move || work(study, &format!("w{worker}"), trials)))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    ended.sort_unstable();
    assert_eq!(ended, (0..trials).collect::<Vec<_>>(), "claimed twice, or lost");
    all_complete(&study, trials);
}

fn all_complete(study: &Study, trials: u64) {
    let stored = study.trials().unwrap();
    assert_eq!(stored.len() as u64, trials);
    for (number, trial) in (0..).zip(&stored) {
        assert_eq!((trial.number, trial.state), (number, TrialState::Complete));
        assert_eq!(trial.holder.as_ref().unwrap().attempt, 1, "trial {number}");
        assert_eq!((trial.values.len(), trial.intermediate.len()), (1, 1), "trial {number}");
    }
}

#[test]
fn sixteen_workers_in_memory() {
    sixteen_workers(MemoryStore::shared(), 2_000);
}

#[test]
fn sixteen_workers_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    sixteen_workers(SqliteStore::open(&folder.path().join("studies.db")).unwrap(), 2_000);
}

#[test]
fn sixteen_workers_on_postgres() {
    if let Some(server) = Server::shared() {
        sixteen_workers(PostgresStore::open(&server.database()).unwrap(), 2_000);
    }
}

#[test]
fn workers_wait_for_a_server_that_restarts() {
    let Some(server) = Server::start() else { return };
    let study = random_study(PostgresStore::open(&server.database()).unwrap());
    let trials = 1_000;
    let ended: usize = std::thread::scope(|scope| {
        let study = &study;
        let workers: Vec<_> = (0..8)
            .map(|worker| scope.spawn(move || work(study, &format!("w{worker}"), trials)))
            .collect();
        for _ in 0..2 {
            let before = study.trials().unwrap().len();
            server.control("restart");
            assert!(before < trials as usize, "the restart came too late to prove anything");
        }
        workers.into_iter().map(|worker| worker.join().unwrap().len()).sum()
    });
    let stored = study.trials().unwrap();
    assert_eq!((ended, stored.len()), (trials as usize, trials as usize));
    assert!(stored.iter().all(|trial| trial.state == TrialState::Complete));
}

/// Not a test of its own: what a worker process runs.
#[test]
fn worker_process() {
    let Ok(store) = std::env::var(WORKER_STORE) else { return };
    let address: Address = store.parse().unwrap();
    let study = Study::load(open(&address).unwrap(), "many").unwrap();
    let trials = std::env::var(WORKER_TRIALS).unwrap().parse().unwrap();
    let name = std::env::var(WORKER_NAME).unwrap();
    let crew: usize = std::env::var(WORKER_CREW).unwrap().parse().unwrap();
    wait_for_the_others(Path::new(&store), &name, crew);
    work(&study, &name, trials);
}

/// Waits until as many workers as `crew` have come, so that who gets trials isn't a matter of who
/// was started first.
fn wait_for_the_others(store: &Path, name: &str, crew: usize) {
    std::fs::write(store.with_extension(format!("{name}.ready")), "").unwrap();
    let is_ready = |item: &std::fs::DirEntry| item.path().extension() == Some("ready".as_ref());
    let here = || std::fs::read_dir(store.parent().unwrap()).unwrap().flatten().filter(is_ready);
    let start = Instant::now();
    while here().count() < crew {
        assert!(start.elapsed() < Duration::from_secs(30), "the others didn't come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts this binary again as a worker.
fn start_worker(store: &Path, worker: u32, crew: usize, trials: u64) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "workers::worker_process", "--test-threads=1"])
        .env(WORKER_STORE, store)
        .env(WORKER_NAME, format!("p{worker}"))
        .env(WORKER_TRIALS, trials.to_string())
        .env(WORKER_CREW, crew.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn eight_processes_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("studies.db");
    let study = random_study(SqliteStore::open(&path).unwrap());
    let processes: Vec<_> = (0..8).map(|worker| start_worker(&path, worker, 8, 2_000)).collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    all_complete(&study, 2_000);
    let stored = study.trials().unwrap();
    let workers: BTreeMap<&str, usize> =
        stored.iter().fold(BTreeMap::new(), |mut counts, trial| {
            *counts.entry(trial.holder.as_ref().unwrap().worker.as_str()).or_default() += 1;
            counts
        });
    assert_eq!(workers.len(), 8, "some starve: {workers:?}");
}

#[test]
fn trials_of_killed_processes_are_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("studies.db");
    let sampler = SamplerConfig::Random(sampler::Random::default());
    let lease = Duration::from_millis(300);
    let config = StudyConfig { sampler, lease, max_attempts: 100, ..config("many") };
    let study = Study::create(SqliteStore::open(&path).unwrap(), config).unwrap();
    let trials = 100_000;
    for worker in 0..3 {
        let mut process = start_worker(&path, worker, 1, trials);
        let before = study.trials().unwrap().len();
        while study.trials().unwrap().len() == before {
            std::thread::sleep(Duration::from_millis(2));
        }
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let made = study.trials().unwrap().len() as u64;
    work(&study, "last", made);
    let stored = study.trials().unwrap();
    assert_eq!(stored.len() as u64, made);
    assert!(stored.iter().all(|trial| trial.state == TrialState::Complete));
}
