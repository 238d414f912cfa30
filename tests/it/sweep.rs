//! Sweeps from outside: the whole way, typing mistakes, kills, other workers, the best file.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::{Place, Said};

/// Trials of a fraction of a second.
const QUICK: &str = r#"
name = "quick"
seed = 7
repeats = 2
[data.builtin]
dataset = "iris"
[split]
validation = 0.3
test = 0.2
[preprocess]
numeric = "standard"
[model.undercomplete]
latent_dim = 2
[train]
epochs = 3
optimizer = { adam = { learning_rate = 1e-2 } }
[downstream]
compare = ["raw", "autoencoder"]
models = [{ logistic_regression = {} }]
[search]
trials = 6
[search.space]
"model.undercomplete.latent_dim" = { int = [1, 3] }
"train.optimizer.adam.learning_rate" = { float = [1e-3, 1e-1], log = true }
"#;

/// Trials of some seconds, so that there is time to interfere.
pub const SLOW: &str = r#"
name = "slow"
seed = 7
[data.builtin]
dataset = "digits"
[model.undercomplete]
hidden_dims = [256]
latent_dim = 16
[train]
epochs = 400
batch_size = 32
optimizer = { adam = { learning_rate = 1e-3 } }
[downstream]
compare = ["raw", "autoencoder"]
models = [{ knn = {} }]
[search]
trials = 2
objective = "reconstruction_validation"
[search.space]
"train.optimizer.adam.learning_rate" = { float = [1e-4, 1e-2], log = true }
"#;

const RUN: [&str; 3] = ["sweep", "run", "pipeline.toml"];

const ONE: [&str; 5] = ["sweep", "run", "pipeline.toml", "--workers", "1"];

