//! The loop.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use hourglass_core::{Interrupt, MatrixView, Progress, Seed, Silent};
use hourglass_models::{Autoencoder, Context};
use hourglass_nn::{
    Corruption, Optimizer, Schedule, backward, clip_by_norm, global_norm, tensor_from, to_matrix,
};
use ndarray::{Axis, concatenate, s};
use rand::seq::SliceRandom;

use crate::checkpoint::{self, Position, Weights};
use crate::telemetry::Telemetry;
use crate::{
    Answer, EpochRecord, Error, History, Observer, Result, Snapshot, StepRecord, Stopped,
    TrainConfig, Unobserved,
};

/// Usual time between two checkpoints, so that saving stays far below a hundredth of the work.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(20);

/// What nobody raises.
static NEVER: LazyLock<Interrupt> = LazyLock::new(Interrupt::new);

/// Steps between two reports to the progress bar.
const PROGRESS_STEPS: usize = 8;

/// What surrounds a training run. The default saves nothing, tells nobody and is never stopped.
#[derive(Clone)]
pub struct FitOptions<'a> {
    /// Where the state is saved, and resumed from if the file is there.
    pub checkpoint: Option<PathBuf>,
    /// Least time between two checkpoints; zero saves after every step. Default: 20 seconds.
    pub checkpoint_interval: Duration,
    /// Where telemetry goes.
    pub telemetry: Option<PathBuf>,
    /// How many samples of the training part, and as many of validation, are reconstructed over
    /// the epochs: the first ones.
    pub n_watched: usize,
    /// Who is told.
    pub progress: &'a dyn Progress,
    /// Who may interrupt it: the state is saved, and the same call goes on from there.
    pub interrupt: &'a Interrupt,
    /// Who is told of steps and epochs, and may end it.
    pub observer: &'a dyn Observer,
}

impl Default for FitOptions<'_> {
    fn default() -> Self {
        FitOptions {
            checkpoint: None,
            checkpoint_interval: CHECKPOINT_INTERVAL,
            telemetry: None,
            n_watched: 0,
            progress: &Silent,
            interrupt: &NEVER,
            observer: &Unobserved,
        }
    }
}

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
    for (part, view) in [("training", train), ("validation", validation)] {
        if view.nrows() == 0 {
            return Err(Error::Empty { part });
        }
    }
    let fit = Fit { model, train, validation, config, seed, options, range: range_of(train) };
    fit.run()
}

struct Fit<'a> {
    model: &'a dyn Autoencoder,
    train: MatrixView<'a>,
    validation: MatrixView<'a>,
    config: &'a TrainConfig,
    seed: Seed,
    options: &'a FitOptions<'a>,
    /// Lowest and highest value of the training rows.
    range: (f32, f32),
}

