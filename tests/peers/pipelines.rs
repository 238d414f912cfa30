//! Whole pipelines, in this process.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use hourglass_core::{Interrupt, Matrix, Progress, Seed, Silent, Targets};
use hourglass_data::{Locations, RowWriter};
use hourglass_pipeline::{
    Pipeline, RunOptions, RunOutcome, load, parse, peak_rss_bytes, run, stream,
};
use rand::RngExt;
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

/// A table that is larger than what it may take of memory.
const STREAM: &str = r#"
    name = "stream"
    seed = 1
    data.parquet = { path = "rows.parquet", target = "target" }
    split = { validation = 0.1, test = 0.1 }
    preprocess.numeric = "standard"
    model.undercomplete = { hidden_dims = [64], latent_dim = 16 }
    train = { epochs = 1, batch_size = 1024, optimizer = { adam = { learning_rate = 1e-3 } } }
    downstream = { models = [{ majority = {} }] }
"#;

const STREAM_ROWS: usize = 10_000_000;
const STREAM_COLUMNS: usize = 30;
/// What the columns are mixed from.
const STREAM_FACTORS: usize = 6;
/// Rows of a row group.
const GROUP: usize = 250_000;

/// Peak memory of a table of ten million rows that is preprocessed, trained on for an epoch and
/// encoded, batch by batch.
pub fn streamed(place: Place) -> Result<Round> {
    write_rows(&place.folder.join("rows.parquet"))?;
    let pipeline = parse(STREAM, "stream", &[])?;
    Ok(Box::new(move || {
        let options = RunOptions {
            base: place.folder.clone(),
            locations: Locations::usual(None, true),
            runs_dir: place.folder.join("streamed"),
            force: true,
        };
        let outcomes = stream(&pipeline, &options, &Aloud, &Interrupt::new())?;
        let outcome = outcomes.first().context("a stream without folds has one outcome")?;
        std::fs::remove_dir_all(&outcome.folder)?;
        let peak = peak_rss_bytes().context("this system doesn't tell peak memory")?;
        Ok(Measured { value: peak as f64 / f64::from(1 << 20), loss: outcome.validation_loss })
    }))
}

/// Rows drawn from a few factors each, mixed, with noise; the first factor decides the class.
fn write_rows(path: &Path) -> Result<()> {
    let mut rng = Seed::new(5).rng();
    let mut draw = |shape| Matrix::from_shape_simple_fn(shape, || rng.random::<f32>() - 0.5);
    let mixing = draw((STREAM_FACTORS, STREAM_COLUMNS));
    let names = (0..STREAM_COLUMNS).map(|i| format!("c{i}")).collect();
    let mut writer = RowWriter::new(path, names);
    for _ in 0..STREAM_ROWS / GROUP {
        let factors = draw((GROUP, STREAM_FACTORS));
        let rows = factors.dot(&mixing) + 0.1 * draw((GROUP, STREAM_COLUMNS));
        let ids = factors.column(0).iter().map(|&factor| u32::from(factor > 0.0)).collect();
        let names = vec!["low".to_owned(), "high".to_owned()];
        writer.write(rows.view(), &Targets::Classes { ids, names }, None)?;
    }
    Ok(writer.finish()?)
}

/// Says what stages take where a person reads it.
struct Aloud;

#[expect(clippy::print_stderr, reason = "standard output belongs to the runner")]
impl Progress for Aloud {
    fn begin(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, _done: u64, _detail: &str) {}
    fn end(&self, _summary: &str) {}
    fn say(&self, line: &str) {
        eprintln!("{line}");
    }
}
