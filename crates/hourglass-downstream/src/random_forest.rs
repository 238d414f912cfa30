//! Random forest: many deep trees, each on rows drawn with replacement and splits chosen among few
//! columns, whose class shares are averaged.
//!
//! # Source
//! Breiman, *Random Forests*, Machine Learning 45 (2001). As scikit-learn's
//! `RandomForestClassifier` (Gini impurity, soft vote), but splits are searched among at most 255
//! cuts a column.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use hourglass_core::{Interrupt, MatrixView, Progress, Rng, Seed};
use ndarray::Axis;
use rand::RngExt;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::require;
use crate::estimator::{argmax, check_predict, stop_if_raised};
use crate::trees::bins::{Bins, MAX_BINS};
use crate::trees::tree::Tree;
use crate::{Error, Estimator, FitData, Fitted};

/// Rows of a node below which sorting them is cheaper than a histogram of all bins and classes.
const SORTED_ROWS: usize = 256;

/// Rows predicted together.
const PREDICTED_ROWS: usize = 256;

/// How many columns a split is chosen among.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MaxFeatures {
    /// The square root of their number.
    #[default]
    Sqrt,
    /// All of them.
    All,
    /// This many, or all where there are fewer.
    Count(usize),
}

impl MaxFeatures {
    fn of(self, n_features: usize) -> usize {
        match self {
            MaxFeatures::Sqrt => (n_features as f64).sqrt() as usize,
            MaxFeatures::All => n_features,
            MaxFeatures::Count(count) => count.min(n_features),
        }
        .max(1)
    }
}

/// Random forest, fitted on training and validation rows together: nothing is chosen.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `n_trees` | 100 | trees | at least 1 |
/// | `max_features` | `"sqrt"` | columns looked at for a split: `"sqrt"`, `"all"`, `{ count = 20 }` | at least 1 |
/// | `max_depth` | none | splits from the root to a leaf at most | at least 1 |
/// | `min_leaf` | 1 | drawn rows in a leaf at least | at least 1 |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct RandomForest {
    /// Trees.
    pub n_trees: usize,
    /// Columns that a split is chosen among.
    pub max_features: MaxFeatures,
    /// Splits from the root to a leaf at most; unlimited unless given.
    pub max_depth: Option<usize>,
    /// Drawn rows in a leaf at least.
    pub min_leaf: usize,
}

impl Default for RandomForest {
    fn default() -> Self {
        RandomForest { n_trees: 100, max_features: MaxFeatures::Sqrt, max_depth: None, min_leaf: 1 }
    }
}

impl RandomForest {
    pub(crate) const NAME: &'static str = "random_forest";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<(), Error> {
        let positive = "at least 1";
        require(self.n_trees >= 1, Self::NAME, "n_trees", self.n_trees, positive)?;
        require(self.min_leaf >= 1, Self::NAME, "min_leaf", self.min_leaf, positive)?;
        if let MaxFeatures::Count(count) = self.max_features {
            require(count >= 1, Self::NAME, "max_features", count, positive)?;
        }
        let depth = self.max_depth.unwrap_or(1);
        require(depth >= 1, Self::NAME, "max_depth", depth, positive)
    }
}

impl Estimator for RandomForest {
    fn fit<'a>(
        &self,
        data: &FitData<'a>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn Fitted + 'a>, Error> {
        self.check()?;
        data.check()?;
        progress.begin(Self::NAME, Some(self.n_trees as u64));
        let bins = Bins::of(data.refit);
        let seed = seed.child(Self::NAME);
        let done = AtomicU64::new(0);
        let grow = |index| {
            stop_if_raised(interrupt)?;
            let mut rng = seed.nth(index as u64).rng();
            let tree = Grower::new(self, &bins, data.refit_classes, data.n_classes).grow(&mut rng);
            progress.advance(done.fetch_add(1, Ordering::Relaxed) + 1, "");
            Ok(tree)
        };
        let trees = (0..self.n_trees).into_par_iter().map(grow).collect::<Result<_, Error>>()?;
        progress.end("");
        let (n_classes, n_features) = (data.n_classes, data.train.ncols());
        Ok(Box::new(FittedForest { trees, n_classes, n_features }))
    }
}

