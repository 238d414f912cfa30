//! Batch normalisation of vectors and of maps.

use candle_core::{CpuStorage, CustomOp3, D, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::{Affine, CHUNK, inverse_root};
use crate::simd::{sum_map, wide};
use crate::storage::{slice_of, with_slice};
use crate::{Buffer, Error, Parameter, Result};

/// Share of a batch in the running statistics, as in PyTorch.
const MOMENTUM: f64 = 0.1;

/// Normalises each channel over the batch, and over its map where it has one.
///
/// In training it uses the batch's mean and variance and moves the running ones by a tenth towards
/// them (with the variance corrected by `n / (n - 1)`, as in PyTorch); otherwise it uses the
/// running ones. A batch of one value a channel can't be normalised and is an error in training.
///
/// # Source
/// Ioffe and Szegedy, "Batch Normalization", arXiv:1502.03167.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    affine: Affine,
    running_mean: Buffer,
    running_variance: Buffer,
}

impl BatchNorm {
    /// With scale 1, shift 0, running mean 0 and running variance 1.
    ///
    /// # Errors
    /// If candle refuses the tensors.
    pub fn new(name: &str, n_channels: usize) -> Result<Self> {
        let buffer = |what: &str, value: f32| {
            Buffer::new(format!("{name}.{what}"), vec![value; n_channels], &[n_channels])
        };
        Ok(BatchNorm {
            affine: Affine::new(name, n_channels)?,
            running_mean: buffer("running_mean", 0.0)?,
            running_variance: buffer("running_variance", 1.0)?,
        })
    }

    /// Its scale and shift.
    pub fn parameters(&self) -> [Parameter; 2] {
        [self.affine.scale.clone(), self.affine.shift.clone()]
    }

    /// Its running mean and variance.
    pub fn buffers(&self) -> [Buffer; 2] {
        [self.running_mean.clone(), self.running_variance.clone()]
    }

    /// The normalised input.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_channels)` or `(batch, n_channels, height, width)`
    /// - returns: the same
    ///
    /// # Errors
    /// [`Error::Shape`] if the channels are others, [`Error::SingleValue`] if a channel has a
    /// single value in training.
    pub fn forward(&self, input: &Tensor, is_training: bool) -> Result<Tensor> {
        let n_channels = self.affine.scale.len();
        if input.rank() < 2 || input.dims()[1] != n_channels || input.elem_count() == 0 {
            return Err(Error::Shape {
                layer: self.affine.scale.name().to_owned(),
                expected: format!("(batch, {n_channels}, ...)"),
                found: input.dims().to_vec(),
            });
        }
        let n_values = input.elem_count() / n_channels;
        if is_training && n_values == 1 {
            return Err(Error::SingleValue { layer: self.affine.scale.name().to_owned() });
        }
        if !input.device().is_cpu() {
            return self.composed(input, is_training);
        }
        let input = input.contiguous()?;
        let (mean, variance) = if is_training {
            let (mean, variance) = with_slice(&input, |values| moments(values, input.dims()))?;
            self.move_running(&mean, &variance, n_values)?;
            (mean.iter().map(|&mean| mean as f32).collect(), variance)
        } else {
            let variance = self.running_variance.values()?;
            (self.running_mean.values()?, variance.into_iter().map(f64::from).collect())
        };
        let op = BatchNormOp {
            affine: self.affine.clone(),
            mean,
            inverse_root: variance.into_iter().map(inverse_root).collect(),
            is_training,
        };
        let (scale, shift) = (self.affine.scale.tensor(), self.affine.shift.tensor());
        Ok(input.apply_op3(&scale, &shift, op)?)
    }

    /// Moves the running statistics towards those of a batch.
    fn move_running(&self, mean: &[f64], variance: &[f64], n_values: usize) -> Result<()> {
        let corrected = n_values as f64 / (n_values - 1) as f64;
        for (buffer, batch, factor) in
            [(&self.running_mean, mean, 1.0), (&self.running_variance, variance, corrected)]
        {
            let mut values = buffer.values()?;
            for (value, batch) in values.iter_mut().zip(batch) {
                let old = f64::from(*value);
                *value = (old + MOMENTUM * (factor * batch - old)) as f32;
            }
            buffer.set_values(&values)?;
        }
        Ok(())
    }

    /// The same out of candle's operations, for any device.
    pub(super) fn composed(&self, input: &Tensor, is_training: bool) -> Result<Tensor> {
        let n_channels = self.affine.scale.len();
        let mut shape = vec![1; input.rank()];
        shape[1] = n_channels;
        let (mean, variance) = if is_training {
            let mean_of = |x: &Tensor| -> Result<Tensor> {
                let by_channel = x.transpose(0, 1)?.contiguous()?.reshape((n_channels, ()))?;
                Ok(by_channel.mean(D::Minus1)?.reshape(&shape[..])?)
            };
            let mean = mean_of(input)?;
            let variance = mean_of(&input.broadcast_sub(&mean)?.sqr()?)?;
            let values = |tensor: &Tensor| -> Result<Vec<f64>> {
                let values = tensor.flatten_all()?.to_vec1::<f32>()?;
                Ok(values.into_iter().map(f64::from).collect())
            };
            let n_values = input.elem_count() / n_channels;
            self.move_running(&values(&mean)?, &values(&variance)?, n_values)?;
            (mean, variance)
        } else {
            let shaped = |buffer: &Buffer| buffer.tensor().reshape(&shape[..]);
            (shaped(&self.running_mean)?, shaped(&self.running_variance)?)
        };
        self.affine.composed(&input.broadcast_sub(&mean)?, &variance)
    }
}

