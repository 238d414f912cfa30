//! Which rows are fitted on, chosen on and judged on. It looks at targets and at the one column
//! that says which rows belong together, never at features.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use hourglass_core::{Seed, Targets};
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Share of the rows that become test rows where the source publishes none and the file is silent.
pub(crate) const DEFAULT_TEST: f32 = 0.2;

/// How rows are divided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct SplitConfig {
    /// Share of the training rows that are set aside for choices, above 0 and below 1.
    pub validation: f32,
    /// Share of all rows that are set aside for the final judgement, above 0 and below 1; 0.2
    /// where absent. Only for sources without test rows of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<f32>,
    /// Cross-validation: the rows are cut into this many folds, 2 or more, and each is the test
    /// part once. Only for sources without test rows of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub folds: Option<usize>,
    /// Which rows belong together. Default: `stratified`.
    #[serde(skip_serializing_if = "is_stratified")]
    pub by: SplitBy,
    /// What becomes of the test rows that a source publishes. Default: `keep`.
    #[serde(skip_serializing_if = "is_kept")]
    pub published: Published,
}

/// Which rows belong together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum SplitBy {
    /// Every class is divided in the same proportion; rows with a number to predict at random.
    #[default]
    Stratified,
    /// At random, whatever the class.
    Random,
    /// As `stratified`, but rows whose features are all equal go to the same part, so that no row
    /// is judged on that was trained on. Shares count distinct rows. Published test rows stay where
    /// they are.
    EqualRows,
    /// All rows with the same value of a column go to the same part. The column is no feature then.
    Group {
        /// Name of the column, such as `patient`.
        column: String,
    },
    /// The latest rows are tested on, those before them validated on; rows of the same time go to
    /// the same part. Fold `i` of `n` is trained on the first `i` of `n + 1` spans of the rows and
    /// tested on the next. The column is no feature then.
    Time {
        /// Name of the column: dates or numbers.
        column: String,
    },
}

/// What becomes of published test rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Published {
    /// They are the test part.
    #[default]
    Keep,
    /// They join the other rows, which are split anew.
    Merge,
}

fn is_stratified(by: &SplitBy) -> bool {
    *by == SplitBy::Stratified
}

fn is_kept(published: &Published) -> bool {
    *published == Published::Keep
}

