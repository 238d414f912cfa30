//! What a member of the family is to [`super::Optimizer`], and the fused loops that members share.

use rayon::prelude::*;

use crate::simd::wide;
use crate::{Error, Result};

/// Values that one task updates.
const CHUNK: usize = 1 << 14;

/// The arithmetic of an optimiser.
pub(super) trait Rule: std::fmt::Debug + Send + Sync {
    /// The learning rate before any schedule.
    fn learning_rate(&self) -> f64;

    /// Every hyperparameter with its range.
    fn bounds(&self) -> Vec<Bound>;

    /// How many numbers are remembered for each weight.
    fn n_slots(&self) -> usize;

    /// A number of each step, counted from 1, of which [`Moment::product`] holds the product.
    fn factor(&self, _n_steps: u64) -> f64 {
        1.0
    }

    /// One step of one parameter, in place.
    fn step(&self, moment: Moment, values: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>]);
}

/// When a step is taken, and of what.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub learning_rate: f64,
    /// Steps of the parameter, this one included.
    pub n_steps: u64,
    /// Product of [`Rule::factor`] over those steps.
    pub product: f64,
    /// Whether weight decay applies to the parameter.
    pub decays: bool,
}

impl Moment {
    /// The weight decay of the parameter.
    pub fn decay(self, weight_decay: f64) -> f64 {
        if self.decays { weight_decay } else { 0.0 }
    }

    /// `1 - beta^t`: what a running mean that started from 0 is short of.
    pub fn filled(self, beta: f64) -> f64 {
        1.0 - beta.powf(self.n_steps as f64)
    }
}

/// A hyperparameter with its range.
pub(super) struct Bound {
    field: &'static str,
    value: f64,
    range: Range,
}

enum Range {
    AboveZero,
    ZeroOrAbove,
    BelowOne,
}

impl Bound {
    pub fn above_zero(field: &'static str, value: f64) -> Self {
        Bound { field, value, range: Range::AboveZero }
    }

    pub fn zero_or_above(field: &'static str, value: f64) -> Self {
        Bound { field, value, range: Range::ZeroOrAbove }
    }

    pub fn below_one(field: &'static str, value: f64) -> Self {
        Bound { field, value, range: Range::BelowOne }
    }

    pub fn check(&self, optimizer: &str) -> Result<()> {
        let value = self.value;
        let (holds, range) = match self.range {
            Range::AboveZero => (value > 0.0 && value.is_finite(), "above 0"),
            Range::ZeroOrAbove => (value >= 0.0 && value.is_finite(), "0 or above"),
            Range::BelowOne => ((0.0..1.0).contains(&value), "at least 0 and below 1"),
        };
        if holds {
            return Ok(());
        }
        Err(Error::hyperparameter(format!("optimizer.{optimizer}.{}", self.field), value, range))
    }
}

/// Calls `f` with each weight, its gradient and what is remembered of it.
pub(super) fn each(
    values: &mut [f32],
    gradient: &[f32],
    slots: &mut [Vec<f32>],
    f: impl Fn(&mut f32, f32, &mut f32) + Sync,
) {
    let [slot] = slots else { unreachable!("the slots were made by the same rule") };
    values
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(slot.par_chunks_mut(CHUNK))
        .for_each(|((values, gradient), slot)| {
            wide(|| {
                for ((w, &g), v) in values.iter_mut().zip(gradient).zip(slot) {
                    f(w, g, v);
                }
            });
        });
}

/// The same where two numbers are remembered.
pub(super) fn each_of_two(
    values: &mut [f32],
    gradient: &[f32],
    slots: &mut [Vec<f32>],
    f: impl Fn(&mut f32, f32, &mut f32, &mut f32) + Sync,
) {
    let [first, second] = slots else { unreachable!("the slots were made by the same rule") };
    values
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK)))
        .for_each(|((values, gradient), (first, second))| {
            wide(|| {
                let slots = first.iter_mut().zip(second);
                for ((w, &g), (m, v)) in values.iter_mut().zip(gradient).zip(slots) {
                    f(w, g, m, v);
                }
            });
        });
}
