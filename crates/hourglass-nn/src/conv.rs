//! Convolution and transposed convolution with bias and activation in one operation. Gradients of
//! weights go into their parameters. Pooling and upsampling are elsewhere.

mod kernels;
mod patches;
mod window;

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use hourglass_core::Seed;

use self::kernels::{Gradients, Pass, Weights};
use self::patches::Geometry;
use crate::simd::add_scaled;
use crate::storage::{slice_of, with_slice};
use crate::{Activation, Error, Init, Parameter, Result};

pub use self::window::Window;

/// A convolution: `activation(x * W + b)`, zeros beyond the border.
///
/// Its weight is `(n_out, height, width, n_in)`, channels last, as the product reads it; PyTorch
/// has `(n_out, n_in, height, width)`.
#[derive(Clone, Debug)]
pub struct Conv2d(Layer);

/// A transposed convolution, the gradient of a convolution by its input: where that shrinks a map,
/// this enlarges one.
///
/// Its weight is `(n_in, height, width, n_out)`, channels last; PyTorch has `(n_in, n_out, height,
/// width)`.
#[derive(Clone, Debug)]
pub struct ConvTranspose2d {
    layer: Layer,
    output_padding: [usize; 2],
}

/// What both have.
#[derive(Clone, Debug)]
struct Layer {
    weight: Parameter,
    bias: Option<Parameter>,
    n_out: usize,
    window: Window,
    activation: Activation,
}

/// Which way a window works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// From the large map to the small.
    Shrink,
    /// From the small map to the large.
    Enlarge,
}

impl Conv2d {
    /// A layer from `n_in` to `n_out` channels with freshly drawn weights and zero bias.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] if the window can't be.
    pub fn new(
        name: &str,
        (n_in, n_out): (usize, usize),
        window: Window,
        activation: Activation,
        init: Init,
        seed: Seed,
    ) -> Result<Self> {
        let shape = [n_out, window.area() * n_in];
        let fans = (window.area() * n_in, window.area() * n_out);
        let weights = init.draw_matrix(shape, fans, seed.child(name));
        Ok(Conv2d(Layer::new(name, weights, (n_out, n_in), n_out, window, activation)?))
    }

    /// A layer whose output a [`crate::pixel_shuffle`] by `factor` is to rearrange into `n_out`
    /// channels; its weights start so that the pixels of a block are equal.
    ///
    /// # Errors
    /// As [`Conv2d::new`].
    pub fn sub_pixel(
        name: &str,
        (n_in, n_out): (usize, usize),
        factor: usize,
        window: Window,
        init: Init,
        seed: Seed,
    ) -> Result<Self> {
        let n_kernels = n_out * factor * factor;
        let shape = [n_kernels, window.area() * n_in];
        let fans = (window.area() * n_in, window.area() * n_out);
        let weights = init.draw_icnr(shape, fans, factor, seed.child(name));
        let kernels = (n_kernels, n_in);
        Ok(Conv2d(Layer::new(name, weights, kernels, n_kernels, window, Activation::Linear)?))
    }

    /// The same layer without bias, for one that a normalisation follows, which would undo it.
    pub fn without_bias(self) -> Self {
        Conv2d(Layer { bias: None, ..self.0 })
    }

    /// Its weight.
    pub fn weight(&self) -> &Parameter {
        &self.0.weight
    }

    /// Its bias, if it has one.
    pub fn bias(&self) -> Option<&Parameter> {
        self.0.bias.as_ref()
    }

    /// Its weight, and its bias if it has one.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.0.parameters()
    }

    /// Height and width of its output for an input of height and width `size`, or `None` where the
    /// input is too small.
    pub fn output_size(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        self.0.window.positions(size)
    }

    /// The layer's output.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_in, height, width)`
    /// - returns: `(batch, n_out, (height + 2 padding - kernel) / stride + 1, ...)`, rounded down
    ///
    /// # Errors
    /// [`Error::Shape`] if the input has other channels, no sample, or is smaller than the window.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let layer = &self.0;
        let (n_out, _, _, n_in) = layer.weight.tensor().dims4()?;
        let size = layer.check(input, n_in)?;
        let small = self.output_size(size).ok_or_else(|| layer.refused(input, n_in))?;
        let geometry =
            Geometry { window: layer.window, large: (n_in, size), small: (n_out, small) };
        layer.apply(input, geometry, Direction::Shrink)
    }
}

