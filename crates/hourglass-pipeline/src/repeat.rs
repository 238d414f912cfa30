//! One run of the experiment (a repeat, or a fold of one): preprocess, train, figures, and every
//! model on every feature set. Matrices live here, one feature set at a time, and are made only
//! where the cache misses.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hourglass_core::{
    Interrupt, Matrix, Part, Partition, Progress, SampleShape, Samples, Seed, Targets, Task,
};
use hourglass_data::{ColumnSummary, Provenance, Resolved};
use hourglass_features::{Bundle, FeatureSet, Sources, extract};
use hourglass_models::{Autoencoder, build};
use hourglass_train::{FitOptions, History, Observer, OnHopeless, Unobserved, fit};
use serde::{Deserialize, Serialize};

use crate::cache::{Slot, read_json, write_json};
use crate::config::Pipeline;
use crate::error::{Doing, Error};
use crate::figures::Figures;
use crate::judgement::{Asked, Judgement, judge};
use crate::lens;
use crate::plan::Kind;
use crate::run::Runner;
use crate::watch::DoctorsWatch;

pub(crate) const FACTS_FILE: &str = "data.json";
pub(crate) const HISTORY_FILE: &str = "history.json";
pub(crate) const TELEMETRY_FILE: &str = "telemetry.jsonl";
const FIGURES_FILE: &str = "figures.json";
pub(crate) const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

/// A checkpoint holds the weights and, for most optimisers, two more numbers for each.
const STATES: usize = 3;

/// What a plain disk takes.
const BYTES_A_SECOND: f64 = 500e6;

const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

const LONGEST_INTERVAL: Duration = Duration::from_secs(20);

/// Samples of each part whose reconstructions are followed over the epochs.
const N_WATCHED: usize = 8;

/// What the preprocessing found, without the matrix.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DataFacts {
    pub(crate) provenance: Provenance,
    pub(crate) partition: Partition,
    pub(crate) shape: SampleShape,
    /// Whether the test rows are those that the source publishes, the same in every repeat.
    pub(crate) test_is_published: bool,
    pub(crate) task: Task,
    /// Names of the classes; empty where numbers are predicted.
    pub(crate) classes: Vec<String>,
    pub(crate) test_classes: Vec<u32>,
    /// Numbers to predict of the test rows; empty where classes are predicted.
    pub(crate) test_values: Vec<f32>,
    /// Class of each watched sample, training part and validation part.
    pub(crate) watched: [Vec<u32>; 2],
    pub(crate) value_range: [f32; 2],
    /// What a reader should know of the preparation, one sentence each.
    pub(crate) notes: Vec<String>,
    /// What becomes of each source column of a table.
    pub(crate) columns: Vec<ColumnSummary>,
}

/// Everything that the report needs of one repeat.
pub(crate) struct RepeatResult {
    pub(crate) data: DataFacts,
    pub(crate) history: History,
    pub(crate) figures: Figures,
    pub(crate) n_parameters: usize,
    pub(crate) latent_dim: usize,
    /// Shares of labels, in each the feature sets, in each the models, in the order of the file.
    pub(crate) judgements: Vec<Vec<Vec<Judgement>>>,
    pub(crate) bundle: PathBuf,
    /// The prepared rows, where they were made and are those of the only run: the doctor looks at
    /// them too. Of several runs none are kept, since they may fill the memory.
    pub(crate) samples: Option<Samples>,
}

