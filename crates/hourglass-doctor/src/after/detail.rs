//! Whether the columns that come back are those that tell the classes apart.

use hourglass_core::MatrixView;
use ndarray::ArrayView1;

use super::{Labels, Reconstruction};
use crate::threshold::{DETAIL_EXPLAINED, DETAIL_LOST};
use crate::{Finding, FindingId, Severity};

/// Bins of equal numbers of rows that a column is cut into.
const BINS: usize = 8;

/// Nats of all columns together below which the classes can't be told from single columns.
const TOO_LITTLE: f64 = 0.05;

pub(super) fn examine(model: &Reconstruction<'_>) -> Option<Finding> {
    let labels = model.labels.as_ref()?;
    let (inputs, outputs) = (model.train.inputs, model.train.outputs);
    let explained = explained(inputs, outputs);
    let variance: Vec<f64> = inputs.columns().into_iter().map(variance).collect();
    let nats: Vec<f64> =
        inputs.columns().into_iter().map(|column| information(column, labels)).collect();
    if nats.iter().sum::<f64>() < TOO_LITTLE {
        return None;
    }
    let weighted = |weights: &[f64]| {
        let sum: f64 = weights.iter().zip(&explained).map(|(weight, share)| weight * share).sum();
        sum / weights.iter().sum::<f64>()
    };
    let (of_variance, of_information) = (weighted(&variance), weighted(&nats));
    let kept = of_information / of_variance;
    if of_variance < DETAIL_EXPLAINED || kept.is_nan() || kept >= DETAIL_LOST {
        return None;
    }
    let sentence = format!(
        "the model keeps what is large, not what matters: {:.0} % of the variance comes back, but \
         of the columns that tell the classes apart {:.0} %",
        of_variance * 100.0,
        of_information * 100.0
    );
    let wide_enough = standard_width(inputs).max(model.architecture.latent_dim);
    let key = model.architecture.key_of("latent_dim");
    Some(
        Finding::new(FindingId::IrrelevantDetail, Severity::Warning, sentence)
            .measured("explained, by information over by variance", kept, DETAIL_LOST)
            .shown("share explained, by variance", of_variance)
            .shown("share explained, by information on the classes", of_information)
            .cured_by("preprocess.numeric", "\"standard\"", "every column counts alike")
            .cured_by_all(
                [
                    ("preprocess.numeric".to_owned(), "\"standard\"".to_owned()),
                    (key.clone(), wide_enough.to_string()),
                ],
                "every column counts alike, and so many components hold nine tenths of them",
            )
            .cured_by(
                key,
                (2 * model.architecture.latent_dim).to_string(),
                "room for what varies less",
            ),
    )
}

/// Principal components that hold nine tenths of the variance of the columns once these are brought
/// to one scale.
fn standard_width(rows: MatrixView<'_>) -> usize {
    let mut standard = rows.to_owned();
    for mut column in standard.columns_mut() {
        let (mean, std) = (column.mean().unwrap_or(0.0), column.std(0.0));
        column.mapv_inplace(|value| if std > 0.0 { (value - mean) / std } else { 0.0 });
    }
    let shares = super::variance_shares(standard.view());
    let mut sum = 0.0;
    let below = shares.iter().take_while(|&&share| {
        sum += share;
        sum < 0.9
    });
    (below.count() + 1).min(rows.ncols())
}

/// Share of the variance of each column that comes back, at least 0.
fn explained(inputs: MatrixView<'_>, outputs: MatrixView<'_>) -> Vec<f64> {
    let pairs = inputs.columns().into_iter().zip(outputs.columns());
    let share = |(input, output): (ArrayView1<'_, f32>, ArrayView1<'_, f32>)| {
        let squares = input.iter().zip(output).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        let left = squares / input.len().max(1) as f64 / variance(input);
        if left.is_finite() { (1.0 - left).max(0.0) } else { 0.0 }
    };
    pairs.map(share).collect()
}

fn variance(column: ArrayView1<'_, f32>) -> f64 {
    let n = column.len().max(1) as f64;
    let mean = column.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
    column.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / n
}

/// Mutual information of a column with the classes in nats, the column in bins of equal numbers,
/// less what chance gives.
///
/// # Source
/// The correction is that of Miller, *Note on the bias of information estimates*, 1955.
fn information(column: ArrayView1<'_, f32>, labels: &Labels<'_>) -> f64 {
    let n = column.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| column[a].total_cmp(&column[b]));
    let mut counts = vec![vec![0.0_f64; labels.n_classes]; BINS];
    let mut bin = 0;
    for (rank, &row) in order.iter().enumerate() {
        let wanted = rank * BINS / n.max(1);
        // Equal values belong into one bin.
        if wanted > bin && column[row] > column[order[rank - 1]] {
            bin = wanted;
        }
        counts[bin][labels.classes[row] as usize] += 1.0;
    }
    let total = n as f64;
    let of_bin: Vec<f64> = counts.iter().map(|bin| bin.iter().sum()).collect();
    let of_class: Vec<f64> =
        (0..labels.n_classes).map(|class| counts.iter().map(|bin| bin[class]).sum()).collect();
    let mut nats = 0.0;
    for (bin, in_bin) in counts.iter().zip(&of_bin) {
        for (&count, in_class) in bin.iter().zip(&of_class) {
            if count > 0.0 {
                nats += count / total * (count * total / (in_bin * in_class)).ln();
            }
        }
    }
    let used = |counts: &[f64]| counts.iter().filter(|&&count| count > 0.0).count() as f64;
    (nats - (used(&of_bin) - 1.0) * (used(&of_class) - 1.0) / (2.0 * total)).max(0.0)
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    #[test]
    fn a_column_that_is_the_class_holds_its_entropy() {
        let classes: Vec<u32> = (0..400).map(|row| row % 2).collect();
        let labels = Labels { classes: &classes, n_classes: 2 };
        let same: Array1<f32> = classes.iter().map(|&class| class as f32).collect();
        let nats = information(same.view(), &labels);
        assert!((nats - 2.0_f64.ln()).abs() < 0.01, "{nats}");
        let other: Array1<f32> = (0..400).map(|row| ((row / 2 * 7) % 100) as f32).collect();
        assert!(information(other.view(), &labels) < 0.02);
    }
}