impl ConvTranspose2d {
    /// A layer from `n_in` to `n_out` channels with freshly drawn weights and zero bias.
    ///
    /// `output_padding` adds pixels at the bottom and right, less than the stride, since several
    /// sizes of a large map shrink to the same small one.
    ///
    /// The fan-in that decides the spread of weights counts the positions that meet in one pixel,
    /// `kernel / stride` in each direction; PyTorch's counts channels of the output instead.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] if the window or `output_padding` can't be.
    pub fn new(
        name: &str,
        (n_in, n_out): (usize, usize),
        window: Window,
        output_padding: [usize; 2],
        activation: Activation,
        init: Init,
        seed: Seed,
    ) -> Result<Self> {
        window.check()?;
        for (found, stride) in output_padding.into_iter().zip(window.stride) {
            if found >= stride {
                return Err(Error::hyperparameter("output_padding", found, "less than stride"));
            }
        }
        let meeting = window.area() * n_in / (window.stride[0] * window.stride[1]);
        let fans = (meeting.max(1), window.area() * n_out);
        let shape = [n_in, window.area() * n_out];
        let weights = init.draw_matrix(shape, fans, seed.child(name));
        let mut layer = Layer::new(name, weights, (n_in, n_out), n_out, window, activation)?;
        layer.weight = layer.weight.with_units_along(3);
        Ok(ConvTranspose2d { layer, output_padding })
    }

    /// The same layer without bias, for one that a normalisation follows, which would undo it.
    pub fn without_bias(self) -> Self {
        ConvTranspose2d { layer: Layer { bias: None, ..self.layer }, ..self }
    }

    /// The same layer with another activation; weights are shared.
    pub fn with_activation(&self, activation: Activation) -> Self {
        ConvTranspose2d { layer: Layer { activation, ..self.layer.clone() }, ..self.clone() }
    }

    /// Its weight.
    pub fn weight(&self) -> &Parameter {
        &self.layer.weight
    }

    /// Its bias, if it has one.
    pub fn bias(&self) -> Option<&Parameter> {
        self.layer.bias.as_ref()
    }

    /// Its weight, and its bias if it has one.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.layer.parameters()
    }

    /// Height and width of its output for an input of height and width `size`, or `None` where the
    /// padding leaves nothing.
    pub fn output_size(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        self.layer.window.covered(size, self.output_padding)
    }

    /// The layer's output.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_in, height, width)`
    /// - returns: `(batch, n_out, (height - 1) stride + kernel - 2 padding + output_padding, ...)`
    ///
    /// # Errors
    /// [`Error::Shape`] if the input has other channels, no sample, or the padding leaves nothing.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let layer = &self.layer;
        let (n_in, _, _, n_out) = layer.weight.tensor().dims4()?;
        let size = layer.check(input, n_in)?;
        let large = self.output_size(size).ok_or_else(|| layer.refused(input, n_in))?;
        let geometry =
            Geometry { window: layer.window, large: (n_out, large), small: (n_in, size) };
        layer.apply(input, geometry, Direction::Enlarge)
    }
}

impl Layer {
    fn new(
        name: &str,
        weights: Vec<f32>,
        (n_small, n_large): (usize, usize),
        n_out: usize,
        window: Window,
        activation: Activation,
    ) -> Result<Self> {
        window.check()?;
        let shape = [n_small, window.kernel[0], window.kernel[1], n_large];
        let weight = Parameter::new(format!("{name}.weight"), weights, &shape, true)?;
        let bias = Parameter::new(format!("{name}.bias"), vec![0.0; n_out], &[n_out], false)?;
        Ok(Layer { weight, bias: Some(bias), n_out, window, activation })
    }

    fn parameters(&self) -> Vec<Parameter> {
        std::iter::once(&self.weight).chain(&self.bias).cloned().collect()
    }

    /// Height and width of an input, if it fits.
    fn check(&self, input: &Tensor, n_in: usize) -> Result<[usize; 2]> {
        match *input.dims() {
            [n, channels, height, width]
                if channels == n_in && n > 0 && height > 0 && width > 0 =>
            {
                Ok([height, width])
            }
            _ => Err(self.refused(input, n_in)),
        }
    }

    fn refused(&self, input: &Tensor, n_in: usize) -> Error {
        let [height, width] = self.window.kernel;
        Error::Shape {
            layer: self.weight.name().to_owned(),
            expected: format!("(batch, {n_in}, height, width) with room for {height} x {width}"),
            found: input.dims().to_vec(),
        }
    }

    fn apply(&self, input: &Tensor, geometry: Geometry, direction: Direction) -> Result<Tensor> {
        let (activation, after) = self.activation.split();
        let output = if input.device().is_cpu() {
            let op = ConvOp {
                weight: self.weight.clone(),
                bias: self.bias.clone(),
                geometry,
                activation,
                direction,
            };
            input.contiguous()?.apply_op2(&self.weight.tensor(), op)?
        } else {
            activation.composed(&self.composed(input, geometry, direction)?)?
        };
        after.forward(&output)
    }

