//! Few labels: which rows a downstream model may learn from where only a share of them is
//! labelled. The autoencoder is trained on all of them.

use std::collections::BTreeMap;

use hourglass_core::Seed;
use rand::seq::SliceRandom;

/// Rows that are labelled, ascending: a share of the training rows, then of the validation rows,
/// which are labels too. Classes keep their shares, and each class that has a training row keeps at
/// least one.
///
/// Returns the rows and how many of them are training rows. A larger `fraction` under the same seed
/// holds all rows of a smaller one.
///
/// # Shapes
/// - `classes`: one a row, training rows first, `n_train` of them
pub fn labelled_classes(
    classes: &[u32],
    n_train: usize,
    fraction: f64,
    seed: Seed,
) -> (Vec<usize>, usize) {
    let mut labelled = Vec::new();
    for (name, part) in [("train", 0..n_train), ("validation", n_train..classes.len())] {
        let mut of_class: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for row in part {
            of_class.entry(classes[row]).or_default().push(row);
        }
        for (class, rows) in of_class {
            let seed = seed.child(name).nth(u64::from(class));
            labelled.extend(share(rows, fraction, seed));
        }
    }
    counted(labelled, n_train)
}

/// The same where values are predicted: a share of the training rows and one of the validation
/// rows, at least two of the former.
pub fn labelled_values(
    n_rows: usize,
    n_train: usize,
    fraction: f64,
    seed: Seed,
) -> (Vec<usize>, usize) {
    let mut labelled = share((0..n_train).collect(), fraction, seed.child("train"));
    if labelled.len() < 2 {
        labelled = (0..n_train.min(2)).collect();
    }
    labelled.extend(share((n_train..n_rows).collect(), fraction, seed.child("validation")));
    counted(labelled, n_train)
}

/// The first rows in a shuffled order, rounded, at least one.
fn share(mut rows: Vec<usize>, fraction: f64, seed: Seed) -> Vec<usize> {
    rows.shuffle(&mut seed.rng());
    let n = (rows.len() as f64 * fraction).round() as usize;
    rows.truncate(n.max(1));
    rows
}

fn counted(mut rows: Vec<usize>, n_train: usize) -> (Vec<usize>, usize) {
    rows.sort_unstable();
    let n_labelled = rows.partition_point(|&row| row < n_train);
    (rows, n_labelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_keep_their_shares_and_none_is_lost() {
        // 90 % of class 0, 9 % of class 1, and a single row of class 2.
        let classes: Vec<u32> = (0..1000)
            .map(|row| if row == 500 { 2 } else { u32::from(row % 100 >= 90 && row % 10 != 0) })
            .collect();
        let (rows, n_train) = labelled_classes(&classes, 800, 0.1, Seed::new(1));
        let count = |class: u32| rows.iter().filter(|&&row| classes[row] == class).count();
        assert_eq!(rows.len(), n_train + rows.iter().filter(|&&row| row >= 800).count());
        assert!((75..=105).contains(&count(0)), "{}", count(0));
        assert!((7..=12).contains(&count(1)), "{}", count(1));
        assert_eq!(count(2), 1);
        let (more, _) = labelled_classes(&classes, 800, 0.5, Seed::new(1));
        assert!(rows.iter().all(|row| more.contains(row)));
        assert_eq!(labelled_classes(&classes, 800, 1.0, Seed::new(1)).0.len(), 1000);
    }

    #[test]
    fn values_are_a_share_of_each_part() {
        let (rows, n_train) = labelled_values(100, 80, 0.1, Seed::new(1));
        assert_eq!((rows.len(), n_train), (10, 8));
        assert_eq!(labelled_values(10, 8, 0.01, Seed::new(1)).1, 2);
    }
}
