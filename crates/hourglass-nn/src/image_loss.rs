//! Losses that compare images by more than their pixels, out of candle's operations, so that they
//! run on every device. Pixel losses are in [`crate::Loss`].

use candle_core::{Device, Tensor};

use crate::{Error, Loss, Result};

/// Width of the Gaussian window, and its standard deviation: Wang et al. 2004, section III.B.
const WINDOW: usize = 11;
const STD: f64 = 1.5;

/// Weights of the scales: Wang, Simoncelli, Bovik 2003, section 3.2.
const SCALE_WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// `1 - SSIM`, a mean over samples, channels and those positions where the window lies inside. In
/// `[0, 2]`, 0 for equal images.
///
/// # Shapes
/// - `output`, `target`: `(batch, n_channels, height, width)`, sides of 11 or more
/// - `range`: difference between the highest and the lowest value that a pixel can have; above 0
///
/// # Errors
/// [`Error::Shape`] if the shapes differ or are too small, [`Error::Hyperparameter`] for `range`.
///
/// # Source
/// Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
/// Similarity", IEEE TIP 13(4), 2004, with their constants.
pub fn ssim(output: &Tensor, target: &Tensor, range: f64) -> Result<Tensor> {
    let [similarity, _] = similarities(output, target, range)?;
    Ok(similarity.mean_all()?.affine(-1.0, 1.0)?)
}

/// `1 - MS-SSIM`, in `[0, 1]`: contrast and structure on every scale, luminance on the last, each
/// image halved from scale to scale. Small images have fewer scales: as many of the five as leave
/// sides of 11, with weights that still sum to 1.
///
/// # Shapes
/// As [`ssim`].
///
/// # Errors
/// As [`ssim`].
///
/// # Source
/// Wang, Simoncelli, Bovik, "Multiscale structural similarity for image quality assessment",
/// Asilomar 2003. Similarities below 1e-4 count as 1e-4, as they are raised to a power.
pub fn ms_ssim(output: &Tensor, target: &Tensor, range: f64) -> Result<Tensor> {
    const LOWEST: f64 = 1e-4;
    let (_, _, height, width) = output.dims4()?;
    let halvings = (height.min(width) / WINDOW).max(1).ilog2() as usize;
    let n_scales = (halvings + 1).min(SCALE_WEIGHTS.len());
    let sum: f64 = SCALE_WEIGHTS[..n_scales].iter().sum();
    let (mut output, mut target) = (output.clone(), target.clone());
    let mut product: Option<Tensor> = None;
    for (scale, weight) in SCALE_WEIGHTS[..n_scales].iter().enumerate() {
        let [similarity, structure] = similarities(&output, &target, range)?;
        let of_scale = if scale + 1 == n_scales { similarity } else { structure };
        // By sample and channel, as the product of means isn't the mean of products.
        let mean = of_scale.mean(1)?;
        let powered = mean.maximum(LOWEST)?.powf(weight / sum)?;
        product = Some(match product {
            Some(before) => (before * powered)?,
            None => powered,
        });
        if scale + 1 < n_scales {
            (output, target) = (halve(&output)?, halve(&target)?);
        }
    }
    let product = product.expect("there is at least one scale");
    Ok(product.mean_all()?.affine(-1.0, 1.0)?)
}

/// How far the differences between neighbouring pixels are off, a mean over samples, channels and
/// positions of absolute errors, over both directions.
///
/// # Shapes
/// - `output`, `target`: `(batch, n_channels, height, width)`, sides of 2 or more
///
/// # Errors
/// [`Error::Shape`] if the shapes differ or are too small.
///
/// # Source
/// Mathieu, Couprie, LeCun, "Deep multi-scale video prediction beyond mean square error",
/// arXiv:1511.05440, section 3.3, with exponent 1; theirs compares absolute differences, ours
/// signed ones, so that an edge of the wrong sign is an error too.
pub fn edge_loss(output: &Tensor, target: &Tensor) -> Result<Tensor> {
    check(output, target, 2)?;
    let differences = |x: &Tensor, dim: usize| {
        let n = x.dims()[dim] - 1;
        x.narrow(dim, 1, n)? - x.narrow(dim, 0, n)?
    };
    let of = |dim: usize| {
        let (output, target) = (differences(output, dim)?, differences(target, dim)?);
        Loss::L1.mean(&output, &target)
    };
    Ok(((of(2)? + of(3)?)? * 0.5)?)
}

