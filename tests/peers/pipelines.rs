//! Whole pipelines, in this process.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use hourglass_core::{Interrupt, Silent};
use hourglass_data::Locations;
use hourglass_pipeline::{Pipeline, RunOptions, RunOutcome, load, parse, run};
use serde_json::{Map, Value, json};

use crate::{Measured, Place, Round};

/// Runs a pipeline into a folder that nothing is in.
fn run_anew(pipeline: &Pipeline, place: &Place, name: &str) -> Result<(RunOutcome, f64)> {
    let runs_dir = place.folder.join(name);
    let options = RunOptions {
        base: Path::new("pipelines").to_owned(),
        locations: Locations::usual(None, true),
        runs_dir: runs_dir.clone(),
        force: false,
    };
    let start = Instant::now();
    let outcome = run(pipeline, &options, &Silent, &Interrupt::new())?;
    let seconds = start.elapsed().as_secs_f64();
    std::fs::remove_dir_all(&runs_dir)?;
    Ok((outcome, seconds))
}

/// The whole of pipelines/mnist.toml, one repeat; tells the peer which `c` were chosen.
pub fn mnist(place: Place) -> Result<Round> {
    crate::rows::mnist()?;
    let pipeline = load(Path::new("pipelines/mnist.toml"), &["repeats=1".to_owned()])?;
    Ok(Box::new(move || {
        let (outcome, seconds) = run_anew(&pipeline, &place, "mnist")?;
        let mut c = Map::new();
        for row in &outcome.report.results {
            let set = c.entry(row.feature_set.clone()).or_insert_with(|| json!({}));
            let chosen = row.chosen.first().and_then(|chosen| chosen.get("c"));
            set[&row.model] = chosen.map_or(Value::Null, |&c| json!(c));
        }
        let told = serde_json::to_string(&json!({ "c": c }))?;
        std::fs::write(place.folder.join("mnist.json"), told)?;
        let epochs = &outcome.report.training.first().context("no training")?.epochs;
        let loss = epochs.last().and_then(|epoch| epoch.validation_loss);
        Ok(Measured { value: seconds, loss })
    }))
}

/// A pipeline without classifiers' searches, whose time should follow the number of rows.
const GROWTH: &str = r#"
    name = "growth"
    seed = 1
    data.synthetic.latent_factors = { n_samples = 10000, n_features = 100, n_classes = 5 }
    split = { validation = 0.1, test = 0.1 }
    preprocess.numeric = "standard"
    model.undercomplete = { hidden_dims = [64], latent_dim = 16 }
    train = { epochs = 1, optimizer = { adam = { learning_rate = 1e-3 } } }
    downstream = { compare = ["autoencoder"], models = [{ majority = {} }] }
"#;

/// Time of ten times the rows, in times of the time.
pub fn growth(place: Place) -> Result<Round> {
    let of = |n: usize| {
        parse(GROWTH, "growth", &[format!("data.synthetic.latent_factors.n_samples={n}")])
    };
    let (few, many) = (of(20_000)?, of(200_000)?);
    Ok(Box::new(move || {
        let (_, before) = run_anew(&few, &place, "few")?;
        let (_, after) = run_anew(&many, &place, "many")?;
        Ok(Measured { value: after / before, loss: None })
    }))
}
