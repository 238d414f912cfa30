//! Which rows are fitted on, chosen on and judged on. It looks at targets, never at features.

use std::cmp::Reverse;

use hourglass_core::{Seed, Targets};
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Share of the rows that become test rows where the source publishes none and the file is silent.
const DEFAULT_TEST: f32 = 0.2;

/// How rows are divided. Splits are stratified: every class is divided in the same proportion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct SplitConfig {
    /// Share of the training rows that are set aside for choices, above 0 and below 1.
    pub validation: f32,
    /// Share of all rows that are set aside for the final judgement, above 0 and below 1; 0.2
    /// where absent. Only for sources without test rows of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<f32>,
    /// Cross-validation: the rows are cut into this many folds, 2 or more, and each is the test part
    /// once. Only for sources without test rows of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub folds: Option<usize>,
}

impl Default for SplitConfig {
    fn default() -> Self {
        SplitConfig { validation: 0.1, test: None, folds: None }
    }
}

impl SplitConfig {
    /// Checks the fractions.
    ///
    /// `publishes_test` says whether the source has test rows of its own
    /// ([`DataConfig::publishes_test`](crate::DataConfig::publishes_test)).
    ///
    /// # Errors
    /// [`Error::Config`] for a fraction that isn't between 0 and 1, or a test fraction where the
    /// test rows are published; fewer than two folds, or folds beside a test fraction or published
    /// test rows.
    pub fn check(&self, publishes_test: bool) -> Result<(), Error> {
        fraction("split.validation", self.validation)?;
        if let Some(folds) = self.folds {
            let (problem, hint) = match (folds, self.test, publishes_test) {
                (0 | 1, ..) => (format!("is {folds}"), "use 2 or more; 5 and 10 are usual"),
                (_, Some(_), _) => (
                    format!("is {folds} beside `split.test`"),
                    "delete one of them: with folds, each fold is the test part once",
                ),
                (.., true) => (
                    format!("is {folds}, but the source comes with test rows of its own"),
                    "delete it: published test rows are used as published",
                ),
                _ => return Ok(()),
            };
            return Err(Error::config("split.folds", problem, hint));
        }
        let Some(test) = self.test else { return Ok(()) };
        fraction("split.test", test)?;
        if publishes_test {
            return Err(Error::config(
                "split.test",
                format!("is {test}, but the source comes with test rows of its own"),
                "delete it: published test rows are used as published",
            ));
        }
        Ok(())
    }
}

impl SplitConfig {
    /// In how many ways the rows are divided: the number of folds, else 1.
    pub fn n_folds(&self) -> usize {
        self.folds.unwrap_or(1)
    }
}

fn fraction(field: &str, value: f32) -> Result<(), Error> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(Error::config(field, format!("is {value}"), "choose a share above 0 and below 1"))
}

/// Rows of the training table that go to each part, each in ascending order.
#[derive(Debug, PartialEq)]
pub(crate) struct Split {
    pub train: Vec<usize>,
    pub validation: Vec<usize>,
    /// Empty where test rows are published.
    pub test: Vec<usize>,
}

/// Divides the rows of the training table.
pub(crate) fn split(
    targets: &Targets,
    config: &SplitConfig,
    publishes_test: bool,
    seed: Seed,
    fold: usize,
) -> Result<Split, Error> {
    config.check(publishes_test)?;
    assert!(fold < config.n_folds(), "fold {fold} of {}", config.n_folds());
    let seed = seed.child("split");
    let all: Vec<usize> = (0..targets.len()).collect();
    let (rest, test) = if publishes_test {
        (all, Vec::new())
    } else if let Some(folds) = config.folds {
        set_fold_aside(targets, folds, fold, seed.child("folds"))?
    } else {
        let fraction = config.test.unwrap_or(DEFAULT_TEST);
        set_aside(targets, all, fraction, ("split.test", "test"), seed.child("test"))?
    };
    let part = ("split.validation", "validation");
    let mut validation_seed = seed.child("validation");
    if config.folds.is_some() {
        validation_seed = validation_seed.nth(fold as u64);
    }
    let (train, validation) = set_aside(targets, rest, config.validation, part, validation_seed)?;
    Ok(Split { train, validation, test })
}

