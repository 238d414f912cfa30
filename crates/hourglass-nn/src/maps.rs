//! Operations that copy pixels from one map to another: max pooling, nearest upsampling and pixel
//! shuffle. Each output value is one input value, so one operation with a table of places serves
//! them all, and its gradient goes back to exactly those places.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::scratch::with_scratch;
use crate::simd::wide;
use crate::storage::{slice_of, with_slice};
use crate::{Error, Result, Window};

/// The largest value under each position of a window; zeros of the padding don't count. Of equal
/// values the first gets the gradient, as in PyTorch.
///
/// # Shapes
/// - `input`: `(batch, n_channels, height, width)`
/// - returns: `(batch, n_channels, (height + 2 padding - kernel) / stride + 1, ...)`, rounded down
///
/// # Errors
/// [`Error::Shape`] if the input hasn't four dimensions or is smaller than the window,
/// [`Error::Hyperparameter`] if the window can't be.
pub fn max_pool2d(input: &Tensor, window: Window) -> Result<Tensor> {
    window.check()?;
    let size = map_size(input, "max_pool2d")?;
    let [kernel_y, kernel_x] = window.kernel;
    let small = window.positions(size).ok_or_else(|| Error::Shape {
        layer: "max_pool2d".to_owned(),
        expected: format!("maps with room for {kernel_y} x {kernel_x}"),
        found: input.dims().to_vec(),
    })?;
    let (area, small_area) = (size[0] * size[1], small[0] * small[1]);
    let on_cpu = input.detach().to_device(&Device::Cpu)?;
    let places = with_slice(&on_cpu, |values| {
        let mut places = vec![0; values.len() / area * small_area];
        places
            .par_chunks_mut(small_area)
            .zip(values.par_chunks(area))
            .for_each(|(places, map)| places_of_largest(map, size, window, small, places));
        places
    })?;
    pick(input, small, Places { of: places, n_sources: area, n_targets: small_area })
}

/// Each pixel of the output is the nearest of the input, `floor(place * size / new size)`, as in
/// PyTorch.
///
/// # Shapes
/// - `input`: `(batch, n_channels, height, width)`; `size`: the new height and width
/// - returns: `(batch, n_channels, size[0], size[1])`
///
/// # Errors
/// [`Error::Shape`] if the input hasn't four dimensions.
pub fn upsample_nearest(input: &Tensor, size: [usize; 2]) -> Result<Tensor> {
    let [height, width] = map_size(input, "upsample_nearest")?;
    let places = (0..size[0] * size[1])
        .map(|target| {
            let (row, column) = (target / size[1], target % size[1]);
            (row * height / size[0] * width + column * width / size[1]) as u32
        })
        .collect();
    let (n_sources, n_targets) = (height * width, size[0] * size[1]);
    pick(input, size, Places { of: places, n_sources, n_targets })
}

/// Turns `factor^2` channels into blocks of `factor * factor` pixels.
///
/// # Shapes
/// - `input`: `(batch, n_channels * factor^2, height, width)`
/// - returns: `(batch, n_channels, height * factor, width * factor)`
///
/// # Errors
/// [`Error::Shape`] if the channels are no multiple of `factor^2`.
///
/// # Source
/// Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
/// Convolutional Neural Network", arXiv:1609.05158.
pub fn pixel_shuffle(input: &Tensor, factor: usize) -> Result<Tensor> {
    let [height, width] = map_size(input, "pixel_shuffle")?;
    let n_channels = input.dims()[1];
    if factor == 0 || !n_channels.is_multiple_of(factor * factor) {
        return Err(Error::Shape {
            layer: "pixel_shuffle".to_owned(),
            expected: format!("channels in blocks of {factor} x {factor}"),
            found: input.dims().to_vec(),
        });
    }
    let size = [height * factor, width * factor];
    let n_values = n_channels * height * width;
    let places = (0..n_values)
        .map(|target| {
            let (channel, place) = (target / (size[0] * size[1]), target % (size[0] * size[1]));
            let (row, column) = (place / size[1], place % size[1]);
            let source = (channel * factor + row % factor) * factor + column % factor;
            ((source * height + row / factor) * width + column / factor) as u32
        })
        .collect();
    pick(input, size, Places { of: places, n_sources: n_values, n_targets: n_values })
}

/// Height and width of maps.
fn map_size(input: &Tensor, layer: &str) -> Result<[usize; 2]> {
    match *input.dims() {
        [n, channels, height, width] if n * channels * height * width > 0 => Ok([height, width]),
        _ => Err(Error::Shape {
            layer: layer.to_owned(),
            expected: "(batch, n_channels, height, width)".to_owned(),
            found: input.dims().to_vec(),
        }),
    }
}

