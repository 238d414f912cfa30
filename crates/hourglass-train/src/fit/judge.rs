//! How a model is judged: validation, the best weights, patience, snapshots, the records of an
//! epoch.

use std::collections::BTreeMap;
use std::time::Instant;

use hourglass_core::MatrixView;
use hourglass_models::{Context, LossParts};
use hourglass_nn::{rows_of, to_matrix};
use ndarray::{Axis, concatenate, s};

use super::{Fit, Live, Records};
use crate::checkpoint::Weights;
use crate::telemetry::measure::{measure, n_measured};
use crate::{Answer, EpochRecord, EpochTelemetry, LatentTelemetry, Result, Snapshot, Stopped};

/// A loss and its parts, as numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Losses {
    pub total: f64,
    pub parts: BTreeMap<String, f64>,
    /// What else the model knows, averaged over rows.
    pub facts: BTreeMap<String, Vec<f64>>,
}

impl Losses {
    /// Adds the loss of a batch times its weight; returns that loss.
    pub fn add(&mut self, loss: &LossParts, weight: f64) -> Result<f64> {
        let total = f64::from(loss.total.to_scalar::<f32>()?);
        self.total += total * weight;
        for (name, part) in loss.named() {
            let value = f64::from(part.to_scalar::<f32>()?);
            *self.parts.entry(name.to_owned()).or_default() += value * weight;
        }
        for fact in &loss.facts {
            let sums = self.facts.entry(fact.name.to_owned()).or_default();
            sums.resize(fact.values.len(), 0.0);
            for (sum, &value) in sums.iter_mut().zip(&fact.values) {
                *sum += f64::from(value) * weight;
            }
        }
        Ok(total)
    }
}