/// Splits `rows` into those that stay and a stratified share that is set aside.
fn set_aside(
    targets: &Targets,
    rows: Vec<usize>,
    fraction: f32,
    (field, part): (&'static str, &'static str),
    seed: Seed,
) -> Result<(Vec<usize>, Vec<usize>), Error> {
    let n_rows = rows.len();
    let n_aside = (f64::from(fraction) * n_rows as f64).round() as usize;
    for (empty, part) in [(n_aside == 0, part), (n_aside == n_rows, "training")] {
        if empty {
            return Err(Error::EmptyPart { field, fraction, n_rows, part });
        }
    }
    let mut strata = strata(targets, rows);
    let sizes: Vec<usize> = strata.iter().map(Vec::len).collect();
    let quotas = quotas(&sizes, n_aside);
    if let Some(names) = targets.class_names() {
        for (class, (&size, &quota)) in sizes.iter().zip(&quotas).enumerate() {
            let (part, hint) = match (quota, size - quota) {
                (0, _) => (part, "raise the share, bring more rows, or drop the class"),
                (_, 0) => ("training", "lower the share, bring more rows, or drop the class"),
                _ => continue,
            };
            return Err(Error::ClassLeftOut {
                class: names[class].clone(),
                n_rows: size,
                part,
                hint,
            });
        }
    }
    let (mut stay, mut aside) = (Vec::new(), Vec::new());
    for (i, (rows, quota)) in strata.iter_mut().zip(quotas).enumerate() {
        rows.shuffle(&mut seed.nth(i as u64).rng());
        aside.extend(&rows[..quota]);
        stay.extend(&rows[quota..]);
    }
    stay.sort_unstable();
    aside.sort_unstable();
    Ok((stay, aside))
}

/// Splits all rows into those that stay and one of the folds. Every class is dealt out to the folds
/// in turn, so that each holds about as many rows of it.
fn set_fold_aside(
    targets: &Targets,
    folds: usize,
    fold: usize,
    seed: Seed,
) -> Result<(Vec<usize>, Vec<usize>), Error> {
    let n_rows = targets.len();
    if n_rows < folds {
        let problem = format!("is {folds}, but there are only {n_rows} rows");
        return Err(Error::config("split.folds", problem, "use fewer folds"));
    }
    let (mut stay, mut aside) = (Vec::new(), Vec::new());
    let mut dealt = 0;
    for (i, mut rows) in strata(targets, (0..n_rows).collect()).into_iter().enumerate() {
        if let Some(names) = targets.class_names()
            && rows.len() < folds
        {
            return Err(Error::ClassLeftOut {
                class: names[i].clone(),
                n_rows: rows.len(),
                part: "each fold",
                hint: "use fewer folds, bring more rows, or drop the class",
            });
        }
        rows.shuffle(&mut seed.nth(i as u64).rng());
        for (at, row) in rows.into_iter().enumerate() {
            // The next class goes on where this one ends, so that the folds are of one size.
            if (dealt + at) % folds == fold { aside.push(row) } else { stay.push(row) }
        }
        dealt = (stay.len() + aside.len()) % folds;
    }
    stay.sort_unstable();
    aside.sort_unstable();
    Ok((stay, aside))
}

/// Rows by class; a regression has one stratum.
fn strata(targets: &Targets, rows: Vec<usize>) -> Vec<Vec<usize>> {
    match targets {
        Targets::Classes { ids, names } => {
            let mut strata = vec![Vec::new(); names.len()];
            rows.into_iter().for_each(|row| strata[ids[row] as usize].push(row));
            strata
        }
        Targets::Values(_) => vec![rows],
    }
}