fn places_of_largest(
    map: &[f32],
    [height, width]: [usize; 2],
    window: Window,
    small: [usize; 2],
    places: &mut [u32],
) {
    // First and last pixel under the window along an axis.
    let under = |axis: usize, position: usize, size: usize| {
        let start = position * window.stride[axis];
        let end = (start + window.kernel[axis] - window.padding[axis]).min(size);
        start.saturating_sub(window.padding[axis])..end
    };
    with_scratch([width], |[of_columns]| {
        for (y, places) in places.chunks_mut(small[1]).enumerate() {
            // Down the columns first, a row of pixels at a time.
            let rows = under(0, y, height);
            of_columns.copy_from_slice(&map[rows.start * width..][..width]);
            for row in rows.clone().skip(1) {
                wide(|| {
                    let values = &map[row * width..][..width];
                    of_columns.iter_mut().zip(values).for_each(|(l, &v)| *l = larger(*l, v));
                });
            }
            for (x, place) in places.iter_mut().enumerate() {
                let columns = under(1, x, width);
                let largest = of_columns[columns.clone()].iter().copied().reduce(larger);
                let is_largest = |at: &usize| {
                    largest.is_some_and(|l| map[*at] == l || (l.is_nan() && map[*at].is_nan()))
                };
                let mut pixels = rows
                    .clone()
                    .flat_map(|row| columns.clone().map(move |column| row * width + column));
                *place = pixels.find(is_largest).expect("the window lies on the map") as u32;
            }
        }
    });
}

/// A NaN wins, so that it is seen downstream.
#[inline(always)]
fn larger(largest: f32, value: f32) -> f32 {
    if value > largest || value.is_nan() { value } else { largest }
}

/// Where each value of a block of `n_targets` comes from in its block of `n_sources`: one table for
/// every block, or one for all.
#[derive(Debug)]
struct Places {
    of: Vec<u32>,
    n_sources: usize,
    n_targets: usize,
}

impl Places {
    fn of_block(&self, block: usize) -> &[u32] {
        let n_tables = self.of.len() / self.n_targets;
        &self.of[block % n_tables * self.n_targets..][..self.n_targets]
    }
}

/// Maps of `size` out of the picked values; channels are what the number of values says.
fn pick(input: &Tensor, size: [usize; 2], places: Places) -> Result<Tensor> {
    let n_images = input.dims()[0];
    let n_blocks = input.elem_count() / places.n_sources;
    let n_channels = n_blocks * places.n_targets / (n_images * size[0] * size[1]);
    let shape = (n_images, n_channels, size[0], size[1]);
    if input.device().is_cpu() {
        return Ok(input.contiguous()?.apply_op1(PickOp { places, shape: shape.into() })?);
    }
    pick_composed(input, &places, shape.into())
}

/// The same out of candle's operations, for any device.
fn pick_composed(input: &Tensor, places: &Places, shape: Shape) -> Result<Tensor> {
    let n_blocks = input.elem_count() / places.n_sources;
    let n_tables = places.of.len() / places.n_targets;
    let table = Tensor::from_slice(&places.of, (n_tables, places.n_targets), input.device())?;
    let table = table.repeat((n_blocks / n_tables, 1))?.contiguous()?;
    let blocks = input.contiguous()?.reshape((n_blocks, places.n_sources))?;
    Ok(blocks.gather(&table, 1)?.reshape(shape)?)
}

struct PickOp {
    places: Places,
    shape: Shape,
}