fn sweep(place: &Place) -> Value {
    let said = place.run(&["sweep", "show", "--json"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    serde_json::from_str(&said.stdout).unwrap()
}

/// Number, parameters, values and curve of every trial: everything but times.
fn trials(place: &Place) -> Vec<(u64, Value, Value, Value)> {
    let report = sweep(place);
    let trials = report["trials"].as_array().unwrap();
    let of = |trial: &Value| {
        (
            trial["number"].as_u64().unwrap(),
            trial["parameters"].clone(),
            trial["values"].clone(),
            trial["curve"].clone(),
        )
    };
    trials.iter().map(of).collect()
}

#[track_caller]
fn good(said: &Said) {
    assert_eq!(said.code, Some(0), "{said:#?}");
}

#[test]
fn from_the_file_to_the_best_file_and_back() {
    let place = Place::with_pipeline(QUICK);
    let said = place.run(&[&RUN[..], &["--workers", "2"]].concat());
    good(&said);
    let folder = said.stdout.lines().last().unwrap();
    for name in ["report.html", "sweep.json", "trials.csv", "best.toml"] {
        assert!(place.path(folder).join(name).is_file(), "{name}");
    }
    assert!(said.stdout.contains("6 of 6 trials, 6 finished"), "{said:#?}");
    for number in 0..6 {
        let told = said.stderr.matches(&format!("trial {number}: ")).count();
        assert_eq!(told, 1, "{said:#?}");
    }
    let report = sweep(&place);
    assert_eq!(report["trials"].as_array().unwrap().len(), 6);
    // The file as it stands and the winner, each read on test.
    assert_eq!(report["tested"].as_array().unwrap().len(), 2);

    let said = place.run(&["sweep", "best", "--write", "best.toml"]);
    good(&said);
    let best = place.read("best.toml");
    assert!(best.contains("# The best of 6 trials"), "{best}");
    assert!(best.starts_with("# Trial ") && best.contains("learning_rate="), "{best}");
    let said = place.run(&["pipeline", "run", "best.toml", "--offline"]);
    good(&said);
    assert!(said.stderr.contains("everything was in the cache"), "{said:#?}");

    for name in ["trials.csv", "trials.json", "trials.parquet"] {
        good(&place.run(&["sweep", "export", name]));
        assert!(fs::metadata(place.path(name)).unwrap().len() > 100, "{name}");
    }
    let said = place.run(&["sweep", "export", "trials.xlsx"]);
    assert!(said.code == Some(2) && said.stderr.contains(".csv, .json or .parquet"), "{said:#?}");

    // Once more: nothing is left to do. With more trials, the same study goes on.
    let said = place.run(&RUN);
    good(&said);
    assert!(said.stderr.contains("all 6 trials are done already"), "{said:#?}");
    good(&place.run(&[&RUN[..], &["--more", "2", "--no-test"]].concat()));
    assert_eq!(trials(&place).len(), 8);
    let status = place.run(&["sweep", "status"]);
    assert!(status.stdout.contains("8 of 8 trials, 8 finished"), "{status:#?}");
}

#[test]
fn pipeline_run_says_what_it_does_not_use() {
    let place = Place::with_pipeline(QUICK);
    let said = place.run(&["pipeline", "run", "pipeline.toml", "--offline"]);
    good(&said);
    assert!(said.stderr.contains("`[search]` is not used by `pipeline run`"), "{said:#?}");
}

#[test]
fn the_same_seed_and_one_worker_give_the_same_trials_however_often_it_was_broken_off() {
    let place = Place::with_pipeline(QUICK);
    good(&place.run(&[&ONE[..], &["--no-test"]].concat()));
    let undisturbed = trials(&place);
    let again = Place::with_pipeline(QUICK);
    // A few at a time: as if it had been stopped after each of them, in another process each.
    for _ in 0..6 {
        good(&again.run(&[&ONE[..], &["--more", "1", "--no-test"]].concat()));
    }
    assert_eq!(trials(&again), undisturbed);
    let numbers: Vec<u64> = undisturbed.iter().map(|trial| trial.0).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    let values: BTreeMap<String, ()> =
        undisturbed.iter().map(|trial| (trial.1.to_string(), ())).collect();
    assert!(values.len() > 3, "they are not all alike: {values:?}");
}

/// Waits until a trial has a checkpoint, which comes some seconds into it.
fn has_checkpoint(place: &Place) -> bool {
    let Ok(items) = fs::read_dir(place.path("runs/cache/train")) else { return false };
    items.flatten().any(|item| item.path().join("checkpoint.safetensors").exists())
}

#[test]
#[cfg(unix)]
fn a_killed_worker_s_trial_is_continued_from_its_checkpoint_and_counted_once() {
    let text = SLOW.replace("trials = 2", "trials = 1");
    let place = Place::with_pipeline(&text);
    // The study is made, and nothing runs yet.
    let said = place.run(&[&RUN[..], &["--workers", "0", "--lease", "2"]].concat());
    good(&said);
    let study = said.stdout.trim().to_owned();
    let worker = |name: &str| {
        let args = ["sweep", "worker", "--study", &study, "--name", name, "--threads", "1"];
        place.start(&args)
    };
    let mut first = worker("first");
    first.wait_until("a checkpoint", || has_checkpoint(&place));
    first.signal("KILL");
    assert_eq!(first.finish().code, None);
    let start = Instant::now();
    let second = worker("second").finish();
    assert!(start.elapsed() > Duration::from_millis(500), "it waited for the lease");
    good(&second);
    assert!(second.stderr.contains("resumed in epoch"), "{second:#?}");
    let disturbed = trials(&place);
    assert_eq!(disturbed.len(), 1);

    let place = Place::with_pipeline(&text);
    good(&place.run(&[&ONE[..], &["--no-test"]].concat()));
    assert_eq!(trials(&place), disturbed);
}

#[test]
#[cfg(unix)]
fn ctrl_c_gives_the_trial_back_and_the_second_start_goes_on_with_it() {
    let place = Place::with_pipeline(SLOW);
    let mut running = place.start(&[&ONE[..], &["--no-test"]].concat());
    running.wait_until("a trial runs", || place.epochs_trained() >= 10);
    running.signal("INT");
    let said = running.finish();
    assert_eq!(said.code, Some(130), "{said:#?}");
    assert!(said.stderr.contains("the same command goes on from here"), "{said:#?}");
    let report = sweep(&place);
    assert_eq!(report["trials"][0]["state"], "waiting", "{report:#}");
    let trained = place.epochs_trained();
    good(&place.run(&[&ONE[..], &["--no-test"]].concat()));
    assert_eq!(trials(&place).len(), 2);
    assert_eq!(place.epochs_trained(), 800, "after {trained}");
    let undisturbed = Place::with_pipeline(SLOW);
    good(&undisturbed.run(&[&ONE[..], &["--no-test"]].concat()));
    assert_eq!(trials(&place), trials(&undisturbed));
}

#[test]
#[cfg(target_os = "linux")]
fn a_trial_without_memory_fails_with_the_reason_and_the_study_goes_on() {
    // Some trials want 200 GB of weights, which no limit lets through.
    let text = QUICK
        .replace("{ int = [1, 3] }", "{ categorical = [2, 3, 2000000000] }")
        .replace("trials = 6", "trials = 8");
    let place = Place::with_pipeline(&text);
    let mut command = std::process::Command::new("bash");
    let binary = place.command(&[]).get_program().to_owned();
    command
        .arg("-c")
        .arg("ulimit -v 8000000; exec \"$0\" \"$@\"")
        .arg(binary)
        .args([&ONE[..], &["--no-test"]].concat())
        .current_dir(place.path(""))
        .env_remove("HOURGLASS_DATA_DIR");
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let report = sweep(&place);
    let count = |state: &str| {
        report["trials"].as_array().unwrap().iter().filter(|t| t["state"] == state).count()
    };
    assert!(count("complete") > 0 && count("failed") > 0, "{report:#}");
    assert_eq!(count("complete") + count("failed"), 8);
    let failed = report["trials"].as_array().unwrap();
    let failed = failed.iter().find(|trial| trial["state"] == "failed").unwrap();
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("memory"), "{reason}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_worker_that_aborts_takes_only_its_trial_along() {
    let place = Place::with_pipeline(SLOW);
    let mut running = place.start(&[&ONE[..], &["--no-test"]].concat());
    running.wait_until("a trial runs", || place.epochs_trained() >= 10);
    running.signal_children("ABRT");
    let said = running.finish();
    good(&said);
    let report = sweep(&place);
    assert_eq!(report["trials"][0]["state"], "failed", "{report:#}");
    let reason = report["trials"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("it died of signal 6"), "{reason}");
    assert_eq!(report["trials"][1]["state"], "complete", "{report:#}");
}

#[test]
fn the_time_of_the_workers_is_accounted_for() {
    let place = Place::with_pipeline(QUICK);
    let said = place.run(&[&RUN[..], &["--workers", "2", "--no-test"]].concat());
    good(&said);
    let effort = said.stderr.lines().find(|line| line.starts_with("6 trials in ")).unwrap();
    assert!(effort.contains(" a minute; of the workers' time "), "{effort}");
}

#[test]
fn what_a_pruner_compares_is_said_where_it_is_not_the_objective() {
    let text = QUICK.replace("trials = 6\n", "trials = 6\npruner = { asha = {} }\n");
    let place = Place::with_pipeline(&text);
    let said = place.run(&[&ONE[..], &["--no-test"]].concat());
    good(&said);
    let word = "the pruner compares losses on validation, not `downstream_validation`";
    assert!(said.stderr.contains(word), "{said:#?}");
    let of_losses = text.replace("pruner =", "objective = \"reconstruction_validation\"\npruner =");
    let place = Place::with_pipeline(&of_losses);
    let said = place.run(&[&ONE[..], &["--no-test"]].concat());
    good(&said);
    assert!(!said.stderr.contains("the pruner compares"), "{said:#?}");
    // Three epochs have one rung, at the first; the last epoch prunes nobody.
    let ended: Vec<u64> = sweep(&place)["trials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trial| trial["curve"].as_array().unwrap().last().unwrap()[0].as_u64().unwrap())
        .collect();
    assert_eq!(ended[0], 3);
    assert!(ended.iter().all(|epochs| [1, 3].contains(epochs)) && ended.contains(&1), "{ended:?}");
}

#[test]
fn a_study_whose_trials_all_fail_says_so() {
    let text =
        QUICK.replace("float = [1e-3, 1e-1], log = true", "float = [1e30, 1e35], log = true");
    let place = Place::with_pipeline(&text);
    let said = place.run(&ONE);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.stderr.contains("all 6 trials failed; the last one: "), "{said:#?}");
}

#[test]
fn stop_lets_running_trials_finish_and_begins_no_more() {
    let place = Place::with_pipeline(SLOW);
    let mut running = place.start(&[&ONE[..], &["--no-test"]].concat());
    running.wait_until("a trial runs", || place.epochs_trained() >= 10);
    good(&place.run(&["sweep", "stop"]));
    let said = running.finish();
    good(&said);
    assert!(said.stderr.contains("stopped by `sweep stop`"), "{said:#?}");
    assert_eq!(trials(&place).len(), 1);
}

#[test]
fn mistakes_in_the_space_are_found_before_any_trial() {
    for (from, to, expected) in [
        (
            "undercomplete.latent_dim\" =",
            "undercomplete.latentdim\" =",
            "did you mean `model.undercomplete.latent_dim`?",
        ),
        ("{ int = [1, 3] }", "{ int = [3, 1] }", "the range 3 to 1 is empty"),
        ("[1e-3, 1e-1], log", "[0, 1e-1], log", "a logarithmic range can't begin at 0"),
        ("{ int = [1, 3] }", "{ int = [0, 3] }", "with `model.undercomplete.latent_dim = 0`"),
        ("\"model.undercomplete.latent_dim\" =", "\"seed\" =", "`seed` can't be searched"),
        (
            "[search]\n",
            "[schedule]\ncron = \"0 25 * * *\"\n[search]\n",
            "2nd field (hour), column 3, is wrong",
        ),
        (
            "[search]\n",
            "[search]\nobjective = \"results.autoencoder.mean\"\n",
            "measured on test rows",
        ),
    ] {
        let text = QUICK.replace(from, to);
        assert_ne!(text, QUICK, "{from}");
        let place = Place::with_pipeline(&text);
        for args in [&RUN[..], &["pipeline", "check", "pipeline.toml"]] {
            let said = place.run(args);
            assert_eq!(said.code, Some(2), "{to}: {said:#?}");
            assert!(said.stderr.contains(expected), "{to}: {said:#?}");
            assert!(said.stderr.contains("pipeline.toml:"), "{to}: {said:#?}");
        }
        assert!(!place.path("runs").exists(), "nothing was begun");
    }
    let place = Place::with_pipeline(&QUICK[..QUICK.find("[search]").unwrap()]);
    let said = place.run(&RUN);
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.stderr.contains("has no `[search]`"), "{said:#?}");
}

#[test]
fn stores_that_are_not_there_and_passwords() {
    let place = Place::with_pipeline(QUICK);
    let said = place.run(&["sweep", "status"]);
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.stderr.contains("holds no study yet"), "{said:#?}");
    let said = place.run(&["sweep", "status", "--store", "postgres://ada:pa55@127.0.0.1:1/x"]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.stderr.contains("can't reach") && !said.stderr.contains("pa55"), "{said:#?}");
    let said = place.run(&["sweep", "status", "--store", "mysql://ada:pa55@host/x"]);
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(!said.stderr.contains("pa55"), "{said:#?}");
    let mut help = place.command(&["sweep", "run", "--help"]);
    let help = help.env("HOURGLASS_STORE", "postgres://ada:pa55@host/x").output().unwrap();
    assert!(!String::from_utf8_lossy(&help.stdout).contains("pa55"));
}