fn check(output: &Tensor, target: &Tensor, side: usize) -> Result<()> {
    match *output.dims() {
        [_, _, height, width]
            if height >= side && width >= side && output.dims() == target.dims() =>
        {
            Ok(())
        }
        _ => Err(Error::Shape {
            layer: "image loss".to_owned(),
            expected: format!("{:?} like its target, sides of {side} or more", target.dims()),
            found: output.dims().to_vec(),
        }),
    }
}

/// Structural similarity at each position, and its part without luminance:
/// `(batch * n_channels, positions)` both.
fn similarities(output: &Tensor, target: &Tensor, range: f64) -> Result<[Tensor; 2]> {
    check(output, target, WINDOW)?;
    if !(range > 0.0 && range.is_finite()) {
        return Err(Error::hyperparameter("range", range, "above 0"));
    }
    let (n_samples, n_channels, height, width) = output.dims4()?;
    let blur = Blur::new(n_samples * n_channels, [height, width], output.device())?;
    let (mean_x, mean_y) = (blur.of(output)?, blur.of(target)?);
    let (xx, yy, xy) = (mean_x.sqr()?, mean_y.sqr()?, (&mean_x * &mean_y)?);
    let variance_x = (blur.of(&output.sqr()?)? - &xx)?;
    let variance_y = (blur.of(&target.sqr()?)? - &yy)?;
    let covariance = (blur.of(&(output * target)?)? - &xy)?;
    let (c1, c2) = ((0.01 * range).powi(2), (0.03 * range).powi(2));
    let luminance = (((xy * 2.0)? + c1)? / ((xx + yy)? + c1)?)?;
    let structure = (((covariance * 2.0)? + c2)? / ((variance_x + variance_y)? + c2)?)?;
    Ok([(luminance * &structure)?, structure])
}

/// A Gaussian window over both directions, as two products with banded matrices.
struct Blur {
    n_maps: usize,
    size: [usize; 2],
    /// `(size, positions)` of each direction.
    bands: [Tensor; 2],
}

impl Blur {
    fn new(n_maps: usize, size: [usize; 2], device: &Device) -> Result<Self> {
        let weight = |i: usize| (-(i as f64 - 5.0).powi(2) / (2.0 * STD * STD)).exp();
        let sum: f64 = (0..WINDOW).map(weight).sum();
        let band = |n: usize| {
            let positions = n - WINDOW + 1;
            let mut values = vec![0.0_f32; n * positions];
            for position in 0..positions {
                for i in 0..WINDOW {
                    values[(position + i) * positions + position] = (weight(i) / sum) as f32;
                }
            }
            Tensor::from_vec(values, (n, positions), device)
        };
        Ok(Blur { n_maps, size, bands: [band(size[0])?, band(size[1])?] })
    }

    /// `(n_maps, positions of both directions)`.
    fn of(&self, x: &Tensor) -> Result<Tensor> {
        let [height, width] = self.size;
        let [rows, columns] = [0, 1].map(|axis| self.bands[axis].dims()[1]);
        let along =
            x.contiguous()?.reshape((self.n_maps * height, width))?.matmul(&self.bands[1])?;
        let turned =
            along.reshape((self.n_maps, height, columns))?.transpose(1, 2)?.contiguous()?;
        let both = turned.reshape((self.n_maps * columns, height))?.matmul(&self.bands[0])?;
        Ok(both.reshape((self.n_maps, columns * rows))?)
    }
}

