//! What the doctor does beyond finding: cures that are tried, keys that are taken away, its own
//! examination, and runs that broke off.

use std::fs;

use serde_json::Value;

use crate::place::{Place, Said, root};

/// Steps so wide that nothing is learnt, and a row a step less than the doctor likes.
const SICK: &str = r#"
name = "sick"
seed = 3
repeats = 3
[data.builtin]
dataset = "breast_cancer"
[preprocess]
numeric = "standard"
[model.undercomplete]
latent_dim = 8
activation = "tanh"
[train]
epochs = 4
batch_size = 7
optimizer = { adam = { learning_rate = 10.0 } }
[downstream]
compare = ["raw", "autoencoder"]
models = [{ logistic_regression = {} }]
"#;

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:#?}"))
}

fn ids(found: &Value) -> Vec<&str> {
    found.as_array().unwrap().iter().map(|finding| finding["id"].as_str().unwrap()).collect()
}

#[test]
fn a_file_is_treated_and_the_cured_one_runs() {
    let place = Place::with_pipeline(SICK);
    let only = ["--only", "learning_rate_too_high"];
    let args = ["doctor", "treat", "pipeline.toml", "--trials", "4", "--offline"];
    let args = [&args[..], &only[..]].concat();
    let said = place.run(&args);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let key = "train.optimizer.adam.learning_rate";
    assert!(
        said.stdout.contains(&format!("    - {key} = 10.0\n    + {key} = 1e-3\n")),
        "{said:#?}"
    );
    assert!(said.stdout.contains("    kept: the finding is gone"), "{said:#?}");
    let cured = said.stdout.lines().last().unwrap();
    assert!(place.read(cured).contains(&format!("# {key}: was 10")), "{said:#?}");
    assert_eq!(place.read("pipeline.toml"), SICK, "the user's file is left alone");
    let said = place.run(&["doctor", "check", cured, "--offline", "--json"]);
    assert!(!ids(&json(&said)["findings"]).contains(&"learning_rate_too_high"), "{said:#?}");

    // Again, from the cache, and as figures.
    let said = place.run(&[&args[..], &["--json"]].concat());
    let treated = json(&said);
    assert_eq!(treated["attempts"][0]["is_gone"], true, "{treated:#}");
    assert!(treated["attempts"][0]["score_change"]["interval"].is_array(), "{treated:#}");
    assert_eq!(treated["improved"], true, "{treated:#}");
    assert!(ids(&treated["before"]["findings"]).contains(&"learning_rate_too_high"));
    assert!(!ids(&treated["after"]["findings"]).contains(&"learning_rate_too_high"));
}

#[test]
fn a_run_is_treated_beside_itself() {
    let place = Place::with_pipeline(SICK);
    let run = place.run_pipeline(&[]);
    let only = ["--only", "learning_rate_too_high"];
    let said = place.run(&[&["doctor", "treat", "--trials", "1", "--offline"], &only[..]].concat());
    let cured = said.stdout.lines().last().unwrap();
    let name = run.path.file_name().unwrap().to_str().unwrap();
    assert!(cured.ends_with(&format!("{name}.cured.toml")), "{said:#?}");
    assert!(place.read(cured).contains("learning_rate = 0.001"), "{said:#?}");
    let latest = place.path("runs/latest").canonicalize().unwrap();
    assert_eq!(latest, run.path.canonicalize().unwrap(), "attempts are no runs of the user");
    let said = place.run(&["doctor", "treat", "nowhere"]);
    assert_eq!(said.code, Some(2), "{said:#?}");
    let said = place.run(&["doctor", "treat", "--only", "hiccup"]);
    assert!(said.stderr.contains("there is no finding `hiccup`"), "{said:#?}");
}

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_the_cures_that_were_tried() {
    let place = Place::with_pipeline(&SICK.replace("epochs = 4", "epochs = 500"));
    let mut running = place.start(&["doctor", "treat", "pipeline.toml", "--offline"]);
    running.wait_until("a cure was tried", || {
        let heard = place.read("stderr.txt");
        heard.contains(": kept") || heard.contains(": dropped")
    });
    running.signal("INT");
    let said = running.finish();
    assert_eq!(said.code, Some(130), "{said:#?}");
    assert!(said.stdout.contains("ended since it was interrupted"), "{said:#?}");
    assert!(said.stdout.contains("1. "), "{said:#?}");
}