    /// The same before the activation, out of candle's operations, for any device.
    fn composed(&self, input: &Tensor, geometry: Geometry, direction: Direction) -> Result<Tensor> {
        let [stride_y, stride_x] = geometry.window.stride;
        let single = |size: usize| size == 1;
        // candle has one stride for both directions; along a single row any will do.
        let stride = match geometry.small.1 {
            _ if stride_y == stride_x => stride_x,
            [rows, _] if single(rows) => stride_x,
            [_, columns] if single(columns) => stride_y,
            _ => {
                let reason = format!("strides {stride_y} and {stride_x} differ on this device");
                return Err(candle_core::Error::msg(reason).into());
            }
        };
        let weight = self.weight.tensor().permute((0, 3, 1, 2))?.contiguous()?;
        let output = match direction {
            Direction::Shrink => {
                let Window { kernel, stride: steps, padding } = geometry.window;
                let mut padded = input.clone();
                for axis in 0..2 {
                    // Pixels that no position reaches are cut off, since candle's backward pass
                    // allows for them in one direction only.
                    let reached = (geometry.small.1[axis] - 1) * steps[axis] + kernel[axis];
                    padded = padded.pad_with_zeros(axis + 2, padding[axis], padding[axis])?;
                    padded = padded.narrow(axis + 2, 0, reached)?;
                }
                padded.contiguous()?.conv2d(&weight, 0, stride, 1, 1)?
            }
            Direction::Enlarge => {
                let full = input.contiguous()?.conv_transpose2d(&weight, 0, 0, stride, 1)?;
                let mut output = full;
                for (axis, &size) in geometry.large.1.iter().enumerate() {
                    let (dim, padding) = (axis + 2, geometry.window.padding[axis]);
                    let missing = (padding + size).saturating_sub(output.dims()[dim]);
                    output = output.pad_with_zeros(dim, 0, missing)?.narrow(dim, padding, size)?;
                }
                output
            }
        };
        Ok(match &self.bias {
            Some(bias) => output.broadcast_add(&bias.tensor().reshape((1, self.n_out, 1, 1))?)?,
            None => output,
        })
    }
}

struct ConvOp {
    weight: Parameter,
    bias: Option<Parameter>,
    geometry: Geometry,
    activation: Activation,
    direction: Direction,
}

impl ConvOp {
    /// Calls `f` with everything the kernels multiply by.
    fn with_weights<R>(
        &self,
        weight: &[f32],
        f: impl FnOnce(Weights<'_>) -> R,
    ) -> candle_core::Result<R> {
        let weights = Weights { weight, bias: None, activation: self.activation };
        match &self.bias {
            Some(bias) => {
                with_slice(&bias.tensor(), |bias| f(Weights { bias: Some(bias), ..weights }))
            }
            None => Ok(f(weights)),
        }
    }
}

impl CustomOp2 for ConvOp {
    fn name(&self) -> &'static str {
        "hourglass-convolution"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (input, weight) = (slice_of(input, input_layout)?, slice_of(weight, weight_layout)?);
        let (kernel, (n_channels, [height, width])) = match self.direction {
            Direction::Shrink => (kernels::convolve as KernelFn, self.geometry.small),
            Direction::Enlarge => (kernels::convolve_transposed as KernelFn, self.geometry.large),
        };
        let output = self.with_weights(weight, |weights| kernel(&self.geometry, input, weights))?;
        let shape = Shape::from((input_layout.dims()[0], n_channels, height, width));
        Ok((CpuStorage::F32(output), shape))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        output: &Tensor,
        grad_output: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let wants_input = input.track_op();
        let kernel = match self.direction {
            Direction::Shrink => kernels::convolve_backward,
            Direction::Enlarge => kernels::convolve_transposed_backward,
        };
        let gradients = with_slice(input, |input| {
            with_slice(output, |output| {
                with_slice(grad_output, |grad_output| {
                    let pass = Pass { input, output, grad_output, wants_input };
                    with_slice(weight, |weight| {
                        self.with_weights(weight, |weights| kernel(&self.geometry, pass, weights))
                    })
                })
            })
        })?????;
        let Gradients { weight, bias, input: grad_input } = gradients;
        accumulate(&self.weight, weight);
        if let Some(parameter) = &self.bias {
            accumulate(parameter, bias);
        }
        let grad_input = grad_input
            .map(|values| Tensor::from_vec(values, input.shape(), input.device()))
            .transpose()?;
        Ok((grad_input, None))
    }
}

type KernelFn = fn(&Geometry, &[f32], Weights<'_>) -> Vec<f32>;

fn accumulate(parameter: &Parameter, gradient: Vec<f32>) {
    let mut buffer = parameter.lock();
    if buffer.keep() == 0.0 {
        buffer.values = gradient;
    } else {
        add_scaled(&mut buffer.values, 1.0, &gradient);
    }
}

#[cfg(test)]
mod tests;