/// Means of blocks of two by two pixels; an odd last row or column is left out.
fn halve(x: &Tensor) -> Result<Tensor> {
    let (n, channels, height, width) = x.dims4()?;
    let (rows, columns) = (height / 2, width / 2);
    let even = x.narrow(2, 0, rows * 2)?.narrow(3, 0, columns * 2)?.contiguous()?;
    let blocks = even.reshape((n * channels * rows, 2, columns, 2))?;
    let sum = blocks.sum_keepdim((1, 3))?;
    Ok((sum * 0.25)?.reshape((n, channels, rows, columns))?)
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;

    fn images() -> (Var, Tensor) {
        let of = |f: fn(f64) -> f64| {
            let values = (0..2 * 24 * 26).map(|i| f(f64::from(i)) as f32);
            Tensor::from_iter(values, &Device::Cpu).unwrap().reshape((2, 1, 24, 26)).unwrap()
        };
        let output = of(|i| (i * 0.37).sin() * 0.5 + 0.5);
        (Var::from_tensor(&output).unwrap(), of(|i| (i * 0.37 + 0.4).sin() * 0.4 + 0.5))
    }

    #[test]
    fn values_and_gradients_agree_with_pytorch() {
        // F = torch.nn.functional
        // g = torch.exp(-(torch.arange(11.) - 5)**2 / 4.5); g = g / g.sum()
        // w = (g[:, None] * g[None]).reshape(1, 1, 11, 11).double()
        // def parts(x, y):
        //     mx, my = F.conv2d(x, w), F.conv2d(y, w)
        //     vx, vy = F.conv2d(x*x, w) - mx*mx, F.conv2d(y*y, w) - my*my
        //     s = (2*(F.conv2d(x*y, w) - mx*my) + 9e-4) / (vx + vy + 9e-4)
        //     return (2*mx*my + 1e-4) / (mx*mx + my*my + 1e-4) * s, s
        // i = torch.arange(2*24*26.).double().reshape(2, 1, 24, 26)
        // x = (torch.sin(i*.37)*.5 + .5).requires_grad_(True); y = torch.sin(i*.37 + .4)*.4 + .5
        // l = 1 - parts(x, y)[0].mean(); l.backward(); l, x.grad[0, 0, 11, 10:14]
        // s = parts(x, y)[1].mean((1, 2, 3)); m = lambda x: F.avg_pool2d(x, 2)
        // t = parts(m(x), m(y))[0].mean((1, 2, 3)); l = 1 - (s**(.0448/.3304) *
        // t**(.2856/.3304)).mean(); x.grad = None; l.backward(); l, x.grad[0, 0, 11, 10:14]
        let expected = [
            [0.116_171_197, 0.004_514_499_5, 0.004_556_353_7, 0.003_469_913_4, 0.001_721_241],
            [0.071_429_83, 0.006_314_665_4, 0.006_320_649_6, -0.043_846_567, -0.044_096_587],
        ];
        for (f, expected) in [ssim, ms_ssim].into_iter().zip(expected) {
            let (output, target) = images();
            let loss = f(&output, &target, 1.0).unwrap();
            let grads = loss.backward().unwrap();
            let row = grads.get(&output).unwrap().narrow(2, 11, 1).unwrap();
            let row = row.narrow(3, 10, 4).unwrap().flatten_all().unwrap();
            let found = [vec![loss.to_scalar::<f32>().unwrap()], row.to_vec1().unwrap()].concat();
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 2e-5, "{found} {expected}");
            }
        }
    }

    #[test]
    fn equal_images_have_no_loss() {
        let (output, _) = images();
        for f in [ssim, ms_ssim] {
            let loss = f(&output, &output, 1.0).unwrap().to_scalar::<f32>().unwrap();
            assert!(loss.abs() < 1e-6, "{loss}");
        }
        assert_eq!(edge_loss(&output, &output).unwrap().to_scalar::<f32>().unwrap(), 0.0);
        let small = output.narrow(2, 0, 10).unwrap();
        assert!(ssim(&small, &small, 1.0).is_err() && ms_ssim(&small, &small, 1.0).is_err());
        assert!(ssim(&output, &output, 0.0).is_err());
    }

    #[test]
    fn edges_count_differences_of_neighbours() {
        let device = Device::Cpu;
        let output = Tensor::new(&[[[[0.0_f32, 1.0], [0.0, 3.0]]]], &device).unwrap();
        let target = output.zeros_like().unwrap();
        // Down: 0 and 2; right: 1 and 3.
        let loss = edge_loss(&output, &target).unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(loss, 0.5 * (1.0 + 2.0));
        let output = Var::from_tensor(&output).unwrap();
        let grads = edge_loss(&output, &target).unwrap().backward().unwrap();
        let gradient = grads.get(&output).unwrap().flatten_all().unwrap().to_vec1::<f32>();
        // Down is a quarter of a sign each, so is right; a difference of 0 has none.
        assert_eq!(gradient.unwrap(), [-0.25, 0.0, -0.25, 0.5]);
    }
}