#[test]
fn several_objectives_have_a_front() {
    let text = QUICK.replace(
        "trials = 6\n",
        "trials = 6\nobjective = [\"downstream_validation\", \"model.latent_dim\"]\n",
    );
    let place = Place::with_pipeline(&text);
    good(&place.run(&ONE));
    let front = sweep(&place)["front"].as_array().unwrap().clone();
    assert!(!front.is_empty());
    let said = place.run(&["sweep", "best", "--trial", &front[0].to_string()]);
    assert!(said.stdout.contains("# One of 6 trials"), "{said:#?}");
    let said = place.run(&["sweep", "best"]);
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.stderr.contains("name one of its front with `--trial`"), "{said:#?}");
    good(&place.run(&["sweep", "best", "--trial", &front[0].to_string()]));
}

#[test]
fn scripts_are_printed_and_nothing_is_started() {
    let place = Place::with_pipeline(QUICK);
    let submit = ["sweep", "submit", "pipeline.toml", "--dry-run", "--engine"];
    let said = place.run(&[&submit[..], &["slurm", "--minutes", "30"]].concat());
    good(&said);
    assert!(said.stdout.starts_with("#!/bin/bash\n#SBATCH --job-name=quick-"), "{said:#?}");
    assert!(said.stdout.contains("#SBATCH --signal=B:USR1@120"), "{said:#?}");
    assert!(!place.path("runs/studies.db").exists());
    let said = place.run(&[&submit[..], &["kubernetes"]].concat());
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.stderr.contains("name a PostgreSQL store"), "{said:#?}");
    let store = ["--store", "postgres://ada:pa55@host/x"];
    let said = place.run(&[&submit[..], &["kubernetes"], &store[..]].concat());
    good(&said);
    assert!(said.stdout.contains("\"completionMode\": \"Indexed\""), "{said:#?}");
    assert!(!said.stdout.contains("pa55"), "{said:#?}");
}

