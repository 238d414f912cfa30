//! Making a feature matrix for all rows, scaled by what was fitted on the training rows.

use hourglass_core::{Matrix, MatrixView, Part, Samples};
use hourglass_models::Autoencoder;
use hourglass_nn::{rows_of, to_matrix};
use ndarray::{Axis, s};
use rayon::prelude::*;

use crate::{FeatureSet, FeaturesConfig, HiddenLayers, Pca, Result, Scaler};

/// Rows that are encoded at a time: few enough to share among threads, many enough that handing
/// them over, and packing weights where a model does so for each batch, does not count.
const BATCH_ROWS: usize = 1024;

/// What features are made from.
pub struct Sources<'a> {
    /// Prepared samples.
    pub samples: &'a Samples,
    /// The trained encoder.
    pub trained: &'a dyn Autoencoder,
    /// The same encoder with random weights.
    pub random: &'a dyn Autoencoder,
}

/// A feature matrix.
#[derive(Clone, Debug)]
pub struct Features {
    /// `(n_samples, width)`, scaled, rows in the order of the samples.
    pub matrix: Matrix,
    /// The scalers, one for each block of columns.
    pub scalers: Vec<Scaler>,
}

/// Makes a feature set for all rows; everything fitted is fitted on the training rows.
///
/// # Shapes
/// - returns: `(n_samples, width)`
///
/// # Errors
/// If the encoder doesn't fit the samples, or there are too few rows for PCA.
pub fn extract(
    set: FeatureSet,
    sources: &Sources<'_>,
    config: &FeaturesConfig,
) -> Result<Features> {
    let samples = sources.samples;
    let layers = config.layers;
    let mut matrix = match set {
        FeatureSet::Raw => samples.features.clone(),
        FeatureSet::Pca => {
            let width = width(sources.trained, layers, samples.part(Part::Train))?;
            Pca::fit(samples.part(Part::Train), width)?.transform(samples.part(Part::All))?
        }
        FeatureSet::RandomEncoder => encode_all(sources.random, samples.part(Part::All), layers)?,
        FeatureSet::Autoencoder => encode_all(sources.trained, samples.part(Part::All), layers)?,
        FeatureSet::RawAutoencoder => {
            let n_raw = samples.features.ncols();
            let width = width(sources.trained, layers, samples.part(Part::Train))?;
            let mut both = Matrix::zeros((samples.features.nrows(), n_raw + width));
            both.slice_mut(s![.., ..n_raw]).assign(&samples.features);
            encode_into(sources.trained, samples.part(Part::All), layers, &mut both, n_raw)?;
            both
        }
    };
    let blocks = match set {
        FeatureSet::RawAutoencoder => vec![0, samples.features.ncols(), matrix.ncols()],
        _ => vec![0, matrix.ncols()],
    };
    let train = samples.partition.rows(Part::Train);
    let mut scalers = Vec::with_capacity(blocks.len() - 1);
    for block in blocks.windows(2) {
        let columns = block[0]..block[1];
        let fit_on = matrix.slice(s![train.clone(), columns.clone()]);
        let scaler = Scaler::fit(fit_on, config.scale)?;
        scaler.transform(matrix.slice_mut(s![.., columns]))?;
        scalers.push(scaler);
    }
    Ok(Features { matrix, scalers })
}

/// Activations of the chosen layers for all rows.
///
/// # Shapes
/// - `rows`: `(n_rows, n_features)`
/// - returns: `(n_rows, width)`
///
/// # Errors
/// If the width of the rows is not that of the model.
pub fn encode_all(
    model: &dyn Autoencoder,
    rows: MatrixView<'_>,
    layers: HiddenLayers,
) -> Result<Matrix> {
    let mut encoded = Matrix::zeros((rows.nrows(), width(model, layers, rows)?));
    encode_into(model, rows, layers, &mut encoded, 0)?;
    Ok(encoded)
}

/// Reconstructions of all rows, in the batches in which a model was trained.
///
/// # Shapes
/// - `rows`: `(n_rows, n_features)`
/// - returns: the same
///
/// # Errors
/// If the width of the rows is not that of the model.
pub fn reconstruct_all(
    model: &dyn Autoencoder,
    rows: MatrixView<'_>,
    batch_size: usize,
) -> Result<Matrix> {
    let mut output = Matrix::zeros(rows.dim());
    let chunks = output.axis_chunks_iter_mut(Axis(0), batch_size).into_par_iter();
    let batches = rows.axis_chunks_iter(Axis(0), batch_size).into_par_iter();
    chunks.zip(batches).try_for_each(|(mut output, rows)| -> Result<()> {
        output.assign(&to_matrix(&model.reconstruct(&rows_of(rows)?)?)?);
        Ok(())
    })?;
    Ok(output)
}

/// Mean over rows of the summed squared differences.
///
/// # Shapes
/// - `rows`, `output`: `(n_rows, n_features)`
pub fn squared_error(rows: MatrixView<'_>, output: MatrixView<'_>) -> f64 {
    let errors = rows.iter().zip(output).map(|(&a, &b)| f64::from(a - b).powi(2));
    errors.sum::<f64>() / rows.nrows() as f64
}

