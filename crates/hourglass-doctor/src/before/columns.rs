//! What single columns show: scale, outliers, codes, constants, copies, leaks.

use std::collections::{BTreeMap, BTreeSet};

use hourglass_core::{ColumnKind, ColumnMoments, Part, SampleShape, Samples};

use crate::sample::{auc, quantile, sorted_columns};
use crate::threshold::{
    CODED_MISSING_GAP, CODED_MISSING_ROWS, CODED_MISSING_SHARE, LEAKED_AUC, OUTLIER_REACH,
    UNSCALED_LEVEL, UNSCALED_SPREAD,
};
use crate::{Finding, FindingId, Severity};

/// Columns with fewer values than this are codes, not measurements.
const FEW_VALUES: usize = 20;

/// Names that a sentence lists.
const NAMES: usize = 3;

pub(super) fn examine(
    samples: &Samples,
    moments: &ColumnMoments,
    columns: &[Vec<f32>],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(unscaled(samples, moments));
    findings.extend(outliers(samples, columns));
    findings.extend(missing_codes(samples, &coded(columns)));
    findings.extend(constant(samples, moments));
    findings.extend(duplicates(samples, moments));
    findings.extend(leakage(samples));
    findings
}

fn unscaled(samples: &Samples, moments: &ColumnMoments) -> Option<Finding> {
    let level = |column: usize| moments.min[column].abs().max(moments.max[column].abs());
    let highest = (0..moments.mean.len()).max_by(|&a, &b| level(a).total_cmp(&level(b)))?;
    let mut spreads: Vec<f64> = moments.std.iter().copied().filter(|&std| std > 0.0).collect();
    spreads.sort_by(f64::total_cmp);
    let ratio = spreads.last()? / spreads[spreads.len() / 2];
    let highest_level = f64::from(level(highest));
    // Large values alone are outliers of scaled columns; large spreads are no scaling at all.
    let is_large = highest_level > UNSCALED_LEVEL && *spreads.last()? > UNSCALED_LEVEL / 2.0;
    if ratio <= UNSCALED_SPREAD && !is_large {
        return None;
    }
    let sentence = format!(
        "inputs are not scaled: `{}` reaches {highest_level:.4}, and the widest column spreads \
         {ratio:.0} times as far as the median one",
        samples.feature_names[highest]
    );
    Some(
        Finding::new(FindingId::UnscaledInputs, Severity::Warning, sentence)
            .measured("largest absolute value", highest_level, UNSCALED_LEVEL)
            .measured("largest over median standard deviation", ratio, UNSCALED_SPREAD)
            .cured_by("preprocess.numeric", "\"standard\"", "each column gets mean 0, spread 1"),
    )
}

fn outliers(samples: &Samples, columns: &[Vec<f32>]) -> Option<Finding> {
    let reach = |values: &[f32]| {
        let (low, high) = (quantile(values, 0.01), quantile(values, 0.99));
        let range = quantile(values, 1.0) - quantile(values, 0.0);
        // A column that is mostly one value has no scale that an outlier could rule.
        let middle = quantile(values, 0.75) - quantile(values, 0.25);
        (middle > 0.0).then(|| f64::from((high - low) / range))
    };
    let ruled: Vec<(usize, f64)> = columns
        .iter()
        .enumerate()
        .filter_map(|(column, values)| Some((column, reach(values)?)))
        .filter(|&(_, reach)| reach < OUTLIER_REACH)
        .collect();
    let &(worst, reach) = ruled.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let sentence = format!(
        "outliers rule the scale of {} column(s): the central 98 % of `{}` fill {:.1} % of its \
         range",
        ruled.len(),
        samples.feature_names[worst],
        reach * 100.0
    );
    Some(
        Finding::new(FindingId::Outliers, Severity::Warning, sentence)
            .measured("share of the range that holds the central 98 %", reach, OUTLIER_REACH)
            .shown("columns", ruled.len() as f64)
            .cured_by(
                "preprocess.clip",
                "[0.01, 0.99]",
                "what lies beyond a quantile is set to it (Huber, 1981)",
            )
            .cured_by(
                "preprocess.numeric",
                "{ quantile = { output = \"normal\" } }",
                "ranks know no outlier",
            ),
    )
}

/// Missing values coded as numbers, as [`before`](crate::before) finds them, of rows as they were
/// read: where columns are mapped by rank, whatever is frequent at an end comes to lie apart, and
/// only there a value can be seen to be one that is typed for what is missing.
///
/// # Shapes
/// - `samples.features`: `(n_samples, n_features)`
pub fn coded_missing(samples: &Samples) -> Option<Finding> {
    missing_codes(samples, &coded_as_read(&sorted_columns(samples.part(Part::Train))))
}