#[test]
fn keys_are_taken_away_one_at_a_time() {
    let place = Place::with_pipeline(SICK);
    let said = place.run(&["pipeline", "ablate", "pipeline.toml", "--json", "--offline"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let found = json(&said);
    let mut keys: Vec<&str> =
        found["changes"].as_array().unwrap().iter().map(|c| c["key"].as_str().unwrap()).collect();
    keys.sort_unstable();
    let expected = ["model.undercomplete.activation", "preprocess.numeric", "train.batch_size"];
    assert_eq!(keys, expected, "{found:#}");
    for change in found["changes"].as_array().unwrap() {
        let measured = &change["outcome"]["measured"];
        assert!(measured["score_worth"]["interval"].is_array(), "{change:#}");
    }
    let args = ["pipeline", "ablate", "pipeline.toml", "--key", "train.epochs=3", "--csv"];
    let said = place.run(&args);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{said:#?}");
    assert!(lines[0].starts_with("key,in the file,without,score without,worth,"));
    assert!(lines[1].starts_with("train.epochs,4,3,0."), "{said:#?}");
    let said = place.run(&["pipeline", "ablate", "pipeline.toml", "--key", "train.epochs"]);
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(!place.path("runs/latest").exists(), "nothing was run that has a report");
}

#[test]
fn the_clinic_counts_what_is_found_and_what_is_missed() {
    let place = Place::new();
    place.write("clinic/batch_too_small.toml", SICK);
    let healthy = SICK.replace("batch_size = 7\n", "batch_size = 16\n");
    place.write("clinic/no_baseline-none.toml", healthy.replace("\"raw\", ", ""));
    let args = ["doctor", "clinic", "clinic", "--seeds", "2", "--csv", "--offline"];
    let said = place.run(&args);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines[0], "pipeline,expected,found,seed,ok");
    assert!(lines[1].starts_with("batch_too_small,batch_too_small,"), "{said:#?}");
    assert!(lines[1].ends_with(",3,true") && lines[2].ends_with(",4,true"), "{said:#?}");
    assert_eq!(lines[5], "sensitivity 4/4, false alarms 0/0");

    // A file that isn't what its name says.
    place.write("clinic/blur.toml", &healthy);
    place.write("clinic/blur.healthy.toml", SICK);
    let said = place.run(&["doctor", "clinic", "clinic", "--seeds", "1", "--treat", "--offline"]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.stdout.ends_with("sensitivity 2/3, false alarms 1/1\n"), "{said:#?}");
    assert!(said.stdout.contains("/2, improved "), "{said:#?}");
    assert!(said.stdout.contains("no file is sick with: "), "{said:#?}");
    assert!(said.stderr.contains("1 of 3 missed, 1 false alarms: blur, seed 3"), "{said:#?}");
    place.write("clinic/hiccup.toml", &healthy);
    let said = place.run(&args);
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.stderr.contains("is named after no finding"), "{said:#?}");
}

#[test]
fn every_finding_has_a_sick_file_and_a_healthy_twin() {
    let dir = root().join("pipelines/clinic");
    let files = fs::read_dir(&dir).unwrap().map(|item| item.unwrap().path());
    let files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    let names: Vec<&str> =
        files.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    let place = Place::new();
    for line in place.run(&["doctor", "explain"]).stdout.lines() {
        let id = line.split(' ').next().unwrap();
        let of_finding = |name: &str| name == id || name.starts_with(&format!("{id}-"));
        let mut healthy = names.iter().filter_map(|name| name.strip_suffix(".healthy"));
        assert!(names.iter().any(|name| of_finding(name)), "{id} has no sick file");
        assert!(healthy.any(of_finding), "{id} has no healthy twin");
    }
    for path in &files {
        let said = place.run(&["pipeline", "check", path.to_str().unwrap()]);
        assert_eq!(said.code, Some(0), "{said:#?}");
    }
}

#[test]
fn a_run_that_diverges_is_examined_as_far_as_it_came() {
    let place = Place::with_pipeline(SICK);
    let run = ["pipeline", "run", "pipeline.toml", "--offline"];
    let wild = "train.optimizer={ sgd = { learning_rate = 1e3 } }";
    let said = place.run(&[&run[..], &["--set", wild]].concat());
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.stderr.contains("`doctor examine runs/sick-"), "{said:#?}");
    for file in ["pipeline.toml", "manifest.json", "unfinished.json"] {
        assert!(place.path("runs/latest").join(file).exists(), "{file}");
    }
    let said = place.run(&["doctor", "examine", "--json"]);
    assert_eq!(said.code, Some(3), "{said:#?}");
    let found = json(&said);
    assert!(ids(&found["findings"]).contains(&"non_finite_loss"), "{found:#}");
    let sentence = found["findings"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("in epoch 1; the first number that was none was in "), "{sentence}");
    assert!(found["left_out"].to_string().contains("the run failed in `train, repeat 1`"));
    let said = place.run(&["report", "show"]);
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.stderr.contains("hint: `doctor examine`"), "{said:#?}");
    // The treatment of such a run begins where it failed.
    let said = place.run(&["doctor", "treat", "--trials", "3", "--json", "--offline"]);
    let treated = json(&said);
    assert!(treated["before"]["failure"].is_string(), "{treated:#}");
    assert!(treated["after"]["failure"].is_null(), "{treated:#}");
}

