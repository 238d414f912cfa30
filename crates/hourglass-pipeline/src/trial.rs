//! One trial of a sweep: the pipeline with the trial's values, trained and judged on training and
//! validation rows. Test rows are prepared with the others and never looked at.
//!
//! It knows no study and no store: who watches is told of every epoch and answers whether to go on.
//! Preparing the rows and finding the source are shared between the trials of one room; the trained
//! model lies in the stage cache, so that an interrupted trial goes on where it was, and the winner
//! isn't trained again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hourglass_core::{
    ColumnMoments, Interrupt, Matrix, Part, Partition, Progress, Samples, Seed, Targets,
};
use hourglass_data::Resolved;
use hourglass_downstream::ClassPredictions;
use hourglass_features::{FeatureSet, reconstruct_all};
use hourglass_models::Autoencoder;
use hourglass_train::{Answer, EpochRecord, History, Observer, Stopped, Unobserved};
use ndarray::Axis;
use rand::seq::SliceRandom;

use crate::cache::{Cache, Claim, read_json};
use crate::config::Pipeline;
use crate::error::Error;
use crate::figures::reconstruction_error;
use crate::judgement::{Asked, judge};
use crate::key::Key;
use crate::lens;
use crate::measures::Measures;
use crate::objective::Objective;
use crate::plan::{Kind, Plan, Stage};
use crate::repeat::{self, HISTORY_FILE, Prepared, Rows, Watch};
use crate::run::RunOptions;

/// Prepared rows that are kept for the next trials; a sweep over preprocessing has a few of them.
const MOST_PREPARED: usize = 4;

/// Whether a trial goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    GoOn,
    /// It ends here, as hopeless.
    Prune,
}

/// What a trial measured.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialOutcome {
    /// One value for each objective: the mean over the repeats.
    pub values: Vec<f64>,
    /// Seconds in training and judging; preparing, the cache and the store are not among them.
    pub work_seconds: f64,
}

/// What the rows of a file say before any trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Bytes of all rows as a model sees them.
    pub row_bytes: u64,
    /// Whether more of the downstream metric is better.
    pub higher_score_is_better: bool,
}

/// What the trials of one sweep in one process have in common.
pub struct TrialRoom {
    source: Resolved,
    fingerprint: String,
    cache: Cache,
    prepared: Mutex<Vec<(Key, Arc<Prepared>)>>,
}

/// What is known of a repeat, for the objectives.
struct Measured<'a> {
    pipeline: &'a Pipeline,
    rows: &'a Prepared,
    trained: &'a dyn Autoencoder,
    history: &'a History,
    seed: Seed,
    interrupt: &'a Interrupt,
    progress: &'a dyn Progress,
}

