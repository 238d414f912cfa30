//! One tree of a forest of regressors: each split is the one that leaves the least squared error,
//! leaves hold mean values.

use hourglass_core::Rng;

use super::bins::{Bins, MAX_BINS};
use super::growth::{
    Cut, Growing, Growth, MaxFeatures, SORTED_ROWS, draw_columns, partition, random_bin,
};
use super::tree::Tree;

/// A tree with the mean value of each leaf.
pub(crate) struct MeanTree {
    pub tree: Tree,
    pub values: Vec<f32>,
}

/// Grows one tree.
pub(crate) struct ValueGrower<'a> {
    growth: &'a Growth,
    bins: &'a Bins,
    values: &'a [f32],
    /// How often each row was drawn.
    weights: Vec<u32>,
    columns: Vec<usize>,
    /// Weight and sum of each bin, kept at zero between searches.
    histogram: Vec<(u32, f64)>,
    sorted: Vec<(u8, u32)>,
}

/// Weight and sum of the values of some rows.
#[derive(Clone, Copy)]
struct Sum {
    weight: u32,
    sum: f64,
}

impl<'a> ValueGrower<'a> {
    pub fn new(growth: &'a Growth, bins: &'a Bins, values: &'a [f32], weights: Vec<u32>) -> Self {
        ValueGrower {
            growth,
            bins,
            values,
            weights,
            columns: (0..bins.cuts.len()).collect(),
            histogram: vec![(0, 0.0); MAX_BINS + 1],
            sorted: Vec::with_capacity(SORTED_ROWS),
        }
    }

