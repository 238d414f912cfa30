//! The loop: from batches to steps, from steps to epochs, and what is asked after each.
//!
//! What a step does to the weights is in [`step`], how a model is judged in [`judge`], what a
//! failure means in [`failure`].

mod failure;
mod judge;
mod options;
mod step;
mod stream;

pub use options::FitOptions;
pub use stream::{RowSource, SourceError, fit_stream};

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use hourglass_core::{MatrixView, SampleShape, Seed};
use hourglass_models::{Autoencoder, Context};
use hourglass_nn::{CleanRows, Optimizer, Schedule, WeightAverage, gather_rows, tensor_from};
use rand::seq::SliceRandom;

use crate::checkpoint::{Checkpoint, Position, State, Weights};
use crate::telemetry::{ParameterTelemetry, TelemetryFile};
use crate::tensorboard::EventWriter;
use crate::{Error, History, OnDivergence, Result, Rollback, Stopped, TrainConfig};

/// Steps between two reports to the progress bar.
const PROGRESS_STEPS: usize = 8;

/// Trains a model in place.
///
/// # Shapes
/// - `train`, `validation`: `(n_rows, n_features)`, finite values
///
/// # Errors
/// [`Error::NotFinite`] when the loss stops being a number, [`Error::Interrupted`] when asked to
/// stop (the state is saved first), and what the model or the files say.
pub fn fit(
    model: &dyn Autoencoder,
    train: MatrixView<'_>,
    validation: MatrixView<'_>,
    config: &TrainConfig,
    seed: Seed,
    options: &FitOptions<'_>,
) -> Result<History> {
    config.check()?;
    let corrupts = model.corruption().is_some() || model.corrupts_by_itself();
    if config.corruption_strength.is_some() && !corrupts {
        return Err(Error::NoCorruption);
    }
    for (part, view) in [("training", train), ("validation", validation)] {
        if view.nrows() == 0 {
            return Err(Error::Empty { part });
        }
    }
    move_model(model, &config.device.open()?)?;
    let fit = Fit::new(model, train, validation, config, seed, options);
    let history = fit.run(|live| fit.epoch(live));
    // Whoever takes the model next does so on the CPU.
    move_model(model, &Device::Cpu)?;
    history
}

fn move_model(model: &dyn Autoencoder, device: &Device) -> Result<()> {
    let is_there = |tensor: Tensor| tensor.device().same_device(device);
    for parameter in model.parameters().iter().filter(|p| !is_there(p.tensor())) {
        parameter.move_to(device)?;
    }
    for buffer in model.buffers().iter().filter(|buffer| !is_there(buffer.tensor())) {
        buffer.move_to(device)?;
    }
    Ok(())
}

/// Where a model is.
pub(crate) fn device_of(model: &dyn Autoencoder) -> Device {
    model.parameters().first().map_or(Device::Cpu, |p| p.tensor().device().clone())
}

/// What doesn't change while training goes on.
pub(crate) struct Fit<'a> {
    pub model: &'a dyn Autoencoder,
    pub train: MatrixView<'a>,
    pub validation: MatrixView<'a>,
    pub config: &'a TrainConfig,
    pub seed: Seed,
    pub options: &'a FitOptions<'a>,
    /// Lowest and highest value of the training rows.
    range: (f32, f32),
    n_steps: usize,
}

/// What does.
pub(crate) struct Live {
    pub position: Position,
    pub optimizer: Optimizer,
    pub schedule: Schedule,
    pub average: Option<WeightAverage>,
    pub best: Option<Weights>,
    /// Whether the best weights are newer than their file.
    pub best_is_new: bool,
    /// The end of the last good epoch, where it may be needed.
    good: Option<State>,
    /// What the last step of the epoch did to each parameter, where telemetry asks.
    pub last_step: Vec<ParameterTelemetry>,
    /// Time that measuring `last_step` took.
    pub measuring: Duration,
    /// Training rows a second in the epoch before.
    pub samples_per_second: f64,
    pub epoch_started: Instant,
    /// Rows of the epoch that were done when it started here.
    rows_before: usize,
    started: Instant,
    last_saved: Instant,
}

impl<'a> Fit<'a> {
    pub(crate) fn new(
        model: &'a dyn Autoencoder,
        train: MatrixView<'a>,
        validation: MatrixView<'a>,
        config: &'a TrainConfig,
        seed: Seed,
        options: &'a FitOptions<'a>,
    ) -> Self {
        let n_steps = (train.nrows() / (config.batch_size * config.accumulate)).max(1);
        let range = range_of(train);
        Fit { model, train, validation, config, seed, options, range, n_steps }
    }

