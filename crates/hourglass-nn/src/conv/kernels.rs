//! Convolution over slices, image chunk by image chunk, so that the patches of a chunk stay in the
//! cache between the copy and the product. Forward and transposed convolution are each other's
//! gradient, so both are made of the same three products: small from patches, patches from small,
//! weights from both.
//!
//! Tensors are `(n_images, n_channels, height, width)`; inside a chunk, channels come last. Chunks
//! are cut by shape, and sums over chunks run in their order, so bits don't depend on threads.

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

/// Gradients of a layer: of the weight, of the bias, and of the input where it is asked for.
pub(super) struct Gradients {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub input: Option<Vec<f32>>,
}

/// Images that one task handles at a time.
fn chunk_images(geometry: &Geometry, n_images: usize) -> usize {
    let values = geometry.small_area() * geometry.patch_len();
    (CHUNK_VALUES / values.max(1)).clamp(1, n_images.div_ceil(MIN_CHUNKS).max(1))
}

fn matrix(values: &[f32], shape: (usize, usize)) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape(shape, values).expect("the length fits the shape")
}

fn matrix_mut(values: &mut [f32], shape: (usize, usize)) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape(shape, values).expect("the length fits the shape")
}

/// Turns each image from channels first to channels last.
fn channels_last(src: &[f32], dst: &mut [f32], n_channels: usize, area: usize) {
    let len = n_channels * area;
    for (src, dst) in src.chunks(len).zip(dst.chunks_mut(len)) {
        transpose(src, dst, n_channels, area);
    }
}

/// Turns each image from channels last to channels first.
fn channels_first(src: &[f32], dst: &mut [f32], n_channels: usize, area: usize) {
    let len = n_channels * area;
    for (src, dst) in src.chunks(len).zip(dst.chunks_mut(len)) {
        transpose(src, dst, area, n_channels);
    }
}

/// Fills pixels, channels last, with the bias or with zeros.
fn start_with(bias: Option<&[f32]>, pixels: &mut [f32]) {
    match bias {
        Some(bias) => pixels.chunks_mut(bias.len()).for_each(|p| p.copy_from_slice(bias)),
        None => pixels.fill(0.0),
    }
}