/// Runs one repeat.
pub(crate) fn run(runner: &mut Runner<'_>, repeat: usize) -> Result<RepeatResult, Error> {
    let (plan, pipeline) = (runner.plan, runner.pipeline);
    let seed = pipeline.repeat_seed(repeat);
    let stage =
        |kind| plan.stage(kind, Some(repeat)).expect("the plan holds every stage of every repeat");
    let (progress, interrupt) = (runner.progress, runner.interrupt);
    let mut rows = Rows::new(pipeline, runner.source, interrupt, repeat);

    let entry = runner.stage(stage(Kind::Preprocess), |slot| {
        write_json(&slot.dir().join(FACTS_FILE), &rows.get()?.facts)
    })?;
    let data: DataFacts = read_json(&entry.dir.join(FACTS_FILE))?;
    if repeat == 0 {
        announce(progress, &data);
    }

    let entry = runner.stage(stage(Kind::Train), |slot| {
        let watch = Watch { progress, interrupt, observer: &Unobserved };
        train(rows.get()?, pipeline, seed, slot, &watch).map(drop)
    })?;
    let bundle = entry.dir;
    let history: History = read_json(&bundle.join(HISTORY_FILE))?;
    let trained = lens::load_trained(&pipeline.model, &bundle)?;

    let entry = runner.stage(stage(Kind::Figures), |slot| {
        let samples = &rows.get()?.samples;
        let n_pictures = if repeat == 0 { N_WATCHED } else { 0 };
        let (train, seed) = (&pipeline.train, seed.child("figures"));
        let figures = Figures::of(samples, trained.as_ref(), train, n_pictures, seed)?;
        write_json(&slot.dir().join(FIGURES_FILE), &figures)
    })?;
    let figures: Figures = read_json(&entry.dir.join(FIGURES_FILE))?;

    let fractions = &pipeline.downstream.label_fraction;
    let mut judgements: Vec<Vec<Vec<Judgement>>> = vec![Vec::new(); fractions.len()];
    for &set in &pipeline.downstream.compare {
        // Dropped before the next set is made, so that only one feature matrix is alive.
        let mut features: Option<Matrix> = None;
        for (labels, &fraction) in fractions.iter().enumerate() {
            let mut of_set = Vec::new();
            for (model, estimator) in pipeline.downstream.models.iter().enumerate() {
                let downstream = stage(Kind::Downstream { set, model, labels });
                if features.is_none() && runner.needs(downstream) {
                    let clock = Instant::now();
                    let made = features_of(set, rows.get()?, pipeline, seed, trained.as_ref())?;
                    features = Some(made);
                    runner.timed(stage(Kind::Extract(set)), clock, false);
                }
                let entry = runner.stage(downstream, |slot| {
                    let prepared = rows.get()?;
                    if features.is_none() {
                        let made = features_of(set, prepared, pipeline, seed, trained.as_ref())?;
                        features = Some(made);
                    }
                    let matrix = features.as_ref().expect("it has just been made");
                    progress.begin(&downstream.label, None);
                    let asked =
                        Asked { estimator, pipeline, fraction, seed: seed.child("downstream") };
                    let judgement =
                        judge(&asked, matrix, &prepared.samples, progress, interrupt)
                            .map_err(|source| Error::downstream(&downstream.label, source))?;
                    progress.end("");
                    judgement.save(slot.dir())
                })?;
                of_set.push(Judgement::load(&entry.dir)?);
            }
            judgements[labels].push(of_set);
        }
    }
    let n_parameters = trained.parameters().iter().map(|parameter| parameter.len()).sum();
    let latent_dim = trained.latent_dim();
    let is_only = pipeline.n_runs() == 1;
    let samples = rows.prepared.filter(|_| is_only).map(|prepared| prepared.samples);
    Ok(RepeatResult {
        data,
        history,
        figures,
        n_parameters,
        latent_dim,
        judgements,
        bundle,
        samples,
    })
}

/// The prepared rows of a repeat, made when they are first needed.
pub(crate) struct Rows<'a> {
    pipeline: &'a Pipeline,
    source: &'a Resolved,
    interrupt: &'a Interrupt,
    run: usize,
    prepared: Option<Prepared>,
}

/// The rows of a run as the model sees them.
pub(crate) struct Prepared {
    pub(crate) samples: Samples,
    preprocessing: serde_json::Value,
    pub(crate) facts: DataFacts,
}

/// Who follows a training.
pub(crate) struct Watch<'a> {
    pub(crate) progress: &'a dyn Progress,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) observer: &'a dyn Observer,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(
        pipeline: &'a Pipeline,
        source: &'a Resolved,
        interrupt: &'a Interrupt,
        run: usize,
    ) -> Self {
        Rows { pipeline, source, interrupt, run, prepared: None }
    }

    pub(crate) fn get(&mut self) -> Result<&Prepared, Error> {
        let prepared = match self.prepared.take() {
            Some(prepared) => prepared,
            None => self.prepare()?,
        };
        Ok(self.prepared.insert(prepared))
    }

    /// Reads the source, splits it and scales it.
    pub(crate) fn prepare(&self) -> Result<Prepared, Error> {
        let loaded = self.source.load(self.pipeline.data_seed(), self.interrupt)?;
        let Pipeline { split, preprocess, .. } = self.pipeline;
        let (run, split_seed) = (self.run, self.pipeline.split_seed(self.run));
        let hourglass_data::Prepared { samples, preprocessor, notes } = hourglass_data::prepare(
            &loaded,
            split,
            preprocess,
            split_seed,
            self.pipeline.fold(run),
        )?;
        let (task, test_values) = match &samples.targets {
            Targets::Classes { .. } => (Task::Classification, Vec::new()),
            Targets::Values(values) => {
                (Task::Regression, values[samples.partition.rows(Part::Test)].to_vec())
            }
        };
        let metric = self.pipeline.downstream.metric_for(task);
        if metric.task() != task {
            return Err(Error::Metric { task, metric: metric.name() });
        }
        let (low, high) = preprocessor.output_range().unwrap_or((0.0, 1.0));
        let facts = DataFacts {
            partition: samples.partition,
            shape: samples.shape.clone(),
            test_is_published: split.keeps_published(loaded.test.is_some()),
            provenance: loaded.provenance,
            task,
            classes: samples.targets.class_names().unwrap_or_default().to_vec(),
            test_classes: samples.class_ids(Part::Test).unwrap_or_default().to_vec(),
            test_values,
            watched: watched_classes(&samples),
            value_range: [low, high],
            notes,
            columns: preprocessor.summary(),
        };
        Ok(Prepared { samples, preprocessing: crate::key::to_value(&preprocessor), facts })
    }
}