impl Fit<'_> {
    /// What follows the last step of an epoch.
    pub(super) fn close_epoch(&self, live: &mut Live, records: &mut Records) -> Result<()> {
        let learning_rate = {
            let step = live.position.epoch * self.n_steps + live.position.step - 1;
            live.schedule.rate(step as u64) * live.position.rate_factor
        };
        let validation = self.averaged(live, |live| {
            let losses = self.validate(live)?;
            self.judge(live, losses.total)?;
            Ok(losses)
        })?;
        let seconds = live.epoch_started.elapsed().saturating_sub(live.measuring).as_secs_f64();
        let n_rows = live.position.n_rows as f64;
        let record = EpochRecord {
            epoch: live.position.epoch + 1,
            train_loss: live.position.loss_sum / n_rows,
            validation_loss: validation.total,
            learning_rate,
            gradient_norm: live.position.gradient_norm,
        };
        tracing::debug!(?record, "epoch finished");
        live.schedule.observe(validation.total);
        if let Answer::Stop(reason) = self.options.observer.on_epoch(&record) {
            live.position.history.stopped.get_or_insert(reason);
        }
        let position = &mut live.position;
        position.schedule = live.schedule.state();
        position.history.epochs.push(record.clone());
        position.epoch += 1;
        position.step = 0;
        position.n_rows = 0;
        position.loss_sum = 0.0;
        let train_parts = std::mem::take(&mut position.part_sums)
            .into_iter()
            .map(|(name, sum)| (name, sum / n_rows))
            .collect();
        // Early epochs change most: 1, 2, 4, 8, ... and the last.
        let is_last = position.epoch == self.config.epochs || position.history.stopped.is_some();
        if is_last || position.epoch.is_power_of_two() {
            self.averaged(live, |live| self.snapshot(live))?;
        }
        self.remember_good(live)?;
        self.record(live, records, &record, train_parts, validation, seconds)
    }

    /// Does something with the averaged weights in place of the last ones, where there are any.
    pub(super) fn averaged<T>(
        &self,
        live: &mut Live,
        f: impl FnOnce(&mut Live) -> Result<T>,
    ) -> Result<T> {
        let Some(mut average) = live.average.take() else { return f(live) };
        average.swap(self.model.parameters())?;
        let outcome = f(live);
        average.swap(self.model.parameters())?;
        live.average = Some(average);
        outcome
    }

    /// Mean loss over the validation rows, with the same noise and draws in every epoch.
    pub(super) fn validate(&self, live: &Live) -> Result<Losses> {
        let n_rows = self.validation.nrows();
        let n_batches = (n_rows / self.config.batch_size).max(1);
        let noise = self.seed.child("validation corruption");
        let draws = self.seed.child("validation model");
        let mut losses = Losses::default();
        for i in 0..n_batches {
            let rows: Vec<usize> = (i * n_rows / n_batches..(i + 1) * n_rows / n_batches).collect();
            let (input, target) = self.batch(self.validation, &rows, 1.0, noise.nth(i as u64))?;
            let context = Context::evaluate(draws.nth(i as u64));
            let loss = self.model.loss(&input, &target, &self.config.loss, &context)?;
            losses.add(&loss, rows.len() as f64 / n_rows as f64)?;
        }
        if losses.total.is_finite() {
            return Ok(losses);
        }
        let (epoch, step) = (live.position.epoch, live.position.step);
        let place = "the loss of the validation rows".to_owned();
        Err(self.diverged(epoch, step.saturating_sub(1), losses.total, place))
    }

    /// Takes a validation into account: the best weights and patience.
    pub(super) fn judge(&self, live: &mut Live, validation_loss: f64) -> Result<()> {
        let stopping = self.config.early_stopping;
        let min_delta = stopping.map_or(0.0, |stopping| stopping.min_delta);
        if live.position.best_loss.is_none_or(|best| validation_loss < best - min_delta) {
            live.position.best_loss = Some(validation_loss);
            live.position.history.best_epoch = live.position.epoch + 1;
            live.position.n_bad = 0;
            if stopping.is_some() || self.options.best.is_some() {
                live.best = Some(Weights::of(self.model)?);
                live.best_is_new = true;
            }
        } else {
            live.position.n_bad += 1;
        }
        if stopping.is_some_and(|stopping| live.position.n_bad >= stopping.patience) {
            live.position.history.stopped.get_or_insert(Stopped::EarlyStopping);
        }
        Ok(())
    }

    /// Keeps the reconstructions of the watched samples.
    pub(super) fn snapshot(&self, live: &mut Live) -> Result<()> {
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
        let rows = rows_of(rows.view())?.to_device(&super::device_of(self.model))?;
        let output = self.model.reconstruct(&rows)?;
        let output = to_matrix(&output)?;
        let watched = (0..n.min(n_train)).chain(n_train..n_train + n.min(n_validation));
        let reconstructions = watched.map(|row| output.row(row).to_vec()).collect();
        let epoch = live.position.epoch;
        live.position.history.snapshots.push(Snapshot { epoch, reconstructions });
        Ok(())
    }

    /// Whether telemetry is wanted.
    pub(super) fn measures(&self) -> bool {
        self.options.telemetry.is_some() || self.options.tensorboard.is_some()
    }

    /// Writes the telemetry of an epoch that is closed.
    fn record(
        &self,
        live: &mut Live,
        records: &mut Records,
        record: &EpochRecord,
        train_parts: BTreeMap<String, f64>,
        mut validation: Losses,
        seconds: f64,
    ) -> Result<()> {
        if !self.measures() {
            return Ok(());
        }
        let clock = Instant::now();
        let n_rows = n_measured(self.train.nrows(), self.validation.nrows());
        let rows: MatrixView<'_> = self.validation.slice(s![..n_rows, ..]);
        let measures =
            self.averaged(live, |_| measure(self.model, rows, self.config.batch_size))?;
        let snapshots = &live.position.history.snapshots;
        let reconstructions = match snapshots.last() {
            Some(snapshot) if snapshot.epoch == record.epoch => snapshot.reconstructions.clone(),
            _ => Vec::new(),
        };
        let weight_penalty = match self.config.weight_penalty {
            Some(penalty) => {
                Some(penalty.value(self.model.parameters(), self.config.decay_biases)?)
            }
            None => None,
        };
        let kl_per_dimension = validation.facts.remove("kl_by_dimension");
        let latent = LatentTelemetry { kl_per_dimension, ..measures.latent };
        let line = EpochTelemetry {
            epoch: record.epoch,
            step: live.optimizer.state().n_steps,
            train_loss: record.train_loss,
            validation_loss: record.validation_loss,
            train_parts,
            validation_parts: validation.parts,
            weight_penalty,
            learning_rate: record.learning_rate,
            gradient_norm: record.gradient_norm,
            parameters: std::mem::take(&mut live.last_step),
            layers: measures.layers,
            latent,
            facts: validation.facts,
            feature_errors: measures.feature_errors,
            reconstructions,
            n_measured_rows: measures.n_rows,
            seconds,
            samples_per_second: live.samples_per_second,
            telemetry_seconds: (clock.elapsed() + live.measuring).as_secs_f64()
                + records.writing_seconds,
        };
        let clock = Instant::now();
        if let Some(file) = &mut records.telemetry {
            file.write(&line)?;
        }
        if let Some(events) = &mut records.events {
            events.epoch(&line)?;
        }
        records.writing_seconds = clock.elapsed().as_secs_f64();
        Ok(())
    }
}
