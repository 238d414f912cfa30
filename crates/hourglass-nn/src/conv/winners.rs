//! A convolution, the winners of its maps, and a transposed convolution out of these, as one
//! operation. Of a map one value survives at most, so behind the first product there is nothing to
//! multiply: the maps are never written down, the decoder adds up one kernel a winner, and all
//! gradients are sums over the patches under the winners.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use hourglass_core::linalg::block_product;
use ndarray::ArrayViewMut2;
use rayon::prelude::*;

use super::kernels::{
    add_pixels, channels_last, chunk_images, matrix, matrix_mut, start_with, write_channels_last,
};
use super::stack::{Stage, accumulate};
use super::{Conv2d, ConvTranspose2d, Direction};
use crate::dense::keep_largest_of_columns;
use crate::scratch::with_scratch;
use crate::simd::wide;
use crate::storage::{slice_of, with_slice};
use crate::{Activation, Result, keep_winners_of_maps};

/// What `decoder` makes of the winners of `encoder`'s maps: the same as `encoder`,
/// [`keep_winners_of_maps`] and `decoder` one after the other, in a fraction of the time.
///
/// # Shapes
/// - `input`: `(batch, n_in, height, width)`
/// - returns: that of `decoder`'s output for the maps of `encoder`
///
/// # Errors
/// [`crate::Error::Shape`] if the input has other channels than `encoder`, or the maps others than
/// `decoder`.
///
/// # Source
/// Makhzani and Frey, "Winner-Take-All Autoencoders", arXiv:1409.2752, section 3.
pub fn reconstruct_from_winners(
    encoder: &Conv2d,
    decoder: &ConvTranspose2d,
    input: &Tensor,
    lifetime_share: Option<f32>,
) -> Result<Tensor> {
    let (n_images, n_in, height, width) = input.dims4()?;
    let side = (n_in, [height, width]);
    let encode = Stage::new(encoder.0.clone(), Direction::Shrink, [0, 0], side)?;
    let (direction, padding) = (Direction::Enlarge, decoder.output_padding);
    let mut decode = Stage::new(decoder.layer.clone(), direction, padding, encode.output_side())?;
    let is_fused = encoder.0.activation.split().1 == Activation::Linear;
    if !input.device().is_cpu() || !is_fused {
        let maps = encoder.forward(input)?;
        return decoder.forward(&keep_winners_of_maps(&maps, lifetime_share)?);
    }
    let (activation, after) = decode.layer.activation.split();
    decode.layer.activation = activation;
    let (n_out, [height, width]) = decode.output_side();
    let shape = (n_images, n_out, height, width).into();
    let weight = encoder.0.weight.tensor();
    let op = WinnersOp { encode, decode, lifetime_share, shape, winners: Mutex::default() };
    after.forward(&input.contiguous()?.apply_op2(&weight, op)?)
}

/// The largest value of a map, and its pixel; a value of 0 is none.
#[derive(Clone, Copy, Debug, Default)]
struct Winner {
    value: f32,
    pixel: usize,
}

struct WinnersOp {
    encode: Stage,
    decode: Stage,
    lifetime_share: Option<f32>,
    shape: Shape,
    /// Of each image and channel, in this order, as the forward pass chose them.
    winners: Mutex<Vec<Winner>>,
}