#[test]
fn schedules() {
    let schedule = "[schedule]\ncron = \"* * * * *\"\ntimezone = \"Europe/Berlin\"\ntrials = 2\n";
    let place = Place::new();
    place.write("files/quick.toml", format!("{QUICK}{schedule}"));
    let next =
        ["schedule", "next", "files/quick.toml", "-n", "2", "--after", "2026-03-29T00:59:30Z"];
    let said = place.run(&next);
    good(&said);
    assert!(said.stdout.contains("2026-03-29 03:00:00 CEST"), "{said:#?}");

    for (format, expected) in [
        ("systemd", "OnCalendar=*-*-* *:*:00 Europe/Berlin"),
        ("crontab", "CRON_TZ=Europe/Berlin\n* * * * * flock -n "),
        ("kubernetes", "\"timeZone\": \"Europe/Berlin\""),
    ] {
        let said = place.run(&["schedule", "emit", "files/quick.toml", "--format", format]);
        good(&said);
        assert!(said.stdout.contains(expected), "{said:#?}");
    }

    let tick = |at: &str| good(&place.run(&["schedule", "tick", "files", "--at", at]));
    tick("2026-03-29T00:59:30Z");
    assert!(!place.path("runs/sweeps").exists(), "nothing is due yet");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| tick("2026-03-29T01:00:10Z"));
        }
    });
    tick("2026-03-29T01:00:20Z");
    assert_eq!(trials(&place).len(), 2, "one firing, fired once");
    let study = fs::read_dir(place.path("runs/sweeps")).unwrap().next().unwrap().unwrap().path();
    let firing = fs::read_dir(study.join("firings")).unwrap().next().unwrap().unwrap().path();
    let changes = fs::read_to_string(firing.join("changes.md")).unwrap();
    assert!(changes.contains("2 finished, 0 pruned, 0 failed of 2 trials"), "{changes}");
    assert!(firing.join("report.html").exists());
}