impl Default for SplitConfig {
    fn default() -> Self {
        SplitConfig {
            validation: 0.1,
            test: None,
            folds: None,
            by: SplitBy::Stratified,
            published: Published::Keep,
        }
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
    /// test rows; published rows to merge where none are.
    pub fn check(&self, publishes_test: bool) -> Result<(), Error> {
        fraction("split.validation", self.validation)?;
        if self.published == Published::Merge && !publishes_test {
            let problem = "is `merge`, but the source publishes no test rows";
            return Err(Error::config("split.published", problem, "delete it"));
        }
        let fixed = self.keeps_published(publishes_test);
        let hint = "delete it: published test rows are used as published; or set \
                    `published = \"merge\"` to split all rows anew";
        if let Some(folds) = self.folds {
            let (problem, hint) = match (folds, self.test) {
                (0 | 1, _) => (format!("is {folds}"), "use 2 or more; 5 and 10 are usual"),
                (_, Some(_)) => (
                    format!("is {folds} beside `split.test`"),
                    "delete one of them: with folds, each fold is the test part once",
                ),
                _ if fixed => {
                    (format!("is {folds}, but the source comes with test rows of its own"), hint)
                }
                _ => return Ok(()),
            };
            return Err(Error::config("split.folds", problem, hint));
        }
        let Some(test) = self.test else { return Ok(()) };
        fraction("split.test", test)?;
        if fixed {
            let problem = format!("is {test}, but the source comes with test rows of its own");
            return Err(Error::config("split.test", problem, hint));
        }
        Ok(())
    }

    /// In how many ways the rows are divided: the number of folds, else 1.
    pub fn n_folds(&self) -> usize {
        self.folds.unwrap_or(1)
    }

    /// Whether published test rows are the test part.
    pub fn keeps_published(&self, publishes_test: bool) -> bool {
        publishes_test && self.published == Published::Keep
    }

    /// The column that says which rows belong together, and the key that names it.
    pub(crate) fn column(&self) -> Option<(&str, &'static str)> {
        match &self.by {
            SplitBy::Stratified | SplitBy::Random | SplitBy::EqualRows => None,
            SplitBy::Group { column } => Some((column, "split.by.group.column")),
            SplitBy::Time { column } => Some((column, "split.by.time.column")),
        }
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

/// Divides rows. `together` holds a number for each row where `config.by` keeps rows together: rows
/// of one group share it, and by time later rows have a larger one. `is_fixed` says that the
/// test rows are others than these.
pub(crate) fn split(
    targets: &Targets,
    together: Option<&[f64]>,
    config: &SplitConfig,
    is_fixed: bool,
    seed: Seed,
    fold: usize,
) -> Result<Split, Error> {
    assert!(fold < config.n_folds(), "fold {fold} of {}", config.n_folds());
    let seed = seed.child("split");
    match (&config.by, together) {
        (SplitBy::Time { .. }, Some(times)) => return by_time(times, config, is_fixed, fold),
        (SplitBy::Group { .. }, Some(groups)) => {
            return by_group(groups, config, is_fixed, seed, fold);
        }
        (SplitBy::EqualRows, Some(equal)) => {
            let firsts = Equal::new(equal);
            let stratified = SplitConfig { by: SplitBy::Stratified, ..config.clone() };
            let targets = targets.select(&firsts.rows);
            let distinct = split_strata(&targets, &stratified, is_fixed, seed, fold)?;
            return Ok(firsts.with_copies(&distinct));
        }
        _ => {}
    }
    split_strata(targets, config, is_fixed, seed, fold)
}

/// Rows that don't belong together, each class in the same proportion unless at random.
fn split_strata(
    targets: &Targets,
    config: &SplitConfig,
    is_fixed: bool,
    seed: Seed,
    fold: usize,
) -> Result<Split, Error> {
    let strata = match config.by {
        SplitBy::Random => &Targets::Values(vec![0.0; targets.len()]),
        _ => targets,
    };
    let all: Vec<usize> = (0..targets.len()).collect();
    let (rest, test) = if is_fixed {
        (all, Vec::new())
    } else if let Some(folds) = config.folds {
        set_fold_aside(strata, folds, fold, seed.child("folds"))?
    } else {
        let fraction = config.test.unwrap_or(DEFAULT_TEST);
        set_aside(strata, all, fraction, ("split.test", "test"), seed.child("test"))?
    };
    let part = ("split.validation", "validation");
    let mut validation_seed = seed.child("validation");
    if config.folds.is_some() {
        validation_seed = validation_seed.nth(fold as u64);
    }
    let (train, validation) = set_aside(strata, rest, config.validation, part, validation_seed)?;
    Ok(Split { train, validation, test })
}

/// Distinct rows, each by the first that has its features, and their copies.
struct Equal {
    rows: Vec<usize>,
    /// Of each of them, itself and its copies.
    copies: Vec<Vec<usize>>,
}

impl Equal {
    fn new(numbers: &[f64]) -> Self {
        let mut at: BTreeMap<u64, usize> = BTreeMap::new();
        let mut equal = Equal { rows: Vec::new(), copies: Vec::new() };
        for (row, number) in numbers.iter().enumerate() {
            let next = equal.rows.len();
            let index = *at.entry(number.to_bits()).or_insert(next);
            if index == next {
                equal.rows.push(row);
                equal.copies.push(Vec::new());
            }
            equal.copies[index].push(row);
        }
        equal
    }

    /// A split of the distinct rows as one of all rows.
    fn with_copies(&self, distinct: &Split) -> Split {
        let all = |part: &[usize]| {
            let mut rows: Vec<usize> =
                part.iter().flat_map(|&index| &self.copies[index]).copied().collect();
            rows.sort_unstable();
            rows
        };
        Split {
            train: all(&distinct.train),
            validation: all(&distinct.validation),
            test: all(&distinct.test),
        }
    }
}

/// The latest rows are tested on, those before them validated on.
fn by_time(
    times: &[f64],
    config: &SplitConfig,
    is_fixed: bool,
    fold: usize,
) -> Result<Split, Error> {
    let mut rows: Vec<usize> = (0..times.len()).collect();
    rows.sort_by(|&a, &b| times[a].total_cmp(&times[b]));
    // A cut moves to the nearest place where the time changes; to an end where it never does.
    let cut = |rows: &[usize], at: usize| {
        let changes = (1..rows.len()).filter(|&i| times[rows[i]] != times[rows[i - 1]]);
        changes.min_by_key(|i| i.abs_diff(at)).unwrap_or(rows.len())
    };
    let n_rows = rows.len();
    let (fit, test) = match (is_fixed, config.folds) {
        (true, _) => (n_rows, n_rows..n_rows),
        (false, Some(folds)) => {
            let edge = |span: usize| match span > folds {
                true => n_rows,
                false => cut(&rows, span * n_rows / (folds + 1)),
            };
            (edge(fold + 1), edge(fold + 1)..edge(fold + 2))
        }
        (false, None) => {
            let share = f64::from(1.0 - config.test.unwrap_or(DEFAULT_TEST));
            let edge = cut(&rows, (share * n_rows as f64).round() as usize);
            (edge, edge..n_rows)
        }
    };
    let kept = f64::from(1.0 - config.validation) * fit as f64;
    let train = cut(&rows[..fit], kept.round() as usize);
    let sorted = |rows: &[usize]| {
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows
    };
    let split = Split {
        train: sorted(&rows[..train]),
        validation: sorted(&rows[train..fit]),
        test: sorted(&rows[test]),
    };
    none_empty(split, config, is_fixed, n_rows)
}

/// Whole groups go to each part: in random order until the part is as large as asked for.
fn by_group(
    groups: &[f64],
    config: &SplitConfig,
    is_fixed: bool,
    seed: Seed,
    fold: usize,
) -> Result<Split, Error> {
    let n_rows = groups.len();
    let mut members: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    groups
        .iter()
        .enumerate()
        .for_each(|(row, id)| members.entry(id.to_bits()).or_default().push(row));
    let mut members: Vec<Vec<usize>> = members.into_values().collect();
    members.shuffle(&mut seed.child("groups").rng());
    let mut test = Vec::new();
    match (is_fixed, config.folds) {
        (true, _) => {}
        (false, Some(folds)) => {
            if members.len() < folds {
                let problem = format!("is {folds}, but there are only {} groups", members.len());
                return Err(Error::config("split.folds", problem, "use fewer folds"));
            }
            // The largest group first, each to the fold with the fewest rows.
            members.sort_by_key(|rows| Reverse(rows.len()));
            let mut sizes = vec![0; folds];
            members.retain(|rows| {
                let smallest = (0..folds).min_by_key(|&i| sizes[i]).unwrap_or_default();
                sizes[smallest] += rows.len();
                if smallest == fold {
                    test.extend(rows);
                }
                smallest != fold
            });
            members.shuffle(&mut seed.child("validation").nth(fold as u64).rng());
        }
        (false, None) => {
            let share = config.test.unwrap_or(DEFAULT_TEST);
            test = take_groups(&mut members, f64::from(share) * n_rows as f64);
        }
    }
    let n_fit: usize = members.iter().map(Vec::len).sum();
    let mut validation = take_groups(&mut members, f64::from(config.validation) * n_fit as f64);
    let mut train: Vec<usize> = members.concat();
    [&mut train, &mut validation, &mut test].into_iter().for_each(|rows| rows.sort_unstable());
    none_empty(Split { train, validation, test }, config, is_fixed, n_rows)
}

/// Takes groups off the end until they hold about `wanted` rows, at least one of them.
fn take_groups(groups: &mut Vec<Vec<usize>>, wanted: f64) -> Vec<usize> {
    let mut rows: Vec<usize> = Vec::new();
    while let Some(group) = groups.last() {
        let with = (rows.len() + group.len()) as f64;
        if !rows.is_empty() && with - wanted > wanted - rows.len() as f64 {
            break;
        }
        rows.extend(groups.pop().unwrap_or_default());
    }
    rows
}

fn none_empty(
    split: Split,
    config: &SplitConfig,
    is_fixed: bool,
    n_rows: usize,
) -> Result<Split, Error> {
    let (validation, test) = (config.validation, config.test.unwrap_or(DEFAULT_TEST));
    for (rows, field, fraction, part) in [
        (&split.train, "split.validation", validation, "training"),
        (&split.validation, "split.validation", validation, "validation"),
        (&split.test, "split.test", test, "test"),
    ] {
        if rows.is_empty() && !(is_fixed && part == "test") {
            return Err(Error::EmptyPart { field, fraction, n_rows, part });
        }
    }
    Ok(split)
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
        SplitConfig { validation, test, ..SplitConfig::default() }
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
        let split = split(&targets, None, &config(0.1, Some(0.2)), false, Seed::new(1), 0).unwrap();
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
                let split = split(&targets, None, &config, false, Seed::new(3), fold).unwrap();
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
        let with =
            |seed| split(&targets, None, &config(0.1, None), true, Seed::new(seed), 0).unwrap();
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
        assert!(with(1).test.is_empty());
    }

    #[test]
    fn a_regression_is_one_stratum() {
        let targets = Targets::Values(vec![0.5; 20]);
        let split = split(&targets, None, &config(0.25, None), false, Seed::new(1), 0).unwrap();
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (12, 4, 4));
    }

    #[test]
    fn impossible_splits_are_named() {
        let in_folds = |folds| SplitConfig { folds: Some(folds), ..SplitConfig::default() };
        let merge = SplitConfig { published: Published::Merge, ..SplitConfig::default() };
        let both = SplitConfig { test: Some(0.2), ..in_folds(5) };
        for (sizes, config, publishes_test, said) in [
            (&[50, 50][..], in_folds(1), false, "`split.folds` is 1\nhint: use 2 or more"),
            (&[50, 50], merge, false, "`split.published` is `merge`, but the source publishes no"),
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
            let split = config.check(publishes_test).and_then(|()| {
                split(&classes(sizes), None, &config, publishes_test, Seed::new(1), 0).map(drop)
            });
            let error = split.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn equal_rows_stay_together_and_classes_keep_their_shares() {
        // 120 distinct rows, every third of them thrice.
        let distinct: Vec<f64> = (0..120).map(f64::from).collect();
        let copies = (0..120).step_by(3).flat_map(|row| [f64::from(row); 2]);
        let numbers: Vec<f64> = distinct.iter().copied().chain(copies).collect();
        let ids: Vec<u32> = numbers.iter().map(|&number| u32::from(number >= 90.0)).collect();
        let names = vec!["a".to_owned(), "b".to_owned()];
        let targets = Targets::Classes { ids, names };
        let of = |folds| SplitConfig { by: SplitBy::EqualRows, folds, ..config(0.25, None) };
        for (config, fold) in [(of(None), 0), (of(Some(5)), 3)] {
            let split =
                split(&targets, Some(&numbers), &config, false, Seed::new(2), fold).unwrap();
            let [train, validation, test] = parts(&split, &numbers);
            assert_eq!(train.len() + validation.len() + test.len(), numbers.len());
            for (one, other) in [(&train, &validation), (&train, &test), (&validation, &test)] {
                assert!(one.iter().all(|number| !other.contains(number)));
            }
            let mut tested = test.clone();
            tested.sort_by(f64::total_cmp);
            tested.dedup();
            let n_rare = tested.iter().filter(|&&number| number >= 90.0).count();
            assert_eq!((tested.len(), n_rare), (24, 6), "shares count distinct rows");
        }
        // Without copies nothing is different.
        let targets = classes(&[60, 60]);
        let without = |by, numbers: Option<&[f64]>| {
            let config = SplitConfig { by, ..config(0.25, None) };
            split(&targets, numbers, &config, false, Seed::new(2), 0).unwrap()
        };
        let plain = without(SplitBy::Stratified, None);
        assert_eq!(without(SplitBy::EqualRows, Some(&distinct)), plain);
    }

    fn parts(split: &Split, of: &[f64]) -> [Vec<f64>; 3] {
        [&split.train, &split.validation, &split.test]
            .map(|rows| rows.iter().map(|&row| of[row]).collect())
    }

    #[test]
    fn groups_stay_together() {
        let groups: Vec<f64> = (0..120).map(|row| f64::from(row * 7 % 30)).collect();
        let targets = Targets::Values(vec![0.0; 120]);
        let by = SplitBy::Group { column: "g".into() };
        for folds in [None, Some(4)] {
            let config = SplitConfig { by: by.clone(), folds, ..SplitConfig::default() };
            let mut tested = Vec::new();
            for fold in 0..config.n_folds() {
                let split =
                    split(&targets, Some(&groups), &config, false, Seed::new(2), fold).unwrap();
                let [train, validation, test] = parts(&split, &groups);
                assert_eq!(train.len() + validation.len() + test.len(), 120);
                assert!((20..=32).contains(&test.len()) && validation.len() >= 8);
                assert!(!train.iter().any(|g| validation.contains(g) || test.contains(g)));
                assert!(!validation.iter().any(|g| test.contains(g)));
                tested.extend(split.test);
            }
            tested.sort_unstable();
            tested.dedup();
            assert_eq!(tested.len(), if folds.is_some() { 120 } else { 24 });
        }
        let config = SplitConfig { by, folds: Some(4), ..SplitConfig::default() };
        let few: Vec<f64> = (0..120).map(|row| f64::from(row % 3)).collect();
        let error = split(&targets, Some(&few), &config, false, Seed::new(2), 0).unwrap_err();
        assert!(error.to_string().contains("only 3 groups"), "{error}");
    }

    #[test]
    fn the_future_is_tested_on() {
        // Four rows a day.
        let times: Vec<f64> = (0..100).map(|row| f64::from((99 - row) / 4)).collect();
        let targets = Targets::Values(vec![0.0; 100]);
        let by = SplitBy::Time { column: "day".into() };
        let before =
            |a: &[f64], b: &[f64]| a.iter().all(|first| b.iter().all(|second| first < second));
        for folds in [None, Some(3)] {
            let config = SplitConfig { by: by.clone(), folds, ..SplitConfig::default() };
            for fold in 0..config.n_folds() {
                let split =
                    split(&targets, Some(&times), &config, false, Seed::new(2), fold).unwrap();
                let [train, validation, test] = parts(&split, &times);
                assert!(before(&train, &validation) && before(&validation, &test), "{fold}");
                assert!(!test.is_empty() && !validation.is_empty());
            }
        }
        let config = SplitConfig { by, ..SplitConfig::default() };
        let error = split(&targets, Some(&[1.0; 100]), &config, false, Seed::new(2), 0);
        assert!(error.unwrap_err().to_string().contains("leaves validation empty"));
    }
}
