//! Measures a model on a few validation rows: activations, latent, errors of columns.
//!
//! The cost is bounded: two passes over at most [`MOST_ROWS`] rows and a 100th of the training rows
//! are about a hundredth of an epoch, since a training step costs three passes.

use hourglass_core::linalg::matmul;
use hourglass_core::{Matrix, MatrixView};
use hourglass_models::Autoencoder;
use hourglass_nn::{Activation, rows_of, to_matrix};
use ndarray::{Axis, concatenate, s};

use super::{LatentTelemetry, LayerTelemetry};
use crate::Result;
use crate::fit::device_of;

/// Rows that are measured at most.
const MOST_ROWS: usize = 1024;

/// Rows that are measured even where the training part is small.
const FEWEST_ROWS: usize = 64;

/// Training rows for each row that is measured.
const TRAIN_ROWS_EACH: usize = 100;

/// Values of all layers that are measured at most, in whole batches: 1,024 rows of 8,192. The maps
/// of a convolution are wide beside what a step costs.
const MOST_VALUES: usize = 1 << 23;

/// Widest latent whose covariance is decomposed as it is, and most rows otherwise.
const MOST_DIMENSIONS: usize = 256;

/// Distance from an end of the range, as a share of the range, that counts as saturated.
const NEAR: f32 = 0.01;

/// Share of the rows in which a saturated unit is near an end.
const SATURATED_IN: f64 = 0.95;

/// What the rows said.
pub(crate) struct Measures {
    pub layers: Vec<LayerTelemetry>,
    pub latent: LatentTelemetry,
    pub feature_errors: Vec<f32>,
    pub n_rows: usize,
}

/// Number of validation rows that are measured.
pub(crate) fn n_measured(n_train: usize, n_validation: usize) -> usize {
    (n_train / TRAIN_ROWS_EACH).clamp(FEWEST_ROWS, MOST_ROWS).min(n_validation)
}

/// Measures a model on rows, in the batches in which it was trained.
pub(crate) fn measure(
    model: &dyn Autoencoder,
    rows: MatrixView<'_>,
    batch_size: usize,
) -> Result<Measures> {
    let mut layers: Vec<LayerSums> = Vec::new();
    let mut latent = Matrix::zeros((rows.nrows(), model.latent_dim()));
    let mut errors = vec![0.0_f64; rows.ncols()];
    let mut n_rows = 0;
    for batch in rows.axis_chunks_iter(Axis(0), batch_size) {
        let input = rows_of(batch)?.to_device(&device_of(model))?;
        let hidden = model.hidden(&input)?;
        let activations = model.hidden_activations();
        layers.resize_with(hidden.len(), LayerSums::default);
        let hidden = hidden.iter().map(to_matrix).collect::<hourglass_nn::Result<Vec<_>>>()?;
        for (l, values) in hidden.iter().enumerate() {
            layers[l].add(values.view(), activations.get(l).copied());
        }
        // The latent is the last layer or all of them side by side, or else asked for.
        let width: usize = layers.iter().map(|layer| layer.active.len()).sum();
        let mut here = latent.slice_mut(s![n_rows..n_rows + batch.nrows(), ..]);
        match hidden.last() {
            Some(last) if last.ncols() == here.ncols() => here.assign(last),
            Some(_) if width == here.ncols() => {
                let layers: Vec<MatrixView<'_>> = hidden.iter().map(|layer| layer.view()).collect();
                here.assign(&concatenate(Axis(1), &layers).expect("layers have a row each"));
            }
            _ => here.assign(&to_matrix(&model.encode(&input)?)?),
        }
        n_rows += batch.nrows();
        let output = to_matrix(&model.reconstruct(&input)?)?;
        for (output, row) in output.rows().into_iter().zip(batch.rows()) {
            for ((error, &a), &b) in errors.iter_mut().zip(output).zip(row) {
                *error += f64::from((a - b) * (a - b));
            }
        }
        let n_values = n_rows * model.n_hidden_values().unwrap_or(width);
        if n_rows >= FEWEST_ROWS && n_values >= MOST_VALUES {
            break;
        }
    }
    let layers = layers
        .into_iter()
        .enumerate()
        .map(|(l, sums)| sums.finish(format!("encoder.{l}"), n_rows))
        .collect();
    let feature_errors = errors.into_iter().map(|sum| (sum / n_rows as f64) as f32).collect();
    let spectrum = spectrum(latent.slice(s![..n_rows, ..]));
    let effective_rank = effective_rank(&spectrum);
    let latent = LatentTelemetry { spectrum, effective_rank, kl_per_dimension: None };
    Ok(Measures { layers, latent, feature_errors, n_rows })
}

