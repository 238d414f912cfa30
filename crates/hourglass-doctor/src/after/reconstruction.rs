//! What comes back: copies, the mean, less than principal components give, blur, grids.

use hourglass_core::{MatrixView, SampleShape};

use super::spectrum::{grid_ratio, upper_energy};
use super::{Reconstruction, Reconstructions};
use crate::threshold::{
    BLUR_ENERGY, CHECKERBOARD_PEAK, COPY_RATIO, MEAN_RATIO, OVERFITTED_RECONSTRUCTION, PCA_RATIO,
};
use crate::{Finding, FindingId, Severity};

/// Pixels below which an image has no spectrum worth the name.
const SMALL_IMAGE: usize = 8;

pub(super) fn examine(model: &Reconstruction<'_>) -> Vec<Finding> {
    if let Some(finding) = mean_output(model) {
        // A model that returns the mean has every other fault of a reconstruction too.
        return vec![finding];
    }
    [identity(model), worse_than_pca(model), overfitted(model), blur(model), checkerboard(model)]
        .into_iter()
        .flatten()
        .collect()
}

/// Summed squared error of a row, mean over the rows.
fn error(rows: &Reconstructions<'_>) -> f64 {
    let squares = rows.inputs.iter().zip(rows.outputs).map(|(input, output)| {
        let difference = f64::from(input - output);
        difference * difference
    });
    squares.sum::<f64>() / rows.inputs.nrows().max(1) as f64
}

/// The same with the mean of the training rows in place of every output.
fn error_of_mean(inputs: MatrixView<'_>, mean: &[f32]) -> f64 {
    let squares = inputs.rows().into_iter().map(|row| {
        let of_row = row.iter().zip(mean).map(|(value, mean)| f64::from(value - mean).powi(2));
        of_row.sum::<f64>()
    });
    squares.sum::<f64>() / inputs.nrows().max(1) as f64
}

fn mean_output(model: &Reconstruction<'_>) -> Option<Finding> {
    let found = error(&model.validation);
    let of_mean = error_of_mean(model.validation.inputs, model.train_mean);
    let ratio = found / of_mean;
    if ratio.is_finite() && ratio <= MEAN_RATIO {
        return None;
    }
    let sentence = format!(
        "the reconstruction is no better than the mean of the training rows: squared error \
         {found:.4} against {of_mean:.4}"
    );
    Some(Finding::new(FindingId::MeanOutput, Severity::Error, sentence).measured(
        "error over that of the mean",
        ratio,
        MEAN_RATIO,
    ))
}

fn identity(model: &Reconstruction<'_>) -> Option<Finding> {
    let of_shuffled =
        error(&model.shuffled) / error_of_mean(model.shuffled.inputs, model.train_mean);
    if of_shuffled >= COPY_RATIO {
        return None;
    }
    let sentence = format!(
        "the model copies: rows with independently shuffled columns come back with {:.1} % of the \
         error that the mean makes, though they look like nothing it was trained on",
        of_shuffled * 100.0
    );
    // A sparse or denoising code may hold any input and yet be good features.
    let severity = if model.is_constrained { Severity::Note } else { Severity::Warning };
    Some(Finding::new(FindingId::IdentityLearning, severity, sentence).measured(
        "error on shuffled columns over that of the mean",
        of_shuffled,
        COPY_RATIO,
    ))
}

fn worse_than_pca(model: &Reconstruction<'_>) -> Option<Finding> {
    let of_pca = model.pca_error.filter(|&error| error > 0.0)?;
    let found = error(&model.validation);
    let ratio = found / of_pca;
    if model.is_constrained || ratio <= PCA_RATIO {
        return None;
    }
    let sentence = format!(
        "principal components of the same width reconstruct better: squared error {found:.4} \
         against {of_pca:.4}"
    );
    Some(Finding::new(FindingId::WorseThanPca, Severity::Warning, sentence).measured(
        "error over that of principal components",
        ratio,
        PCA_RATIO,
    ))
}

fn overfitted(model: &Reconstruction<'_>) -> Option<Finding> {
    let (train, validation) = (error(&model.train), error(&model.validation));
    let ratio = validation / train;
    if ratio <= OVERFITTED_RECONSTRUCTION {
        return None;
    }
    let sentence = format!(
        "validation rows come back {ratio:.2} times as badly as training rows: squared error \
         {validation:.4} against {train:.4}"
    );
    Some(Finding::new(FindingId::OverfittedReconstruction, Severity::Warning, sentence).measured(
        "validation over training error",
        ratio,
        OVERFITTED_RECONSTRUCTION,
    ))
}

fn image_size(shape: &SampleShape) -> Option<(usize, usize)> {
    match shape {
        SampleShape::Image { height, width, .. } if *height.min(width) >= SMALL_IMAGE => {
            Some((*height, *width))
        }
        _ => None,
    }
}

fn blur(model: &Reconstruction<'_>) -> Option<Finding> {
    let size = image_size(model.shape)?;
    let data = upper_energy(model.validation.inputs, size);
    let share = upper_energy(model.validation.outputs, size) / data;
    if !share.is_finite() || share >= BLUR_ENERGY {
        return None;
    }
    let sentence = format!(
        "reconstructions are blurred: {:.0} % of the energy in the upper half of the spatial \
         frequencies comes back",
        share * 100.0
    );
    Some(Finding::new(FindingId::Blur, Severity::Warning, sentence).measured(
        "energy of the upper frequencies that comes back",
        share,
        BLUR_ENERGY,
    ))
}

fn checkerboard(model: &Reconstruction<'_>) -> Option<Finding> {
    let (size, stride) = (image_size(model.shape)?, model.stride?);
    let data = grid_ratio(model.validation.inputs, size, stride);
    let peak = grid_ratio(model.validation.outputs, size, stride) / data;
    if !peak.is_finite() || peak <= CHECKERBOARD_PEAK {
        return None;
    }
    let sentence = format!(
        "a grid lies over the reconstructions: energy at a period of {stride} pixels stands out \
         {peak:.1} times as much as in the data"
    );
    Some(Finding::new(FindingId::Checkerboard, Severity::Warning, sentence).measured(
        "peak at the stride, relative to the data's",
        peak,
        CHECKERBOARD_PEAK,
    ))
}
