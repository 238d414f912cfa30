//! What came back of the inputs: the table of errors and the fixed samples over the epochs.

use serde::Serialize;

use crate::error::ReportError;
use crate::figure::{Figure, MOST_COLUMNS, Profile};
use crate::model::{FixedSample, Reconstruction, Report};
use crate::{picture, words};

/// Samples drawn of each part, and epochs drawn of each sample: what fits the page's width.
const MOST_SAMPLES: usize = 10;
const MOST_EPOCHS: usize = 6;

#[derive(Serialize)]
pub(super) struct ReconstructionView {
    errors: Vec<ErrorView>,
    losses: Vec<LossView>,
    /// Training, then validation.
    parts: Vec<PartView>,
    is_picture: bool,
    /// What the profiles of vectors leave out.
    note: String,
}

#[derive(Serialize)]
struct ErrorView {
    name: String,
    is_model: bool,
    values: [String; 3],
}

#[derive(Serialize)]
struct LossView {
    name: String,
    values: [String; 2],
}

#[derive(Serialize)]
struct PartView {
    name: &'static str,
    labels: Vec<String>,
    strips: Vec<StripView>,
    profiles: Vec<ProfileView>,
}

/// One row of pictures: all samples at one epoch.
#[derive(Serialize)]
struct StripView {
    label: String,
    pictures: Vec<String>,
}

#[derive(Serialize)]
struct ProfileView {
    label: String,
    svg: String,
}

/// The section, or `None` where the model doesn't reconstruct.
pub(super) fn view(report: &Report) -> Result<Option<ReconstructionView>, ReportError> {
    let Some(reconstruction) = &report.reconstruction else { return Ok(None) };
    let show = |value: Option<f64>| value.map_or_else(|| words::MISSING.into(), words::significant);
    let errors = reconstruction
        .errors
        .iter()
        .map(|row| ErrorView {
            name: words::capital(&words::yardstick(&row.name)),
            is_model: row.name == crate::AUTOENCODER,
            values: [show(row.train), show(row.validation), show(row.test)],
        })
        .collect();
    let losses = reconstruction
        .losses
        .iter()
        .map(|row| LossView {
            name: words::capital(&row.name.replace('_', " ")),
            values: [words::significant(row.validation), words::significant(row.test)],
        })
        .collect();
    let is_picture = picture::is_picture(&reconstruction.shape);
    let mut parts = Vec::new();
    for (name, samples) in
        [("Training", &reconstruction.train), ("Validation", &reconstruction.validation)]
    {
        let samples = &samples[..samples.len().min(MOST_SAMPLES)];
        let part = part(name, samples, reconstruction, is_picture)?;
        if !part.strips.is_empty() || !part.profiles.is_empty() {
            parts.push(part);
        }
    }
    let n_features = reconstruction.shape.n_features();
    let note = if !is_picture && n_features > MOST_COLUMNS {
        format!(
            "The first {MOST_COLUMNS} of {} columns are drawn.",
            words::grouped(n_features as u64)
        )
    } else {
        String::new()
    };
    Ok(Some(ReconstructionView { errors, losses, parts, is_picture, note }))
}

fn part(
    name: &'static str,
    samples: &[FixedSample],
    reconstruction: &Reconstruction,
    is_picture: bool,
) -> Result<PartView, ReportError> {
    let labels = samples.iter().map(|s| s.label.clone().unwrap_or_default()).collect();
    let (mut strips, mut profiles) = (Vec::new(), Vec::new());
    if is_picture {
        strips = self::strips(samples, reconstruction)?;
    } else {
        profiles = samples.iter().enumerate().filter_map(profile).collect();
    }
    Ok(PartView { name, labels, strips, profiles })
}

fn strips(
    samples: &[FixedSample],
    reconstruction: &Reconstruction,
) -> Result<Vec<StripView>, ReportError> {
    let Reconstruction { shape, value_range, .. } = reconstruction;
    let mut strips = Vec::new();
    let mut strip = |label: String, rows: Vec<Option<&[f32]>>| {
        let mut pictures = Vec::new();
        for (sample, values) in rows.into_iter().enumerate() {
            let address = match values {
                Some(values) => picture::data_address(values, shape, *value_range, sample)?,
                None => None,
            };
            pictures.push(address.unwrap_or_default());
        }
        if pictures.iter().any(|picture| !picture.is_empty()) {
            strips.push(StripView { label, pictures });
        }
        Ok::<(), ReportError>(())
    };
    strip("Original".into(), samples.iter().map(|s| Some(s.original.as_slice())).collect())?;
    for i in spread(reconstruction.epochs.len(), MOST_EPOCHS) {
        let label = match reconstruction.epochs[i] {
            0 => "Untrained".into(),
            epoch => format!("Epoch {epoch}"),
        };
        let rows = samples.iter().map(|s| s.reconstructions.get(i).map(Vec::as_slice)).collect();
        strip(label, rows)?;
    }
    Ok(strips)
}

fn profile((i, sample): (usize, &FixedSample)) -> Option<ProfileView> {
    let label = match &sample.label {
        Some(label) => format!("Sample {}: {label}", i + 1),
        None => format!("Sample {}", i + 1),
    };
    let reconstruction = sample.reconstructions.last().cloned().unwrap_or_default();
    let original = sample.original.clone();
    let profile = Profile { label: label.clone(), original, reconstruction };
    Some(ProfileView { label, svg: Figure::Profile(profile).svg()? })
}

/// At most `most` of `n` places, the first and the last among them, evenly spread.
fn spread(n: usize, most: usize) -> Vec<usize> {
    if n <= most { (0..n).collect() } else { (0..most).map(|i| i * (n - 1) / (most - 1)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_epoch_are_always_drawn() {
        assert_eq!(spread(3, 6), [0, 1, 2]);
        assert_eq!(spread(30, 6), [0, 5, 11, 17, 23, 29]);
        assert!(spread(0, 6).is_empty());
    }
}
