//! Convolution over slices, image chunk by image chunk, so that the patches of a chunk stay in the
//! cache between the copy and the product. Forward and transposed convolution are each other's
//! gradient, so both are made of the same three products: small from patches, patches from small,
//! weights from both.
//!
//! Inside a chunk, channels come last; whether they do outside is what [`Layouts`] says. Chunks are
//! cut by shape, and sums over chunks run in their order, so bits don't depend on threads.

use std::ops::Range;

use hourglass_core::linalg::block_product;
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

use super::patches::{Geometry, transpose};
use crate::Activation;
use crate::scratch::with_scratch;
use crate::simd::{add_scaled, sum_map, wide};

/// Values of a chunk's patches: half a megabyte, so that they share the second-level cache of one
/// core with the weights.
const CHUNK_VALUES: usize = 1 << 17;

/// Chunks at least, where there are as many images: enough for the threads to share.
const MIN_CHUNKS: usize = 16;

/// Sums of weight gradients at most that are worked out apart from each other.
const MAX_PARTS: usize = 8;

/// What a layer multiplies by and adds.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    /// `(n_small, patch_len)`.
    pub weight: &'a [f32],
    /// One value for each channel of the output.
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
}

/// Whether channels come last, as the products want them, or first, as tensors have them.
#[derive(Clone, Copy)]
pub(super) struct Layouts {
    pub input_last: bool,
    pub output_last: bool,
}

/// Gradients of a layer: of the weight, of the bias, and of the input where it is asked for.
pub(super) struct Gradients {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub input: Option<Vec<f32>>,
}

/// Images that one task handles at a time.
pub(super) fn chunk_images(geometry: &Geometry, n_images: usize) -> usize {
    let values = geometry.small_area() * geometry.patch_len();
    (CHUNK_VALUES / values.max(1)).clamp(1, n_images.div_ceil(MIN_CHUNKS).max(1))
}

pub(super) fn matrix(values: &[f32], shape: (usize, usize)) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape(shape, values).expect("the length fits the shape")
}

pub(super) fn matrix_mut(values: &mut [f32], shape: (usize, usize)) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape(shape, values).expect("the length fits the shape")
}

/// Images with channels last: as they are, or turned in `room`.
pub(super) fn channels_last<'a>(
    images: &'a [f32],
    are_last: bool,
    room: &'a mut [f32],
    (n_channels, area): (usize, usize),
) -> &'a [f32] {
    if are_last || n_channels == 1 || area == 1 {
        return images;
    }
    let len = n_channels * area;
    for (src, dst) in images.chunks(len).zip(room.chunks_mut(len)) {
        transpose(src, dst, n_channels, area);
    }
    room
}

/// Calls `f` with a place for images with channels last, and turns them into `dst` where channels
/// shall come first.
pub(super) fn write_channels_last(
    dst: &mut [f32],
    stay_last: bool,
    room: &mut [f32],
    (n_channels, area): (usize, usize),
    f: impl FnOnce(&mut [f32]),
) {
    if stay_last || n_channels == 1 || area == 1 {
        return f(dst);
    }
    f(room);
    let len = n_channels * area;
    for (src, dst) in room.chunks(len).zip(dst.chunks_mut(len)) {
        transpose(src, dst, area, n_channels);
    }
}

/// Adds up the pixels of each channel.
pub(super) fn add_pixels(sums: &mut [f32], pixels: &[f32]) {
    match sums {
        [sum] => *sum += wide(|| sum_map(pixels, pixels, |value, _| value)) as f32,
        _ => wide(|| {
            for pixel in pixels.chunks(sums.len()) {
                sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
            }
        }),
    }
}

/// Fills pixels, channels last, with the bias or with zeros.
pub(super) fn start_with(bias: Option<&[f32]>, pixels: &mut [f32]) {
    match bias {
        Some(bias) => pixels.chunks_mut(bias.len()).for_each(|p| p.copy_from_slice(bias)),
        None => pixels.fill(0.0),
    }
}

impl Geometry {
    pub(super) fn gather_all(&self, maps: &[f32], patches: &mut [f32]) {
        let per_image = self.small_area() * self.patch_len();
        for (map, patches) in maps.chunks(self.large_len()).zip(patches.chunks_mut(per_image)) {
            self.gather(map, patches);
        }
    }

    fn scatter_all(&self, patches: &[f32], maps: &mut [f32]) {
        let per_image = self.small_area() * self.patch_len();
        for (map, patches) in maps.chunks_mut(self.large_len()).zip(patches.chunks(per_image)) {
            self.scatter(patches, map);
        }
    }
}