    /// From the first epoch to the last; `epoch` takes the steps of one that aren't done yet.
    fn run(&self, epoch: impl Fn(&mut Live) -> Result<()>) -> Result<History> {
        let (config, progress) = (self.config, self.options.progress);
        let mut live = self.start();
        let saved = self.options.checkpoint.as_deref().filter(|path| path.exists());
        match saved {
            Some(path) => self.resume(&mut live, path)?,
            None => {
                self.snapshot(&mut live)?;
                self.remember_good(&mut live)?;
            }
        }
        let mut records = self.records(&live, saved.is_some())?;
        progress.begin("training", Some((config.epochs * self.n_steps) as u64));
        while live.position.epoch < config.epochs && live.position.history.stopped.is_none() {
            live.start_epoch();
            let outcome = epoch(&mut live).and_then(|()| {
                live.end_epoch();
                self.close_epoch(&mut live, &mut records)
            });
            match outcome {
                Err(error @ Error::NotFinite { .. }) => self.roll_back(&mut live, error)?,
                other => other?,
            }
            if self.is_time_to_save(&live) {
                self.save(&mut live)?;
            }
        }
        self.finish(live)
    }

    /// The state before the first step.
    pub(crate) fn start(&self) -> Live {
        let config = self.config;
        let parameters = self.model.parameters();
        let optimizer = Optimizer::new(config.optimizer, parameters.to_vec())
            .with_decay_of_all(config.decay_biases);
        let rate = config.optimizer.learning_rate();
        let schedule = Schedule::new(config.schedule.clone(), rate, config.epochs, self.n_steps)
            .with_warmup(config.warmup);
        let position = Position {
            epoch: 0,
            step: 0,
            n_rows: 0,
            loss_sum: 0.0,
            part_sums: BTreeMap::new(),
            gradient_norm: 0.0,
            schedule: schedule.state(),
            rate_factor: 1.0,
            best_loss: None,
            n_bad: 0,
            seconds: 0.0,
            history: History::default(),
        };
        Live {
            position,
            optimizer,
            schedule,
            average: config.weight_average.map(|average| WeightAverage::new(average.decay)),
            best: None,
            best_is_new: false,
            good: None,
            last_step: Vec::new(),
            measuring: Duration::ZERO,
            samples_per_second: 0.0,
            epoch_started: Instant::now(),
            rows_before: 0,
            started: Instant::now(),
            last_saved: Instant::now(),
        }
    }

    fn resume(&self, live: &mut Live, path: &Path) -> Result<()> {
        let Checkpoint { now, good, best } = Checkpoint::load(path, self.model)?;
        self.restore(live, &now)?;
        (live.good, live.best) = (good, best);
        // The file of the best weights follows the checkpoint: a kill between the two leaves an
        // older one.
        live.best_is_new = live.best.is_some();
        let epoch = live.position.epoch + 1;
        self.options.progress.say(&format!("resumed in epoch {epoch} from the last checkpoint"));
        Ok(())
    }

    /// The state as plain data.
    fn state(&self, live: &Live) -> Result<State> {
        let seconds = live.seconds();
        Ok(State {
            position: Position { seconds, ..live.position.clone() },
            weights: Weights::of(self.model)?,
            moments: live.optimizer.state().clone(),
            average: live.average.as_ref().map_or(Vec::new(), |a| a.values().to_vec()),
        })
    }

    fn restore(&self, live: &mut Live, state: &State) -> Result<()> {
        state.weights.restore(self.model)?;
        live.optimizer.restore(state.moments.clone())?;
        live.schedule.restore(state.position.schedule);
        if let Some(average) = &mut live.average {
            average.restore(state.average.clone());
        }
        live.position = state.position.clone();
        Ok(())
    }

    /// Keeps the state to roll back to.
    fn remember_good(&self, live: &mut Live) -> Result<()> {
        if matches!(self.config.on_divergence, OnDivergence::Rollback { .. }) {
            live.good = Some(self.state(live)?);
        }
        Ok(())
    }

    /// Goes back to the end of the last good epoch with a smaller rate, or fails with the error
    /// where that isn't wanted, or was done often enough.
    fn roll_back(&self, live: &mut Live, error: Error) -> Result<()> {
        let (OnDivergence::Rollback { factor, at_most }, Some(good)) =
            (self.config.on_divergence, live.good.take())
        else {
            return Err(error);
        };
        let mut rollbacks = std::mem::take(&mut live.position.history.rollbacks);
        if rollbacks.len() >= at_most {
            return Err(error);
        }
        let Error::NotFinite { epoch, step, place, .. } = error else { return Err(error) };
        let rate_factor = live.position.rate_factor * factor;
        let seconds = live.position.seconds;
        self.options.progress.say(&format!(
            "the loss was no number in epoch {epoch}, step {step}; back to the end of epoch {} \
             with {rate_factor:e} times the learning rate",
            good.position.epoch
        ));
        rollbacks.push(Rollback { epoch, step, place, to_epoch: good.position.epoch, rate_factor });
        self.restore(live, &good)?;
        live.position.history.rollbacks = rollbacks;
        live.position.rate_factor = rate_factor;
        live.position.seconds = seconds;
        live.good = Some(good);
        for parameter in self.model.parameters() {
            parameter.clear_gradient();
        }
        Ok(())
    }

