//! The rectifier with a trained slope.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::simd::wide;
use crate::storage::{slice_of, with_slice};
use crate::{Error, Parameter, Result};

/// Slope at the start: He et al., section 3.1.
const START: f32 = 0.25;

/// `x` above 0, `slope * x` below, with one slope a channel that is trained. Weight decay does not
/// apply: it would pull the slope towards a plain rectifier.
///
/// # Source
/// He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", arXiv:1502.01852.
#[derive(Clone, Debug)]
pub struct Prelu {
    slope: Parameter,
}

impl Prelu {
    /// With slopes of 0.25; `n_channels` is 1 for a slope that all share.
    ///
    /// # Errors
    /// If candle refuses the tensor.
    pub fn new(name: &str, n_channels: usize) -> Result<Self> {
        let slopes = vec![START; n_channels];
        Ok(Prelu { slope: Parameter::new(format!("{name}.slope"), slopes, &[n_channels], false)? })
    }

    /// Its slopes.
    pub fn slope(&self) -> &Parameter {
        &self.slope
    }

    /// The activation of each value.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_channels, ...)`
    /// - returns: the same
    ///
    /// # Errors
    /// [`Error::Shape`] if the second dimension isn't `n_channels`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let n_slopes = self.slope.len();
        if input.rank() < 2 || (n_slopes != 1 && input.dims()[1] != n_slopes) {
            return Err(Error::Shape {
                layer: self.slope.name().to_owned(),
                expected: format!("(batch, {n_slopes}, ...)"),
                found: input.dims().to_vec(),
            });
        }
        if !input.device().is_cpu() {
            return self.composed(input);
        }
        let op = PreluOp { slope: self.slope.clone() };
        Ok(input.contiguous()?.apply_op2(&self.slope.tensor(), op)?)
    }

    /// The same out of candle's operations, for any device.
    fn composed(&self, input: &Tensor) -> Result<Tensor> {
        let mut shape = vec![1; input.rank()];
        shape[1] = self.slope.len();
        let slope = self.slope.tensor().reshape(shape)?;
        let above = input.gt(0.0)?.to_dtype(input.dtype())?;
        let positive = (input * &above)?;
        Ok((&positive + (input - &positive)?.broadcast_mul(&slope)?)?)
    }
}

struct PreluOp {
    slope: Parameter,
}

impl CustomOp2 for PreluOp {
    fn name(&self) -> &'static str {
        "hourglass-prelu"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
        slope: &CpuStorage,
        slope_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let slopes = slice_of(slope, slope_layout)?;
        let mut values = slice_of(input, layout)?.to_vec();
        let (n_channels, area) = channels_of(layout.dims());
        values.par_chunks_mut(n_channels * area).for_each(|sample| {
            for (channel, values) in sample.chunks_mut(area).enumerate() {
                let slope = slopes[channel % slopes.len()];
                wide(|| {
                    values.iter_mut().for_each(|x| *x = if *x > 0.0 { *x } else { slope * *x });
                });
            }
        });
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        slope: &Tensor,
        _output: &Tensor,
        grad_output: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let slopes = with_slice(slope, <[f32]>::to_vec)?;
        let mut grad = with_slice(grad_output, <[f32]>::to_vec)?;
        let (n_channels, area) = channels_of(input.dims());
        let sums: Vec<Vec<f64>> = with_slice(input, |input| {
            grad.par_chunks_mut(n_channels * area)
                .zip(input.par_chunks(n_channels * area))
                .map(|(grad, input)| {
                    let channels = grad.chunks_mut(area).zip(input.chunks(area)).enumerate();
                    let one = |(channel, (grad, input)): (usize, (&mut [f32], &[f32]))| {
                        wide(|| backward_of(slopes[channel % slopes.len()], grad, input))
                    };
                    channels.map(one).collect()
                })
                .collect()
        })?;
        let mut totals = vec![0.0_f64; slopes.len()];
        for sample in &sums {
            for (channel, sum) in sample.iter().enumerate() {
                totals[channel % slopes.len()] += sum;
            }
        }
        let mut buffer = self.slope.lock();
        let keep = buffer.keep();
        for (value, total) in buffer.values.iter_mut().zip(totals) {
            *value = if keep == 0.0 { total as f32 } else { *value + total as f32 };
        }
        Ok((Some(Tensor::from_vec(grad, input.shape(), input.device())?), None))
    }
}

/// Turns the gradient after into the gradient before, and returns that of the slope.
#[inline(always)]
fn backward_of(slope: f32, grad: &mut [f32], input: &[f32]) -> f64 {
    let mut sum = 0.0;
    for (grad, &x) in grad.iter_mut().zip(input) {
        if x <= 0.0 {
            sum += f64::from(x * *grad);
            *grad *= slope;
        }
    }
    sum
}

/// Number of channels, and values of each in a sample.
fn channels_of(dims: &[usize]) -> (usize, usize) {
    (dims[1], dims[2..].iter().product())
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::backward;

    fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn values_and_gradients_agree_with_pytorch() {
        // p = torch.nn.PReLU(2); p.weight.data = torch.tensor([.25, -.5])
        // x = torch.tensor([[[-1., 2, 0], [-3, 4, -.5]]], requires_grad=True)
        // y = p(x); (y * torch.arange(1., 7).reshape(1, 2, 3)).sum().backward()
        // y, x.grad, p.weight.grad
        let prelu = Prelu::new("p", 2).unwrap();
        prelu.slope().set_values(&[0.25, -0.5]).unwrap();
        for f in [Prelu::forward, Prelu::composed] {
            let x =
                Var::from_tensor(&tensor(&[-1.0, 2.0, 0.0, -3.0, 4.0, -0.5], &[1, 2, 3])).unwrap();
            let y = f(&prelu, &x).unwrap();
            let weights = tensor(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 2, 3]);
            let loss = (&y * weights).unwrap().sum_all().unwrap();
            let grads = loss.backward().unwrap();
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(flat(&y), [-0.25, 2.0, 0.0, 1.5, 4.0, 0.25]);
            assert_eq!(flat(grads.get(&x).unwrap()), [0.25, 2.0, 0.75, -2.0, 5.0, -3.0]);
        }
        let x = tensor(&[-1.0, 2.0, 0.0, -3.0, 4.0, -0.5], &[1, 2, 3]);
        let weights = tensor(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 2, 3]);
        for f in [Prelu::forward, Prelu::composed] {
            prelu.slope().clear_gradient();
            let loss = (f(&prelu, &x).unwrap() * &weights).unwrap().sum_all().unwrap();
            backward(&loss, &[prelu.slope().clone()]).unwrap();
            assert_eq!(prelu.slope().gradient().unwrap(), [-1.0, -15.0]);
        }
    }

    #[test]
    fn one_slope_for_all_and_wrong_shapes() {
        let prelu = Prelu::new("p", 1).unwrap();
        let x = tensor(&[-4.0, 4.0, -8.0, 0.0], &[2, 2]);
        let y = prelu.forward(&x).unwrap();
        assert_eq!(y.to_vec2::<f32>().unwrap(), [[-1.0, 4.0], [-2.0, 0.0]]);
        let error = Prelu::new("p", 3).unwrap().forward(&x).unwrap_err().to_string();
        assert_eq!(error, "`p.slope` takes (batch, 3, ...), but its input is [2, 2]");
    }
}