impl WinnersOp {
    /// The winner of each map of each image.
    fn winners_of_maps(&self, input: &[f32]) -> candle_core::Result<Vec<Winner>> {
        let geometry = &self.encode.geometry;
        let (n_channels, area) = geometry.small_side();
        let (large_len, k) = (geometry.large_len(), geometry.patch_len());
        let n_images = input.len() / large_len;
        let chunk = chunk_images(geometry, n_images);
        let mut winners = vec![Winner::default(); n_images * n_channels];
        self.encode.with_weights(|weights| {
            let weight = matrix(weights.weight, (n_channels, k));
            let chunks = winners.par_chunks_mut(chunk * n_channels);
            chunks.zip(input.par_chunks(chunk * large_len)).for_each(|(winners, input)| {
                let n_rows = input.len() / large_len * area;
                let room = [input.len(), n_rows * k, n_rows * n_channels];
                with_scratch(room, |[large, patches, small]| {
                    let large = channels_last(input, false, large, geometry.large_side());
                    geometry.gather_all(large, patches);
                    start_with(weights.bias, small);
                    let dst = matrix_mut(small, (n_rows, n_channels));
                    block_product(dst, matrix(patches, (n_rows, k)), weight.t(), 1.0);
                    wide(|| weights.activation.apply(small));
                    let maps = small.chunks(area * n_channels);
                    for (winners, maps) in winners.chunks_mut(n_channels).zip(maps) {
                        wide(|| choose(maps, winners));
                    }
                });
            });
        })?;
        if let Some(share) = self.lifetime_share {
            let mut values = values_of(&winners);
            let matrix = ArrayViewMut2::from_shape((n_images, n_channels), &mut values);
            keep_largest_of_columns(matrix.expect("one winner a map"), share);
            winners.iter_mut().zip(values).for_each(|(winner, value)| winner.value = value);
        }
        Ok(winners)
    }

    /// Gradients of a loss, out of that of the output; those of parameters are added to them.
    fn backward(
        &self,
        input: &[f32],
        output: &[f32],
        grad_output: &[f32],
        wants_input: bool,
    ) -> candle_core::Result<Option<Vec<f32>>> {
        let winners = self.winners.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (encode, decode) = (&self.encode.geometry, &self.decode.geometry);
        let n_channels = encode.small.0;
        let pixels = self.decode.with_weights(|weights| {
            let mut grad = grad_output.to_vec();
            wide(|| weights.activation.scale_gradient(output, &mut grad));
            images_channels_last(grad, decode.large_side())
        })?;
        let input = images_channels_last(input.to_vec(), encode.large_side());
        let mut bias = vec![0.0; decode.large.0];
        add_pixels(&mut bias, &pixels);
        let grads = self.gradients_of_winners(&winners, &pixels)?;

        // A channel's kernels are its own, so each sums over the images in their order.
        let mut weight = vec![0.0; n_channels * decode.patch_len()];
        let mut encoder_weight = vec![0.0; n_channels * encode.patch_len()];
        let mut encoder_bias = vec![0.0; n_channels];
        weight
            .par_chunks_mut(decode.patch_len())
            .zip(encoder_weight.par_chunks_mut(encode.patch_len()))
            .zip(&mut encoder_bias)
            .enumerate()
            .for_each(|(channel, ((weight, encoder_weight), encoder_bias))| {
                let images =
                    pixels.chunks(decode.large_len()).zip(input.chunks(encode.large_len()));
                for (image, (pixels, input)) in images.enumerate() {
                    let at = image * n_channels + channel;
                    let Winner { value, pixel } = winners[at];
                    if value != 0.0 {
                        decode.add_under(pixel, value, pixels, weight);
                        encode.add_under(pixel, grads[at], input, encoder_weight);
                        *encoder_bias += grads[at];
                    }
                }
            });
        for (stage, weight, bias) in
            [(&self.decode, weight, bias), (&self.encode, encoder_weight, encoder_bias)]
        {
            accumulate(&stage.layer.weight, weight);
            if let Some(parameter) = &stage.layer.bias {
                accumulate(parameter, bias);
            }
        }
        if !wants_input {
            return Ok(None);
        }
        spread(&self.encode, &winners, &grads, false).map(Some)
    }