fn width(model: &dyn Autoencoder, layers: HiddenLayers, rows: MatrixView<'_>) -> Result<usize> {
    match layers {
        HiddenLayers::Latent => Ok(model.latent_dim()),
        HiddenLayers::AllHidden => {
            let hidden = model.hidden(&rows_of(rows.slice(s![..rows.nrows().min(1), ..]))?)?;
            Ok(hidden.iter().map(|layer| layer.dims()[1]).sum())
        }
    }
}

fn encode_into(
    model: &dyn Autoencoder,
    rows: MatrixView<'_>,
    layers: HiddenLayers,
    dst: &mut Matrix,
    first_column: usize,
) -> Result<()> {
    let latents = match layers {
        HiddenLayers::Latent => Some(model.row_encoder()?),
        HiddenLayers::AllHidden => None,
    };
    let chunks = dst.axis_chunks_iter_mut(Axis(0), BATCH_ROWS).into_par_iter();
    let batches = rows.axis_chunks_iter(Axis(0), BATCH_ROWS).into_par_iter();
    chunks.zip(batches).try_for_each(|(mut dst, rows)| {
        if let Some(encode) = &latents {
            let columns = first_column..first_column + model.latent_dim();
            return Ok(encode(rows, dst.slice_mut(s![.., columns]))?);
        }
        let activations = model.hidden(&rows_of(rows)?)?;
        let mut column = first_column;
        for layer in activations {
            let layer = to_matrix(&layer)?;
            dst.slice_mut(s![.., column..column + layer.ncols()]).assign(&layer);
            column += layer.ncols();
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Partition, SampleShape, Seed, Targets};
    use hourglass_models::{ModelConfig, build};
    use rand::RngExt;

    use super::*;
    use crate::Scale;

    fn samples() -> Samples {
        let mut rng = Seed::new(2).rng();
        let features = Matrix::from_shape_simple_fn((60, 9), || rng.random::<f32>());
        Samples {
            features,
            targets: Targets::Values(vec![0.0; 60]),
            partition: Partition { n_train: 40, n_validation: 10, n_test: 10 },
            shape: SampleShape::Vector { len: 9 },
            feature_names: (0..9).map(|i| i.to_string()).collect(),
        }
    }

    #[test]
    fn every_set_has_its_width_and_fits_on_training_rows_alone() {
        for config in ModelConfig::examples_for(&SampleShape::Vector { len: 9 }) {
            let make =
                |seed| build(&config, &SampleShape::Vector { len: 9 }, Seed::new(seed)).unwrap();
            let (trained, random) = (make(1), make(2));
            for layers in [HiddenLayers::Latent, HiddenLayers::AllHidden] {
                let features = |samples: &Samples, set| {
                    let (trained, random) = (trained.as_ref(), random.as_ref());
                    let sources = Sources { samples, trained, random };
                    let config = FeaturesConfig { layers, scale: Scale::Standard };
                    extract(set, &sources, &config).unwrap()
                };
                let samples = samples();
                let mut moved = samples.clone();
                moved.features.slice_mut(s![50.., ..]).mapv_inplace(|v| 5.0 - v);
                let latent = width(trained.as_ref(), layers, samples.part(Part::All)).unwrap();
                for set in FeatureSet::ALL {
                    let found = features(&samples, set);
                    let expected = match set {
                        FeatureSet::Raw => 9,
                        FeatureSet::Pca => latent.min(9),
                        FeatureSet::RawAutoencoder => 9 + latent,
                        FeatureSet::RandomEncoder | FeatureSet::Autoencoder => latent,
                    };
                    assert_eq!(found.matrix.dim(), (60, expected), "{set:?}");
                    let other = features(&moved, set);
                    assert_eq!(found.scalers, other.scalers, "{set:?}");
                    let fit = s![..50, ..];
                    assert_eq!(found.matrix.slice(fit), other.matrix.slice(fit), "{set:?}");
                }
            }
        }
    }

    #[test]
    fn latents_do_not_depend_on_threads_or_neighbours() {
        let mut rng = Seed::new(8).rng();
        let rows = Matrix::from_shape_simple_fn((2100, 9), || rng.random::<f32>().max(0.6) - 0.6);
        let config: ModelConfig =
            serde_json::from_str(r#"{ "undercomplete": { "hidden_dims": [7], "latent_dim": 3 } }"#)
                .unwrap();
        let model = build(&config, &SampleShape::Vector { len: 9 }, Seed::new(1)).unwrap();
        let encode =
            |rows: MatrixView<'_>| encode_all(model.as_ref(), rows, HiddenLayers::Latent).unwrap();
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| encode(rows.view()))
        };
        let encoded = with(1);
        assert_eq!(encoded, with(2));
        for row in [0, 1027, 2099] {
            assert_eq!(encode(rows.slice(s![row..row + 1, ..])).row(0), encoded.row(row));
        }
    }
}