/// Sums over the rows of a layer.
#[derive(Default)]
struct LayerSums {
    sum: f64,
    squares: f64,
    /// How often each unit was not 0.
    active: Vec<u32>,
    /// How often each unit was near an end of its range; empty where the range has no end.
    near_end: Vec<u32>,
}

impl LayerSums {
    fn add(&mut self, values: MatrixView<'_>, activation: Option<Activation>) {
        let n_units = values.ncols();
        self.active.resize(n_units, 0);
        let ends = activation.and_then(ends_of);
        if ends.is_some() {
            self.near_end.resize(n_units, 0);
        }
        for row in values.rows() {
            let (mut sum, mut squares) = (0.0_f32, 0.0_f32);
            for (active, &value) in self.active.iter_mut().zip(row) {
                sum += value;
                squares += value * value;
                *active += u32::from(value != 0.0);
            }
            self.sum += f64::from(sum);
            self.squares += f64::from(squares);
            if let Some((low, high)) = ends {
                for (near, &value) in self.near_end.iter_mut().zip(row) {
                    *near += u32::from(value <= low || value >= high);
                }
            }
        }
    }

    fn finish(self, name: String, n_rows: usize) -> LayerTelemetry {
        let n_units = self.active.len();
        let n = (n_units * n_rows) as f64;
        let mean = self.sum / n;
        let n_active: u64 = self.active.iter().map(|&count| u64::from(count)).sum();
        let share = |holds: &dyn Fn(u32) -> bool, counts: &[u32]| {
            counts.iter().filter(|&&count| holds(count)).count() as f64 / n_units as f64
        };
        let often = |count: u32| f64::from(count) >= SATURATED_IN * n_rows as f64;
        LayerTelemetry {
            name,
            n_units,
            mean,
            spread: (self.squares / n - mean * mean).max(0.0).sqrt(),
            zero_share: 1.0 - n_active as f64 / n,
            always_zero_share: share(&|count| count == 0, &self.active),
            saturated_share: (!self.near_end.is_empty()).then(|| share(&often, &self.near_end)),
        }
    }
}

/// Values at or beyond which a unit is near an end of its range; `None` where there is no end but
/// the 0 of a rectifier.
fn ends_of(activation: Activation) -> Option<(f32, f32)> {
    let (low, high) = activation.range();
    let width = match (low.is_finite(), high.is_finite()) {
        (true, true) => high - low,
        // ELU and SELU level out below; the width of the bend is their lowest value.
        (true, false) if low < 0.0 => -low,
        _ => return None,
    };
    Some((low + NEAR * width, if high.is_finite() { high - NEAR * width } else { f32::INFINITY }))
}

/// Eigenvalues of the covariance of the columns, largest first.
fn spectrum(latent: MatrixView<'_>) -> Vec<f64> {
    // Products of rows also where the rows are fewer than the columns: a decomposition costs the
    // cube of its size, which on small data was half of the time of an epoch.
    let wide = latent.ncols() > MOST_DIMENSIONS.min(latent.nrows());
    let n_rows = if wide { latent.nrows().min(MOST_DIMENSIONS) } else { latent.nrows() };
    if n_rows < 2 || !latent.iter().all(|value| value.is_finite()) {
        return Vec::new();
    }
    let mut centred = latent.slice(s![..n_rows, ..]).to_owned();
    let mean = centred.mean_axis(Axis(0)).expect("there are rows");
    centred -= &mean;
    // The products of rows with rows have the same eigenvalues other than 0 as those of columns.
    let products = if wide {
        matmul(centred.view(), centred.t())
    } else {
        matmul(centred.t(), centred.view())
    };
    let n = products.nrows();
    let scale = 1.0 / (n_rows - 1) as f64;
    let products =
        nalgebra::DMatrix::from_fn(n, n, |row, column| scale * f64::from(products[(row, column)]));
    let mut values: Vec<f64> =
        products.symmetric_eigenvalues().iter().map(|value| value.max(0.0)).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values.truncate(if wide { n_rows - 1 } else { n });
    values
}

