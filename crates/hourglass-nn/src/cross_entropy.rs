//! Cross-entropy for groups of columns, each the one-hot code of one categorical column.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, D, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::storage::{slice_of, with_slice};
use crate::{Error, Result};

/// Values that one task handles.
const CHUNK: usize = 1 << 13;

/// Cross-entropy between the softmax of each group and its target, a mean over samples and groups;
/// columns outside all groups are left alone.
///
/// # Shapes
/// - `output`: `(batch, n_features)`, values before the softmax
/// - `target`: the same; in each group, numbers of 0 or above that sum to 1, as one-hot codes do
/// - `groups`: ranges of columns that don't overlap
///
/// # Errors
/// [`Error::Shape`] if the shapes differ, a group is empty or goes beyond the columns, or there is
/// none.
pub fn group_cross_entropy(
    output: &Tensor,
    target: &Tensor,
    groups: &[Range<usize>],
) -> Result<Tensor> {
    let n_features = output.dims2()?.1;
    let fits = |group: &Range<usize>| group.start < group.end && group.end <= n_features;
    if output.dims() != target.dims() || groups.is_empty() || !groups.iter().all(fits) {
        return Err(Error::Shape {
            layer: "cross-entropy".to_owned(),
            expected: format!("{:?} like its target, and columns {groups:?}", target.dims()),
            found: output.dims().to_vec(),
        });
    }
    if !output.device().is_cpu() {
        return composed(output, target, groups);
    }
    let op = CrossEntropyOp { groups: groups.into() };
    Ok(output.contiguous()?.apply_op2(&target.contiguous()?, op)?)
}

/// The same out of candle's operations, for any device.
fn composed(output: &Tensor, target: &Tensor, groups: &[Range<usize>]) -> Result<Tensor> {
    let mut total = Tensor::zeros((), output.dtype(), output.device())?;
    for group in groups {
        let narrow = |tensor: &Tensor| tensor.narrow(1, group.start, group.len());
        let (output, target) = (narrow(output)?, narrow(target)?);
        let highest = output.detach().max_keepdim(D::Minus1)?;
        let shifted = output.broadcast_sub(&highest)?;
        let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
        total = (total - (shifted.broadcast_sub(&log_sum)? * target)?.sum_all()?)?;
    }
    Ok((total / (output.dims()[0] * groups.len()) as f64)?)
}

struct CrossEntropyOp {
    groups: Arc<[Range<usize>]>,
}

/// Highest value of a group, and the logarithm of the sum of exponentials after taking it away.
fn log_sum(output: &[f32]) -> (f32, f32) {
    let highest = output.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (highest, output.iter().map(|&value| (value - highest).exp()).sum::<f32>().ln())
}

impl CrossEntropyOp {
    fn of_row(&self, output: &[f32], target: &[f32]) -> f64 {
        let mut sum = 0.0;
        for group in self.groups.iter() {
            let output = &output[group.clone()];
            let (highest, log_sum) = log_sum(output);
            for (&output, &target) in output.iter().zip(&target[group.clone()]) {
                sum += f64::from(target * (log_sum - (output - highest)));
            }
        }
        sum
    }

    fn gradient_of_row(&self, scale: f32, output: &[f32], target: &[f32], gradient: &mut [f32]) {
        for group in self.groups.iter() {
            let (output, target) = (&output[group.clone()], &target[group.clone()]);
            let (highest, log_sum) = log_sum(output);
            let mass: f32 = target.iter().sum();
            let pairs = output.iter().zip(target);
            for (gradient, (&output, &target)) in gradient[group.clone()].iter_mut().zip(pairs) {
                *gradient = scale * (mass * (output - highest - log_sum).exp() - target);
            }
        }
    }
}

impl CustomOp2 for CrossEntropyOp {
    fn name(&self) -> &'static str {
        "hourglass-group-cross-entropy"
    }

    fn cpu_fwd(
        &self,
        output: &CpuStorage,
        output_layout: &Layout,
        target: &CpuStorage,
        target_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (n_samples, n_features) = output_layout.shape().dims2()?;
        let output = slice_of(output, output_layout)?;
        let target = slice_of(target, target_layout)?;
        let chunk = (CHUNK / n_features).max(1) * n_features;
        let parts: Vec<f64> = output
            .par_chunks(chunk)
            .zip(target.par_chunks(chunk))
            .map(|(output, target)| {
                let rows = output.chunks(n_features).zip(target.chunks(n_features));
                rows.map(|(output, target)| self.of_row(output, target)).sum()
            })
            .collect();
        let mean = parts.iter().sum::<f64>() / (n_samples * self.groups.len()) as f64;
        Ok((CpuStorage::F32(vec![mean as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        output: &Tensor,
        target: &Tensor,
        _result: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (n_samples, n_features) = output.dims2()?;
        let scale = grad.to_scalar::<f32>()? / (n_samples * self.groups.len()) as f32;
        let gradient = with_slice(output, |output| {
            with_slice(target, |target| {
                let mut gradient = vec![0.0; output.len()];
                gradient
                    .par_chunks_mut(n_features)
                    .zip(output.par_chunks(n_features).zip(target.par_chunks(n_features)))
                    .for_each(|(g, (o, t))| self.gradient_of_row(scale, o, t, g));
                gradient
            })
        })??;
        Ok((Some(Tensor::from_vec(gradient, output.shape(), output.device())?), None))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn values_and_gradients_agree_with_pytorch_and_composed() {
        // o = torch.tensor([[.5, -1, 2, 9, .1, 90], [0, 3, 1, 9, -90, .2]], requires_grad=True)
        // t = torch.tensor([[0., 1, 0, 5, 0, 1], [.25, .25, .5, 5, 1, 0]])
        // c = torch.nn.functional.cross_entropy
        // l = (c(o[:, :3], t[:, :3]) + c(o[:, 4:], t[:, 4:])) / 2; l.backward(); l, o.grad
        let device = Device::Cpu;
        let output = Tensor::new(
            &[[0.5_f32, -1.0, 2.0, 9.0, 0.1, 90.0], [0.0, 3.0, 1.0, 9.0, -90.0, 0.2]],
            &device,
        );
        let target = Tensor::new(
            &[[0.0_f32, 1.0, 0.0, 5.0, 0.0, 1.0], [0.25, 0.25, 0.5, 5.0, 1.0, 0.0]],
            &device,
        );
        let (output, target) = (output.unwrap(), target.unwrap());
        for f in [group_cross_entropy, composed] {
            let output = Var::from_tensor(&output).unwrap();
            let loss = f(&output, &target, &[0..3, 4..6]).unwrap();
            let found = loss.to_scalar::<f32>().unwrap();
            assert!((found - LOSS).abs() < 1e-5, "{found}");
            let grads = loss.backward().unwrap();
            let gradient = grads.get(&output).unwrap().flatten_all().unwrap();
            for (found, expected) in gradient.to_vec1::<f32>().unwrap().iter().zip(GRADIENT) {
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
        }
    }

    const LOSS: f32 = 23.840_288;
    const GRADIENT: [f32; 12] = [
        0.043_822_6,
        -0.240_221_86,
        0.196_399_26,
        0.0,
        0.0,
        0.0,
        -0.051_997_483,
        0.148_448_68,
        -0.096_451_2,
        0.0,
        -0.25,
        0.25,
    ];

    #[test]
    fn groups_that_do_not_fit_are_errors() {
        let x = Tensor::zeros((2, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        for groups in [vec![], vec![0..1, 2..5], vec![0..1, 1..1]] {
            assert!(matches!(group_cross_entropy(&x, &x, &groups), Err(Error::Shape { .. })));
        }
    }
}