#[test]
#[cfg(unix)]
fn a_killed_run_is_examined_from_its_cache() {
    let text = SICK.replace("epochs = 4", "epochs = 9000");
    let place = Place::with_pipeline(&text);
    let mut running = place.start(&["pipeline", "run", "pipeline.toml", "--offline"]);
    running.wait_until("some epochs are trained", || place.epochs_trained() >= 8);
    running.signal("KILL");
    running.finish();
    let runs = fs::read_dir(place.path("runs")).unwrap();
    let run =
        runs.map(|item| item.unwrap().path()).find(|path| path.join("pipeline.toml").exists());
    let run = run.unwrap();
    let said = place.run(&["doctor", "examine", run.to_str().unwrap(), "--json"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let found = json(&said);
    let left_out = found["left_out"].to_string();
    assert!(left_out.contains("the results: the run did not finish"), "{left_out}");
    assert!(!left_out.contains("the epochs"), "{left_out}");
    assert!(ids(&found["findings"]).contains(&"batch_too_small"), "{found:#}");
}

#[test]
fn unknown_and_damaged_folders_are_examined_as_far_as_they_go() {
    let place = Place::with_pipeline(SICK);
    let run = place.run_pipeline(&["--set", "repeats=1"]);
    let examine = |name: &str| place.run(&["doctor", "examine", name, "--json"]);
    let path = run.path.to_str().unwrap();
    let whole = json(&examine(path));
    assert_eq!(whole["left_out"], Value::Array(Vec::new()));

    // A damaged file: the report holds a copy.
    fs::write(run.path.join("pipeline.toml"), "name = ").unwrap();
    let found = json(&examine(path));
    assert!(found["left_out"].to_string().contains("it is damaged; the report holds a copy"));
    assert_eq!(found["findings"], whole["findings"]);

    // Telemetry alone, with a line that was cut off.
    let telemetry = run.read("repeat-1/telemetry.jsonl");
    place.write("alone/repeat-1/telemetry.jsonl", &telemetry[..telemetry.len() - 30]);
    let said = examine("alone");
    assert!(said.code == Some(0), "{said:#?}");
    assert!(json(&said)["left_out"].to_string().contains("all that needs it: it is gone"));

    for (name, text) in [("strange/notes.md", "no run"), ("broken/pipeline.toml", "name = ")] {
        place.write(name, text);
        let folder = name.split('/').next().unwrap();
        assert_eq!(examine(folder).code, Some(2), "{name}");
    }
}

#[test]
fn a_hopeless_training_ends_early_where_that_is_asked() {
    let wild = [
        "--set",
        "train.optimizer={ adam = { learning_rate = 3.0, beta1 = 0.0, beta2 = 0.5 } }",
        "--set",
        "train.epochs=60",
        "--set",
        "train.batch_size=16",
        "--set",
        "repeats=1",
    ];
    let place = Place::with_pipeline(SICK);
    let epochs = |run: &crate::place::RunDir| {
        run.json("report.json")["training"][0]["epochs"].as_array().unwrap().len()
    };
    assert_eq!(epochs(&place.run_pipeline(&wild)), 60);
    let stop = [&wild[..], &["--set", "train.on_hopeless=stop"]].concat();
    let run = place.run_pipeline(&stop);
    assert!(epochs(&run) < 60);
    let why = run.json("report.json")["training"][0]["stopped_because"].to_string();
    assert!(why.contains("given up by the doctor"), "{why}");
}

#[test]
fn every_report_and_every_suite_says_what_the_doctor_found() {
    let place = Place::new();
    place.write("suite/sick.toml", SICK);
    let said = place.run(&["report", "suite", "suite", "--offline", "--json"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let findings = json(&said)["entries"][0]["findings"].to_string();
    assert!(findings.contains("warning (batch_too_small): "), "{findings}");
    assert!(place.read("runs/suite-suite/suite.html").contains("batch_too_small"));
    let latest = |name: &str| place.read(&format!("runs/latest/{name}"));
    let report: Value = serde_json::from_str(&latest("report.json")).unwrap();
    assert!(ids(&report["diagnosis"]["findings"]).contains(&"batch_too_small"));
    assert!(latest("report.md").contains("## Diagnosis"));
    assert!(latest("report.html").contains("<h2>Diagnosis</h2>"));
    // What stands in the report is what the doctor says of the finished run.
    let examined = json(&place.run(&["doctor", "examine", "--json"]));
    let sentences = |found: &Value| {
        let each = found.as_array().unwrap().iter();
        each.map(|finding| finding["sentence"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(sentences(&examined["findings"]), sentences(&report["diagnosis"]["findings"]));
}