fn missing_codes(samples: &Samples, coded: &[(usize, End)]) -> Option<Finding> {
    if matches!(samples.shape, SampleShape::Image { .. }) {
        // Paper is white where nothing was drawn.
        return None;
    }
    let &(worst, End { share, gap, .. }) =
        coded.iter().max_by(|a, b| a.1.share.total_cmp(&b.1.share))?;
    let names = names(samples, coded.iter().map(|&(column, _)| column));
    let sentence = format!(
        "missing values may be coded as numbers in {names}: {:.1} % of `{}` is one value that lies \
         apart from all others",
        share * 100.0,
        samples.feature_names[worst]
    );
    Some(
        Finding::new(FindingId::CodedMissing, Severity::Warning, sentence)
            .measured("share of the isolated value", share, CODED_MISSING_SHARE)
            .measured("its distance, in ranges of the rest", gap, CODED_MISSING_GAP),
    )
}

/// The value at an end of a column.
#[derive(Clone, Copy)]
struct End {
    value: f32,
    /// Rows that have it.
    n_rows: usize,
    /// Their share.
    share: f64,
    /// How far it lies from the next value, in ranges of the rest.
    gap: f64,
    /// Whether it is a number that is typed for what is missing.
    is_typed: bool,
}

/// Whether a number is one that is typed for what is missing: sevens, eights or nines alone (as
/// surveys code what is refused, doesn't apply or isn't known), or a number that can't be measured,
/// below 0 where all others are not; or 0 below all others, where it isn't what most rows have.
///
/// # Source
/// Pearson, *The problem of disguised missing data*, SIGKDD Explorations 8 (2006).
fn is_typed(value: f32, share: f64, lowest_other: f32) -> bool {
    let digits = value.abs().to_string();
    let of_one_digit = ['7', '8', '9'].iter().any(|&digit| digits.chars().all(|c| c == digit));
    let is_impossible = value < 0.0 && lowest_other >= 0.0;
    let is_zero = value == 0.0 && lowest_other > 0.0 && share <= 0.5;
    of_one_digit || is_impossible || is_zero
}

/// The columns that have a code at an end, where they are as they were read.
fn coded_as_read(columns: &[Vec<f32>]) -> Vec<(usize, End)> {
    coded(columns).into_iter().filter(|(_, end)| end.is_typed).collect()
}

/// The columns that have a code at an end, and that end.
fn coded(columns: &[Vec<f32>]) -> Vec<(usize, End)> {
    let ends = columns.iter().map(|values| isolated_end(values)).enumerate();
    let is_code = |end: &End| {
        end.n_rows as f64 >= CODED_MISSING_ROWS
            && end.share >= CODED_MISSING_SHARE
            && end.gap >= CODED_MISSING_GAP
    };
    ends.filter_map(|(column, end)| Some((column, end.filter(is_code)?))).collect()
}

/// The values that look like codes for missing ones, by the name of their column.
///
/// # Shapes
/// - `samples.features`: `(n_samples, n_features)`, as they were read: a scaled code is no code
pub fn coded_values(samples: &Samples) -> Vec<(String, f32)> {
    let columns = sorted_columns(samples.part(Part::Train));
    let name = |column: usize| samples.feature_names[column].clone();
    coded_as_read(&columns).into_iter().map(|(column, end)| (name(column), end.value)).collect()
}

/// The lonelier end of a column.
fn isolated_end(sorted: &[f32]) -> Option<End> {
    let (&low, &high) = (sorted.first()?, sorted.last()?);
    let n_low = sorted.iter().take_while(|&&value| value == low).count();
    let n_high = sorted.iter().rev().take_while(|&&value| value == high).count();
    let end = |rest: &[f32], value: f32, n: usize| {
        let (first, last) = (*rest.first()?, *rest.last()?);
        let n_values = 1 + rest.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let near = if (first - value).abs() < (last - value).abs() { first } else { last };
        let gap = f64::from((near - value).abs() / (last - first));
        let share = n as f64 / sorted.len() as f64;
        let is_typed = is_typed(value, share, first);
        (n_values >= FEW_VALUES).then_some(End { value, n_rows: n, share, gap, is_typed })
    };
    let ends =
        [end(&sorted[n_low..], low, n_low), end(&sorted[..sorted.len() - n_high], high, n_high)];
    ends.into_iter().flatten().max_by(|a, b| a.gap.total_cmp(&b.gap))
}

fn constant(samples: &Samples, moments: &ColumnMoments) -> Option<Finding> {
    let constant: Vec<usize> = (0..moments.std.len())
        .filter(|&column| moments.min[column] == moments.max[column])
        .collect();
    if constant.is_empty() {
        return None;
    }
    let sentence = format!(
        "{} of {} columns never change on the training rows, such as {}",
        constant.len(),
        moments.std.len(),
        names(samples, constant.iter().copied())
    );
    Some(
        Finding::new(FindingId::ConstantColumns, Severity::Note, sentence)
            .shown("constant columns", constant.len() as f64)
            .cured_by("preprocess.drop_constant_columns", "true", "they carry nothing"),
    )
}

