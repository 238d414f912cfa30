//! A pipeline on a table that doesn't fit memory: preprocessing is learnt in one pass, each epoch
//! is another, and a last one writes the features of every row. Nothing is judged: classifiers
//! would need all rows at once, and can be given the file of features.

use std::path::{Path, PathBuf};
use std::time::Instant;

use hourglass_core::{Interrupt, Matrix, Part, Progress, Seed};
use hourglass_data::{FittedStream, RowWriter, Stream};
use hourglass_features::{Bundle, encode_all};
use hourglass_models::{Autoencoder, build};
use hourglass_train::{FitOptions, History, RowSource, SourceError, fit_stream};
use ndarray::{Axis, concatenate};
use serde::{Deserialize, Serialize};

use crate::cache::{Cache, read_json, write_json};
use crate::config::Pipeline;
use crate::error::{Doing, Error};
use crate::lens;
use crate::plan::Plan;
use crate::repeat::{CHECKPOINT_FILE, HISTORY_FILE, checkpoint_interval};
use crate::run::RunOptions;

/// Validation rows that are kept in memory, and values where rows are wide.
const VALIDATION_ROWS: usize = 100_000;
const VALIDATION_VALUES: usize = 16 << 20;

const FEATURES_FILE: &str = "features.parquet";

/// Written last: what it lies beside is whole.
const OUTCOME_FILE: &str = "stream.json";

/// What a streamed run left behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamOutcome {
    /// Its folder: the trained model as a bundle, `history.json`, the resolved file.
    pub folder: PathBuf,
    /// Features of all rows, with the target and the part of each, as Parquet.
    pub features: PathBuf,
    /// Training, validation and test rows.
    pub n_rows: [usize; 3],
    /// Columns of features.
    pub n_features: usize,
    /// Loss of the validation rows after the last epoch.
    pub validation_loss: Option<f64>,
}

impl StreamOutcome {
    /// What became of the rows, in words.
    pub fn sentence(&self) -> String {
        let [n_train, ..] = self.n_rows;
        let loss = self
            .validation_loss
            .map_or(String::new(), |loss| format!(", validation loss {loss:.6}"));
        format!(
            "trained on {n_train} rows{loss}; {} features of {} rows",
            self.n_features,
            self.n_rows.iter().sum::<usize>()
        )
    }
}

/// Trains the autoencoder of a pipeline on a table that is read batch by batch, and writes the
/// features of all rows; once for each fold where the split has folds. `[downstream]`, `repeats`
/// and `features.scale` are not used.
///
/// # Errors
/// Whatever the data or the training says; after Ctrl-C the same call goes on from there.
pub fn stream(
    pipeline: &Pipeline,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Vec<StreamOutcome>, Error> {
    let RunOptions { base, locations, runs_dir, force } = options;
    let source = hourglass_data::resolve(&pipeline.data, base, locations, progress, interrupt)?;
    let fingerprint = source.fingerprint(pipeline.data_seed())?;
    let key = Plan::new(pipeline, &fingerprint).key();
    let name = format!("{}-stream-{}", pipeline.name, key.short());
    let folder = runs_dir.join(&name);
    std::fs::create_dir_all(runs_dir).doing("create", runs_dir)?;
    let waiting = "another call of this pipeline is at work; waiting for it";
    let lock = format!("run-{name}");
    let (_lock, _) = Cache::new(runs_dir).lock(&lock, waiting, progress, interrupt)?;
    if *force && folder.exists() {
        std::fs::remove_dir_all(&folder).doing("remove", &folder)?;
    }
    let n_folds = pipeline.split.n_folds();
    let one = |fold: usize| {
        let folder = match n_folds {
            1 => folder.clone(),
            _ => folder.join(format!("fold-{}", fold + 1)),
        };
        if n_folds > 1 {
            progress.say(&format!("fold {} of {n_folds}", fold + 1));
        }
        stream_fold(pipeline, base, fold, folder, progress, interrupt)
    };
    (0..n_folds).map(one).collect()
}

/// One fold, or the one split where there are none.
fn stream_fold(
    pipeline: &Pipeline,
    base: &Path,
    fold: usize,
    folder: PathBuf,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<StreamOutcome, Error> {
    std::fs::create_dir_all(&folder).doing("create", &folder)?;
    let outcome_file = folder.join(OUTCOME_FILE);
    if outcome_file.exists() {
        progress.say("everything was there");
        let found: StreamOutcome = read_json(&outcome_file)?;
        // The folder may have been moved since.
        return Ok(StreamOutcome { features: folder.join(FEATURES_FILE), folder, ..found });
    }

    let clock = Instant::now();
    let seed = pipeline.repeat_seed(fold);
    let opened = Stream::open(&pipeline.data, base, &pipeline.split, pipeline.split_seed(fold))?;
    let fitted = opened.with_fold(fold).fit(&pipeline.preprocess)?;
    let n_rows = [Part::Train, Part::Validation, Part::Test].map(|part| fitted.n_rows(part));
    let [n_train, n_validation, n_test] = n_rows;
    progress.say(&format!(
        "preprocess: {n_train} rows to train on, {n_validation} to choose on, {n_test} to test on"
    ));
    say_time(progress, "preprocess", clock);

    let clock = Instant::now();
    let mut model = build(&pipeline.model, &fitted.preprocessor().shape(), seed.child("model"))?;
    lens::give(&pipeline.model, model.as_mut())?;
    let (history, model) = match folder.join(HISTORY_FILE).exists() {
        // It was interrupted when it had trained.
        true => (read_json(&folder.join(HISTORY_FILE))?, Bundle::load(&folder)?.1),
        false => {
            let seed = seed.child("train");
            (train(pipeline, &fitted, model.as_ref(), seed, &folder, progress, interrupt)?, model)
        }
    };
    say_time(progress, "train", clock);

    let clock = Instant::now();
    let features = folder.join(FEATURES_FILE);
    let n_features = extract(pipeline, &fitted, model.as_ref(), &features, progress, interrupt)?;
    say_time(progress, "extract", clock);
    let validation_loss = history.epochs.last().map(|epoch| epoch.validation_loss);
    let outcome = StreamOutcome { folder, features, n_rows, n_features, validation_loss };
    write_json(&outcome_file, &outcome)?;
    Ok(outcome)
}

/// Training rows as the trainer takes them.
struct TrainingRows<'a>(&'a FittedStream);

impl RowSource for TrainingRows<'_> {
    fn n_rows(&self) -> usize {
        self.0.n_rows(Part::Train)
    }

    fn n_features(&self) -> usize {
        self.0.preprocessor().shape().n_features()
    }

    fn pass(
        &self,
    ) -> Result<Box<dyn Iterator<Item = Result<Matrix, SourceError>> + '_>, SourceError> {
        let batches = self.0.batches(Part::Train)?;
        Ok(Box::new(batches.map(|batch| Ok(batch?.features))))
    }
}