/// Output of a convolution, large to small.
///
/// # Shapes
/// - `input`: `(n_images, large)`; returns `(n_images, small)`
pub(super) fn convolve(
    geometry: &Geometry,
    input: &[f32],
    weights: Weights<'_>,
    layouts: Layouts,
) -> Vec<f32> {
    let (large_len, small_len) = (geometry.large_len(), geometry.small_len());
    let n_images = input.len() / large_len;
    let (n_small, k) = (geometry.small.0, geometry.patch_len());
    let weight = matrix(weights.weight, (n_small, k));
    let chunk = chunk_images(geometry, n_images);
    let mut output = vec![0.0; n_images * small_len];
    output.par_chunks_mut(chunk * small_len).zip(input.par_chunks(chunk * large_len)).for_each(
        |(output, input)| {
            let n_rows = output.len() / n_small;
            with_scratch([input.len(), n_rows * k, output.len()], |[large, patches, small]| {
                let large = channels_last(input, layouts.input_last, large, geometry.large_side());
                geometry.gather_all(large, patches);
                let side = geometry.small_side();
                write_channels_last(output, layouts.output_last, small, side, |small| {
                    start_with(weights.bias, small);
                    let dst = matrix_mut(small, (n_rows, n_small));
                    block_product(dst, matrix(patches, (n_rows, k)), weight.t(), 1.0);
                    wide(|| weights.activation.apply(small));
                });
            });
        },
    );
    output
}

/// Output of a transposed convolution, small to large.
///
/// # Shapes
/// - `input`: `(n_images, small)`; returns `(n_images, large)`
pub(super) fn convolve_transposed(
    geometry: &Geometry,
    input: &[f32],
    weights: Weights<'_>,
    layouts: Layouts,
) -> Vec<f32> {
    let (large_len, small_len) = (geometry.large_len(), geometry.small_len());
    let n_images = input.len() / small_len;
    let (n_small, k) = (geometry.small.0, geometry.patch_len());
    let weight = matrix(weights.weight, (n_small, k));
    let chunk = chunk_images(geometry, n_images);
    let mut output = vec![0.0; n_images * large_len];
    output.par_chunks_mut(chunk * large_len).zip(input.par_chunks(chunk * small_len)).for_each(
        |(output, input)| {
            let n_rows = input.len() / n_small;
            with_scratch([input.len(), n_rows * k, output.len()], |[small, patches, large]| {
                let small = channels_last(input, layouts.input_last, small, geometry.small_side());
                let dst = matrix_mut(patches, (n_rows, k));
                block_product(dst, matrix(small, (n_rows, n_small)), weight, 0.0);
                let side = geometry.large_side();
                write_channels_last(output, layouts.output_last, large, side, |large| {
                    start_with(weights.bias, large);
                    geometry.scatter_all(patches, large);
                    wide(|| weights.activation.apply(large));
                });
            });
        },
    );
    output
}

/// What a backward pass knows.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub input: &'a [f32],
    pub output: &'a [f32],
    pub grad_output: &'a [f32],
    /// Whether the gradient of the input is wanted: not for the first layer.
    pub wants_input: bool,
    /// Of input and output, and so of their gradients.
    pub layouts: Layouts,
}

/// Gradients of [`convolve`].
pub(super) fn convolve_backward(
    geometry: &Geometry,
    pass: Pass<'_>,
    weights: Weights<'_>,
) -> Gradients {
    let sides = (geometry.large_len(), geometry.small_len());
    let (n_small, k) = (geometry.small.0, geometry.patch_len());
    let weight = matrix(weights.weight, (n_small, k));
    let Layouts { input_last, output_last } = pass.layouts;
    by_parts(geometry, pass, weights, sides, n_small, |chunk, sums| {
        let Chunk { input, grad, grad_input } = chunk;
        let n_rows = grad.len() / n_small;
        with_scratch([input.len(), n_rows * k, grad.len()], |[large, patches, small]| {
            let small = channels_last(grad, output_last, small, geometry.small_side());
            add_pixels(&mut sums.bias, small);
            let turned = channels_last(input, input_last, large, geometry.large_side());
            geometry.gather_all(turned, patches);
            let small = matrix(small, (n_rows, n_small));
            let dst = matrix_mut(&mut sums.weight, (n_small, k));
            block_product(dst, small.t(), matrix(patches, (n_rows, k)), 1.0);
            if let Some(grad_input) = grad_input {
                block_product(matrix_mut(patches, (n_rows, k)), small, weight, 0.0);
                let side = geometry.large_side();
                write_channels_last(grad_input, input_last, large, side, |large| {
                    large.fill(0.0);
                    geometry.scatter_all(patches, large);
                });
            }
        });
    })
}