    /// Gradient of each winner before the encoder's activation; 0 where there is none.
    fn gradients_of_winners(
        &self,
        winners: &[Winner],
        pixels: &[f32],
    ) -> candle_core::Result<Vec<f32>> {
        let geometry = &self.decode.geometry;
        let n_channels = geometry.small.0;
        let mut grads = vec![0.0; winners.len()];
        self.decode.with_weights(|weights| {
            let images = grads.par_chunks_mut(n_channels).zip(winners.par_chunks(n_channels));
            images.zip(pixels.par_chunks(geometry.large_len())).for_each(
                |((grads, winners), pixels)| {
                    let kernels = weights.weight.chunks(geometry.patch_len());
                    for ((grad, winner), kernel) in grads.iter_mut().zip(winners).zip(kernels) {
                        if winner.value != 0.0 {
                            *grad = geometry.dot_under(winner.pixel, pixels, kernel);
                        }
                    }
                },
            );
        })?;
        self.encode.layer.activation.scale_gradient(&values_of(winners), &mut grads);
        Ok(grads)
    }
}

/// Adds up one kernel a winner, times a factor: the stage's bias under it and its activation over
/// it where it `is_output`, and neither in a gradient.
///
/// # Shapes
/// - `winners`, `factors`: `(n_images, n_channels)`; returns `(n_images, large)`
fn spread(
    stage: &Stage,
    winners: &[Winner],
    factors: &[f32],
    is_output: bool,
) -> candle_core::Result<Vec<f32>> {
    let geometry = &stage.geometry;
    let (n_channels, large_len) = (geometry.small.0, geometry.large_len());
    let mut output = vec![0.0; winners.len() / n_channels * large_len];
    stage.with_weights(|weights| {
        let images = output.par_chunks_mut(large_len).zip(winners.par_chunks(n_channels));
        images.zip(factors.par_chunks(n_channels)).for_each(|((output, winners), factors)| {
            with_scratch([large_len], |[large]| {
                write_channels_last(output, false, large, geometry.large_side(), |large| {
                    start_with(weights.bias.filter(|_| is_output), large);
                    let kernels = weights.weight.chunks(geometry.patch_len());
                    for ((winner, &factor), kernel) in winners.iter().zip(factors).zip(kernels) {
                        if winner.value != 0.0 {
                            geometry.add_patch(winner.pixel, factor, kernel, large);
                        }
                    }
                    if is_output {
                        wide(|| weights.activation.apply(large));
                    }
                });
            });
        });
    })?;
    Ok(output)
}

fn values_of(winners: &[Winner]) -> Vec<f32> {
    winners.iter().map(|winner| winner.value).collect()
}

/// The largest value of each channel and the first pixel that has it; a NaN wins, so that it is
/// seen downstream.
///
/// # Shapes
/// - `maps`: `(area, n_channels)`; `winners`: `(n_channels)`
#[inline(always)]
fn choose(maps: &[f32], winners: &mut [Winner]) {
    let n_channels = winners.len();
    for (winner, &value) in winners.iter_mut().zip(maps) {
        *winner = Winner { value, pixel: 0 };
    }
    for (pixel, values) in maps.chunks(n_channels).enumerate().skip(1) {
        for (winner, &value) in winners.iter_mut().zip(values) {
            if value > winner.value || value.is_nan() {
                *winner = Winner { value, pixel };
            }
        }
    }
}

/// Images turned so that their channels come last.
fn images_channels_last(images: Vec<f32>, side: (usize, usize)) -> Vec<f32> {
    if side.0 == 1 {
        return images;
    }
    let mut turned = vec![0.0; images.len()];
    channels_last(&images, false, &mut turned, side);
    turned
}

impl CustomOp2 for WinnersOp {
    fn name(&self) -> &'static str {
        "hourglass-reconstruct-from-winners"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
        _weight: &CpuStorage,
        _weight_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let winners = self.winners_of_maps(slice_of(input, layout)?)?;
        let output = spread(&self.decode, &winners, &values_of(&winners), true)?;
        *self.winners.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = winners;
        Ok((CpuStorage::F32(output), self.shape.clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        _weight: &Tensor,
        output: &Tensor,
        grad_output: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = with_slice(input, |values| {
            with_slice(output, |output| {
                with_slice(grad_output, |grad_output| {
                    self.backward(values, output, grad_output, input.track_op())
                })
            })
        })????;
        let gradient =
            gradient.map(|g| Tensor::from_vec(g, input.shape(), input.device())).transpose()?;
        Ok((gradient, None))
    }
}
