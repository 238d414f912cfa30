//! What the report shows of the autoencoder itself: how well rows come back, beside simple
//! yardsticks, and a map of the latent. It knows no classifier.

use hourglass_core::{ColumnMoments, MatrixView, Part, Samples, Seed};
use hourglass_features::{
    HiddenLayers, Pca, encode_all, mean_losses, reconstruct_all, squared_error,
};
use hourglass_models::Autoencoder;
use hourglass_report::{LatentMap, PartLoss, ReconstructionError, rounded};
use hourglass_train::TrainConfig;
use ndarray::{Array1, Axis, s};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Points of the latent map at most; more are a blot.
const MAP_POINTS: usize = 2000;

/// Width of the PCA yardstick where the latent is wider than the data, so that PCA of its width
/// would say nothing: the 30 of Hinton and Salakhutdinov, *Reducing the Dimensionality of Data
/// with Neural Networks*, Science 313 (2006).
const PCA_YARDSTICK: usize = 30;

/// What the figures stage keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) errors: Vec<ReconstructionError>,
    /// The loss by part; empty where it is nothing but a reconstruction.
    pub(crate) losses: Vec<PartLoss>,
    /// The first samples of the training part and of the validation part, as the model sees them.
    pub(crate) originals: [Vec<Vec<f32>>; 2],
    pub(crate) latent_map: Option<LatentMap>,
}

impl Figures {
    /// Measures a trained model; with `n_pictures`, also keeps that many samples of each part and
    /// draws the map.
    pub(crate) fn of(
        samples: &Samples,
        trained: &dyn Autoencoder,
        train: &TrainConfig,
        n_pictures: usize,
        seed: Seed,
    ) -> Result<Figures, Error> {
        let first = |part| {
            let rows = samples.part(part);
            let rows = rows.rows().into_iter().take(n_pictures);
            rows.map(|row| rounded(&row.to_vec())).collect()
        };
        Ok(Figures {
            errors: errors(samples, trained, train.batch_size)?,
            losses: losses(samples, trained, train, seed)?,
            originals: [first(Part::Train), first(Part::Validation)],
            latent_map: if n_pictures > 0 { latent_map(samples, trained)? } else { None },
        })
    }
}

fn losses(
    samples: &Samples,
    trained: &dyn Autoencoder,
    train: &TrainConfig,
    seed: Seed,
) -> Result<Vec<PartLoss>, Error> {
    let of = |part| mean_losses(trained, samples.part(part), &train.loss, train.batch_size, seed);
    let (validation, test) = (of(Part::Validation)?, of(Part::Test)?);
    if validation.len() < 2 {
        return Ok(Vec::new());
    }
    let pairs = validation.into_iter().zip(test);
    let row = |((name, validation), (_, test))| PartLoss { name, validation, test };
    Ok(pairs.map(row).collect())
}

fn errors(
    samples: &Samples,
    trained: &dyn Autoencoder,
    batch_size: usize,
) -> Result<Vec<ReconstructionError>, Error> {
    let of_parts = |name: String, error: &dyn Fn(MatrixView<'_>) -> Result<f64, Error>| {
        let part = |part| error(samples.part(part)).map(Some);
        Ok::<_, Error>(ReconstructionError {
            name,
            train: part(Part::Train)?,
            validation: part(Part::Validation)?,
            test: part(Part::Test)?,
        })
    };
    let train = samples.part(Part::Train);
    let mean: Array1<f32> =
        ColumnMoments::of(train).mean.into_iter().map(|mean| mean as f32).collect();
    let mut errors = vec![of_parts("mean of the training part".to_owned(), &|rows| {
        let output = mean.broadcast(rows.dim()).expect("one mean a column");
        Ok(squared_error(rows, output))
    })?];
    let n_features = train.ncols();
    let wanted =
        if trained.latent_dim() < n_features { trained.latent_dim() } else { PCA_YARDSTICK };
    if wanted < n_features.min(train.nrows()) {
        let pca = Pca::fit(train, wanted)?;
        let name = format!("pca ({})", pca.n_components());
        errors.push(of_parts(name, &|rows| Ok(pca.squared_error(rows)?))?);
    }
    errors.push(of_parts("autoencoder".to_owned(), &|rows| {
        reconstruction_error(trained, rows, batch_size)
    })?);
    Ok(errors)
}

/// Summed squared error of a sample, mean over the rows.
pub(crate) fn reconstruction_error(
    trained: &dyn Autoencoder,
    rows: MatrixView<'_>,
    batch_size: usize,
) -> Result<f64, Error> {
    // In the batches of the training, whose rows may compete with each other; and never more than
    // one of them beside the data.
    let mut sum = 0.0;
    for batch in rows.axis_chunks_iter(Axis(0), batch_size) {
        let output = reconstruct_all(trained, batch, batch_size)?;
        sum += squared_error(batch, output.view()) * batch.nrows() as f64;
    }
    Ok(sum / rows.nrows() as f64)
}

/// The first two principal components of the latent, fitted on training rows, of test rows.
fn latent_map(samples: &Samples, trained: &dyn Autoencoder) -> Result<Option<LatentMap>, Error> {
    let first = |part| {
        let rows = samples.part(part);
        let n_rows = rows.nrows().min(MAP_POINTS);
        encode_all(trained, rows.slice(s![..n_rows, ..]), HiddenLayers::Latent)
    };
    let (train, test) = (first(Part::Train)?, first(Part::Test)?);
    if train.ncols() < 2 || train.nrows() < 3 {
        return Ok(None);
    }
    let pca = Pca::fit(train.view(), 2)?;
    if pca.n_components() < 2 {
        return Ok(None);
    }
    let points: Vec<[f32; 2]> = pca
        .transform(test.view())?
        .rows()
        .into_iter()
        .map(|row| rounded(&[row[0], row[1]]))
        .map(|point| [point[0], point[1]])
        .collect();
    let classes = samples.class_ids(Part::Test).unwrap_or_default();
    let share = pca.explained_variance_ratio();
    Ok(Some(LatentMap {
        method: "first two principal components of the latent, test rows".to_owned(),
        classes: classes.iter().take(points.len()).copied().collect(),
        points,
        explained_variance: Some([share[0], share[1]]),
    }))
}