fn effective_rank(spectrum: &[f64]) -> f64 {
    let sum: f64 = spectrum.iter().sum();
    if sum <= 0.0 {
        return 0.0;
    }
    let shares = spectrum.iter().map(|value| value / sum).filter(|share| *share > 0.0);
    shares.map(|share| -share * share.ln()).sum::<f64>().exp()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn wide_maps_are_measured_on_fewer_rows() {
        use hourglass_core::{SampleShape, Seed};
        use hourglass_models::{Convolutional, ModelConfig, build};
        let shape = SampleShape::Image { channels: 1, height: 64, width: 64 };
        let rows = Matrix::from_shape_fn((320, 64 * 64), |(row, column)| {
            ((row * 7 + column) % 11) as f32 * 0.1
        });
        for (channels, expected) in [(64, 128), (2, 320)] {
            let config = ModelConfig::Convolutional(Convolutional::new(vec![channels], 4));
            let model = build(&config, &shape, Seed::new(1)).unwrap();
            let measures = measure(model.as_ref(), rows.view(), 64).unwrap();
            assert_eq!(measures.n_rows, expected);
            assert_eq!(measures.layers[0].n_units, channels * 32 * 32);
            assert_eq!(measures.latent.spectrum.len(), 4);
        }
    }

    #[test]
    fn a_latent_of_several_layers_is_put_together_as_the_encoder_does() {
        use hourglass_core::{SampleShape, Seed};
        use hourglass_models::{DeepStack, ModelConfig, build};
        use hourglass_nn::Corruption;
        let rows =
            Matrix::from_shape_fn((64, 6), |(row, column)| ((row * 7 + column) as f32).sin());
        let noise = Corruption::Masking { share: 0.2 };
        let config = ModelConfig::DeepStack(DeepStack::new(vec![8, 4], noise));
        let model = build(&config, &SampleShape::Vector { len: 6 }, Seed::new(1)).unwrap();
        let measures = measure(model.as_ref(), rows.view(), 16).unwrap();
        let encoded = to_matrix(&model.encode(&rows_of(rows.view()).unwrap()).unwrap()).unwrap();
        assert_eq!(encoded.ncols(), 12);
        // Batches of another size are rounded otherwise.
        let expected = spectrum(encoded.view());
        assert_eq!(measures.latent.spectrum.len(), expected.len());
        for (found, expected) in measures.latent.spectrum.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn the_spectrum_agrees_with_numpy() {
        // import numpy as np; x = np.array([[1., 2, 0], [3, 1, 1], [0, 0, 4], [2, 5, 1]])
        // w = np.linalg.eigvalsh(np.cov(x.T))[::-1]; p = w / w.sum(); np.exp(-(p*np.log(p)).sum())
        let latent = array![[1.0_f32, 2.0, 0.0], [3.0, 1.0, 1.0], [0.0, 0.0, 4.0], [2.0, 5.0, 1.0]];
        let found = spectrum(latent.view());
        let expected = [6.516_107_350_149, 1.993_025_086_042, 0.824_200_897_142];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        assert!((effective_rank(&found) - 2.214_138_352_555).abs() < 1e-5);
        assert_eq!(effective_rank(&[0.0, 0.0]), 0.0);
    }

    #[test]
    fn a_wide_latent_has_the_spectrum_of_its_rows() {
        let latent = Matrix::from_shape_fn((40, 300), |(row, column)| {
            ((row * 7 + column * 3) as f32).sin() + (row as f32 * 0.2) * (column as f32 * 0.1).cos()
        });
        let wide = spectrum(latent.view());
        assert_eq!(wide.len(), 39);
        // The columns that are left have less variance, so no eigenvalue is larger.
        let narrow = spectrum(latent.slice(s![.., ..MOST_DIMENSIONS]));
        assert!(wide[0] >= narrow[0] && narrow[0] > 0.5 * wide[0]);
        let variance = |matrix: MatrixView<'_>| matrix.mapv(f64::from).var_axis(Axis(0), 1.0).sum();
        assert!((wide.iter().sum::<f64>() / variance(latent.view()) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn layers_count_dead_and_saturated_units() {
        let values = array![[0.0_f32, 0.5, 0.999], [0.0, 0.0, 0.998], [0.0, 0.25, 0.001]];
        let mut sums = LayerSums::default();
        sums.add(values.slice(s![..2, ..]), Some(Activation::Sigmoid));
        sums.add(values.slice(s![2.., ..]), Some(Activation::Sigmoid));
        let layer = sums.finish("encoder.0".to_owned(), 3);
        assert_eq!(layer.n_units, 3);
        assert!((layer.mean - 2.748 / 9.0).abs() < 1e-6);
        assert!((layer.zero_share - 4.0 / 9.0).abs() < 1e-12);
        assert!((layer.always_zero_share - 1.0 / 3.0).abs() < 1e-12);
        // The first unit lies at 0, an end of the sigmoid; the third at either end.
        assert!((layer.saturated_share.unwrap() - 2.0 / 3.0).abs() < 1e-12);
        let mut sums = LayerSums::default();
        sums.add(values.view(), Some(Activation::Relu));
        assert_eq!(sums.finish(String::new(), 3).saturated_share, None);
    }
}
