//! One step: gradients of its batches, limits, the update, and who is asked after it.

use std::time::Instant;

use hourglass_nn::{
    backward, clip_adaptively, clip_by_norm, clip_by_value, global_norm, gradient_norms,
    limit_unit_norms,
};

use super::judge::Losses;
use super::{Batch, Fit, Live};
use crate::telemetry::ParameterTelemetry;
use crate::{Answer, Result, StepRecord, Stopped};

/// Weights and norms of gradients before a step that is measured.
struct BeforeStep {
    weights: Vec<Vec<f32>>,
    gradient_norms: Vec<f64>,
}

impl Fit<'_> {
    /// Takes the next step of the epoch, on its batches; returns its loss.
    pub(super) fn step(&self, live: &mut Live, batches: Vec<Batch>) -> Result<f64> {
        let (epoch, step) = (live.position.epoch, live.position.step);
        let losses = self.gradients(epoch, step, &batches)?;
        let n_rows: usize = batches.iter().map(|batch| batch.n_rows).sum();
        drop(batches);
        let learning_rate = self.rate(live);
        self.update(live, learning_rate)?;
        let position = &mut live.position;
        position.loss_sum += losses.total * n_rows as f64;
        for (name, value) in &losses.parts {
            *position.part_sums.entry(name.clone()).or_default() += value * n_rows as f64;
        }
        position.n_rows += n_rows;
        position.step += 1;
        self.after_step(live, losses.total, learning_rate)?;
        Ok(losses.total)
    }

    /// A step of the range test: the next batch in the order of training, at this rate. Nobody is
    /// asked anything.
    pub(crate) fn step_at(&self, live: &mut Live, learning_rate: f64) -> Result<f64> {
        if live.position.step == self.n_steps {
            live.position.epoch += 1;
            live.position.step = 0;
        }
        let (epoch, step) = (live.position.epoch, live.position.step);
        let order = self.order(epoch);
        let batches = self.batches(epoch, step, self.rows_of_step(&order, step))?;
        let losses = self.gradients(epoch, step, &batches)?;
        self.update(live, learning_rate)?;
        live.position.step += 1;
        Ok(losses.total)
    }

    /// The learning rate of the next step.
    pub(super) fn rate(&self, live: &Live) -> f64 {
        let step = (live.position.epoch * self.n_steps + live.position.step) as u64;
        live.schedule.rate(step) * live.position.rate_factor
    }

    /// Forward and backward over the batches of a step; their gradients lie in the parameters,
    /// averaged over all rows.
    fn gradients(&self, epoch: usize, step: usize, batches: &[Batch]) -> Result<Losses> {
        let n_rows: usize = batches.iter().map(|batch| batch.n_rows).sum();
        let mut losses = Losses::default();
        for Batch { input, target, context, n_rows: n } in batches {
            let loss = self.model.loss(input, target, &self.config.loss, context)?;
            let share = *n as f64 / n_rows as f64;
            let total = losses.add(&loss, share)?;
            if !total.is_finite() {
                return Err(self.not_finite(epoch, step, total, input)?);
            }
            let total = if batches.len() == 1 { loss.total } else { (loss.total * share)? };
            backward(&total, self.model.parameters())?;
        }
        Ok(losses)
    }

    /// Turns gradients into new weights.
    fn update(&self, live: &mut Live, learning_rate: f64) -> Result<()> {
        let (config, parameters) = (self.config, self.model.parameters());
        if let Some(penalty) = config.weight_penalty {
            penalty.add_gradient(parameters, config.decay_biases)?;
        }
        let is_last = live.position.step + 1 == self.n_steps;
        let before = if is_last && self.measures() { Some(self.before_step(live)?) } else { None };
        // Where nothing else clips, clipping by norm measures the norm on its way.
        let by_norm_alone = config.clip_adaptive.is_none() && config.clip_value.is_none();
        let measured = match config.clip_norm {
            Some(max_norm) if by_norm_alone => Some(clip_by_norm(parameters, max_norm)),
            _ => is_last.then(|| global_norm(parameters)),
        };
        if let Some(norm) = measured {
            self.check_gradient_norm(live, norm)?;
        }
        if let Some(factor) = config.clip_adaptive {
            clip_adaptively(parameters, factor)?;
        }
        if let Some(limit) = config.clip_value {
            clip_by_value(parameters, limit);
        }
        if let Some(max_norm) = config.clip_norm
            && !by_norm_alone
        {
            clip_by_norm(parameters, max_norm);
        }
        live.optimizer.step(learning_rate)?;
        if let Some(max_norm) = config.max_norm {
            limit_unit_norms(parameters, max_norm)?;
        }
        if let Some(average) = &mut live.average {
            average.observe(parameters)?;
        }
        live.last_step.clear();
        match before {
            Some(before) => self.measure_step(live, before),
            None => Ok(()),
        }
    }

    /// What [`Fit::measure_step`] compares with.
    fn before_step(&self, live: &mut Live) -> Result<BeforeStep> {
        let clock = Instant::now();
        let parameters = self.model.parameters();
        let weights = parameters.iter().map(|p| p.values()).collect::<Result<_, _>>()?;
        let gradient_norms = gradient_norms(parameters);
        live.measuring = clock.elapsed();
        Ok(BeforeStep { weights, gradient_norms })
    }

    /// Measures what a step did to each parameter.
    fn measure_step(&self, live: &mut Live, before: BeforeStep) -> Result<()> {
        let clock = Instant::now();
        let of_each = before.weights.iter().zip(before.gradient_norms);
        for (parameter, (weights, gradient_norm)) in self.model.parameters().iter().zip(of_each) {
            let (weight_norm, update_norm) = parameter.norm_and_distance(weights)?;
            live.last_step.push(ParameterTelemetry {
                name: parameter.name().to_owned(),
                weight_norm,
                gradient_norm,
                update_norm,
                update_ratio: (weight_norm > 0.0).then(|| update_norm / weight_norm),
            });
        }
        live.measuring += clock.elapsed();
        Ok(())
    }

    /// Notes the norm of all gradients, which must be a number.
    fn check_gradient_norm(&self, live: &mut Live, norm: f64) -> Result<()> {
        let (epoch, step) = (live.position.epoch, live.position.step);
        if !norm.is_finite() {
            return Err(self.diverged(epoch, step, norm, "the gradients".to_owned()));
        }
        live.position.gradient_norm = norm;
        Ok(())
    }

    /// Limits, validation within the epoch, and the observer.
    fn after_step(&self, live: &mut Live, loss: f64, learning_rate: f64) -> Result<()> {
        let n_done = live.optimizer.state().n_steps;
        if self.config.max_steps.is_some_and(|limit| n_done >= limit) {
            live.position.history.stopped = Some(Stopped::StepLimit);
        } else if self.config.max_seconds.is_some_and(|limit| live.seconds() >= limit) {
            live.position.history.stopped = Some(Stopped::TimeLimit);
        }
        let is_last = live.position.step == self.n_steps;
        let mut record = StepRecord {
            epoch: live.position.epoch + 1,
            step: n_done,
            loss,
            learning_rate,
            validation_loss: None,
        };
        let is_due = |every: u64| every > 0 && n_done.is_multiple_of(every);
        // At the end of an epoch there is a validation anyway.
        if !is_last && is_due(self.config.validate_every_steps.unwrap_or(0)) {
            let losses = self.averaged(live, |live| {
                let losses = self.validate(live)?;
                self.judge(live, losses.total)?;
                Ok(losses)
            })?;
            record.validation_loss = Some(losses.total);
            live.position.history.validations.push(record);
        }
        if (is_due(self.options.observer.every_steps()) || record.validation_loss.is_some())
            && let Answer::Stop(reason) = self.options.observer.on_step(&record)
        {
            live.position.history.stopped.get_or_insert(reason);
        }
        Ok(())
    }
}
