//! Whole pipelines on the digits that the program carries: what a run leaves, the cache, the same
//! bits, the fallback, no leaks.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::place::{Place, root};

/// Small enough for a second, with every feature set.
const DIGITS: &str = r#"
name = "small"
seed = 7
repeats = 2
[data.builtin]
dataset = "digits"
[preprocess]
numeric = { min_max = { range = [0.0, 1.0] } }
[model.k_sparse]
latent_dim = 48
k = 8
[train]
epochs = 3
optimizer = { adam = { learning_rate = 2e-3 } }
[downstream]
models = [{ logistic_regression = {} }, { knn = { k = 3 } }]
"#;

const FEATURE_SETS: [&str; 5] = ["raw", "pca", "random_encoder", "autoencoder", "raw+autoencoder"];

#[test]
fn a_run_leaves_a_complete_directory_and_names_it_last() {
    let place = Place::with_pipeline(DIGITS);
    let run = place.run_pipeline(&[]);
    for name in ["report.html", "report.md", "pipeline.toml", "manifest.json", "timings.json"] {
        assert!(!run.read(name).is_empty(), "{name}");
    }
    assert!(run.read("pipeline.toml").contains("batch_size = 128"), "defaults are filled in");
    let latest = place.path("runs/latest").canonicalize().unwrap();
    assert_eq!(latest, run.path.canonicalize().unwrap());

    let report = run.json("report.json");
    let rows = report["results"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["feature_set"].as_str().unwrap()).collect();
    assert_eq!(rows.len(), 10);
    assert!(FEATURE_SETS.iter().all(|set| names.contains(set)), "{names:?}");
    for row in rows {
        assert_eq!((row["n"].as_u64(), row["scores"].as_array().unwrap().len()), (Some(2), 2));
        // Digits are easy: far above the tenth that guessing gets, even after three epochs.
        assert!(row["mean"].as_f64().unwrap() > 0.5, "{row}");
    }
    let page = run.read("report.html");
    let sentence = report["verdict"]["sentence"].as_str().unwrap();
    assert!(!sentence.is_empty() && run.read("report.md").contains(sentence));
    for outside in ["src=\"http", "href=\"http://fonts", "<link rel=\"stylesheet\"", "@import"] {
        assert!(!page.contains(outside), "the page is complete in itself, not {outside}");
    }
}

