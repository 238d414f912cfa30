//! Optuna 5 and we on the same tables. These tests run where `python3` (or the program named by
//! `HOURGLASS_PYTHON`) has Optuna 5, and for PostgreSQL where it also has a driver.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use hourglass_search::{
    Address, Ask, Direction, Distribution, Outcome, SearchSpace, Store, Study, StudyConfig,
    TrialState, open,
};
use serde_json::{Value, json};

use crate::fixture::Server;

/// Reads a study of ours, checks what it says, and goes on with it.
const READ_AND_GO_ON: &str = r#"
import json, math, sys
import optuna
from optuna.trial import TrialState
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(study_name="ours", storage=sys.argv[1])
assert study.direction.name == "MAXIMIZE"
trials = study.trials
assert [t.number for t in trials] == [0, 1, 2, 3, 4], trials
states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.WAITING,
          TrialState.RUNNING]
assert [t.state for t in trials] == states, [t.state for t in trials]
assert trials[0].value == 0.75
assert trials[0].intermediate_values[1] == 0.5 and math.isnan(trials[0].intermediate_values[2])
assert trials[0].user_attrs == {"note": [1, None]}
assert trials[0].datetime_start <= trials[0].datetime_complete
assert trials[1].intermediate_values == {1: 0.25}
assert trials[2].user_attrs["reason"] == "out of memory"
d = trials[0].distributions
assert d["rate"] == optuna.distributions.FloatDistribution(1e-3, 1.0, log=True), d
assert d["depth"] == optuna.distributions.IntDistribution(1, 9, step=2), d
assert d["kind"].choices == ("relu", '{"gelu":{"tanh":true}}', None, 1.5), d
assert study.best_trial.number == 0
print(json.dumps([t.params for t in trials]))
def objective(trial):
    rate = trial.suggest_float("rate", 1e-3, 1.0, log=True)
    trial.suggest_int("depth", 1, 9, step=2)
    trial.suggest_categorical("kind", ["relu", '{"gelu":{"tanh":true}}', None, 1.5])
    trial.report(rate, 1)
    return rate
study.optimize(objective, n_trials=12)
# The trial that was put back is taken up with the parameters it had.
assert study.trials[3].params == trials[3].params, study.trials[3]
assert study.trials[3].value == trials[3].params["rate"]
"#;

/// Begins a study that we go on with.
const BEGIN: &str = r#"
import sys
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(study_name="theirs", storage=sys.argv[1])
def objective(trial):
    x = trial.suggest_float("x", -5.0, 5.0)
    trial.suggest_categorical("kind", ["a", "b"])
    trial.report(x, 0)
    if trial.number == 3:
        raise optuna.TrialPruned()
    return float("inf") if trial.number == 4 else x * x
study.optimize(objective, n_trials=6)
study.enqueue_trial({"x": 0.5})
"#;

/// Sees what we added, and goes on once more.
const SEE: &str = r#"
import sys
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(study_name="theirs", storage=sys.argv[1])
assert len(study.trials) == 20, len(study.trials)
assert study.trials[6].params["x"] == 0.5
assert all(t.state.name == "COMPLETE" for t in study.trials[6:])
study.optimize(lambda trial: trial.suggest_float("x", -5.0, 5.0) ** 2, n_trials=3)
optuna.delete_study(study_name="theirs", storage=sys.argv[1])
"#;

/// A Python with Optuna 5 and, for a server, its driver.
fn python(needs: &str) -> Option<String> {
    let program = std::env::var("HOURGLASS_PYTHON").unwrap_or_else(|_| "python3".into());
    let probe = format!("import optuna, {needs}; assert optuna.__version__ >= '5'");
    let found = Command::new(&program)
        .args(["-c", &probe])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        assert!(
            std::env::var_os("HOURGLASS_REQUIRE_OPTUNA").is_none(),
            "HOURGLASS_REQUIRE_OPTUNA is set, but `{program}` has no Optuna 5 with {needs}"
        );
        println!("`{program}` has no Optuna 5 with {needs}: its tests are left out");
    }
    found.then_some(program)
}