    /// Opens the files that are written epoch by epoch.
    fn records(&self, live: &Live, resumes: bool) -> Result<Records> {
        let telemetry = self.options.telemetry.as_deref();
        let events = self.options.tensorboard.as_deref();
        let from = resumes.then(|| live.optimizer.state().n_steps);
        Ok(Records {
            telemetry: telemetry
                .map(|path| TelemetryFile::open(path, live.position.history.epochs.len()))
                .transpose()?,
            events: events.map(|folder| EventWriter::create(folder, from)).transpose()?,
            writing_seconds: 0.0,
        })
    }

    /// The steps of the current epoch that aren't done yet. The batches of a step are made while
    /// the one before trains; what they hold follows from the seed and the step alone.
    fn epoch(&self, live: &mut Live) -> Result<()> {
        let epoch = live.position.epoch;
        let order = self.order(epoch);
        let batches = |step| self.batches(epoch, step, self.rows_of_step(&order, step));
        let mut ready = None;
        while live.position.step < self.n_steps && live.position.history.stopped.is_none() {
            let (step, next) = (live.position.step, live.position.step + 1);
            let now = ready.take().map_or_else(|| batches(step), Ok)?;
            let has_next = next < self.n_steps;
            let (done, made) = rayon::join(
                || self.step_and_tell(live, now),
                || has_next.then(|| batches(next)).transpose(),
            );
            done?;
            ready = made?;
        }
        Ok(())
    }

    /// A step, and what may follow each: a word to who waits, a checkpoint, the end.
    fn step_and_tell(&self, live: &mut Live, batches: Vec<Batch>) -> Result<()> {
        let step = live.position.step;
        let loss = self.step(live, batches)?;
        let is_last = live.position.step == self.n_steps;
        if is_last || step.is_multiple_of(PROGRESS_STEPS) {
            self.report(live, loss);
        }
        if !is_last {
            if self.options.interrupt.is_raised() {
                return Err(self.interrupted(live)?);
            }
            if self.is_time_to_save(live) {
                self.save(live)?;
            }
        }
        Ok(())
    }

