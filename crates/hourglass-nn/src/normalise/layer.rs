//! Layer normalisation of vectors.

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::{Affine, CHUNK, inverse_root};
use crate::simd::{sum_map, wide};
use crate::storage::{slice_of, with_slice};
use crate::{Error, Parameter, Result};

/// Normalises each sample over its features.
///
/// # Source
/// Ba, Kiros, Hinton, "Layer Normalization", arXiv:1607.06450.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    affine: Affine,
}

impl LayerNorm {
    /// With scale 1 and shift 0.
    ///
    /// # Errors
    /// If candle refuses the tensors.
    pub fn new(name: &str, n_features: usize) -> Result<Self> {
        Ok(LayerNorm { affine: Affine::new(name, n_features)? })
    }

    /// Its scale and shift.
    pub fn parameters(&self) -> [Parameter; 2] {
        [self.affine.scale.clone(), self.affine.shift.clone()]
    }

    /// The normalised input.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_features)`
    /// - returns: the same
    ///
    /// # Errors
    /// [`Error::Shape`] if the features are others.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let n_features = self.affine.scale.len();
        if input.rank() != 2 || input.dims()[1] != n_features {
            return Err(Error::Shape {
                layer: self.affine.scale.name().to_owned(),
                expected: format!("(batch, {n_features})"),
                found: input.dims().to_vec(),
            });
        }
        if !input.device().is_cpu() {
            return self.composed(input);
        }
        let (scale, shift) = (self.affine.scale.tensor(), self.affine.shift.tensor());
        let op = LayerNormOp { affine: self.affine.clone() };
        Ok(input.contiguous()?.apply_op3(&scale, &shift, op)?)
    }

    /// The same out of candle's operations, for any device.
    pub(super) fn composed(&self, input: &Tensor) -> Result<Tensor> {
        let centred = input.broadcast_sub(&input.mean_keepdim(1)?)?;
        let variance = centred.sqr()?.mean_keepdim(1)?;
        self.affine.composed(&centred, &variance)
    }
}

struct LayerNormOp {
    affine: Affine,
}

impl CustomOp3 for LayerNormOp {
    fn name(&self) -> &'static str {
        "hourglass-layer-norm"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (scale, shift) = (slice_of(scale, scale_layout)?, slice_of(shift, shift_layout)?);
        let mut output = slice_of(input, layout)?.to_vec();
        let chunk = chunk_len(scale.len());
        output.par_chunks_mut(chunk).for_each(|rows| {
            wide(|| {
                for row in rows.chunks_mut(scale.len()) {
                    let (mean, root) = moments(row);
                    for ((x, &scale), &shift) in row.iter_mut().zip(scale).zip(shift) {
                        *x = (*x - mean) * root * scale + shift;
                    }
                }
            });
        });
        Ok((CpuStorage::F32(output), layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        scale: &Tensor,
        _shift: &Tensor,
        _output: &Tensor,
        grad_output: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let scale = with_slice(scale, <[f32]>::to_vec)?;
        let mut grad = with_slice(grad_output, <[f32]>::to_vec)?;
        let chunk = chunk_len(scale.len());
        let parts: Vec<[Vec<f64>; 2]> = with_slice(input, |input| {
            grad.par_chunks_mut(chunk)
                .zip(input.par_chunks(chunk))
                .map(|(grad, input)| wide(|| backward_of(&scale, grad, input)))
                .collect()
        })?;
        let mut totals = [vec![0.0; scale.len()], vec![0.0; scale.len()]];
        for part in &parts {
            for (total, part) in totals.iter_mut().zip(part) {
                total.iter_mut().zip(part).for_each(|(total, sum)| *total += sum);
            }
        }
        self.affine.accumulate(&totals[0], &totals[1]);
        Ok((Some(Tensor::from_vec(grad, input.shape(), input.device())?), None, None))
    }
}

/// Whole rows that one task handles, in values.
fn chunk_len(n_features: usize) -> usize {
    (CHUNK / n_features).max(1) * n_features
}

/// Mean of a row, and one over the root of its variance.
#[inline(always)]
fn moments(row: &[f32]) -> (f32, f32) {
    let n = row.len() as f64;
    let mean = (sum_map(row, row, |x, _| x) / n) as f32;
    let variance = sum_map(row, row, |x, _| (x - mean) * (x - mean)) / n;
    (mean, inverse_root(variance))
}

/// Turns gradients after into gradients before, row by row; returns those of scale and shift.
#[inline(always)]
fn backward_of(scale: &[f32], grad: &mut [f32], input: &[f32]) -> [Vec<f64>; 2] {
    let n_features = scale.len();
    let mut sums = [vec![0.0_f64; n_features], vec![0.0_f64; n_features]];
    let mut normal = vec![0.0; n_features];
    for (grad, input) in grad.chunks_mut(n_features).zip(input.chunks(n_features)) {
        let (mean, root) = moments(input);
        for (normal, &x) in normal.iter_mut().zip(input) {
            *normal = (x - mean) * root;
        }
        let [scale_sums, shift_sums] = &mut sums;
        for ((sum, &g), &normal) in scale_sums.iter_mut().zip(&*grad).zip(&normal) {
            *sum += f64::from(g * normal);
        }
        for (sum, &g) in shift_sums.iter_mut().zip(&*grad) {
            *sum += f64::from(g);
        }
        grad.iter_mut().zip(scale).for_each(|(g, &scale)| *g *= scale);
        let n = n_features as f64;
        let by_mean = (sum_map(grad, grad, |g, _| g) / n) as f32;
        let by_root = (sum_map(grad, &normal, |g, normal| g * normal) / n) as f32;
        for (g, &normal) in grad.iter_mut().zip(&normal) {
            *g = root * (*g - by_mean - normal * by_root);
        }
    }
    sums
}