    /// Grows the tree from the rows that weigh something.
    pub fn grow(mut self, rng: &mut Rng) -> MeanTree {
        let mut rows: Vec<u32> =
            (0..self.values.len() as u32).filter(|&row| self.weights[row as usize] > 0).collect();
        let mut tree = Tree::default();
        let mut means = Vec::new();
        let root = tree.push_leaf(0);
        let mut open = vec![(root, 0, rows.len(), 0)];
        while let Some((place, start, end, depth)) = open.pop() {
            let total = self.total(&rows[start..end]);
            let first = self.values[rows[start] as usize];
            let may_split = rows[start..end].iter().any(|&row| self.values[row as usize] != first)
                && total.weight as usize >= 2 * self.growth.min_leaf
                && self.growth.max_depth.is_none_or(|most| depth < most);
            let cut = if may_split { self.best_cut(&rows[start..end], total, rng) } else { None };
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
                    tree.set_leaf(place, means.len() as u32);
                    means.push((total.sum / f64::from(total.weight)) as f32);
                }
            }
        }
        MeanTree { tree, values: means }
    }

    fn total(&self, rows: &[u32]) -> Sum {
        let mut total = Sum { weight: 0, sum: 0.0 };
        rows.iter().for_each(|&row| total.add(self.weights[row as usize], self.weighted(row)));
        total
    }

    fn weighted(&self, row: u32) -> f64 {
        f64::from(self.weights[row as usize]) * f64::from(self.values[row as usize])
    }

    fn best_cut(&mut self, rows: &[u32], total: Sum, rng: &mut Rng) -> Option<Cut> {
        draw_columns(self, rng, |grower, column, rng| {
            if grower.growth.random_cuts {
                grower.cut_random(rows, total, column, rng)
            } else if rows.len() < SORTED_ROWS {
                grower.cut_sorted(rows, total, column)
            } else {
                grower.cut_histogram(rows, total, column)
            }
        })
    }

    fn cut_random(
        &mut self,
        rows: &[u32],
        total: Sum,
        column: usize,
        rng: &mut Rng,
    ) -> Option<Cut> {
        let bins = &self.bins.columns[column];
        let bin = random_bin(bins, rows, rng)?;
        let mut low = Sum { weight: 0, sum: 0.0 };
        for &row in rows.iter().filter(|&&row| bins[row as usize] <= bin) {
            low.add(self.weights[row as usize], self.weighted(row));
        }
        self.score(low, total).map(|score| Cut { score, column, bin })
    }

    fn cut_sorted(&mut self, rows: &[u32], total: Sum, column: usize) -> Option<Cut> {
        let bins = &self.bins.columns[column];
        let mut sorted = std::mem::take(&mut self.sorted);
        sorted.clear();
        sorted.extend(rows.iter().map(|&row| (bins[row as usize], row)));
        sorted.sort_unstable();
        let mut best = None;
        let mut low = Sum { weight: 0, sum: 0.0 };
        for pair in sorted.windows(2) {
            let (bin, row) = pair[0];
            low.add(self.weights[row as usize], self.weighted(row));
            if pair[1].0 != bin {
                self.keep(&mut best, low, total, column, bin);
            }
        }
        self.sorted = sorted;
        best
    }

    fn cut_histogram(&mut self, rows: &[u32], total: Sum, column: usize) -> Option<Cut> {
        let bins = &self.bins.columns[column];
        for &row in rows {
            let weighted = self.weighted(row);
            let cell = &mut self.histogram[usize::from(bins[row as usize])];
            cell.0 += self.weights[row as usize];
            cell.1 += weighted;
        }
        let mut best = None;
        let mut low = Sum { weight: 0, sum: 0.0 };
        for bin in 0..self.bins.n_bins(column) {
            let (weight, sum) = std::mem::take(&mut self.histogram[bin]);
            if weight > 0 {
                low.add(weight, sum);
                self.keep(&mut best, low, total, column, bin as u8);
            }
        }
        best
    }

    fn keep(&self, best: &mut Option<Cut>, low: Sum, total: Sum, column: usize, bin: u8) {
        if let Some(score) = self.score(low, total)
            && best.is_none_or(|best| score > best.score)
        {
            *best = Some(Cut { score, column, bin });
        }
    }

    /// What the squared error falls by, up to what both sides share.
    fn score(&self, low: Sum, total: Sum) -> Option<f64> {
        let high = total.weight - low.weight;
        let least = self.growth.min_leaf as u32;
        if low.weight < least.max(1) || high < least.max(1) {
            return None;
        }
        let rest = total.sum - low.sum;
        Some(low.sum * low.sum / f64::from(low.weight) + rest * rest / f64::from(high))
    }
}

impl Sum {
    fn add(&mut self, weight: u32, sum: f64) {
        self.weight += weight;
        self.sum += sum;
    }
}

impl Growing for ValueGrower<'_> {
    fn columns(&mut self) -> &mut Vec<usize> {
        &mut self.columns
    }

    fn max_features(&self) -> MaxFeatures {
        self.growth.max_features
    }
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Matrix, Seed};

    use super::*;

    #[test]
    fn a_step_is_found_by_every_search() {
        for n_rows in [100_usize, 1000] {
            let x = Matrix::from_shape_fn((n_rows, 1), |(row, _)| row as f32);
            let step = n_rows * 3 / 10;
            let values: Vec<f32> =
                (0..n_rows).map(|row| if row < step { 1.0 } else { 4.0 }).collect();
            let bins = Bins::of(x.view());
            let growth = Growth {
                max_features: MaxFeatures::All,
                max_depth: None,
                min_leaf: 1,
                random_cuts: false,
            };
            let grower = ValueGrower::new(&growth, &bins, &values, vec![1; n_rows]);
            let MeanTree { tree, values } = grower.grow(&mut Seed::new(1).rng());
            let at = |x: f32| values[tree.leaf(&[x])];
            let edge = step as f32;
            // A bin of the larger set holds about four rows.
            assert_eq!([at(edge - 5.0), at(edge + 5.0)], [1.0, 4.0]);
            if n_rows == 100 {
                assert_eq!([at(edge - 1.0), at(edge)], [1.0, 4.0]);
            }
        }
    }
}