struct FittedForest {
    trees: Vec<ClassTree>,
    n_classes: usize,
    n_features: usize,
}

struct ClassTree {
    tree: Tree,
    /// Class shares of each leaf, leaf by leaf.
    shares: Vec<f32>,
}

impl Fitted for FittedForest {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<u32>, Error> {
        check_predict(x, self.n_features)?;
        let x = x.as_standard_layout();
        let predict = |rows: MatrixView<'_>| {
            let mut sums = vec![0.0_f32; rows.nrows() * self.n_classes];
            for ClassTree { tree, shares } in &self.trees {
                for (row, sums) in rows.outer_iter().zip(sums.chunks_exact_mut(self.n_classes)) {
                    let row = row.to_slice().expect("the layout is standard");
                    let shares = &shares[tree.leaf(row) * self.n_classes..][..self.n_classes];
                    sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
                }
            }
            sums.chunks_exact(self.n_classes).map(argmax).collect::<Vec<u32>>()
        };
        let blocks: Vec<Vec<u32>> =
            x.axis_chunks_iter(Axis(0), PREDICTED_ROWS).into_par_iter().map(predict).collect();
        Ok(blocks.concat())
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        BTreeMap::from([("n_trees".to_owned(), self.trees.len() as f64)])
    }
}

/// Grows one tree.
struct Grower<'a> {
    config: &'a RandomForest,
    bins: &'a Bins,
    classes: &'a [u32],
    n_classes: usize,
    /// How often each row was drawn.
    weights: Vec<u32>,
    /// Columns, the first few of which are shuffled anew for each split.
    columns: Vec<usize>,
    /// Counts of bins and classes, kept at zero between searches.
    histogram: Vec<u32>,
    sorted: Vec<u64>,
}

/// The best cut so far.
#[derive(Clone, Copy)]
struct Cut {
    score: f64,
    column: usize,
    bin: u8,
}

impl<'a> Grower<'a> {
    fn new(config: &'a RandomForest, bins: &'a Bins, classes: &'a [u32], n_classes: usize) -> Self {
        Grower {
            config,
            bins,
            classes,
            n_classes,
            weights: vec![0; classes.len()],
            columns: (0..bins.cuts.len()).collect(),
            histogram: vec![0; (MAX_BINS + 1) * n_classes],
            sorted: Vec::with_capacity(SORTED_ROWS),
        }
    }

    fn grow(mut self, rng: &mut Rng) -> ClassTree {
        let n_rows = self.classes.len();
        for _ in 0..n_rows {
            self.weights[rng.random_range(0..n_rows)] += 1;
        }
        let mut rows: Vec<u32> =
            (0..n_rows as u32).filter(|&row| self.weights[row as usize] > 0).collect();
        let mut tree = Tree::default();
        // The first leaves are those of a single class, which most are.
        let mut shares = vec![0.0; self.n_classes * self.n_classes];
        (0..self.n_classes).for_each(|class| shares[class * (self.n_classes + 1)] = 1.0);
        let root = tree.push_leaf(0);
        let mut open = vec![(root, 0, rows.len(), 0)];
        while let Some((place, start, end, depth)) = open.pop() {
            let counts = self.count(&rows[start..end]);
            let total: u32 = counts.iter().sum();
            let may_split = counts.iter().filter(|&&count| count > 0).count() > 1
                && total as usize >= 2 * self.config.min_leaf
                && self.config.max_depth.is_none_or(|most| depth < most);
            let cut = if may_split { self.best_cut(&rows[start..end], &counts, rng) } else { None };
            match cut {
                Some(Cut { column, bin, .. }) => {
                    let bins = &self.bins.columns[column];
                    let middle =
                        start + partition(&mut rows[start..end], |row| bins[row as usize] <= bin);
                    let threshold = self.bins.cuts[column][usize::from(bin)];
                    let (low, high) = tree.split(place, column, threshold);
                    open.push((high, middle, end, depth + 1));
                    open.push((low, start, middle, depth + 1));
                }
                None => {
                    let leaf = match counts.iter().position(|&count| count == total) {
                        Some(class) => class,
                        None => {
                            shares.extend(counts.iter().map(|&c| c as f32 / total as f32));
                            shares.len() / self.n_classes - 1
                        }
                    };
                    tree.set_leaf(place, leaf as u32);
                }
            }
        }
        ClassTree { tree, shares }
    }