struct BatchNormOp {
    affine: Affine,
    mean: Vec<f32>,
    inverse_root: Vec<f32>,
    /// Whether mean and root are of the batch, and so depend on it.
    is_training: bool,
}

impl CustomOp3 for BatchNormOp {
    fn name(&self) -> &'static str {
        "hourglass-batch-norm"
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
        let channels: Vec<[f32; 4]> = (0..scale.len())
            .map(|c| [self.mean[c], self.inverse_root[c] * scale[c], shift[c], 0.0])
            .collect();
        let input = slice_of(input, layout)?;
        let output = map(input, input, &channels, area_of(layout.dims()), |x, _, c| {
            (x - c[0]) * c[1] + c[2]
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
        let area = area_of(input.dims());
        let n_values = (input.elem_count() / self.mean.len()) as f64;
        let scale = with_slice(scale, <[f32]>::to_vec)?;
        let grad_input = with_slice(input, |input| {
            with_slice(grad_output, |grad| {
                let grad_sum = sums(grad, grad, &self.mean, area, |g, _, _| g);
                let mut product = sums(grad, input, &self.mean, area, |g, x, mean| g * (x - mean));
                for (product, &root) in product.iter_mut().zip(&self.inverse_root) {
                    *product *= f64::from(root);
                }
                self.affine.accumulate(&product, &grad_sum);
                // How much the batch's own mean and root give back.
                let share = if self.is_training { 1.0 / n_values } else { 0.0 };
                let channels: Vec<[f32; 4]> = (0..scale.len())
                    .map(|c| {
                        let root = f64::from(self.inverse_root[c]);
                        let back = [share * grad_sum[c], share * product[c] * root];
                        let factor = self.inverse_root[c] * scale[c];
                        [self.mean[c], factor, back[0] as f32, back[1] as f32]
                    })
                    .collect();
                map(grad, input, &channels, area, |g, x, c| c[1] * (g - c[2] - (x - c[0]) * c[3]))
            })
        })??;
        Ok((Some(Tensor::from_vec(grad_input, input.shape(), input.device())?), None, None))
    }
}

/// Values of a channel in a sample.
fn area_of(dims: &[usize]) -> usize {
    dims[2..].iter().product()
}

/// Mean and variance (over `n`) of each channel.
fn moments(values: &[f32], dims: &[usize]) -> (Vec<f64>, Vec<f64>) {
    let (n_channels, area) = (dims[1], area_of(dims));
    let n_values = (values.len() / n_channels) as f64;
    let zeros = vec![0.0; n_channels];
    let mut mean = sums(values, values, &zeros, area, |x, _, _| x);
    mean.iter_mut().for_each(|sum| *sum /= n_values);
    let rounded: Vec<f32> = mean.iter().map(|&mean| mean as f32).collect();
    let mut variance = sums(values, values, &rounded, area, |x, _, mean| (x - mean) * (x - mean));
    variance.iter_mut().for_each(|sum| *sum /= n_values);
    (mean, variance)
}

/// Sums of `f(a, b, constant of the channel)` over all values of each channel, in a fixed order.
fn sums(
    a: &[f32],
    b: &[f32],
    constants: &[f32],
    area: usize,
    f: impl Fn(f32, f32, f32) -> f32 + Copy + Sync,
) -> Vec<f64> {
    let sample = constants.len() * area;
    let chunk = (CHUNK / sample).max(1) * sample;
    let of_chunk = |(a, b): (&[f32], &[f32])| {
        let mut sums = vec![0.0_f64; constants.len()];
        wide(|| {
            for (a, b) in a.chunks(sample).zip(b.chunks(sample)) {
                if area == 1 {
                    let pairs = a.iter().zip(b).zip(constants);
                    for (sum, ((&a, &b), &constant)) in sums.iter_mut().zip(pairs) {
                        *sum += f64::from(f(a, b, constant));
                    }
                    continue;
                }
                let channels = a.chunks(area).zip(b.chunks(area)).zip(constants);
                for (sum, ((a, b), &constant)) in sums.iter_mut().zip(channels) {
                    *sum += sum_map(a, b, |a, b| f(a, b, constant));
                }
            }
        });
        sums
    };
    let parts: Vec<Vec<f64>> = a.par_chunks(chunk).zip(b.par_chunks(chunk)).map(of_chunk).collect();
    let mut totals = vec![0.0; constants.len()];
    for part in parts {
        totals.iter_mut().zip(part).for_each(|(total, sum)| *total += sum);
    }
    totals
}

/// `f(a, b, constants of the channel)` of all values.
fn map(
    a: &[f32],
    b: &[f32],
    channels: &[[f32; 4]],
    area: usize,
    f: impl Fn(f32, f32, &[f32; 4]) -> f32 + Copy + Sync,
) -> Vec<f32> {
    let sample = channels.len() * area;
    let chunk = (CHUNK / sample).max(1) * sample;
    let mut output = vec![0.0; a.len()];
    output.par_chunks_mut(chunk).zip(a.par_chunks(chunk).zip(b.par_chunks(chunk))).for_each(
        |(output, (a, b))| {
            wide(|| {
                let segments = output.chunks_mut(area).zip(a.chunks(area).zip(b.chunks(area)));
                for ((output, (a, b)), channel) in segments.zip(channels.iter().cycle()) {
                    for (output, (&a, &b)) in output.iter_mut().zip(a.iter().zip(b)) {
                        *output = f(a, b, channel);
                    }
                }
            });
        },
    );
    output
}