/// How many of each stratum are set aside, `n_aside` in all: shares rounded down, and what is left
/// goes to the largest remainders.
fn quotas(sizes: &[usize], n_aside: usize) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let mut quotas: Vec<usize> = sizes.iter().map(|size| size * n_aside / total).collect();
    let left = n_aside - quotas.iter().sum::<usize>();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&i| Reverse(sizes[i] * n_aside % total));
    order.iter().take(left).for_each(|&i| quotas[i] += 1);
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(sizes: &[usize]) -> Targets {
        let ids = sizes.iter().zip(0..).flat_map(|(&size, id)| vec![id; size]).collect();
        Targets::Classes { ids, names: (0..sizes.len()).map(|i| format!("c{i}")).collect() }
    }

    fn config(validation: f32, test: Option<f32>) -> SplitConfig {
        SplitConfig { validation, test, folds: None }
    }

    #[test]
    fn quotas_add_up_and_follow_the_remainders() {
        for (sizes, n_aside, expected) in [
            (&[50, 50][..], 10, vec![5, 5]),
            (&[15, 25, 60], 10, vec![2, 2, 6]),
            (&[1, 1, 1], 1, vec![1, 0, 0]),
            (&[7], 3, vec![3]),
        ] {
            assert_eq!(quotas(sizes, n_aside), expected, "{sizes:?}");
        }
    }

    #[test]
    fn parts_are_disjoint_complete_and_stratified() {
        let targets = classes(&[100, 50, 30]);
        let split = split(&targets, &config(0.1, Some(0.2)), false, Seed::new(1), 0).unwrap();
        let count = |rows: &[usize]| {
            let Targets::Classes { ids, .. } = targets.select(rows) else { unreachable!() };
            [0, 1, 2].map(|class| ids.iter().filter(|&&id| id == class).count())
        };
        assert_eq!(count(&split.test), [20, 10, 6]);
        assert_eq!(count(&split.validation), [8, 4, 2]);
        assert_eq!(count(&split.train), [72, 36, 22]);
        let mut all = [split.train, split.validation, split.test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..180).collect::<Vec<_>>());
    }

    #[test]
    fn every_row_is_in_the_test_part_of_one_fold() {
        for targets in [classes(&[33, 17, 9]), Targets::Values(vec![0.5; 59])] {
            let config = SplitConfig { folds: Some(5), ..SplitConfig::default() };
            let mut tested = Vec::new();
            for fold in 0..config.n_folds() {
                let split = split(&targets, &config, false, Seed::new(3), fold).unwrap();
                assert!((11..=12).contains(&split.test.len()));
                let mut all = [split.train, split.validation, split.test.clone()].concat();
                all.sort_unstable();
                assert_eq!(all, (0..59).collect::<Vec<_>>());
                if let Some(ids) = targets.select(&split.test).class_ids(0..split.test.len()) {
                    let count = |class| ids.iter().filter(|&&id| id == class).count();
                    assert!((6..=7).contains(&count(0)) && (1..=2).contains(&count(2)));
                }
                tested.extend(split.test);
            }
            tested.sort_unstable();
            assert_eq!(tested, (0..59).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_seed_decides() {
        let targets = classes(&[100, 100]);
        let with = |seed| split(&targets, &config(0.1, None), true, Seed::new(seed), 0).unwrap();
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
        assert!(with(1).test.is_empty());
    }

    #[test]
    fn a_regression_is_one_stratum() {
        let targets = Targets::Values(vec![0.5; 20]);
        let split = split(&targets, &config(0.25, None), false, Seed::new(1), 0).unwrap();
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (12, 4, 4));
    }

    #[test]
    fn impossible_splits_are_named() {
        let in_folds = |folds| SplitConfig { folds: Some(folds), ..SplitConfig::default() };
        let both = SplitConfig { test: Some(0.2), ..in_folds(5) };
        for (sizes, config, publishes_test, said) in [
            (&[50, 50][..], in_folds(1), false, "`split.folds` is 1\nhint: use 2 or more"),
            (&[50, 50], both, false, "`split.folds` is 5 beside `split.test`"),
            (&[50, 50], in_folds(5), true, "`split.folds` is 5, but the source comes"),
            (&[3], in_folds(5), false, "`split.folds` is 5, but there are only 3 rows"),
            (&[50, 4], in_folds(5), false, "class `c1` has 4 rows, too few for each fold"),
            (&[50, 50], config(0.0, None), true, "`split.validation` is 0\n"),
            (&[50, 50], config(1.0, None), true, "`split.validation` is 1\n"),
            (&[50, 50], config(f32::NAN, None), true, "`split.validation` is NaN"),
            (&[50, 50], config(0.1, Some(0.2)), true, "`split.test` is 0.2, but the source comes"),
            (&[50, 50], config(0.1, Some(-0.2)), false, "`split.test` is -0.2"),
            (
                &[50, 50],
                config(0.001, None),
                true,
                "`split.validation = 0.001` of 100 rows leaves validation empty",
            ),
            (
                &[50, 50],
                config(0.999, None),
                true,
                "`split.validation = 0.999` of 100 rows leaves training empty",
            ),
            (&[90, 1], config(0.1, None), true, "class `c1` has 1 rows, too few for validation"),
            (&[90, 1], config(0.1, None), false, "class `c1` has 1 rows, too few for test"),
            (&[90, 2], config(0.9, None), true, "class `c1` has 2 rows, too few for training"),
        ] {
            let error = split(&classes(sizes), &config, publishes_test, Seed::new(1), 0);
            let error = error.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