/// Gradients of [`convolve_transposed`].
pub(super) fn convolve_transposed_backward(
    geometry: &Geometry,
    pass: Pass<'_>,
    weights: Weights<'_>,
) -> Gradients {
    let sides = (geometry.small_len(), geometry.large_len());
    let (n_small, k) = (geometry.small.0, geometry.patch_len());
    let weight = matrix(weights.weight, (n_small, k));
    let Layouts { input_last, output_last } = pass.layouts;
    by_parts(geometry, pass, weights, sides, geometry.large.0, |chunk, sums| {
        let Chunk { input, grad, grad_input } = chunk;
        let n_rows = input.len() / n_small;
        with_scratch([input.len(), n_rows * k, grad.len()], |[small, patches, large]| {
            let large = channels_last(grad, output_last, large, geometry.large_side());
            add_pixels(&mut sums.bias, large);
            geometry.gather_all(large, patches);
            let patches = matrix(patches, (n_rows, k));
            let turned = channels_last(input, input_last, small, geometry.small_side());
            let dst = matrix_mut(&mut sums.weight, (n_small, k));
            block_product(dst, matrix(turned, (n_rows, n_small)).t(), patches, 1.0);
            if let Some(grad_input) = grad_input {
                let side = geometry.small_side();
                write_channels_last(grad_input, input_last, small, side, |small| {
                    block_product(matrix_mut(small, (n_rows, n_small)), patches, weight.t(), 0.0);
                });
            }
        });
    })
}

/// The images of one chunk in a backward pass.
struct Chunk<'a> {
    input: &'a [f32],
    /// Gradient before the activation.
    grad: &'a [f32],
    grad_input: Option<&'a mut [f32]>,
}

/// Sums of gradients over the images of a part.
#[derive(Default)]
struct Sums {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Runs `backward` over all chunks, in parts that each have sums of their own, and adds these up in
/// order.
///
/// - `in_len`, `out_len`: values of an image of the input and of the output
/// - `n_out`: channels of the output
fn by_parts(
    geometry: &Geometry,
    pass: Pass<'_>,
    weights: Weights<'_>,
    (in_len, out_len): (usize, usize),
    n_out: usize,
    backward: impl Fn(Chunk<'_>, &mut Sums) + Sync,
) -> Gradients {
    let n_images = pass.output.len() / out_len;
    let chunk = chunk_images(geometry, n_images);
    let part = n_images.div_ceil(chunk).div_ceil(MAX_PARTS) * chunk;
    let run = |images: Range<usize>, mut grad_inputs: Option<&mut [f32]>| {
        let mut sums = Sums { weight: vec![0.0; weights.weight.len()], bias: vec![0.0; n_out] };
        for start in images.clone().step_by(chunk) {
            let n = chunk.min(images.end - start);
            let (from, here) = (start * out_len, (start - images.start) * in_len);
            let range = from..from + n * out_len;
            with_scratch([n * out_len], |[grad]| {
                grad.copy_from_slice(&pass.grad_output[range.clone()]);
                wide(|| weights.activation.scale_gradient(&pass.output[range], grad));
                let grad_input = grad_inputs.as_deref_mut().map(|g| &mut g[here..][..n * in_len]);
                let input = &pass.input[start * in_len..][..n * in_len];
                backward(Chunk { input, grad, grad_input }, &mut sums);
            });
        }
        sums
    };
    let ranges = |i: usize| i * part..((i + 1) * part).min(n_images);
    let mut input = pass.wants_input.then(|| vec![0.0; n_images * in_len]);
    let parts: Vec<Sums> = match &mut input {
        Some(input) => input
            .par_chunks_mut(part * in_len)
            .enumerate()
            .map(|(i, grad_inputs)| run(ranges(i), Some(grad_inputs)))
            .collect(),
        None => {
            (0..n_images.div_ceil(part)).into_par_iter().map(|i| run(ranges(i), None)).collect()
        }
    };
    let mut parts = parts.into_iter();
    let Sums { mut weight, mut bias } = parts.next().unwrap_or_default();
    for part in parts {
        add_scaled(&mut weight, 1.0, &part.weight);
        add_scaled(&mut bias, 1.0, &part.bias);
    }
    Gradients { weight, bias, input }
}
