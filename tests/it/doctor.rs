//! The doctor from outside: sick files and runs beside a healthy one, exit codes, what is left out.

use serde_json::Value;

use crate::place::{Place, Said};

/// Chosen so that nothing is wrong with it: it shows that a file can be healthy, not how often the
/// doctor cries wolf. `doctor clinic` counts that.
const HEALTHY: &str = r#"
name = "patient"
seed = 5
repeats = 3
[data.builtin]
dataset = "digits"
[preprocess]
numeric = { min_max = { range = [0.0, 1.0] } }
[model.undercomplete]
hidden_dims = [64]
latent_dim = 16
activation = "elu"
output_activation = "linear"
[train]
epochs = 60
batch_size = 64
optimizer = { adam = { learning_rate = 5e-3 } }
schedule = { cosine = {} }
[downstream]
compare = ["raw", "raw+autoencoder"]
models = [{ logistic_regression = {} }]
"#;

/// Identifiers of severity warning and above, in the order printed.
fn found(said: &Said) -> Vec<String> {
    let json: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:#?}"));
    let findings = json["findings"].as_array().unwrap().iter();
    let worse = findings.filter(|finding| finding["severity"] != "note");
    worse.map(|finding| finding["id"].as_str().unwrap().to_owned()).collect()
}

fn check(text: &str) -> Said {
    Place::with_pipeline(text).run(&["doctor", "check", "pipeline.toml", "--offline", "--json"])
}

#[test]
fn a_healthy_file_has_no_finding_before_training() {
    let said = check(HEALTHY);
    assert_eq!((said.code, found(&said)), (Some(0), vec![]), "{said:#?}");
}

#[test]
fn sick_files_are_found_before_training() {
    // What is changed, what is found, and the exit code: 3 where an error stands.
    for (from, to, expected, code) in [
        ("activation = \"linear\"", "activation = \"tanh\"", None, 0),
        (
            "numeric = { min_max = { range = [0.0, 1.0] } }",
            "numeric = \"none\"",
            Some("unscaled_inputs"),
            0,
        ),
        ("learning_rate = 5e-3", "learning_rate = 10.0", Some("learning_rate_too_high"), 0),
        ("batch_size = 64", "batch_size = 1", Some("batch_too_small"), 0),
        ("batch_size = 64", "batch_size = 900", Some("batch_too_large"), 0),
        ("hidden_dims = [64]", "hidden_dims = [4096]", Some("few_samples"), 0),
        ("[\"raw\", \"raw+autoencoder\"]", "[\"autoencoder\"]", Some("no_baseline"), 0),
    ] {
        let text = HEALTHY.replacen(from, to, 1);
        assert_ne!(text, HEALTHY, "{from}");
        let said = check(&text);
        let found = found(&said);
        assert!(expected.is_none_or(|id| found.iter().any(|f| f == id)), "{to}: {said:#?}");
        assert!(expected.is_some() || found.is_empty(), "{to}: {found:?}");
        assert_eq!(said.code, Some(code), "{to}: {said:#?}");
    }
}

#[test]
fn a_healthy_run_has_no_finding_and_a_sick_one_has() {
    let place = Place::with_pipeline(HEALTHY);
    place.run_pipeline(&[]);
    let said = place.run(&["doctor", "examine", "--json"]);
    assert_eq!((said.code, found(&said)), (Some(0), vec![]), "{said:#?}");
    let said = place.run(&["doctor", "examine", "--repeat", "3", "--json"]);
    assert_eq!((said.code, found(&said)), (Some(0), vec![]), "{said:#?}");
    let said = place.run(&["doctor", "examine", "--repeat", "4"]);
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.stderr.contains("it has 3"), "{said:#?}");

    let place = Place::with_pipeline(&HEALTHY.replacen("5e-3", "30.0", 1));
    place.run_pipeline(&["--set", "repeats=1"]);
    let said = place.run(&["doctor", "examine", "--json"]);
    assert!(found(&said).contains(&"learning_rate_too_high".to_owned()), "{said:#?}");
    assert!(found(&said).contains(&"mean_output".to_owned()), "{said:#?}");
    assert_eq!(said.code, Some(3), "{said:#?}");
}

#[test]
fn a_half_written_run_is_examined_as_far_as_it_goes() {
    let place = Place::with_pipeline(HEALTHY);
    let run = place.run_pipeline(&["--set", "repeats=1", "--set", "train.epochs=6"]);
    for name in ["report.json", "repeat-1/weights.safetensors"] {
        std::fs::remove_file(run.path.join(name)).unwrap();
    }
    let telemetry = run.path.join("repeat-1/telemetry.jsonl");
    let text = std::fs::read_to_string(&telemetry).unwrap();
    // A hard link into the cache must not be written through.
    std::fs::remove_file(&telemetry).unwrap();
    std::fs::write(&telemetry, &text[..text.len() - 40]).unwrap();
    let said = place.run(&["doctor", "examine", run.path.to_str().unwrap(), "--json"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let json: Value = serde_json::from_str(&said.stdout).unwrap();
    let left_out = json["left_out"].to_string();
    assert!(left_out.contains("the run did not finish"), "{left_out}");
    assert!(left_out.contains("the model"), "{left_out}");

    let said = place.run(&["doctor", "examine", "nowhere"]);
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.stderr.contains("there is no run at `nowhere`"), "{said:#?}");
}

#[test]
fn findings_are_explained_by_name() {
    let place = Place::new();
    let list = place.run(&["doctor", "explain"]).stdout;
    for line in list.lines() {
        let id = line.split(' ').next().unwrap();
        let page = place.run(&["doctor", "explain", id]).stdout;
        assert!(page.starts_with(&format!("# {id}: ")), "{page}");
    }
    assert!(list.lines().count() > 30);
    let said = place.run(&["doctor", "explain", "hiccup"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("`doctor explain` lists them all"), "{said:#?}");
}