impl CustomOp1 for PickOp {
    fn name(&self) -> &'static str {
        "hourglass-pick"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let input = slice_of(input, layout)?;
        let mut output = vec![0.0; self.shape.elem_count()];
        output
            .par_chunks_mut(self.places.n_targets)
            .zip(input.par_chunks(self.places.n_sources))
            .enumerate()
            .for_each(|(block, (output, input))| {
                for (output, &place) in output.iter_mut().zip(self.places.of_block(block)) {
                    *output = input[place as usize];
                }
            });
        Ok((CpuStorage::F32(output), self.shape.clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        _output: &Tensor,
        grad_output: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let grad = with_slice(grad_output, |grad_output| {
            let mut grad = vec![0.0; input.elem_count()];
            grad.par_chunks_mut(self.places.n_sources)
                .zip(grad_output.par_chunks(self.places.n_targets))
                .enumerate()
                .for_each(|(block, (grad, grad_output))| {
                    for (value, &place) in grad_output.iter().zip(self.places.of_block(block)) {
                        grad[place as usize] += value;
                    }
                });
            grad
        })?;
        Ok(Some(Tensor::from_vec(grad, input.shape(), input.device())?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;
    use hourglass_core::Seed;
    use rand::RngExt;

    use super::*;

    fn random(shape: &[usize]) -> Tensor {
        let mut rng = Seed::new(5).rng();
        let values: Vec<f32> =
            (0..shape.iter().product()).map(|_| rng.random::<f32>() - 0.5).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Output, and gradient of the sum of its squares.
    fn pass(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> (Tensor, Vec<f32>) {
        let x = Var::from_tensor(x).unwrap();
        let output = f(&x).unwrap();
        let grads = output.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        (output.detach(), flat(grads.get(&x).unwrap()))
    }

    /// The sum of squares is quadratic, so that central differences are exact but for rounding, as
    /// long as no other value becomes the largest.
    fn check_gradient(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) {
        let (_, gradient) = pass(x, &f);
        let (values, step) = (flat(x), 1e-3_f32);
        let at = |values: &[f32]| {
            let x = Tensor::from_slice(values, x.shape(), &Device::Cpu).unwrap();
            flat(&f(&x).unwrap()).iter().map(|&v| f64::from(v).powi(2)).sum::<f64>()
        };
        for i in 0..values.len() {
            let (mut up, mut down) = (values.clone(), values.clone());
            up[i] += step;
            down[i] -= step;
            let numeric = (at(&up) - at(&down)) / f64::from(2.0 * step);
            assert!((f64::from(gradient[i]) - numeric).abs() < 2e-3, "{i}: {numeric}");
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        // No two values are closer than the step of the differences.
        let values = (0..280).map(|i| (i * 37 % 280) as f32 / 280.0 - 0.5);
        let x = Tensor::from_iter(values, &Device::Cpu).unwrap().reshape((2, 4, 5, 7)).unwrap();
        for window in [
            Window::square(2, 2, 0),
            Window::square(3, 2, 1),
            Window::square(2, 3, 1),
            Window { kernel: [1, 3], stride: [1, 2], padding: [0, 1] },
        ] {
            check_gradient(&x, |x| max_pool2d(x, window));
        }
        for size in [[10, 14], [7, 9], [3, 2]] {
            check_gradient(&x, |x| upsample_nearest(x, size));
        }
        check_gradient(&x, |x| pixel_shuffle(x, 2));
    }

    #[test]
    fn a_tensor_used_twice_gets_both_gradients() {
        let x = random(&[1, 1, 3, 3]);
        let (_, once) = pass(&x, |x| upsample_nearest(x, [6, 6]));
        let (_, both) =
            pass(&x, |x| Ok((upsample_nearest(x, [6, 6])? + upsample_nearest(x, [6, 6])?)?));
        for (once, both) in once.iter().zip(both) {
            assert!((4.0 * once - both).abs() < 1e-5);
        }
    }

    #[test]
    fn fused_and_composed_agree() {
        let x = random(&[2, 4, 5, 7]);
        let places = || Places { of: vec![3, 0, 1, 3, 2, 0], n_sources: 5 * 7, n_targets: 6 };
        let fused = pass(&x, |x| pick(x, [2, 3], places()));
        let composed = pass(&x, |x| pick_composed(x, &places(), (2, 4, 2, 3).into()));
        assert_eq!(flat(&fused.0), flat(&composed.0));
        assert_eq!(fused.1, composed.1);
    }

    #[test]
    fn values_agree_with_pytorch() {
        // x = torch.arange(48.).reshape(1, 4, 3, 4) * 7 % 11
        // F.max_pool2d(x[:, :1], (3, 2), (2, 3), (1, 1)).flatten()
        // F.interpolate(x[:, :1], size=(4, 3), mode="nearest").flatten()
        // F.pixel_shuffle(x, 2)[0, 0, :3].flatten()
        let x: Vec<f32> = (0..48).map(|i| (i * 7 % 11) as f32).collect();
        let x = Tensor::from_vec(x, (1, 4, 3, 4), &Device::Cpu).unwrap();
        let first = x.narrow(1, 0, 1).unwrap();
        let window = Window { kernel: [3, 2], stride: [2, 3], padding: [1, 1] };
        let pooled = max_pool2d(&first, window).unwrap();
        assert_eq!((pooled.dims(), flat(&pooled)), (&[1, 1, 2, 2][..], POOLED.to_vec()));
        assert_eq!(flat(&upsample_nearest(&first, [4, 3]).unwrap()), NEAREST);
        let shuffled = pixel_shuffle(&x, 2).unwrap();
        assert_eq!(shuffled.dims(), [1, 1, 6, 8]);
        assert_eq!(flat(&shuffled.narrow(2, 0, 3).unwrap()), SHUFFLED);
    }

    const POOLED: [f32; 4] = [6.0, 10.0, 6.0, 9.0];
    const NEAREST: [f32; 12] = [0.0, 7.0, 3.0, 0.0, 7.0, 3.0, 6.0, 2.0, 9.0, 1.0, 8.0, 4.0];
    const SHUFFLED: [f32; 24] = [
        0.0, 7.0, 7.0, 3.0, 3.0, 10.0, 10.0, 6.0, 3.0, 10.0, 10.0, 6.0, 6.0, 2.0, 2.0, 9.0, 6.0,
        2.0, 2.0, 9.0, 9.0, 5.0, 5.0, 1.0,
    ];

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let x = random(&[1, 3, 4, 4]);
        let error = pixel_shuffle(&x, 2).unwrap_err().to_string();
        assert_eq!(
            error,
            "`pixel_shuffle` takes channels in blocks of 2 x 2, but its input is [1, 3, 4, 4]"
        );
        assert!(max_pool2d(&x, Window::square(5, 1, 0)).is_err());
        assert!(upsample_nearest(&x.flatten_all().unwrap(), [2, 2]).is_err());
    }
}
