//! Winners: which activations survive, as an operation of its own. It serves maps of
//! convolutions, activations that a fused layer can't take in, and other devices; the dense layer
//! selects by itself.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor};
use ndarray::ArrayViewMut2;
use rayon::prelude::*;

use crate::dense::{keep_largest, keep_largest_of_columns};
use crate::storage::{slice_of, with_slice};
use crate::{Result, Select};

impl Select {
    /// Keeps the selected activations, and sets the others to 0; they get no gradient.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_features)`
    /// - returns: the same
    ///
    /// # Errors
    /// If the input hasn't two dimensions.
    pub fn forward(self, input: &Tensor) -> Result<Tensor> {
        if self == Select::All {
            return Ok(input.clone());
        }
        input.dims2()?;
        keep(input, Winners::Of(self))
    }
}

/// Keeps the largest value of each channel's map, image by image, and of those the largest share
/// over the batch, channel by channel; all others become 0 and get no gradient.
///
/// # Shapes
/// - `input`: `(batch, n_channels, height, width)`
/// - `lifetime_share`: share of the images in which a channel may fire, in `(0, 1]`
/// - returns: the shape of `input`
///
/// # Errors
/// If the input hasn't four dimensions.
///
/// # Source
/// Makhzani and Frey, "Winner-Take-All Autoencoders", arXiv:1409.2752, section 3.
pub fn keep_winners_of_maps(input: &Tensor, lifetime_share: Option<f32>) -> Result<Tensor> {
    input.dims4()?;
    keep(input, Winners::OfMaps { lifetime_share })
}

/// On other devices the mask is worked out on the CPU, since candle has no selection there.
fn keep(input: &Tensor, winners: Winners) -> Result<Tensor> {
    if input.device().is_cpu() {
        Ok(input.contiguous()?.apply_op1(KeepOp(winners))?)
    } else {
        keep_by_mask(input, winners)
    }
}

fn keep_by_mask(input: &Tensor, winners: Winners) -> Result<Tensor> {
    let on_cpu = input.detach().to_device(&Device::Cpu)?.contiguous()?;
    let kept = on_cpu.apply_op1_no_bwd(&KeepOp(winners))?;
    let mask = kept.ne(0.0)?.to_dtype(input.dtype())?.to_device(input.device())?;
    Ok((input * mask)?)
}

/// Whose winners.
#[derive(Clone, Copy, Debug)]
enum Winners {
    Of(Select),
    OfMaps { lifetime_share: Option<f32> },
}

struct KeepOp(Winners);

impl CustomOp1 for KeepOp {
    fn name(&self) -> &'static str {
        "hourglass-keep-winners"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let mut values = slice_of(input, layout)?.to_vec();
        let dims = layout.dims();
        match self.0 {
            Winners::Of(Select::All) => {}
            Winners::Of(Select::TopK(k)) => {
                values.par_chunks_mut(dims[1].max(1)).for_each(|row| keep_largest(row, k));
            }
            Winners::Of(Select::Lifetime(share)) => {
                let matrix = ArrayViewMut2::from_shape((dims[0], dims[1]), &mut values);
                keep_largest_of_columns(matrix.expect("the length fits the shape"), share);
            }
            Winners::OfMaps { lifetime_share } => {
                let (n_channels, area) = (dims[1], (dims[2] * dims[3]).max(1));
                values.par_chunks_mut(area).for_each(|map| keep_largest(map, 1));
                if let Some(share) = lifetime_share {
                    keep_largest_over_batch(&mut values, (dims[0], n_channels, area), share);
                }
            }
        }
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        output: &Tensor,
        grad_output: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let mut grad = with_slice(grad_output, <[f32]>::to_vec)?;
        with_slice(output, |output| {
            for (grad, &output) in grad.iter_mut().zip(output) {
                *grad = if output == 0.0 { 0.0 } else { *grad };
            }
        })?;
        Ok(Some(Tensor::from_vec(grad, input.shape(), input.device())?))
    }
}

/// Zeroes, channel by channel, the maps of all images but those of the largest winners.
fn keep_largest_over_batch(
    values: &mut [f32],
    (n_images, n_channels, area): (usize, usize, usize),
    share: f32,
) {
    // The winner of a map is the one value that isn't 0, if there is one.
    let winner = |map: &[f32]| map.iter().copied().find(|&value| value != 0.0).unwrap_or(0.0);
    let mut winners: Vec<f32> = values.chunks(area).map(winner).collect();
    let matrix = ArrayViewMut2::from_shape((n_images, n_channels), &mut winners);
    keep_largest_of_columns(matrix.expect("one winner a map"), share);
    for (map, winner) in values.chunks_mut(area).zip(winners) {
        if winner == 0.0 {
            map.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;
    use hourglass_core::Seed;
    use rand::RngExt;

    use super::*;

    fn random(shape: &[usize]) -> Tensor {
        let mut rng = Seed::new(3).rng();
        let values: Vec<f32> =
            (0..shape.iter().product()).map(|_| rng.random::<f32>() - 0.3).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn one_winner_a_map_and_a_share_a_channel() {
        let (n_images, n_channels, area) = (10, 3, 7 * 5);
        let x = random(&[n_images, n_channels, 7, 5]);
        let input = flat(&x);
        let spatial = flat(&keep_winners_of_maps(&x, None).unwrap());
        for (map, kept) in input.chunks(area).zip(spatial.chunks(area)) {
            let largest = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let expected: Vec<f32> =
                map.iter().map(|&v| if v == largest { v } else { 0.0 }).collect();
            assert_eq!(kept, expected);
        }
        let both = flat(&keep_winners_of_maps(&x, Some(0.25)).unwrap());
        for channel in 0..n_channels {
            let winner = |values: &[f32], image: usize| {
                values[(image * n_channels + channel) * area..][..area].iter().sum::<f32>()
            };
            let mut all: Vec<f32> = (0..n_images).map(|image| winner(&spatial, image)).collect();
            let mut kept: Vec<f32> = (0..n_images).map(|image| winner(&both, image)).collect();
            kept.retain(|&value| value != 0.0);
            all.sort_by(|a, b| b.total_cmp(a));
            kept.sort_by(|a, b| b.total_cmp(a));
            assert_eq!(kept, all[..3], "a quarter of ten, rounded up");
        }
    }

    #[test]
    fn gradient_goes_to_winners_alone_and_masks_agree() {
        let table = [
            (random(&[6, 9]), Winners::Of(Select::TopK(2))),
            (random(&[6, 9]), Winners::Of(Select::Lifetime(0.3))),
            (random(&[4, 3, 5, 3]), Winners::OfMaps { lifetime_share: Some(0.5) }),
        ];
        for (x, winners) in table {
            let run = |f: fn(&Tensor, Winners) -> Result<Tensor>| {
                let x = Var::from_tensor(&x).unwrap();
                let kept = f(&x, winners).unwrap();
                let grads = (&kept * 3.0).unwrap().sum_all().unwrap().backward().unwrap();
                (flat(&kept), flat(grads.get(&x).unwrap()))
            };
            let (kept, gradient) = run(keep);
            assert_eq!((kept.clone(), gradient.clone()), run(keep_by_mask), "{winners:?}");
            assert!(kept.iter().any(|&value| value != 0.0));
            for (kept, gradient) in kept.iter().zip(gradient) {
                assert_eq!(gradient, if *kept == 0.0 { 0.0 } else { 3.0 });
            }
        }
    }
}
