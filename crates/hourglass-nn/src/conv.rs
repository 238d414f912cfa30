//! Convolution and transposed convolution with bias and activation in one operation. Gradients of
//! weights go into their parameters. Pooling and upsampling are elsewhere.

mod kernels;
mod patches;
mod stack;
mod window;
mod winners;

use candle_core::Tensor;
use hourglass_core::Seed;

use self::patches::Geometry;
use self::stack::Stage;
use crate::{Activation, Error, Init, Parameter, Result};

pub use self::stack::ConvStack;
pub use self::window::Window;
pub use self::winners::reconstruct_from_winners;

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

    /// The same layer with another activation; weights are shared.
    pub fn with_activation(&self, activation: Activation) -> Self {
        Conv2d(Layer { activation, ..self.0.clone() })
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
    /// [`Error::Shape`] if the input has other channels or is smaller than the window.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.0.forward(input, Direction::Shrink, [0, 0])
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
    /// [`Error::Shape`] if the input has other channels, or the padding leaves nothing.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.layer.forward(input, Direction::Enlarge, self.output_padding)
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

    fn forward(
        &self,
        input: &Tensor,
        direction: Direction,
        output_padding: [usize; 2],
    ) -> Result<Tensor> {
        let &[n_images, n_in, height, width] = input.dims() else {
            return Err(Error::Shape {
                layer: self.weight.name().to_owned(),
                expected: "(batch, n_channels, height, width)".to_owned(),
                found: input.dims().to_vec(),
            });
        };
        let side = (n_in, [height, width]);
        let stage = Stage::new(self.clone(), direction, output_padding, side)?;
        let (n_out, [height, width]) = stage.output_side();
        stack::apply(vec![stage], input, &[n_images, n_out, height, width])
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

#[cfg(test)]
mod tests;