impl Geometry {
    fn gather_all(&self, maps: &[f32], patches: &mut [f32]) {
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
pub(super) fn convolve(geometry: &Geometry, input: &[f32], weights: Weights<'_>) -> Vec<f32> {
    let (large_len, small_len) = (geometry.large_len(), geometry.small_len());
    let n_images = input.len() / large_len;
    let (n_small, k) = (geometry.small.0, geometry.patch_len());
    let weight = matrix(weights.weight, (n_small, k));
    let chunk = chunk_images(geometry, n_images);
    let mut output = vec![0.0; n_images * small_len];
    output.par_chunks_mut(chunk * small_len).zip(input.par_chunks(chunk * large_len)).for_each(
        |(output, input)| {
            let n_rows = output.len() / n_small;
            with_scratch([input.len(), n_rows * k, output.len()], |[last, patches, small]| {
                channels_last(input, last, geometry.large.0, geometry.large_area());
                geometry.gather_all(last, patches);
                start_with(weights.bias, small);
                let dst = matrix_mut(small, (n_rows, n_small));
                block_product(dst, matrix(patches, (n_rows, k)), weight.t(), 1.0);
                wide(|| weights.activation.apply(small));
                channels_first(small, output, n_small, geometry.small_area());
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
            with_scratch([input.len(), n_rows * k, output.len()], |[last, patches, large]| {
                channels_last(input, last, n_small, geometry.small_area());
                let dst = matrix_mut(patches, (n_rows, k));
                block_product(dst, matrix(last, (n_rows, n_small)), weight, 0.0);
                start_with(weights.bias, large);
                geometry.scatter_all(patches, large);
                wide(|| weights.activation.apply(large));
                channels_first(large, output, geometry.large.0, geometry.large_area());
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
    let channels = (n_small, geometry.small_area());
    by_parts(geometry, pass, weights, sides, channels, |chunk, grad_weight| {
        let Chunk { input, grad, grad_input } = chunk;
        let n_rows = grad.len() / n_small;
        with_scratch([input.len(), n_rows * k, grad.len()], |[large, patches, small]| {
            channels_last(grad, small, n_small, geometry.small_area());
            channels_last(input, large, geometry.large.0, geometry.large_area());
            geometry.gather_all(large, patches);
            let small = matrix(small, (n_rows, n_small));
            let dst = matrix_mut(grad_weight, (n_small, k));
            block_product(dst, small.t(), matrix(patches, (n_rows, k)), 1.0);
            if let Some(grad_input) = grad_input {
                block_product(matrix_mut(patches, (n_rows, k)), small, weight, 0.0);
                large.fill(0.0);
                geometry.scatter_all(patches, large);
                channels_first(large, grad_input, geometry.large.0, geometry.large_area());
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
    let channels = (geometry.large.0, geometry.large_area());
    by_parts(geometry, pass, weights, sides, channels, |chunk, grad_weight| {
        let Chunk { input, grad, grad_input } = chunk;
        let n_rows = input.len() / n_small;
        with_scratch([input.len(), n_rows * k, grad.len()], |[small, patches, large]| {
            channels_last(grad, large, geometry.large.0, geometry.large_area());
            geometry.gather_all(large, patches);
            channels_last(input, small, n_small, geometry.small_area());
            let patches = matrix(patches, (n_rows, k));
            let dst = matrix_mut(grad_weight, (n_small, k));
            block_product(dst, matrix(small, (n_rows, n_small)).t(), patches, 1.0);
            if let Some(grad_input) = grad_input {
                block_product(matrix_mut(small, (n_rows, n_small)), patches, weight.t(), 0.0);
                channels_first(small, grad_input, n_small, geometry.small_area());
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

/// Runs `backward` over all chunks, in parts that each sum a weight gradient of their own, and adds
/// these up in order.
///
/// - `sides`: values of an image of the input and of the output
/// - `channels`: channels of the output and pixels of each
fn by_parts(
    geometry: &Geometry,
    pass: Pass<'_>,
    weights: Weights<'_>,
    (in_len, out_len): (usize, usize),
    (n_channels, area): (usize, usize),
    backward: impl Fn(Chunk<'_>, &mut [f32]) + Sync,
) -> Gradients {
    let n_images = pass.output.len() / out_len;
    let chunk = chunk_images(geometry, n_images);
    let part = n_images.div_ceil(chunk).div_ceil(MAX_PARTS) * chunk;
    let run = |images: Range<usize>, mut grad_inputs: Option<&mut [f32]>| {
        let mut grad_weight = vec![0.0; weights.weight.len()];
        let mut grad_bias = vec![0.0; n_channels];
        for start in images.clone().step_by(chunk) {
            let n = chunk.min(images.end - start);
            let (from, here) = (start * out_len, (start - images.start) * in_len);
            let range = from..from + n * out_len;
            with_scratch([n * out_len], |[grad]| {
                grad.copy_from_slice(&pass.grad_output[range.clone()]);
                wide(|| {
                    weights.activation.scale_gradient(&pass.output[range], grad);
                    for image in grad.chunks(out_len) {
                        for (sum, channel) in grad_bias.iter_mut().zip(image.chunks(area)) {
                            *sum += sum_map(channel, channel, |value, _| value) as f32;
                        }
                    }
                });
                let grad_input = grad_inputs.as_deref_mut().map(|g| &mut g[here..][..n * in_len]);
                let input = &pass.input[start * in_len..][..n * in_len];
                backward(Chunk { input, grad, grad_input }, &mut grad_weight);
            });
        }
        (grad_weight, grad_bias)
    };
    let ranges = |i: usize| i * part..((i + 1) * part).min(n_images);
    let mut input = pass.wants_input.then(|| vec![0.0; n_images * in_len]);
    let parts: Vec<(Vec<f32>, Vec<f32>)> = match &mut input {
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
    let (mut weight, mut bias) = parts.next().unwrap_or_default();
    for (part_weight, part_bias) in parts {
        add_scaled(&mut weight, 1.0, &part_weight);
        add_scaled(&mut bias, 1.0, &part_bias);
    }
    Gradients { weight, bias, input }
}