impl Fit<'_> {
    fn run(&self) -> Result<History> {
        let parameters = self.model.parameters();
        let config = self.config;
        let rate = config.optimizer.learning_rate();
        let mut optimizer = Optimizer::new(config.optimizer, parameters.to_vec());
        let n_steps = (self.train.nrows() / config.batch_size).max(1);
        let mut schedule = Schedule::new(config.schedule.clone(), rate, config.epochs, n_steps);
        let mut position = Position {
            epoch: 0,
            step: 0,
            n_rows: 0,
            loss_sum: 0.0,
            gradient_norm: 0.0,
            schedule: schedule.state(),
            best_loss: None,
            n_bad_epochs: 0,
            history: History::default(),
        };
        let mut best: Option<Weights> = None;
        let saved = self.options.checkpoint.as_deref().filter(|path| path.exists());
        if let Some(path) = saved {
            (position, best) = checkpoint::load(path, parameters, &mut optimizer)?;
            schedule.restore(position.schedule);
            let epoch = position.epoch + 1;
            self.options
                .progress
                .say(&format!("resumed in epoch {epoch} from the last checkpoint"));
        } else {
            self.snapshot(0, &mut position.history)?;
        }
        let mut telemetry = match &self.options.telemetry {
            Some(path) => Some(Telemetry::open(path, saved.is_some())?),
            None => None,
        };
        self.options.progress.begin("training", Some((config.epochs * n_steps) as u64));
        let mut last_saved = Instant::now();
        while position.epoch < config.epochs && position.history.stopped.is_none() {
            let started = Instant::now();
            let rows_before = position.n_rows;
            self.epoch(&mut position, &mut optimizer, &schedule, best.as_ref(), n_steps)?;
            let n_samples = position.n_rows - rows_before;
            self.finish_epoch(&mut position, &mut schedule, &mut best, n_steps)?;
            if let (Some(telemetry), Some(record)) =
                (&mut telemetry, position.history.epochs.last())
            {
                let seconds = started.elapsed().as_secs_f64();
                telemetry.write(record, parameters, seconds, n_samples)?;
            }
            if last_saved.elapsed() >= self.options.checkpoint_interval {
                self.save(&position, &optimizer, best.as_ref())?;
                last_saved = Instant::now();
            }
        }
        let mut history = position.history;
        history.stopped.get_or_insert(Stopped::Finished);
        if let Some(best) = best {
            for (parameter, values) in parameters.iter().zip(&best) {
                parameter.set_values(values)?;
            }
        }
        let (n, best_epoch) = (history.epochs.len(), history.best_epoch);
        let best_loss = history.epochs[best_epoch - 1].validation_loss;
        self.options.progress.end(&format!(
            "{n} epochs, lowest validation loss {best_loss:.6} in epoch {best_epoch}"
        ));
        Ok(history)
    }

    /// The steps of the current epoch that aren't done yet.
    fn epoch(
        &self,
        position: &mut Position,
        optimizer: &mut Optimizer,
        schedule: &Schedule,
        best: Option<&Weights>,
        n_steps: usize,
    ) -> Result<()> {
        let epoch = position.epoch;
        let started = Instant::now();
        let n_rows = self.train.nrows();
        let mut order: Vec<usize> = (0..n_rows).collect();
        order.shuffle(&mut self.seed.child("order").nth(epoch as u64).rng());
        let noise = self.seed.child("corruption").nth(epoch as u64);
        let draws = self.seed.child("model").nth(epoch as u64);
        let parameters = self.model.parameters();
        while position.step < n_steps && position.history.stopped.is_none() {
            let step = position.step;
            let rows = &order[step * n_rows / n_steps..(step + 1) * n_rows / n_steps];
            let (input, target) = self.batch(self.train, rows, noise.nth(step as u64))?;
            let epochs_done = epoch as f64 + step as f64 / n_steps as f64;
            let context = Context::train(epochs_done, self.config.epochs, draws.nth(step as u64));
            let loss = self.model.loss(&input, &target, &self.config.loss, &context)?;
            let value = loss.total.to_scalar::<f32>()?;
            if !value.is_finite() {
                return Err(self.not_finite(epoch, step, value, &input)?);
            }
            backward(&loss.total, parameters)?;
            let is_last = step + 1 == n_steps;
            match self.config.clip_norm {
                Some(max_norm) => position.gradient_norm = clip_by_norm(parameters, max_norm),
                None if is_last => position.gradient_norm = global_norm(parameters),
                None => {}
            }
            let learning_rate = schedule.rate((epoch * n_steps + step) as u64);
            optimizer.step(learning_rate)?;
            position.loss_sum += f64::from(value) * rows.len() as f64;
            position.n_rows += rows.len();
            position.step += 1;
            let record = StepRecord {
                epoch: epoch + 1,
                step: optimizer.state().n_steps,
                loss: f64::from(value),
                learning_rate,
                validation_loss: None,
            };
            let every = self.options.observer.every_steps();
            if every > 0
                && record.step.is_multiple_of(every)
                && let Answer::Stop(reason) = self.options.observer.on_step(&record)
            {
                position.history.stopped = Some(reason);
            }
            if is_last || step.is_multiple_of(PROGRESS_STEPS) {
                self.report(position, value, n_steps, started);
            }
            if self.options.interrupt.is_raised() && !is_last {
                return Err(self.interrupted(position, optimizer, best)?);
            }
        }
        Ok(())
    }

    fn finish_epoch(
        &self,
        position: &mut Position,
        schedule: &mut Schedule,
        best: &mut Option<Weights>,
        n_steps: usize,
    ) -> Result<()> {
        let validation_loss = self.validate()?;
        let last_step = (position.epoch * n_steps + position.step - 1) as u64;
        let record = EpochRecord {
            epoch: position.epoch + 1,
            train_loss: position.loss_sum / position.n_rows as f64,
            validation_loss,
            learning_rate: schedule.rate(last_step),
            gradient_norm: position.gradient_norm,
        };
        tracing::debug!(?record, "epoch finished");
        schedule.observe(validation_loss);
        position.schedule = schedule.state();
        let min_delta = self.config.early_stopping.map_or(0.0, |stopping| stopping.min_delta);
        if position.best_loss.is_none_or(|best| validation_loss < best - min_delta) {
            position.best_loss = Some(validation_loss);
            position.history.best_epoch = record.epoch;
            position.n_bad_epochs = 0;
            if self.config.early_stopping.is_some() {
                let values = self.model.parameters().iter().map(|parameter| parameter.values());
                *best = Some(values.collect::<Result<_, _>>()?);
            }
        } else {
            position.n_bad_epochs += 1;
        }
        if self.config.early_stopping.is_some_and(|s| position.n_bad_epochs >= s.patience) {
            position.history.stopped.get_or_insert(Stopped::EarlyStopping);
        }
        if let Answer::Stop(reason) = self.options.observer.on_epoch(&record) {
            position.history.stopped.get_or_insert(reason);
        }
        position.history.epochs.push(record);
        position.epoch += 1;
        position.step = 0;
        position.n_rows = 0;
        position.loss_sum = 0.0;
        // Early epochs change most: 1, 2, 4, 8, ... and the last.
        let is_last = position.epoch == self.config.epochs || position.history.stopped.is_some();
        if is_last || position.epoch.is_power_of_two() {
            self.snapshot(position.epoch, &mut position.history)?;
        }
        Ok(())
    }

    /// Mean loss over the validation rows, with the same noise and draws in every epoch.
    fn validate(&self) -> Result<f64> {
        let n_rows = self.validation.nrows();
        let n_batches = (n_rows / self.config.batch_size).max(1);
        let noise = self.seed.child("validation corruption");
        let draws = self.seed.child("validation model");
        let mut sum = 0.0;
        for i in 0..n_batches {
            let rows: Vec<usize> = (i * n_rows / n_batches..(i + 1) * n_rows / n_batches).collect();
            let (input, target) = self.batch(self.validation, &rows, noise.nth(i as u64))?;
            let context = Context::evaluate(draws.nth(i as u64));
            let loss = self.model.loss(&input, &target, &self.config.loss, &context)?;
            sum += f64::from(loss.total.to_scalar::<f32>()?) * rows.len() as f64;
        }
        Ok(sum / n_rows as f64)
    }

    /// Input and target of a batch; the same tensor where nothing is corrupted.
    fn batch(
        &self,
        source: MatrixView<'_>,
        rows: &[usize],
        noise: Seed,
    ) -> Result<(Tensor, Tensor)> {
        let mut values = Vec::with_capacity(rows.len() * source.ncols());
        for &row in rows {
            match source.row(row).to_slice() {
                Some(row) => values.extend_from_slice(row),
                None => values.extend(source.row(row)),
            }
        }
        let shape = (rows.len(), source.ncols());
        let corrupted = self.model.corruption().map(|corruption: Corruption| {
            let mut values = values.clone();
            corruption.apply(&mut values, self.range, noise);
            values
        });
        let target = tensor_from(values, shape, &Device::Cpu)?;
        let input = match corrupted {
            Some(values) => tensor_from(values, shape, &Device::Cpu)?,
            None => target.clone(),
        };
        Ok((input, target))
    }

    fn snapshot(&self, epoch: usize, history: &mut History) -> Result<()> {
        let n = self.options.n_watched;
        if n == 0 {
            return Ok(());
        }
        // A batch of the usual size, since a model may choose its active units over the batch.
        let half = (self.config.batch_size / 2).max(n);
        let n_train = half.min(self.train.nrows());
        let n_validation = half.min(self.validation.nrows());
        let rows = concatenate![
            Axis(0),
            self.train.slice(s![..n_train, ..]),
            self.validation.slice(s![..n_validation, ..])
        ];
        let output = self.model.reconstruct(&hourglass_nn::rows_of(rows.view())?)?;
        let output = to_matrix(&output)?;
        let watched = (0..n.min(n_train)).chain(n_train..n_train + n.min(n_validation));
        let reconstructions = watched.map(|row| output.row(row).to_vec()).collect();
        history.snapshots.push(Snapshot { epoch, reconstructions });
        Ok(())
    }

    fn report(&self, position: &Position, loss: f32, n_steps: usize, started: Instant) {
        let done = (position.epoch * n_steps + position.step) as u64;
        let validation = match position.history.epochs.last() {
            Some(record) => format!(", validation {:.6}", record.validation_loss),
            None => String::new(),
        };
        let (epoch, epochs) = (position.epoch + 1, self.config.epochs);
        let n_samples = (position.step * self.train.nrows()) as f64 / n_steps as f64;
        let rate = n_samples / started.elapsed().as_secs_f64().max(1e-9);
        let detail =
            format!("epoch {epoch}/{epochs}, loss {loss:.6}{validation}, {rate:.0} samples/s");
        self.options.progress.advance(done, &detail);
    }

    fn save(
        &self,
        position: &Position,
        optimizer: &Optimizer,
        best: Option<&Weights>,
    ) -> Result<()> {
        match &self.options.checkpoint {
            Some(path) => {
                checkpoint::save(path, position, self.model.parameters(), optimizer, best)
            }
            None => Ok(()),
        }
    }

    fn interrupted(
        &self,
        position: &Position,
        optimizer: &Optimizer,
        best: Option<&Weights>,
    ) -> Result<Error> {
        self.save(position, optimizer, best)?;
        Ok(Error::Interrupted {
            epoch: position.epoch + 1,
            step: position.step,
            checkpoint: self.options.checkpoint.clone(),
        })
    }

    fn not_finite(&self, epoch: usize, step: usize, value: f32, input: &Tensor) -> Result<Error> {
        let place = self.first_not_finite(input)?;
        let rate = self.config.optimizer.learning_rate();
        let mut hint = format!(
            "the learning rate {rate:e} may be too high (try `train.optimizer.{}.learning_rate = \
             {:e}`)",
            self.config.optimizer.name(),
            rate / 10.0
        );
        if self.config.clip_norm.is_none() {
            hint += ", or gradients explode (try `train.clip_norm = 1.0`)";
        }
        let (low, high) = self.range;
        if low.abs().max(high.abs()) > 10.0 {
            hint += &format!(
                ", or the inputs are not scaled: they reach from {low} to {high} (see \
                 `preprocess.numeric`)"
            );
        }
        Ok(Error::NotFinite { epoch: epoch + 1, step: step + 1, value, place, hint })
    }

    /// The first tensor on the way from the input to the loss that isn't finite.
    fn first_not_finite(&self, input: &Tensor) -> Result<String> {
        let is_finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        if !is_finite(&input.flatten_all()?.to_vec1::<f32>()?) {
            return Ok("the input".to_owned());
        }
        for parameter in self.model.parameters() {
            if !is_finite(&parameter.values()?) {
                return Ok(format!("the parameter `{}`", parameter.name()));
            }
        }
        for (layer, activations) in self.model.hidden(input)?.iter().enumerate() {
            if !is_finite(&activations.flatten_all()?.to_vec1::<f32>()?) {
                return Ok(format!("the activations of layer `encoder.{layer}`"));
            }
        }
        let output = self.model.reconstruct(input)?.flatten_all()?.to_vec1::<f32>()?;
        if !is_finite(&output) {
            return Ok("the activations of the decoder".to_owned());
        }
        let largest = output.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        Ok(format!("the loss, since the reconstruction reaches {largest:e}"))
    }
}

fn range_of(view: MatrixView<'_>) -> (f32, f32) {
    view.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| {
        (low.min(value), high.max(value))
    })
}

#[cfg(test)]
mod tests;