impl TrialRoom {
    /// Finds the source of the pipeline.
    ///
    /// # Errors
    /// If the data can't be had.
    pub fn open(
        pipeline: &Pipeline,
        options: &RunOptions,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<TrialRoom, Error> {
        let (base, locations) = (&options.base, &options.locations);
        let source = hourglass_data::resolve(&pipeline.data, base, locations, progress, interrupt)?;
        let fingerprint = source.fingerprint(pipeline.data_seed())?;
        let cache = Cache::new(&options.runs_dir);
        Ok(TrialRoom { source, fingerprint, cache, prepared: Mutex::new(Vec::new()) })
    }

    /// The hash of the source data.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What the rows of the file say before any trial, prepared as its first repeat has them.
    ///
    /// # Errors
    /// If the data can't be read or prepared.
    pub fn look(&self, pipeline: &Pipeline, interrupt: &Interrupt) -> Result<Look, Error> {
        let rows = Rows::new(pipeline, &self.source, interrupt, 0).prepare()?;
        let samples = &rows.samples;
        let n_values = samples.partition.n_samples() * samples.shape.n_features();
        let metric = pipeline.downstream.metric_for(rows.facts.task);
        Ok(Look {
            row_bytes: (n_values * size_of::<f32>()) as u64,
            higher_score_is_better: metric.higher_is_better(),
        })
    }

    /// Runs a trial. `watch` is told the number of each epoch of the first repeat and the loss on
    /// validation after it, also where the training was found in the cache.
    ///
    /// # Errors
    /// [`Error::Ended`] where `watch` said [`Verdict::Prune`]; an interrupt, after which the same
    /// call goes on; whatever training and judging say.
    pub fn run(
        &self,
        trial: &Pipeline,
        objectives: &[Objective],
        watch: &(dyn Fn(usize, f64) -> Verdict + Sync),
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<TrialOutcome, Error> {
        let plan = Plan::new(trial, &self.fingerprint);
        let mut sums = vec![0.0; objectives.len()];
        let mut work_seconds = 0.0;
        for repeat in 0..trial.repeats {
            let stage = |kind| {
                plan.stage(kind, Some(repeat)).expect("the plan holds every stage of every repeat")
            };
            let seed = trial.repeat_seed(repeat);
            let rows = self.rows(trial, stage(Kind::Preprocess), repeat, interrupt)?;
            let unwatched = |_: usize, _: f64| Verdict::GoOn;
            let observer = Epochs(if repeat == 0 { watch } else { &unwatched });
            let watch = Watch { progress, interrupt, observer: &observer };
            let trained = self.trained(trial, stage(Kind::Train), &rows, seed, &watch)?;
            work_seconds += trained.seconds;
            let measured = Measured {
                pipeline: trial,
                rows: &rows,
                trained: trained.model.as_ref(),
                history: &trained.history,
                seed,
                interrupt,
                progress,
            };
            let clock = Instant::now();
            for (sum, objective) in sums.iter_mut().zip(objectives) {
                *sum += measured.figure(&objective.figure)?;
            }
            work_seconds += clock.elapsed().as_secs_f64();
        }
        let mean = |(sum, objective): (f64, &Objective)| {
            if objective.figure == "seconds" { work_seconds } else { sum / trial.repeats as f64 }
        };
        let values = sums.into_iter().zip(objectives).map(mean).collect();
        Ok(TrialOutcome { values, work_seconds })
    }

    /// What a pipeline measures on the validation rows of each repeat.
    ///
    /// # Errors
    /// An interrupt, after which the same call goes on; whatever training and judging say.
    pub(crate) fn measure(
        &self,
        pipeline: &Pipeline,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Measures, Error> {
        let plan = Plan::new(pipeline, &self.fingerprint);
        let mut found: Option<Measures> = None;
        for repeat in 0..pipeline.repeats {
            let stage = |kind| {
                plan.stage(kind, Some(repeat)).expect("the plan holds every stage of every repeat")
            };
            let seed = pipeline.repeat_seed(repeat);
            let rows = self.rows(pipeline, stage(Kind::Preprocess), repeat, interrupt)?;
            let watch = Watch { progress, interrupt, observer: &Unobserved };
            let trained = self.trained(pipeline, stage(Kind::Train), &rows, seed, &watch)?;
            let measured = Measured {
                pipeline,
                rows: &rows,
                trained: trained.model.as_ref(),
                history: &trained.history,
                seed,
                interrupt,
                progress,
            };
            let partition = rows.samples.partition;
            let measures = found.get_or_insert_with(|| Measures {
                metric: pipeline.downstream.metric_for(rows.facts.task),
                scores: Vec::new(),
                raw_scores: Vec::new(),
                reconstruction: Vec::new(),
                by_column: Vec::new(),
                preprocess: pipeline.preprocess.clone(),
                n_train: partition.n_train,
                n_validation: partition.n_validation,
            });
            // The autoencoder by itself says more of it than with raw columns beside it.
            let alone = pipeline.downstream.compare.contains(&FeatureSet::Autoencoder);
            let features = match alone {
                true => measured.features_of(FeatureSet::Autoencoder)?,
                false => measured.features()?,
            };
            measures.scores.push(measured.judged(&features)?);
            let raw = measured.features_of(FeatureSet::Raw)?;
            measures.raw_scores.push(measured.judged(&raw)?);
            let [whole, by_column] = measured.shares_of_mean_error()?;
            measures.reconstruction.push(whole);
            measures.by_column.push(by_column);
        }
        Ok(found.expect("a pipeline has a repeat or more"))
    }

    /// The rows of a repeat, prepared once for all trials that prepare them alike.
    fn rows(
        &self,
        trial: &Pipeline,
        stage: &Stage,
        repeat: usize,
        interrupt: &Interrupt,
    ) -> Result<Arc<Prepared>, Error> {
        let key = stage.inputs.key();
        let mut kept = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, rows)) = kept.iter().find(|(known, _)| *known == key) {
            return Ok(Arc::clone(rows));
        }
        let rows = Arc::new(Rows::new(trial, &self.source, interrupt, repeat).prepare()?);
        if kept.len() == MOST_PREPARED {
            kept.remove(0);
        }
        kept.push((key, Arc::clone(&rows)));
        Ok(rows)
    }

    /// The trained model, from the cache where it is there.
    fn trained(
        &self,
        trial: &Pipeline,
        stage: &Stage,
        rows: &Prepared,
        seed: Seed,
        watch: &Watch<'_>,
    ) -> Result<Trained, Error> {
        match self.cache.claim(&stage.inputs, false, watch.progress, watch.interrupt)? {
            Claim::Ready(entry) => {
                let history: History = read_json(&entry.dir.join(HISTORY_FILE))?;
                replay(&history, watch.observer)?;
                let model = lens::load_trained(&trial.model, &entry.dir)?;
                Ok(Trained { model, history, seconds: 0.0 })
            }
            Claim::Mine(slot) => {
                let clock = Instant::now();
                let (history, model) = repeat::train(rows, trial, seed, &slot, watch)?;
                let seconds = clock.elapsed().as_secs_f64();
                if history.stopped == Some(Stopped::Pruned) {
                    slot.clear()?;
                    return Err(Error::Ended { epoch: history.epochs.len() });
                }
                slot.finish(seconds)?;
                Ok(Trained { model, history, seconds })
            }
        }
    }
}

/// A trained model, and how it was trained.
struct Trained {
    model: Box<dyn Autoencoder>,
    history: History,
    /// Seconds in this process; 0 where it was in the cache.
    seconds: f64,
}

/// Tells the epochs of a finished training, so that a trial whose training was in the cache looks
/// like any other.
fn replay(history: &History, observer: &dyn Observer) -> Result<(), Error> {
    for record in &history.epochs {
        if let Answer::Stop(_) = observer.on_epoch(record) {
            return Err(Error::Ended { epoch: record.epoch });
        }
    }
    Ok(())
}

/// Tells a closure of the epochs.
struct Epochs<'a>(&'a (dyn Fn(usize, f64) -> Verdict + Sync));

