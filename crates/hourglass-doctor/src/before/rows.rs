//! What whole rows show: copies across the split, and classes of unequal size.

use std::collections::BTreeMap;

use hourglass_core::{MatrixView, Part, Samples};
use ndarray::ArrayView1;

use super::Settings;
use super::columns::HASH_FACTOR;
use crate::threshold::{DUPLICATE_ROWS, IMBALANCE};
use crate::{Finding, FindingId, Severity};

pub(super) fn examine(settings: &Settings, samples: &Samples) -> Vec<Finding> {
    duplicates(samples).into_iter().chain(imbalance(settings, samples)).collect()
}

fn duplicates(samples: &Samples) -> Option<Finding> {
    let train = samples.part(Part::Train);
    let mut rows_with: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, row) in train.rows().into_iter().enumerate() {
        rows_with.entry(hash(row)).or_default().push(index);
    }
    let share = |part: MatrixView<'_>| {
        let is_known = |row: &ArrayView1<'_, f32>| {
            let candidates = rows_with.get(&hash(*row));
            candidates.is_some_and(|rows| rows.iter().any(|&index| train.row(index) == *row))
        };
        let n_known = part.rows().into_iter().filter(is_known).count();
        n_known as f64 / part.nrows().max(1) as f64
    };
    let validation = share(samples.part(Part::Validation));
    let test = share(samples.part(Part::Test));
    if validation.max(test) <= DUPLICATE_ROWS {
        return None;
    }
    let sentence = format!(
        "{:.1} % of the validation rows and {:.1} % of the test rows stand in the training part \
         too",
        validation * 100.0,
        test * 100.0
    );
    Some(
        Finding::new(FindingId::DuplicateRows, Severity::Warning, sentence)
            .measured("share of validation rows", validation, DUPLICATE_ROWS)
            .measured("share of test rows", test, DUPLICATE_ROWS)
            .cured_by(
                "split.by",
                "\"equal_rows\"",
                "rows that are equal go to the same part (Kaufman et al., KDD 2011)",
            ),
    )
}

fn hash(row: ArrayView1<'_, f32>) -> u64 {
    row.iter().fold(0, |hash: u64, value| {
        (hash.rotate_left(5) ^ u64::from(value.to_bits())).wrapping_mul(HASH_FACTOR)
    })
}

fn imbalance(settings: &Settings, samples: &Samples) -> Option<Finding> {
    let ids = samples.class_ids(Part::Train)?;
    let names = samples.targets.class_names()?;
    let mut counts = vec![0_usize; names.len()];
    for &id in ids {
        counts[id as usize] += 1;
    }
    let largest = (0..counts.len()).max_by_key(|&class| counts[class])?;
    let smallest = (0..counts.len()).min_by_key(|&class| counts[class])?;
    let ratio = counts[largest] as f64 / counts[smallest].max(1) as f64;
    if ratio <= IMBALANCE {
        return None;
    }
    let sentence = format!(
        "class `{}` has {} training rows and class `{}` {}: {ratio:.0} to 1",
        names[largest], counts[largest], names[smallest], counts[smallest]
    );
    let severity = if settings.counts_classes_alike { Severity::Note } else { Severity::Warning };
    Some(
        Finding::new(FindingId::ClassImbalance, severity, sentence)
            .measured("largest over smallest class", ratio, IMBALANCE)
            .cured_by_all(
                [
                    ("downstream.metric".into(), "\"balanced_accuracy\"".into()),
                    ("downstream.class_weight".into(), "\"balanced\"".into()),
                ],
                "every class counts alike, where it is judged and where it is fitted (Brodersen et \
                 al., ICPR 2010; King and Zeng, 2001)",
            )
            .cured_by(
                "downstream.metric",
                "\"balanced_accuracy\"",
                "the same where the models take no weights",
            ),
    )
}