#[test]
fn the_second_run_is_served_by_the_cache() {
    let place = Place::with_pipeline(DIGITS);
    let first = place.run_pipeline(&[]);
    let report = first.read("report.json");
    let said = place.run(&["pipeline", "run", "pipeline.toml", "--offline"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(said.stderr.contains("everything was in the cache"), "{said:#?}");
    let second = place.run_dir(&said);
    assert_eq!((second.read("report.json"), second.path), (report, first.path));
}

#[test]
fn editing_downstream_trains_nothing_again() {
    let place = Place::with_pipeline(DIGITS);
    place.run_pipeline(&[]);
    let run = place.run_pipeline(&["--set", "downstream.models=[{ knn = { k = 7 } }]"]);
    let mut from_cache = BTreeMap::new();
    for stage in run.json("timings.json")["stages"].as_array().unwrap() {
        let name = stage["stage"].as_str().unwrap().to_owned();
        from_cache.insert(name, stage["from_cache"].as_bool().unwrap());
    }
    assert!(from_cache["train"] && from_cache["preprocess"], "{from_cache:?}");
    assert!(!from_cache["downstream raw + knn"], "{from_cache:?}");
}

#[test]
fn force_and_any_number_of_threads_give_the_same_bits() {
    let place = Place::with_pipeline(DIGITS);
    let first = place.run_pipeline(&["--threads", "1"]).read("report.json");
    for threads in ["2", "3"] {
        let run = place.run_pipeline(&["--force", "--threads", threads]);
        assert!(run.read("report.json") == first, "{threads} threads give another report");
        let trained = |stage: &Value| stage["stage"] == "train" && stage["from_cache"] == false;
        assert!(run.json("timings.json")["stages"].as_array().unwrap().iter().any(trained));
    }
    let elsewhere = Place::with_pipeline(DIGITS);
    let run = elsewhere.run_pipeline(&[]);
    assert!(run.read("report.json") == first, "another folder gives another report");
    let other_seed = place.run_pipeline(&["--set", "seed=8"]);
    assert!(other_seed.read("report.json") != first);
}

#[test]
fn the_fallback_is_said_in_bold() {
    let file = std::fs::read_to_string(root().join("pipelines/mnist.toml")).unwrap();
    let place = Place::with_pipeline(&file);
    let small = ["repeats=1", "train.epochs=1", "downstream.models=[{ knn = {} }]"];
    let mut args = vec!["pipeline", "run", "pipeline.toml", "--offline"];
    small.iter().for_each(|set| args.extend(["--set", set]));
    let said = place.run(&args);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let bold = |text: &str| {
        let in_bold = |line: &str| {
            let line = line.trim_start_matches(['>', ' ']);
            line.starts_with("**") && line.contains("digits") && line.contains("mnist")
        };
        text.to_lowercase().lines().take(8).any(in_bold)
    };
    assert!(bold(&said.stderr) && bold(&said.stdout), "{said:#?}");
    let run = place.run_dir(&said);
    assert!(bold(&run.read("report.md")), "{}", run.read("report.md"));
    assert!(run.json("report.json")["data"]["fallback"].is_string());
}

#[test]
fn tables_come_as_csv_and_json_too() {
    let place = Place::with_pipeline(DIGITS);
    let said = place.run(&["pipeline", "run", "pipeline.toml", "--json"]);
    let outcome: Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(place.path(outcome["run_dir"].as_str().unwrap()).is_dir());

    let said = place.run(&["report", "show", "--csv"]);
    let mut lines = said.stdout.lines();
    assert_eq!(lines.next(), Some("feature_set,model,metric,mean,ci_low,ci_high,n,label_fraction"));
    assert_eq!(lines.clone().count(), 10);
    assert!(lines.all(|line| line.split(',').count() == 8 && line.contains(",accuracy,0.")));
    let run_dir = outcome["run_dir"].as_str().unwrap();
    assert_eq!(place.run(&["report", "show", run_dir, "--csv"]).stdout, said.stdout);

    let shown = place.run(&["report", "show", "--json"]).stdout;
    let report: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(report["name"], "small");
    let text = place.run(&["report", "show"]).stdout;
    assert!(text.contains("random encoder") && text.contains("raw + autoencoder"), "{text}");
}

#[test]
fn explain_says_what_would_run_and_why() {
    let place = Place::with_pipeline(DIGITS);
    let explain = |more: &[&str]| {
        let mut args = vec!["pipeline", "explain", "pipeline.toml", "--csv"];
        args.extend(more);
        let said = place.run(&args);
        assert_eq!(said.code, Some(0), "{said:#?}");
        said.stdout
    };
    assert!(explain(&[]).contains("never ran"));
    assert!(!place.path("runs").exists(), "explaining writes nothing");
    place.run_pipeline(&[]);
    let served = explain(&[]);
    assert!(served.contains("in the cache") && !served.contains("never ran"), "{served}");
    let changed = explain(&["--set", "train.epochs=5"]);
    assert!(changed.contains("train.epochs 3 -> 5"), "{changed}");
}

/// Two clouds in four columns; the test rows are moved by `shift`.
fn clouds(shift: f32) -> Place {
    let rows = |n: usize, shift: f32| {
        let mut text = String::from("a,b,c,d,label\n");
        for row in 0..n {
            let class = row % 2;
            let at = |column: usize| {
                let wave = ((row * 7 + column * 13) % 17) as f32 / 17.0;
                wave + (class * (column + 1)) as f32 * 0.3 + shift
            };
            writeln!(text, "{},{},{},{},{class}", at(0), at(1), at(2), at(3)).unwrap();
        }
        text
    };
    let place = Place::with_pipeline(
        r#"
name = "clouds"
seed = 1
[data.csv]
path = "train.csv"
test_path = "test.csv"
target = "label"
[preprocess]
numeric = "standard"
[model.undercomplete]
latent_dim = 2
[train]
epochs = 4
batch_size = 16
optimizer = { adam = { learning_rate = 1e-2 } }
[downstream]
models = [{ logistic_regression = {} }, { linear_svm = {} }]
"#,
    );
    place.write("train.csv", rows(120, 0.0));
    place.write("test.csv", rows(40, shift));
    place
}

#[test]
fn test_rows_move_no_fitted_value() {
    let [near, far] = [0.0, 50.0].map(|shift| {
        let place = clouds(shift);
        let run = place.run_pipeline(&[]);
        let report = run.json("report.json");
        let chosen: Vec<Value> =
            report["results"].as_array().unwrap().iter().map(|row| row["chosen"].clone()).collect();
        (place.trained_files(), chosen, report["training"].clone(), report["results"].clone())
    });
    assert!(near.0 == far.0, "weights or preprocessing moved");
    assert_eq!(near.1, far.1, "chosen hyperparameters moved");
    assert_eq!(near.2, far.2, "the training moved");
    assert_ne!(near.3, far.3, "the test rows were read at all");
}