impl Observer for Epochs<'_> {
    fn on_epoch(&self, record: &EpochRecord) -> Answer {
        match (self.0)(record.epoch, record.validation_loss) {
            Verdict::GoOn => Answer::GoOn,
            Verdict::Prune => Answer::Stop(Stopped::Pruned),
        }
    }
}

impl Measured<'_> {
    fn figure(&self, name: &str) -> Result<f64, Error> {
        let kept = || {
            let epochs = &self.history.epochs;
            epochs.iter().find(|record| record.epoch == self.history.best_epoch)
        };
        let error = |part| {
            let rows = self.rows.samples.part(part);
            reconstruction_error(self.trained, rows, self.pipeline.train.batch_size)
        };
        Ok(match name {
            "downstream_validation" => self.downstream()?,
            "reconstruction_validation" | "reconstruction.errors.autoencoder.validation" => {
                error(Part::Validation)?
            }
            "reconstruction.errors.autoencoder.train" => error(Part::Train)?,
            "training.best_epoch" => self.history.best_epoch as f64,
            "training.epochs.train_loss" => kept().map_or(f64::NAN, |record| record.train_loss),
            "training.epochs.validation_loss" => {
                kept().map_or(f64::NAN, |record| record.validation_loss)
            }
            "model.n_parameters" => {
                let parameters = self.trained.parameters().iter();
                parameters.map(|parameter| parameter.len()).sum::<usize>() as f64
            }
            "model.latent_dim" => self.trained.latent_dim() as f64,
            "model.feature_width" => self.features()?.ncols() as f64,
            // The caller has the clock, and the file's check knows every name.
            _ => f64::NAN,
        })
    }

    /// Features of the first set that is trained.
    fn features(&self) -> Result<Matrix, Error> {
        let sets = &self.pipeline.downstream.compare;
        let set = sets.iter().copied().find(|set| set.needs_training());
        self.features_of(set.unwrap_or(FeatureSet::Autoencoder))
    }

    fn features_of(&self, set: FeatureSet) -> Result<Matrix, Error> {
        repeat::features_of(set, self.rows, self.pipeline, self.seed, self.trained)
    }

    /// Squared error of the validation rows over that of putting the mean of the training rows; of
    /// all columns together, and of each in the mean over those that vary. There a column that
    /// comes back worse than its mean is lost, and no more than that.
    fn shares_of_mean_error(&self) -> Result<[f64; 2], Error> {
        let samples = &self.rows.samples;
        let rows = samples.part(Part::Validation);
        let mean = ColumnMoments::of(samples.part(Part::Train)).mean;
        let mut errors = vec![0.0; rows.ncols()];
        let batch_size = self.pipeline.train.batch_size;
        for batch in rows.axis_chunks_iter(Axis(0), batch_size) {
            let output = reconstruct_all(self.trained, batch, batch_size)?;
            for (inputs, outputs) in batch.rows().into_iter().zip(output.rows()) {
                for ((error, &a), &b) in errors.iter_mut().zip(inputs).zip(outputs) {
                    *error += f64::from(a - b).powi(2);
                }
            }
        }
        let spread = |column: usize| {
            rows.column(column).iter().map(|&a| (f64::from(a) - mean[column]).powi(2)).sum::<f64>()
        };
        let spreads: Vec<f64> = (0..rows.ncols()).map(spread).collect();
        let whole = errors.iter().sum::<f64>() / spreads.iter().sum::<f64>();
        let shares: Vec<f64> = errors
            .iter()
            .zip(&spreads)
            .filter(|(_, spread)| **spread > 0.0)
            .map(|(error, spread)| error / spread)
            // `min` would make a number of what is none.
            .map(|share| if share > 1.0 { 1.0 } else { share })
            .collect();
        Ok([whole, shares.iter().sum::<f64>() / shares.len() as f64])
    }

    fn downstream(&self) -> Result<f64, Error> {
        self.judged(&self.features()?)
    }

    /// Score of the first model on the validation rows. It is fitted on training rows alone: what
    /// it chooses for itself, it chooses on a part of them, since validation judges here.
    fn judged(&self, features: &Matrix) -> Result<f64, Error> {
        let failed = |source| Error::downstream("downstream validation", source);
        let samples = &self.rows.samples;
        let partition = samples.partition;
        let settings = &self.pipeline.downstream;
        let seed = self.seed.child("downstream");
        let share = self.pipeline.split.validation;
        let (fit, choose) = set_aside(samples, share, seed.child("choices"));
        let judged = partition.rows(Part::Validation);
        let order: Vec<usize> =
            fit.iter().copied().chain(choose.iter().copied()).chain(judged).collect();
        // The same rows under other names, for the code that judges on test.
        let renamed = Samples {
            features: Matrix::zeros((0, 0)),
            targets: samples.targets.select(&order),
            partition: Partition {
                n_train: fit.len(),
                n_validation: choose.len(),
                n_test: partition.n_validation,
            },
            shape: samples.shape.clone(),
            feature_names: Vec::new(),
        };
        let features = features.select(Axis(0), &order);
        let fraction = settings.label_fraction.iter().copied().fold(0.0, f64::max);
        let estimator = &settings.models[0];
        let asked = Asked { estimator, pipeline: self.pipeline, fraction, seed };
        let said =
            judge(&asked, &features, &renamed, self.progress, self.interrupt).map_err(failed)?;
        let metric = settings.metric_for(self.rows.facts.task);
        Ok(match &renamed.targets {
            Targets::Classes { ids, .. } => metric.of_classes(&ClassPredictions {
                truth: &ids[renamed.partition.rows(Part::Test)],
                predicted: &said.predicted,
                scores: said.scores.view(),
                are_probabilities: said.are_probabilities,
            }),
            Targets::Values(values) => {
                metric.of_values(&values[renamed.partition.rows(Part::Test)], &said.values)
            }
        })
    }
}