/// Class of each watched sample: those of the training part, then those of validation.
fn watched_classes(samples: &Samples) -> [Vec<u32>; 2] {
    [Part::Train, Part::Validation].map(|part| {
        samples.class_ids(part).unwrap_or_default().iter().take(N_WATCHED).copied().collect()
    })
}

/// Says in bold that other data than those asked for are used, where they are.
pub(crate) fn fallback_sentence(provenance: &Provenance) -> Option<String> {
    let (reason, dataset) = (provenance.fallback.as_ref()?, &provenance.dataset);
    Some(format!("**NOT THE DATA ASKED FOR: running on {dataset} instead ({reason})**"))
}

/// Says which data it is and whence; a fallback must not be missed.
fn announce(progress: &dyn Progress, data: &DataFacts) {
    if let Some(said) = fallback_sentence(&data.provenance) {
        progress.say(&said);
    }
    let Partition { n_train, n_validation, n_test } = data.partition;
    progress.say(&data.provenance.sentence);
    progress.say(&format!(
        "{n_train} rows to train on, {n_validation} to choose on, {n_test} to test on"
    ));
    data.notes.iter().for_each(|note| progress.say(note));
}

pub(crate) fn train(
    rows: &Prepared,
    pipeline: &Pipeline,
    seed: Seed,
    slot: &Slot,
    watch: &Watch<'_>,
) -> Result<(History, Box<dyn Autoencoder>), Error> {
    let samples = &rows.samples;
    let [low, high] = rows.facts.value_range;
    pipeline.model.check_range(&pipeline.train.loss, low, high)?;
    let mut model = build(&pipeline.model, &samples.shape, seed.child("model"))?;
    lens::give(&pipeline.model, model.as_mut())?;
    let checkpoint = slot.dir().join(CHECKPOINT_FILE);
    let doctor = (pipeline.train.on_hopeless == OnHopeless::Stop)
        .then(|| DoctorsWatch::new(pipeline, slot.dir(), watch.observer, watch.progress));
    let observer: &dyn Observer = match &doctor {
        Some(doctor) => doctor,
        None => watch.observer,
    };
    let options = FitOptions {
        checkpoint: Some(checkpoint.clone()),
        telemetry: Some(slot.dir().join(TELEMETRY_FILE)),
        tensorboard: pipeline.train.tensorboard.then(|| slot.dir().join("tensorboard")),
        checkpoint_interval: checkpoint_interval(model.as_ref()),
        n_watched: N_WATCHED,
        progress: watch.progress,
        interrupt: watch.interrupt,
        observer,
        shape: Some(&samples.shape),
        ..FitOptions::default()
    };
    let (fit_on, check_on) = (samples.part(Part::Train), samples.part(Part::Validation));
    let history =
        fit(model.as_ref(), fit_on, check_on, &pipeline.train, seed.child("train"), &options)?;
    write_json(&slot.dir().join(HISTORY_FILE), &history)?;
    let preprocessing = rows.preprocessing.clone();
    let bundle =
        Bundle { model: pipeline.model.clone(), shape: samples.shape.clone(), preprocessing };
    bundle.save(slot.dir(), model.as_ref())?;
    if checkpoint.exists() {
        // A finished training has no use for it, and it is three times the weights.
        std::fs::remove_file(&checkpoint).doing("remove", &checkpoint)?;
    }
    Ok((history, model))
}

/// So long that saving the state takes a hundredth of the time at most; a small model loses no
/// more than a second when its process is killed.
pub(crate) fn checkpoint_interval(model: &dyn Autoencoder) -> Duration {
    let n_weights: usize = model.parameters().iter().map(|parameter| parameter.len()).sum();
    let n_bytes = n_weights * STATES * size_of::<f32>();
    let seconds = 100.0 * n_bytes as f64 / BYTES_A_SECOND;
    Duration::from_secs_f64(seconds).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL)
}

pub(crate) fn features_of(
    set: FeatureSet,
    rows: &Prepared,
    pipeline: &Pipeline,
    seed: Seed,
    trained: &dyn Autoencoder,
) -> Result<Matrix, Error> {
    // The very weights that the training started from.
    let random = build(&pipeline.model, &rows.samples.shape, seed.child("model"))?;
    let sources = Sources { samples: &rows.samples, trained, random: random.as_ref() };
    Ok(extract(set, &sources, &pipeline.features)?.matrix)
}
