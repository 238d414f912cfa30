//! Forests: many deep trees that are averaged. What [`crate::RandomForest`] and
//! [`crate::ExtraTrees`] share; they differ in the rows that a tree sees and in how a column is
//! cut.
//!
//! Where classes have weights, each tree's rows are drawn with replacement, in proportion to the
//! weights (Chen, Liaw and Breiman, *Using Random Forest to Learn Imbalanced Data*, 2004).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use hourglass_core::{Interrupt, Matrix, MatrixView, Progress, Rng, Seed};
use ndarray::Axis;
use rand::RngExt;
use rayon::prelude::*;

use crate::config::require;
use crate::estimator::{check_predict, stop_if_raised};
use crate::regressor::{FittedRegressor, ValueData};
use crate::trees::bins::Bins;
use crate::trees::class_tree::{ClassGrower, ClassTree};
use crate::trees::growth::{Growth, MaxFeatures};
use crate::trees::tree::Tree;
use crate::trees::value_tree::{MeanTree, ValueGrower};
use crate::{Error, FitData, Fitted};

/// Rows predicted together.
const PREDICTED_ROWS: usize = 256;

/// Drawn rows in a leaf at least that are tried, the usual number first.
pub(crate) const MIN_LEAF: [usize; 3] = [1, 3, 10];

/// What a forest's configuration says, with the name that errors use.
pub(crate) struct Settings {
    pub name: &'static str,
    pub n_trees: usize,
    pub max_features: Option<MaxFeatures>,
    pub max_depth: Option<usize>,
    pub min_leaf: Option<usize>,
    /// Whether each tree sees rows drawn with replacement and cuts columns at the best place;
    /// otherwise it sees all rows and cuts them at random.
    pub is_bagged: bool,
}

impl Settings {
    pub fn check(&self) -> Result<(), Error> {
        let (name, positive) = (self.name, "at least 1");
        require(self.n_trees >= 1, name, "n_trees", self.n_trees, positive)?;
        let leaf = self.min_leaf.unwrap_or(1);
        require(leaf >= 1, name, "min_leaf", leaf, positive)?;
        if let Some(MaxFeatures::Count(count)) = self.max_features {
            require(count >= 1, name, "max_features", count, positive)?;
        }
        let depth = self.max_depth.unwrap_or(1);
        require(depth >= 1, name, "max_depth", depth, positive)
    }

    fn growth(&self, usual: MaxFeatures) -> Growth {
        Growth {
            max_features: self.max_features.unwrap_or(usual),
            max_depth: self.max_depth,
            min_leaf: self.min_leaf.unwrap_or(MIN_LEAF[0]),
            random_cuts: !self.is_bagged,
        }
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        BTreeMap::from([
            ("n_trees".to_owned(), self.n_trees as f64),
            ("min_leaf".to_owned(), self.min_leaf.unwrap_or(MIN_LEAF[0]) as f64),
        ])
    }

    /// Grows all trees, in any order, each from a seed of its own.
    fn grow<T: Send>(
        &self,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
        grow: impl Fn(&mut Rng) -> T + Sync,
    ) -> Result<Vec<T>, Error> {
        progress.begin(self.name, Some(self.n_trees as u64));
        let seed = seed.child(self.name);
        let done = AtomicU64::new(0);
        let one = |index| {
            stop_if_raised(interrupt)?;
            let tree = grow(&mut seed.nth(index as u64).rng());
            progress.advance(done.fetch_add(1, Ordering::Relaxed) + 1, "");
            Ok(tree)
        };
        let trees = (0..self.n_trees).into_par_iter().map(one).collect::<Result<_, Error>>()?;
        progress.end("");
        Ok(trees)
    }
}

pub(crate) fn fit_classes<'a>(
    settings: &Settings,
    data: &FitData<'a>,
    seed: Seed,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Box<dyn Fitted + 'a>, Error> {
    settings.check()?;
    data.check()?;
    let bins = Bins::of(data.refit);
    let growth = settings.growth(MaxFeatures::Sqrt);
    let (classes, n_classes) = (data.refit_classes, data.n_classes);
    let shares = data.class_weights.map(|_| {
        let mut sum = 0.0;
        let running = classes.iter().map(|&class| {
            sum += f64::from(data.class_weight(class));
            sum
        });
        running.collect::<Vec<f64>>()
    });
    let trees = settings.grow(seed, progress, interrupt, |rng| {
        let weights = match &shares {
            Some(shares) => draw_weighted(shares, rng),
            None if settings.is_bagged => draw(classes.len(), rng),
            None => vec![1; classes.len()],
        };
        ClassGrower::new(&growth, &bins, classes, n_classes, weights).grow(rng)
    })?;
    let n_features = data.train.ncols();
    Ok(Box::new(FittedForest { trees, n_classes, n_features, chosen: settings.chosen() }))
}