/// What Optuna says of our file, as JSON.
const OPTUNA: &str = r#"
import json, sys
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = "sqlite:///" + sys.argv[1]
study = optuna.load_study(study_name=sys.argv[2], storage=storage)
print(json.dumps({
    "direction": study.direction.name,
    "best": study.best_trial.number,
    "trials": [
        {"number": t.number, "state": t.state.name, "value": t.value, "params": t.params,
         "steps": {str(k): v for k, v in t.intermediate_values.items()}}
        for t in study.trials
    ],
}))
"#;

#[test]
fn optuna_reads_the_study() {
    let python = std::env::var("HOURGLASS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_optuna = std::process::Command::new(&python).args(["-c", "import optuna"]).output();
    if !has_optuna.is_ok_and(|output| output.status.success()) {
        let word = format!("skipped: `{python}` has no Optuna");
        assert!(std::env::var_os("HOURGLASS_REQUIRE_OPTUNA").is_none(), "{word}");
        println!("{word}");
        return;
    }
    let place = Place::with_pipeline(QUICK);
    good(&place.run(&[&ONE[..], &["--no-test"]].concat()));
    let ours = sweep(&place);
    let study = ours["study"].as_str().unwrap();
    let script = place.write("read.py", OPTUNA);
    let output = std::process::Command::new(&python)
        .arg(script)
        .arg(place.path("runs/studies.db"))
        .arg(study)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read["direction"], "MAXIMIZE");
    assert_eq!(read["best"], ours["best"]);
    for (read, ours) in
        read["trials"].as_array().unwrap().iter().zip(ours["trials"].as_array().unwrap())
    {
        assert_eq!(read["number"], ours["number"]);
        assert_eq!(read["state"], "COMPLETE");
        assert_eq!(read["value"], ours["values"][0]);
        let latent = "model.undercomplete.latent_dim";
        assert_eq!(read["params"][latent].as_f64(), ours["parameters"][latent].as_f64());
        // Losses have the sign of the study's direction there.
        let first = read["steps"]["1"].as_f64().unwrap();
        assert_eq!(Some(-first), ours["curve"][0][1].as_f64());
    }
    assert_eq!(read["trials"].as_array().unwrap().len(), 6);
}
