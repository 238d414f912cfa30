//! Commands about finished runs: a suite of pipelines, two runs compared, a run verified.

use serde_json::Value;

use crate::place::Place;

const IRIS: &str = r#"
name = "iris"
seed = 2
repeats = 2
[data.builtin]
dataset = "iris"
[split]
validation = 0.2
[preprocess]
numeric = "standard"
[model.undercomplete]
latent_dim = 2
[train]
epochs = 5
optimizer = { adam = { learning_rate = 1e-2 } }
[downstream]
compare = ["raw", "autoencoder"]
models = [{ logistic_regression = {} }]
"#;

#[test]
fn a_suite_survives_a_failure_and_says_so() {
    let place = Place::new();
    place.write("suite/good.toml", IRIS);
    let gone = IRIS.replace("name = \"iris\"", "name = \"gone\"").replace(
        "[data.builtin]\ndataset = \"iris\"",
        "[data.csv]\npath = \"gone.csv\"\ntarget = \"y\"",
    );
    place.write("suite/gone.toml", gone);
    let args = ["report", "suite", "suite", "--offline", "--write", "zoo.md", "--jobs", "2"];
    let said = place.run(&args);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.stderr.contains("1 of 2 pipelines failed"), "{said:#?}");
    assert!(said.stdout.contains("Failed: gone.toml"), "{said:#?}");
    let suite: Value = serde_json::from_str(&place.read("runs/suite-suite/suite.json")).unwrap();
    assert_eq!(suite["entries"][0]["name"], "iris");
    assert!(place.read("runs/suite-suite/suite.html").contains("Hourglass benchmark"));
    let written = place.read("zoo.md");
    assert!(written.contains("relative gain") && !written.contains("## Costs"), "{written}");
    let row = written.lines().find(|line| line.starts_with("| iris | undercomplete 4-2-4 |")).unwrap();
    assert!(!row.contains('–'), "every figure of the autoencoder is there: {row}");
    place.run(&args);
    assert_eq!(place.read("zoo.md"), written, "a second run writes the same bytes");
}

#[test]
fn comparing_two_runs_shows_settings_and_results() {
    let place = Place::with_pipeline(IRIS);
    let first = place.run_pipeline(&[]);
    let second = place.run_pipeline(&["--set", "train.epochs=9"]);
    let (first, second) = (first.path.to_str().unwrap(), second.path.to_str().unwrap());
    let said = place.run(&["report", "compare", first, second]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let line = said.stdout.lines().find(|line| line.starts_with("train.epochs")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["train.epochs", "5", "9"]);
    assert!(said.stdout.contains("autoencoder  logistic_regression"), "{}", said.stdout);
    let same = place.run(&["report", "compare", first, first]);
    assert!(same.stdout.contains("no setting differs"), "{same:#?}");
    let json = place.run(&["report", "compare", first, "--json"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["settings"][0]["path"], "train.epochs");
}

#[test]
fn verifying_finds_the_byte_that_was_changed() {
    let place = Place::with_pipeline(IRIS);
    let run = place.run_pipeline(&[]);
    let said = place.run(&["report", "verify", "--offline"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(said.stdout.contains("repeat-2/weights.safetensors"), "{said:#?}");
    assert!(said.stderr.contains("every byte is the same"), "{said:#?}");
    let report = run.read("report.json");
    std::fs::write(run.path.join("report.json"), report.replacen("\"seed\": 2", "\"seed\": 3", 1))
        .unwrap();
    let said = place.run(&["report", "verify", "--offline"]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    let line = said.stdout.lines().find(|line| line.starts_with("report.json")).unwrap();
    assert!(line.contains("differs in 1 bytes") && line.contains("line "), "{line}");
    let left = std::fs::read_dir(place.path("runs")).unwrap();
    assert!(
        !left
            .into_iter()
            .any(|item| { item.unwrap().file_name().to_string_lossy().starts_with(".verify") })
    );
}