fn run(python: &str, script: &str, storage: &str) -> String {
    let mut child = Command::new(python)
        .args(["-", storage])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

fn optuna_reads_ours_and_goes_on(python: &str, store: Arc<dyn Store>, storage: &str) {
    let kinds = [json!("relu"), json!({"gelu": {"tanh": true}}), Value::Null, json!(1.5)];
    let space = SearchSpace::new([
        ("depth", Distribution::int(1, 9).step(2.0).into()),
        ("kind", Distribution::Categorical { choices: kinds.into() }.into()),
        ("rate", Distribution::float(1e-3, 1.0).log().into()),
    ])
    .unwrap();
    let directions = vec![Direction::Maximize];
    let config = StudyConfig { directions, ..StudyConfig::new("ours", space) };
    let study = Study::create(store, config).unwrap();
    let ask = || match study.ask("w", None).unwrap() {
        Ask::Trial(trial) => *trial,
        _ => panic!("no trial"),
    };
    let mut first = ask();
    first.report(1, 0.5).unwrap();
    first.report(2, f64::NAN).unwrap();
    first.set_user_attribute("note", json!([1, null])).unwrap();
    first.tell(&0.75.into()).unwrap();
    let mut pruned = ask();
    pruned.report(1, 0.25).unwrap();
    pruned.tell(&Outcome::Pruned).unwrap();
    ask().tell(&Outcome::Failed("out of memory".into())).unwrap();
    let (released, _running) = (ask(), ask());
    released.release().unwrap();
    let printed = run(python, READ_AND_GO_ON, storage);
    let read: Vec<Value> = serde_json::from_str(printed.trim()).unwrap();
    for (trial, read) in study.trials().unwrap().iter().zip(&read) {
        assert_eq!(json!(trial.values_of_params()), *read, "trial {}", trial.number);
    }
    let trials = study.trials().unwrap();
    assert_eq!(trials.len(), 16);
    assert_eq!(trials[15].state, TrialState::Complete);
    assert_eq!(trials[15].intermediate.len(), 1);
    // And we go on after Optuna.
    let last = ask();
    assert_eq!(last.number(), 16);
    last.tell(&0.1.into()).unwrap();
}

fn we_go_on_with_theirs(python: &str, store: Arc<dyn Store>, storage: &str) {
    run(python, BEGIN, storage);
    let space = SearchSpace::new([
        ("kind", Distribution::categorical(["a", "b"]).into()),
        ("x", Distribution::float(-5.0, 5.0).into()),
    ])
    .unwrap();
    let config = StudyConfig::new("theirs", space);
    let Err(error) = Study::load(store.clone(), "theirs") else { panic!() };
    assert!(error.to_string().contains("begun by another program"), "{error}");
    let study = Study::create_or_load(store.clone(), config).unwrap();
    let before = study.trials().unwrap();
    let states: Vec<TrialState> = before.iter().map(|trial| trial.state).collect();
    use TrialState::{Complete, Pruned, Queued};
    assert_eq!(states, [Complete, Complete, Complete, Pruned, Complete, Complete, Queued]);
    assert_eq!(before[4].values, [f64::INFINITY]);
    assert_eq!(before[0].values[0], before[0].params["x"].internal.powi(2));
    study
        .optimize(20, |trial| {
            let x = trial.float("x")?;
            Ok((x * x).into())
        })
        .unwrap();
    assert_eq!(study.trials().unwrap()[6].params["x"].internal, 0.5);
    run(python, SEE, storage);
    assert!(store.study("theirs").is_err());
}

#[test]
fn optuna_and_we_share_a_sqlite_file() {
    let Some(python) = python("sqlite3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let storage = format!("sqlite:///{}", folder.path().join("studies.db").display());
    let address: Address = storage.parse().unwrap();
    optuna_reads_ours_and_goes_on(&python, open(&address).unwrap(), &storage);
    we_go_on_with_theirs(&python, open(&address).unwrap(), &storage);
    // And a file that Optuna made.
    let storage = format!("sqlite:///{}", folder.path().join("theirs.db").display());
    run(&python, "import optuna, sys; optuna.create_study(storage=sys.argv[1])", &storage);
    we_go_on_with_theirs(&python, open(&storage.parse().unwrap()).unwrap(), &storage);
}

#[test]
fn optuna_and_we_share_a_postgres_database() {
    let Some(python) = python("psycopg2") else { return };
    let Some(server) = Server::shared() else { return };
    for ours_first in [true, false] {
        let url = server.database();
        let storage = url.replace("postgres://", "postgresql+psycopg2://");
        if !ours_first {
            run(&python, "import optuna, sys; optuna.create_study(storage=sys.argv[1])", &storage);
        }
        let store = open(&url.parse().unwrap()).unwrap();
        optuna_reads_ours_and_goes_on(&python, store.clone(), &storage);
        we_go_on_with_theirs(&python, store, &storage);
    }
}