    fn count(&self, rows: &[u32]) -> Vec<u32> {
        let mut counts = vec![0; self.n_classes];
        for &row in rows {
            counts[self.classes[row as usize] as usize] += self.weights[row as usize];
        }
        counts
    }

    /// The best cut among the columns drawn; more are drawn while none of them can be cut.
    fn best_cut(&mut self, rows: &[u32], counts: &[u32], rng: &mut Rng) -> Option<Cut> {
        let n_columns = self.columns.len();
        let n_drawn = self.config.max_features.of(n_columns);
        let mut best = None;
        for drawn in 0..n_columns {
            if drawn >= n_drawn && best.is_some() {
                break;
            }
            let other = rng.random_range(drawn..n_columns);
            self.columns.swap(drawn, other);
            let column = self.columns[drawn];
            let found = if rows.len() < SORTED_ROWS {
                self.cut_sorted(rows, counts, column)
            } else {
                self.cut_histogram(rows, counts, column)
            };
            if let Some(cut) = found
                && best.is_none_or(|best: Cut| cut.score > best.score)
            {
                best = Some(cut);
            }
        }
        best
    }

    fn cut_sorted(&mut self, rows: &[u32], counts: &[u32], column: usize) -> Option<Cut> {
        let bins = &self.bins.columns[column];
        self.sorted.clear();
        self.sorted.extend(rows.iter().map(|&row| {
            let row = row as usize;
            u64::from(bins[row]) << 56
                | u64::from(self.weights[row]) << 32
                | u64::from(self.classes[row])
        }));
        self.sorted.sort_unstable();
        let mut scan = Scan::new(counts, self.config.min_leaf, column);
        let mut last = self.sorted[0] >> 56;
        for &packed in &self.sorted {
            let bin = packed >> 56;
            if bin != last {
                scan.try_cut(last as u8);
                last = bin;
            }
            scan.take(packed as u32 as usize, (packed >> 32) as u32 & 0xff_ffff);
        }
        scan.best
    }

    fn cut_histogram(&mut self, rows: &[u32], counts: &[u32], column: usize) -> Option<Cut> {
        let bins = &self.bins.columns[column];
        let n = self.n_classes;
        for &row in rows {
            let row = row as usize;
            let cell = usize::from(bins[row]) * n + self.classes[row] as usize;
            self.histogram[cell] += self.weights[row];
        }
        let mut scan = Scan::new(counts, self.config.min_leaf, column);
        let n_bins = self.bins.n_bins(column);
        for (bin, cells) in self.histogram.chunks_exact_mut(n).take(n_bins).enumerate() {
            let mut any = false;
            for (class, cell) in cells.iter_mut().enumerate() {
                if *cell > 0 {
                    scan.take(class, *cell);
                    *cell = 0;
                    any = true;
                }
            }
            if any {
                scan.try_cut(bin as u8);
            }
        }
        scan.best
    }
}

/// Moves rows one by one from the high side of a cut to the low one, and keeps the cut with the
/// least Gini impurity: the one with the largest `sum_low c^2 / n_low + sum_high c^2 / n_high`.
struct Scan {
    low: Vec<u32>,
    high: Vec<u32>,
    n_low: u64,
    n_high: u64,
    squares_low: u64,
    squares_high: u64,
    min_leaf: u64,
    column: usize,
    best: Option<Cut>,
}