    /// The rows of an epoch in their order.
    fn order(&self, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.train.nrows()).collect();
        order.shuffle(&mut self.seed.child("order").nth(epoch as u64).rng());
        order
    }

    fn rows_of_step<'o>(&self, order: &'o [usize], step: usize) -> &'o [usize] {
        let n_rows = order.len();
        &order[step * n_rows / self.n_steps..(step + 1) * n_rows / self.n_steps]
    }

    /// The batches of a step of training.
    fn batches(&self, epoch: usize, step: usize, rows: &[usize]) -> Result<Vec<Batch>> {
        let n_batches = self.config.accumulate.min(rows.len());
        let epochs_done = self.epochs_done(epoch, step);
        let strength =
            self.config.corruption_strength.map_or(1.0, |strength| strength.at(epochs_done));
        let of_batch = |batch| {
            let from = batch * rows.len() / n_batches;
            let rows = &rows[from..(batch + 1) * rows.len() / n_batches];
            let seed_of = |name: &str| {
                let seed = self.seed.child(name).nth(epoch as u64).nth(step as u64);
                if n_batches == 1 { seed } else { seed.nth(batch as u64) }
            };
            let (input, target) = self.batch(self.train, rows, strength, seed_of("corruption"))?;
            let context = Context {
                corruption_strength: strength,
                ..Context::train(epochs_done, self.config.epochs, seed_of("model"))
            };
            Ok(Batch { input, target, context, n_rows: rows.len() })
        };
        (0..n_batches).map(of_batch).collect()
    }

    fn epochs_done(&self, epoch: usize, step: usize) -> f64 {
        epoch as f64 + step as f64 / self.n_steps as f64
    }

    /// Input and target of a batch, with so much of the model's corruption; the same tensor where
    /// nothing is corrupted.
    fn batch(
        &self,
        source: MatrixView<'_>,
        rows: &[usize],
        strength: f32,
        noise: Seed,
    ) -> Result<(Tensor, Tensor)> {
        let device = device_of(self.model);
        let target = gather_rows(source, rows)?;
        let input = match self.model.corruption().and_then(|c| c.scaled(strength)) {
            Some(corruption) => {
                let plain = SampleShape::Vector { len: source.ncols() };
                let shape = self.options.shape.unwrap_or(&plain);
                let clean = CleanRows { rows: self.train, range: self.range, shape };
                let mut values = target.flatten_all()?.to_vec1()?;
                corruption.apply(&mut values, &clean, noise)?;
                tensor_from(values, (rows.len(), source.ncols()), &device)?
            }
            None => target.to_device(&device)?,
        };
        let target = target.to_device(&device)?;
        Ok((input, target))
    }

    fn report(&self, live: &Live, loss: f64) {
        let position = &live.position;
        let done = (position.epoch * self.n_steps + position.step) as u64;
        let validation = match position.history.epochs.last() {
            Some(record) => format!(", validation {:.6}", record.validation_loss),
            None => String::new(),
        };
        let (epoch, epochs) = (position.epoch + 1, self.config.epochs);
        let rate = live.rate_of_rows();
        let detail =
            format!("epoch {epoch}/{epochs}, loss {loss:.6}{validation}, {rate:.0} samples/s");
        self.options.progress.advance(done, &detail);
    }

    fn is_time_to_save(&self, live: &Live) -> bool {
        self.options.checkpoint.is_some()
            && live.last_saved.elapsed() >= self.options.checkpoint_interval
    }

    fn save(&self, live: &mut Live) -> Result<()> {
        if let Some(path) = &self.options.checkpoint {
            let now = self.state(live)?;
            let checkpoint = Checkpoint { now, good: live.good.take(), best: live.best.take() };
            checkpoint.save(path, self.model)?;
            (live.good, live.best) = (checkpoint.good, checkpoint.best);
            live.last_saved = Instant::now();
        }
        self.save_best(live)
    }

    /// Writes the best weights, as a bundle holds them, where they are newer than their file.
    fn save_best(&self, live: &mut Live) -> Result<()> {
        if let (Some(path), Some(best)) = (&self.options.best, &live.best)
            && std::mem::take(&mut live.best_is_new)
        {
            best.file(self.model).save(path)?;
        }
        Ok(())
    }

    fn interrupted(&self, live: &mut Live) -> Result<Error> {
        self.save(live)?;
        Ok(Error::Interrupted {
            epoch: live.position.epoch + 1,
            step: live.position.step,
            checkpoint: self.options.checkpoint.clone(),
        })
    }

    /// Leaves the model with the weights to keep.
    fn finish(&self, mut live: Live) -> Result<History> {
        self.save_best(&mut live)?;
        let mut history = live.position.history;
        history.stopped.get_or_insert(Stopped::Finished);
        match (&live.best, &mut live.average) {
            (Some(best), _) if self.config.early_stopping.is_some() => best.restore(self.model)?,
            (_, Some(average)) => average.swap(self.model.parameters())?,
            _ => {}
        }
        let (n, best_epoch) = (history.epochs.len(), history.best_epoch);
        let best_loss = live.position.best_loss.unwrap_or(f64::NAN);
        self.options.progress.end(&format!(
            "{n} epochs, lowest validation loss {best_loss:.6} in epoch {best_epoch}"
        ));
        Ok(history)
    }
}

impl Live {
    /// Time spent on training, before it was resumed and since.
    pub fn seconds(&self) -> f64 {
        self.position.seconds + self.started.elapsed().as_secs_f64()
    }

    fn start_epoch(&mut self) {
        (self.epoch_started, self.rows_before) = (Instant::now(), self.position.n_rows);
    }

    fn end_epoch(&mut self) {
        self.samples_per_second = self.rate_of_rows();
    }

    /// Training rows a second in this epoch so far.
    fn rate_of_rows(&self) -> f64 {
        let n_done = (self.position.n_rows - self.rows_before) as f64;
        n_done / self.epoch_started.elapsed().as_secs_f64().max(1e-9)
    }
}

/// A batch of a step, ready to be learnt from.
struct Batch {
    input: Tensor,
    target: Tensor,
    context: Context,
    n_rows: usize,
}

/// What is written epoch by epoch.
pub(crate) struct Records {
    telemetry: Option<TelemetryFile>,
    events: Option<EventWriter>,
    /// Time that writing the last line took.
    writing_seconds: f64,
}

fn range_of(view: MatrixView<'_>) -> (f32, f32) {
    view.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| {
        (low.min(value), high.max(value))
    })
}

#[cfg(test)]
mod tests;