pub(crate) fn fit_values<'a>(
    settings: &Settings,
    data: &ValueData<'a>,
    seed: Seed,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Box<dyn FittedRegressor + 'a>, Error> {
    settings.check()?;
    data.check()?;
    let bins = Bins::of(data.refit);
    let growth = settings.growth(MaxFeatures::Third);
    let values = data.refit_values;
    let trees = settings.grow(seed, progress, interrupt, |rng| {
        let n_rows = values.len();
        let weights = if settings.is_bagged { draw(n_rows, rng) } else { vec![1; n_rows] };
        ValueGrower::new(&growth, &bins, values, weights).grow(rng)
    })?;
    let n_features = data.train.ncols();
    Ok(Box::new(ValueForest { trees, n_features, chosen: settings.chosen() }))
}

/// How often each row is drawn, with replacement.
fn draw(n_rows: usize, rng: &mut Rng) -> Vec<u32> {
    let mut weights = vec![0; n_rows];
    for _ in 0..n_rows {
        weights[rng.random_range(0..n_rows)] += 1;
    }
    weights
}

/// The same in proportion to the rows' weights, given as running sums.
fn draw_weighted(running: &[f64], rng: &mut Rng) -> Vec<u32> {
    let mut weights = vec![0; running.len()];
    let total = running.last().copied().unwrap_or_default();
    for _ in 0..running.len() {
        let at = rng.random::<f64>() * total;
        weights[running.partition_point(|&sum| sum <= at).min(running.len() - 1)] += 1;
    }
    weights
}

struct FittedForest {
    trees: Vec<ClassTree>,
    n_classes: usize,
    n_features: usize,
    chosen: BTreeMap<String, f64>,
}

impl Fitted for FittedForest {
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        check_predict(x, self.n_features)?;
        let n = self.n_classes;
        let mut sums = map_rows(x, n, |rows, sums| {
            for ClassTree { tree, shares } in &self.trees {
                for (row, sums) in rows.outer_iter().zip(sums.chunks_exact_mut(n)) {
                    let shares = &shares[leaf(tree, row.to_slice()) * n..][..n];
                    sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
                }
            }
        });
        sums /= self.trees.len() as f32;
        Ok(sums)
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.chosen.clone()
    }

    fn size(&self) -> usize {
        self.trees.iter().map(|tree| tree.tree.size() + tree.shares.len()).sum()
    }
}

struct ValueForest {
    trees: Vec<MeanTree>,
    n_features: usize,
    chosen: BTreeMap<String, f64>,
}

impl FittedRegressor for ValueForest {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<f32>, Error> {
        check_predict(x, self.n_features)?;
        let sums = map_rows(x, 1, |rows, sums| {
            for MeanTree { tree, values } in &self.trees {
                for (row, sum) in rows.outer_iter().zip(sums.iter_mut()) {
                    *sum += values[leaf(tree, row.to_slice())];
                }
            }
        });
        Ok(sums.iter().map(|sum| sum / self.trees.len() as f32).collect())
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.chosen.clone()
    }

    fn size(&self) -> usize {
        self.trees.iter().map(|tree| tree.tree.size() + tree.values.len()).sum()
    }
}

fn leaf(tree: &Tree, row: Option<&[f32]>) -> usize {
    tree.leaf(row.expect("the layout is standard"))
}

/// `n` sums for each row, filled block by block.
pub(crate) fn map_rows(
    x: MatrixView<'_>,
    n: usize,
    fill: impl Fn(MatrixView<'_>, &mut [f32]) + Sync,
) -> Matrix {
    let x = x.as_standard_layout();
    let mut sums = Matrix::zeros((x.nrows(), n));
    sums.as_slice_mut()
        .expect("built row-major")
        .par_chunks_mut(PREDICTED_ROWS * n)
        .zip(x.axis_chunks_iter(Axis(0), PREDICTED_ROWS).into_par_iter())
        .for_each(|(sums, rows)| fill(rows, sums));
    sums
}