impl Scan {
    fn new(counts: &[u32], min_leaf: usize, column: usize) -> Self {
        Scan {
            low: vec![0; counts.len()],
            high: counts.to_vec(),
            n_low: 0,
            n_high: counts.iter().copied().map(u64::from).sum(),
            squares_low: 0,
            squares_high: counts.iter().map(|&count| u64::from(count).pow(2)).sum(),
            min_leaf: min_leaf as u64,
            column,
            best: None,
        }
    }

    fn take(&mut self, class: usize, count: u32) {
        let (low, high) = (u64::from(self.low[class]), u64::from(self.high[class]));
        let moved = u64::from(count);
        self.squares_low += moved * (2 * low + moved);
        self.squares_high -= moved * (2 * high - moved);
        self.low[class] += count;
        self.high[class] -= count;
        self.n_low += moved;
        self.n_high -= moved;
    }

    fn try_cut(&mut self, bin: u8) {
        if self.n_low < self.min_leaf || self.n_high < self.min_leaf {
            return;
        }
        let score = self.squares_low as f64 / self.n_low as f64
            + self.squares_high as f64 / self.n_high as f64;
        if self.best.is_none_or(|best| score > best.score) {
            self.best = Some(Cut { score, column: self.column, bin });
        }
    }
}

/// Moves the rows that stay low to the front, in place; returns their number.
fn partition(rows: &mut [u32], low: impl Fn(u32) -> bool) -> usize {
    let mut n_low = 0;
    for index in 0..rows.len() {
        if low(rows[index]) {
            rows.swap(index, n_low);
            n_low += 1;
        }
    }
    n_low
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Matrix, Silent};

    use super::*;

    fn fit_predict(config: &RandomForest, x: &Matrix, classes: &[u32]) -> Vec<u32> {
        let data = FitData::split(x.view(), classes, classes.len(), 3);
        let fitted = config.fit(&data, Seed::new(5), &Silent, &Interrupt::new()).unwrap();
        fitted.predict(x.view()).unwrap()
    }

    /// Three classes in a pattern that no single cut separates.
    fn stripes(n_rows: usize) -> (Matrix, Vec<u32>) {
        let x = Matrix::from_shape_fn((n_rows, 3), |(row, column)| {
            ((row * [7, 11, 13][column]) % 101) as f32
        });
        let classes = x.outer_iter().map(|row| (row[0] as u32 / 10) % 3).collect();
        (x, classes)
    }

    #[test]
    fn deep_trees_learn_their_rows_by_heart() {
        // 1000 rows go through histograms first, then through sorted rows.
        let (x, classes) = stripes(1000);
        let predicted = fit_predict(&RandomForest::default(), &x, &classes);
        let right = predicted.iter().zip(&classes).filter(|(a, b)| a == b).count();
        assert!(right >= 995, "{right}");
    }

    #[test]
    fn depth_and_leaf_size_are_kept() {
        let (x, classes) = stripes(600);
        let shallow = RandomForest { max_depth: Some(1), ..RandomForest::default() };
        let predicted = fit_predict(&shallow, &x, &classes);
        let right = predicted.iter().zip(&classes).filter(|(a, b)| a == b).count();
        assert!(right < 500, "{right}");
        let stump = RandomForest { min_leaf: 600, ..RandomForest::default() };
        let predicted = fit_predict(&stump, &x, &classes);
        assert!(predicted.iter().all(|&class| class == predicted[0]));
    }

    #[test]
    fn sorted_rows_and_histograms_find_the_same_cut() {
        let (x, classes) = stripes(200);
        let bins = Bins::of(x.view());
        let config = RandomForest::default();
        let mut grower = Grower::new(&config, &bins, &classes, 3);
        grower.weights.fill(2);
        let rows: Vec<u32> = (0..200).collect();
        let counts = grower.count(&rows);
        for column in 0..3 {
            let sorted = grower.cut_sorted(&rows, &counts, column).unwrap();
            let histogram = grower.cut_histogram(&rows, &counts, column).unwrap();
            assert_eq!((sorted.bin, sorted.score), (histogram.bin, histogram.score));
        }
    }
}