fn duplicates(samples: &Samples, moments: &ColumnMoments) -> Option<Finding> {
    let train = samples.part(Part::Train);
    let mut hashes = vec![0_u64; train.ncols()];
    for row in train.rows() {
        for (hash, value) in hashes.iter_mut().zip(row) {
            *hash = (hash.rotate_left(5) ^ u64::from(value.to_bits())).wrapping_mul(HASH_FACTOR);
        }
    }
    let mut first_with: BTreeMap<u64, usize> = BTreeMap::new();
    let mut pairs = Vec::new();
    for (column, &hash) in hashes.iter().enumerate() {
        if moments.min[column] == moments.max[column] {
            continue;
        }
        let first = *first_with.entry(hash).or_insert(column);
        if first != column && train.column(first) == train.column(column) {
            pairs.push((first, column));
        }
    }
    // Single levels of categories may well coincide; a category is a copy where all of them do.
    let has_twin: BTreeSet<usize> = pairs.iter().map(|&(_, second)| second).collect();
    let is_copy = |column: usize| {
        let groups = samples.shape.groups().iter();
        let category = groups
            .filter(|group| group.kind == ColumnKind::Categorical)
            .find(|group| group.columns.contains(&column));
        category.is_none_or(|group| {
            group.columns.clone().all(|c| has_twin.contains(&c) || moments.min[c] == moments.max[c])
        })
    };
    pairs.retain(|&(_, second)| is_copy(second));
    let &(first, second) = pairs.first()?;
    let (a, b) = (&samples.feature_names[first], &samples.feature_names[second]);
    let sentence = format!(
        "{} column(s) repeat another one on every training row, such as `{b}` and `{a}`",
        pairs.len()
    );
    // Pixels at the rim of an image are equal where nothing was ever drawn there.
    let is_table = !matches!(samples.shape, SampleShape::Image { .. });
    let severity = if is_table { Severity::Warning } else { Severity::Note };
    Some(
        Finding::new(FindingId::DuplicateColumns, severity, sentence)
            .shown("pairs of equal columns", pairs.len() as f64)
            .cured_by("preprocess.drop_duplicate_columns", "true", "one of each is enough"),
    )
}

/// Multiplier of the hash: 2^64 over the golden ratio, as in Fibonacci hashing (Knuth, The Art of
/// Computer Programming, volume 3, section 6.4).
pub(super) const HASH_FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

fn leakage(samples: &Samples) -> Option<Finding> {
    let classes = samples.class_ids(Part::Train)?;
    if samples.targets.class_names()?.len() != 2 {
        return None;
    }
    let is_class: Vec<bool> = classes.iter().map(|&class| class == 1).collect();
    let train = samples.part(Part::Train);
    let separates = |column: usize| {
        let area = auc(train.column(column).iter().copied(), &is_class);
        area.max(1.0 - area)
    };
    let areas: Vec<f64> = (0..train.ncols()).map(separates).collect();
    let best = (0..areas.len()).max_by(|&a, &b| areas[a].total_cmp(&areas[b]))?;
    if areas[best] < LEAKED_AUC {
        return None;
    }
    let name = &samples.feature_names[best];
    let sentence = format!(
        "`{name}` alone separates the classes (area under the ROC curve {:.4}): it may have been \
         made from the label",
        areas[best]
    );
    Some(
        Finding::new(FindingId::LabelLeakage, Severity::Error, sentence)
            .measured("area under the ROC curve of the column", areas[best], LEAKED_AUC)
            .cured_by(
                "data.select",
                format!("\"name != '{name}'\""),
                "it is left out, unless it is known before the label is",
            ),
    )
}

fn names(samples: &Samples, columns: impl Iterator<Item = usize>) -> String {
    let quoted = columns.take(NAMES).map(|column| format!("`{}`", samples.feature_names[column]));
    quoted.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_repeats_and_a_single_value_apart_is_an_outlier() {
        let column = |n_apart: usize| {
            let apart = std::iter::repeat_n(-99.0, n_apart);
            apart.chain((0..150_u16).map(|i| f32::from(i) / 150.0)).collect::<Vec<f32>>()
        };
        let n_coded = |n_apart| coded(&[column(n_apart)]).len();
        // One of 151 rows is more than the share that counts.
        assert_eq!([0, 1, 2, 3, 9].map(n_coded), [0, 0, 0, 1, 1]);
    }

    #[test]
    fn what_is_typed_for_missing_values_is_known_from_what_was_measured() {
        for (value, share, lowest_other, expected) in [
            (-99.0, 0.1, -3.0, true),
            (99_999.0, 0.006, 0.0, true),
            (-200.0, 0.1, 0.1, true),
            (0.0, 0.49, 12.0, true),
            // A floor that most rows lie on, a longest term, a reading that is cut off.
            (0.0, 0.72, 12.5, false),
            (72.0, 0.01, 4.0, false),
            (-1.0, 0.05, -0.9, false),
            (0.871, 0.03, 0.385, false),
        ] {
            assert_eq!(is_typed(value, share, lowest_other), expected, "{value}");
        }
    }
}
