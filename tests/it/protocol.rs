//! The protocol from outside: folds with everything inside them, few labels, numbers as targets,
//! and that nothing leaks from the rows that are judged on.

use std::fmt::Write;

use serde_json::Value;

use crate::place::{Place, RunDir};

const REGRESSION: &str = r#"
name = "homes"
seed = 3
[data.builtin]
dataset = "boston"
[split]
folds = 3
validation = 0.2
[preprocess]
numeric = "standard"
[model.undercomplete]
latent_dim = 4
[train]
epochs = 5
optimizer = { adam = { learning_rate = 1e-2 } }
[downstream]
compare = ["raw", "pca", "autoencoder", "raw+autoencoder"]
models = [{ ridge = {} }, { random_forest = { n_trees = 20 } }, { mean = {} }]
"#;

fn row<'a>(report: &'a Value, set: &str, model: &str) -> &'a Value {
    let rows = report["results"].as_array().unwrap();
    let found = |row: &&Value| row["feature_set"] == set && row["model"] == model;
    rows.iter().find(found).unwrap_or_else(|| panic!("no {set} + {model}"))
}

#[test]
fn numbers_are_predicted_in_every_fold() {
    let place = Place::with_pipeline(REGRESSION);
    let run = place.run_pipeline(&[]);
    let report = run.json("report.json");
    assert_eq!((&report["repeats"], &report["folds"]), (&Value::from(3), &Value::from(3)));
    assert_eq!(report["metric"]["name"], "rmse");
    assert_eq!(report["metric"]["higher_is_better"], false);
    let method = report["method"].to_string();
    assert!(method.contains("Cross-validation") && method.contains("Nadeau"), "{method}");
    let (ridge, mean) = (row(&report, "raw", "ridge"), row(&report, "raw", "mean"));
    assert!(ridge["mean"].as_f64().unwrap() < 0.8 * mean["mean"].as_f64().unwrap());
    assert!(ridge["metrics"]["r2"].as_f64().unwrap() > 0.5, "{}", ridge["metrics"]);
    // Fewer columns of the same data are no better, and less is better here: the sign is turned.
    let pca = &row(&report, "pca", "ridge")["against_raw"];
    assert!(pca["difference"].as_f64().unwrap() < 0.0, "{pca}");
    let shares = &pca["practice"];
    let sum: f64 =
        ["better", "same", "worse"].iter().map(|key| shares[key].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{shares}");
    assert!(run.read("report.html").contains("Predictions"));
    assert!(run.read("report.md").contains("RMSE"));
    let again = place.run_pipeline(&["--force", "--threads", "1"]);
    assert!(again.read("report.json") == run.read("report.json"));
}

#[test]
fn a_metric_of_the_other_task_is_named() {
    let place = Place::with_pipeline(REGRESSION);
    let set = ["--set", "downstream.metric=accuracy"];
    let said = place.run(&["pipeline", "check", "pipeline.toml", set[0], set[1]]);
    assert_eq!(said.code, Some(2), "{said:#?}");
    assert!(said.stderr.contains("`ridge` can't be judged by `accuracy`"), "{said:#?}");
    let classes = place.run(&[
        "pipeline",
        "run",
        "pipeline.toml",
        "--set",
        "downstream.metric=accuracy",
        "--set",
        "downstream.models=[{ knn = {} }]",
    ]);
    assert!(classes.stderr.contains("the target is a number"), "{classes:#?}");
}

const FEW: &str = r#"
name = "few"
seed = 5
repeats = 2
[data.builtin]
dataset = "digits"
[preprocess]
numeric = { min_max = { range = [0.0, 1.0] } }
[model.undercomplete]
latent_dim = 16
[train]
epochs = 5
optimizer = { adam = { learning_rate = 2e-3 } }
[downstream]
compare = ["raw", "autoencoder"]
label_fraction = [1.0, 0.1]
class_weight = "balanced"
calibration = "sigmoid"
metric = "log_loss"
models = [{ linear_svm = {} }, { naive_bayes = {} }]
"#;

#[test]
fn few_labels_are_a_dimension_of_the_results() {
    let place = Place::with_pipeline(FEW);
    let run = place.run_pipeline(&[]);
    let report = run.json("report.json");
    assert_eq!(report["label_fractions"].to_string(), "[0.1,1.0]");
    let rows = report["results"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    let labels: Vec<u64> = rows.iter().map(|row| row["n_labels"].as_u64().unwrap()).collect();
    // A tenth of the training and validation rows, ten digits each rounded.
    assert!(labels[..4].iter().all(|&n| (130..=160).contains(&n)), "{labels:?}");
    assert!(labels[4..].iter().all(|&n| n > 1400), "{labels:?}");
    let loss = |at: usize| rows[at]["mean"].as_f64().unwrap();
    assert!(loss(0) > loss(4) && loss(4) > 0.0, "fewer labels cost: {} {}", loss(0), loss(4));
    let markdown = run.read("report.md");
    assert!(markdown.contains("### With 10 % of the labels"), "{markdown}");
    assert!(markdown.contains("With few labels:"), "{markdown}");
    let without =
        place.run(&["pipeline", "check", "pipeline.toml", "--set", "downstream.calibration=none"]);
    assert!(without.stderr.contains("calibration = \"sigmoid\""), "{without:#?}");
}

/// Two clouds in four columns, the file's rows in the order given; the label of some rows is
/// turned.
fn table(rows: &[usize], turned: &dyn Fn(usize) -> bool, shift: f32) -> String {
    let mut text = String::from("a,b,c,d,label\n");
    for &row in rows {
        let class = row % 2;
        let at = |column: usize| {
            let wave = ((row * 7 + column * 13) % 17) as f32 / 17.0;
            wave + (class * (column + 1)) as f32 * 0.3 + shift
        };
        let label = class ^ usize::from(turned(row));
        writeln!(text, "{},{},{},{},{label}", at(0), at(1), at(2), at(3)).unwrap();
    }
    text
}

const CLOUDS: &str = r#"
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
compare = ["raw", "autoencoder"]
models = [
    { logistic_regression = {} }, { rbf_svm = {} }, { naive_bayes = {} }, { knn = {} },
    { random_forest = { n_trees = 10 } }, { extra_trees = { n_trees = 10 } },
    { gradient_boosting = { n_rounds = 10 } }, { mlp = { epochs = 5 } },
]
"#;

/// Everything that a run fits or says of rows other than those that were changed.
fn kept(place: &Place, run: &RunDir) -> (Vec<Vec<u8>>, Value) {
    let files = place.trained_files().into_values().collect();
    let report = run.json("report.json");
    let chosen = report["results"].as_array().unwrap().iter().map(|row| row["chosen"].clone());
    (files, chosen.collect())
}

#[test]
fn labels_of_test_rows_and_new_test_rows_move_nothing_fitted() {
    let train: Vec<usize> = (0..120).collect();
    let test: Vec<usize> = (0..40).collect();
    let with = |turned: bool, test: &[usize], shift: f32| {
        let place = Place::with_pipeline(CLOUDS);
        place.write("train.csv", table(&train, &|_| false, 0.0));
        place.write("test.csv", table(test, &|row| turned && row < 10, shift));
        let run = place.run_pipeline(&[]);
        let predicted = place.judgements();
        (kept(&place, &run), predicted)
    };
    let (fitted, predicted) = with(false, &test, 0.0);
    let (labels, same_rows) = with(true, &test, 0.0);
    assert!(fitted == labels, "labels of test rows moved what is fitted");
    assert!(predicted == same_rows, "labels of test rows moved predictions");
    let (moved, _) = with(false, &test, 50.0);
    assert!(fitted == moved, "test rows moved what is fitted");
    // More test rows at the end: the predictions of the others stay, bit by bit.
    let (more, longer) = with(false, &(0..60).collect::<Vec<_>>(), 0.0);
    assert!(fitted == more);
    for (short, long) in predicted.iter().zip(&longer) {
        let n = short["predicted"].as_array().unwrap().len();
        let first = &long["predicted"].as_array().unwrap()[..n];
        assert_eq!(short["predicted"].as_array().unwrap(), first);
    }
}

#[test]
fn the_order_of_test_rows_moves_nothing() {
    let train: Vec<usize> = (0..120).collect();
    let with = |test: Vec<usize>| {
        let place = Place::with_pipeline(CLOUDS);
        place.write("train.csv", table(&train, &|_| false, 0.0));
        place.write("test.csv", table(&test, &|_| false, 0.0));
        let run = place.run_pipeline(&[]);
        (kept(&place, &run), place.judgements())
    };
    let (fitted, ahead) = with((0..40).collect());
    let (turned, back) = with((0..40).rev().collect());
    assert!(fitted == turned);
    for (ahead, back) in ahead.iter().zip(&back) {
        let mut reversed = back["predicted"].as_array().unwrap().clone();
        reversed.reverse();
        assert_eq!(ahead["predicted"].as_array().unwrap(), &reversed);
    }
}

#[test]
fn held_out_folds_move_nothing_inside_the_others() {
    let folds = CLOUDS
        .replace("test_path = \"test.csv\"\n", "")
        .replace("[preprocess]", "[split]\nfolds = 4\nvalidation = 0.2\n[preprocess]");
    let rows: Vec<usize> = (0..120).collect();
    let with = |shift: f32, row: Option<usize>| {
        let place = Place::with_pipeline(&folds);
        let mut text = table(&rows, &|_| false, 0.0);
        if let Some(row) = row {
            // One row is moved: it is a test row in one fold, and fitted on in the others.
            let lines: Vec<&str> = text.lines().collect();
            let label = lines[row + 1].rsplit(',').next().unwrap();
            let changed = format!("{shift},{shift},{shift},{shift},{label}");
            let kept = lines.iter().enumerate();
            let kept = kept.map(|(at, line)| if at == row + 1 { changed.as_str() } else { line });
            text = kept.collect::<Vec<_>>().join("\n") + "\n";
        }
        place.write("train.csv", text);
        let run =
            place.run_pipeline(&["--set", "downstream.models=[{ logistic_regression = {} }]"]);
        (1..=4).map(|at| run.bytes(&format!("repeat-{at}/weights.safetensors"))).collect::<Vec<_>>()
    };
    let (before, after) = (with(0.0, None), with(9.0, Some(7)));
    let same = before.iter().zip(&after).filter(|(a, b)| a == b).count();
    assert_eq!(same, 1, "only the fold that holds the row out is as before");
}