fn train(
    pipeline: &Pipeline,
    fitted: &FittedStream,
    model: &dyn Autoencoder,
    seed: Seed,
    folder: &Path,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<History, Error> {
    let shape = fitted.preprocessor().shape();
    let (low, high) = fitted.preprocessor().output_range().unwrap_or((0.0, 1.0));
    pipeline.model.check_range(&pipeline.train.loss, low, high)?;
    let checkpoint = folder.join(CHECKPOINT_FILE);
    let options = FitOptions {
        checkpoint: Some(checkpoint.clone()),
        telemetry: Some(folder.join("telemetry.jsonl")),
        checkpoint_interval: checkpoint_interval(model),
        progress,
        interrupt,
        shape: Some(&shape),
        ..FitOptions::default()
    };
    let validation = validation_rows(fitted)?;
    let rows = TrainingRows(fitted);
    let history = fit_stream(model, &rows, validation.view(), &pipeline.train, seed, &options)?;
    let path = folder.join("pipeline.toml");
    std::fs::write(&path, pipeline.resolved()).doing("write", &path)?;
    let preprocessing = crate::key::to_value(fitted.preprocessor());
    Bundle { model: pipeline.model.clone(), shape, preprocessing }.save(folder, model)?;
    // Written last: where it is, the training is done.
    write_json(&folder.join(HISTORY_FILE), &history)?;
    if checkpoint.exists() {
        std::fs::remove_file(&checkpoint).doing("remove", &checkpoint)?;
    }
    Ok(history)
}

/// The first validation rows, as many as are kept.
fn validation_rows(fitted: &FittedStream) -> Result<Matrix, Error> {
    let n_features = fitted.preprocessor().shape().n_features();
    let most = VALIDATION_ROWS.min(VALIDATION_VALUES / n_features.max(1)).max(1);
    let mut parts = Vec::new();
    let mut n_rows = 0;
    for batch in fitted.batches(Part::Validation)? {
        if n_rows >= most {
            break;
        }
        let rows = batch?.features;
        n_rows += rows.nrows();
        parts.push(rows);
    }
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    let rows = concatenate(Axis(0), &views).expect("batches have the same columns");
    let n_kept = rows.nrows().min(most);
    Ok(rows.slice_move(ndarray::s![..n_kept, ..]))
}

/// Writes the features of all rows; returns their number of columns. The file is there when all of
/// it is.
fn extract(
    pipeline: &Pipeline,
    fitted: &FittedStream,
    model: &dyn Autoencoder,
    path: &Path,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<usize, Error> {
    let part_of = |part: &Part| match part {
        Part::Train => "train",
        Part::Validation => "validation",
        _ => "test",
    };
    let unfinished = path.with_extension("parquet.part");
    let mut writer: Option<RowWriter> = None;
    let (mut n_columns, mut n_done) = (0, 0);
    let n_all = fitted.n_rows(Part::All) as u64;
    progress.begin("extract", Some(n_all));
    for batch in fitted.batches(Part::All)? {
        if interrupt.is_raised() {
            return Err(Error::Interrupted { stage: "extract".to_owned() });
        }
        let batch = batch?;
        let encoded = encode_all(model, batch.features.view(), pipeline.features.layers)?;
        n_columns = encoded.ncols();
        let writer = writer.get_or_insert_with(|| {
            RowWriter::new(&unfinished, (0..n_columns).map(|i| format!("latent_{i}")).collect())
        });
        let parts = batch.parts.iter().map(part_of).collect();
        writer.write(encoded.view(), &batch.targets, Some(("part", parts)))?;
        n_done += encoded.nrows() as u64;
        progress.advance(n_done, "");
    }
    if let Some(writer) = writer {
        writer.finish()?;
        std::fs::rename(&unfinished, path).doing("rename", &unfinished)?;
    }
    progress.end("");
    Ok(n_columns)
}

fn say_time(progress: &dyn Progress, stage: &str, clock: Instant) {
    let memory = crate::memory::peak_rss_bytes()
        .map_or(String::new(), |bytes| format!(", peak {} MiB", bytes >> 20));
    progress.say(&format!("{stage}: {:.1} s{memory}", clock.elapsed().as_secs_f64()));
}

#[cfg(test)]
mod tests {
    use hourglass_core::Silent;
    use hourglass_data::Locations;

    use super::*;

    #[test]
    fn a_streamed_pipeline_leaves_a_model_and_the_features_of_all_rows() {
        let folder = tempfile::tempdir().unwrap();
        let mut text = "a,b,c,y\n".to_owned();
        for i in 0..900 {
            text += &format!("{},{},{},{}\n", i % 7, (i * i) % 11, i % 5, ["u", "v"][i % 2]);
        }
        std::fs::write(folder.path().join("a.csv"), text).unwrap();
        let file = r#"
            name = "streamed"
            seed = 1
            data.csv = { path = "a.csv", target = "y" }
            preprocess.numeric = "standard"
            model.undercomplete = { latent_dim = 2 }
            train = { epochs = 3, batch_size = 32, optimizer = { adam = { learning_rate = 1e-2 } } }
            downstream = { models = [{ majority = {} }] }
        "#;
        let pipeline = crate::parse(file, "streamed", &[]).unwrap();
        let run = |force| {
            let runs_dir = folder.path().join("runs");
            let locations = Locations {
                data_dirs: Vec::new(),
                download_dir: runs_dir.join("d"),
                offline: true,
            };
            let base = folder.path().to_owned();
            let options = RunOptions { base, locations, runs_dir, force };
            let outcomes = stream(&pipeline, &options, &Silent, &Interrupt::new()).unwrap();
            <[StreamOutcome; 1]>::try_from(outcomes).unwrap()[0].clone()
        };
        let outcome = run(false);
        assert_eq!((outcome.n_rows.iter().sum::<usize>(), outcome.n_features), (900, 2));
        let features = std::fs::read(&outcome.features).unwrap();
        assert!(features.starts_with(b"PAR1") && features.ends_with(b"PAR1"));
        let (_, model) = Bundle::load(&outcome.folder).unwrap();
        assert_eq!(model.latent_dim(), 2);
        assert_eq!(run(false), outcome);
        // Interrupted between training and extraction: only that is done again.
        std::fs::remove_file(outcome.folder.join(OUTCOME_FILE)).unwrap();
        std::fs::remove_file(&outcome.features).unwrap();
        assert_eq!(run(false), outcome);
        assert_eq!(std::fs::read(&outcome.features).unwrap(), features);
        // The same file gives the same bits.
        let again = run(true);
        assert_eq!(again.validation_loss, outcome.validation_loss);
        assert_eq!(std::fs::read(&again.features).unwrap(), features);

        let pipeline = crate::parse(file, "streamed", &["split.folds=3".to_owned()]).unwrap();
        let runs_dir = folder.path().join("runs");
        let locations =
            Locations { data_dirs: Vec::new(), download_dir: runs_dir.join("d"), offline: true };
        let base = folder.path().to_owned();
        let options = RunOptions { base, locations, runs_dir, force: false };
        let folds = stream(&pipeline, &options, &Silent, &Interrupt::new()).unwrap();
        assert_eq!(folds.iter().map(|fold| fold.n_rows[2]).sum::<usize>(), 900);
        assert!(folds.iter().all(|fold| fold.n_rows.iter().sum::<usize>() == 900));
        let losses: Vec<_> = folds.iter().map(|fold| fold.validation_loss).collect();
        assert!(losses[0] != losses[1] && losses[1] != losses[2], "{losses:?}");
        assert!(folds.iter().all(|fold| fold.features.exists()));
    }
}