/// Training rows that stay and a share that is set aside, of each class alike; a class keeps one
/// row at least.
fn set_aside(samples: &Samples, share: f32, seed: Seed) -> (Vec<usize>, Vec<usize>) {
    let n_train = samples.partition.n_train;
    match samples.class_ids(Part::Train) {
        Some(classes) => {
            let n_classes = samples.targets.class_names().map_or(0, <[String]>::len);
            stratified(classes, n_classes, share, seed)
        }
        None => stratified(&vec![0; n_train], 1, share, seed),
    }
}

fn stratified(
    classes: &[u32],
    n_classes: usize,
    share: f32,
    seed: Seed,
) -> (Vec<usize>, Vec<usize>) {
    let (mut stay, mut aside) = (Vec::new(), Vec::new());
    for class in 0..n_classes {
        let rows = classes.iter().enumerate().filter(|(_, own)| **own as usize == class);
        let mut rows: Vec<usize> = rows.map(|(row, _)| row).collect();
        rows.shuffle(&mut seed.nth(class as u64).rng());
        let n_aside = (rows.len() as f64 * f64::from(share)).round() as usize;
        let n_aside = n_aside.min(rows.len().saturating_sub(1));
        aside.extend(rows.drain(..n_aside));
        stay.append(&mut rows);
    }
    stay.sort_unstable();
    aside.sort_unstable();
    (stay, aside)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use hourglass_core::Silent;
    use hourglass_data::Locations;
    use hourglass_search::Params;

    use super::*;
    use crate::file::Text;
    use crate::space::trial_pipeline;

    const SMALL: &str = r#"
        name = "small"
        seed = 1
        repeats = 3
        data.builtin.dataset = "iris"
        split = { validation = 0.3, test = 0.3 }
        preprocess.numeric = "standard"
        model.undercomplete = { latent_dim = 2 }
        train = { epochs = 4, optimizer = { adam = { learning_rate = 1e-2 } } }
        downstream = { compare = ["raw", "autoencoder"], models = [{ logistic_regression = {} }] }
        [search]
        trials = 3
        objective = ["downstream_validation", "reconstruction_validation", "model.latent_dim"]
        [search.space]
        "model.undercomplete.latent_dim" = { int = [1, 3] }
    "#;

    fn room(folder: &Path) -> TrialRoom {
        let locations =
            Locations { data_dirs: Vec::new(), download_dir: folder.join("data"), offline: true };
        let options = RunOptions {
            base: PathBuf::new(),
            locations,
            runs_dir: folder.to_owned(),
            force: false,
        };
        let pipeline = crate::parse(SMALL, "small", &[]).unwrap();
        TrialRoom::open(&pipeline, &options, &Silent, &Interrupt::new()).unwrap()
    }

    fn trial(latent_dim: i64) -> Pipeline {
        let text = Text { text: SMALL, origin: "small", overrides: Vec::new() };
        let path = "model.undercomplete.latent_dim".to_owned();
        trial_pipeline(&text, &Params::from([(path, latent_dim.into())])).unwrap()
    }

    fn objectives() -> Vec<Objective> {
        let pipeline = crate::parse(SMALL, "small", &[]).unwrap();
        pipeline.search.unwrap().objectives().to_vec()
    }

    #[test]
    fn a_trial_has_the_values_laid_over_and_one_repeat() {
        let trial = trial(3);
        assert_eq!((trial.model.latent_dim(), trial.repeats), (Some(3), 1));
        assert!(trial.search.is_none() && trial.schedule.is_none());
    }

    #[test]
    fn the_same_trial_measures_the_same_and_tells_its_epochs_from_the_cache_too() {
        let folder = tempfile::tempdir().unwrap();
        let room = room(folder.path());
        let run = |latent_dim| {
            let told = Mutex::new(Vec::new());
            let watch = |epoch: usize, loss: f64| {
                told.lock().unwrap().push((epoch, loss));
                Verdict::GoOn
            };
            let (trial, interrupt) = (trial(latent_dim), Interrupt::new());
            let outcome = room.run(&trial, &objectives(), &watch, &Silent, &interrupt).unwrap();
            (outcome.values, told.into_inner().unwrap())
        };
        let first = run(2);
        assert_eq!(first.1.len(), 4);
        assert_eq!(run(2), first);
        assert_eq!(first.0[2], 2.0);
        assert!((0.5..=1.0).contains(&first.0[0]) && first.0[1] > 0.0, "{first:?}");
        assert_ne!(run(3).0, first.0);
    }

    #[test]
    fn a_pruned_trial_leaves_nothing_that_another_would_take_for_finished() {
        let folder = tempfile::tempdir().unwrap();
        let room = room(folder.path());
        let (trial, interrupt) = (trial(2), Interrupt::new());
        let prune = |epoch: usize, _: f64| if epoch < 2 { Verdict::GoOn } else { Verdict::Prune };
        for _ in 0..2 {
            let error = room.run(&trial, &objectives(), &prune, &Silent, &interrupt).unwrap_err();
            assert!(matches!(error, Error::Ended { epoch: 2 }), "{error}");
        }
        let go_on = |_: usize, _: f64| Verdict::GoOn;
        room.run(&trial, &objectives(), &go_on, &Silent, &interrupt).unwrap();
        // Now that it is in the cache, whoever watches still decides.
        let error = room.run(&trial, &objectives(), &prune, &Silent, &interrupt).unwrap_err();
        assert!(matches!(error, Error::Ended { epoch: 2 }), "{error}");
    }

    #[test]
    fn rows_are_set_aside_of_each_class_alike() {
        let classes = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2];
        let (stay, aside) = stratified(&classes, 3, 0.5, Seed::new(3));
        let count = |rows: &[usize], class| rows.iter().filter(|&&r| classes[r] == class).count();
        assert_eq!([0, 1, 2].map(|class| count(&aside, class)), [2, 3, 0]);
        assert_eq!([0, 1, 2].map(|class| count(&stay, class)), [2, 3, 1]);
    }
}
