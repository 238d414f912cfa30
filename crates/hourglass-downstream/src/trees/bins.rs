//! Columns cut into at most 255 bins, so that a split is searched in a histogram rather than in
//! sorted values. The cuts come from training rows alone.
//!
//! # Source
//! As in LightGBM (Ke et al., *LightGBM: A Highly Efficient Gradient Boosting Decision Tree*,
//! NeurIPS 2017): few distinct values are cut half-way between neighbours, many at about equal
//! counts, and a value that is very frequent has a bin of its own.

use hourglass_core::MatrixView;
use ndarray::s;
use rayon::prelude::*;

/// Bins of a column at most, so that a bin's index is a byte.
pub(crate) const MAX_BINS: usize = 255;

/// Rows from which the cuts are taken at most, evenly spaced.
const MAX_CUT_ROWS: usize = 20_000;

/// Columns worked on together: a cache line of a row.
const STRIPE: usize = 16;

/// The cuts of every column and the bin of every value.
pub(crate) struct Bins {
    /// Ascending cuts of each column; bin `b` holds the values up to and including cut `b`.
    pub cuts: Vec<Vec<f32>>,
    /// Bin of each row, column by column.
    pub columns: Vec<Vec<u8>>,
}

impl Bins {
    /// Cuts and bins the rows.
    pub fn of(x: MatrixView<'_>) -> Bins {
        let starts: Vec<usize> = (0..x.ncols()).step_by(STRIPE).collect();
        let stripes: Vec<Vec<(Vec<f32>, Vec<u8>)>> = starts
            .into_par_iter()
            .map(|start| bin_stripe(x.slice(s![.., start..(start + STRIPE).min(x.ncols())])))
            .collect();
        let (cuts, columns) = stripes.into_iter().flatten().unzip();
        Bins { cuts, columns }
    }

    /// Number of bins of a column.
    pub fn n_bins(&self, column: usize) -> usize {
        self.cuts[column].len() + 1
    }
}

fn bin_stripe(x: MatrixView<'_>) -> Vec<(Vec<f32>, Vec<u8>)> {
    let (n_rows, n_columns) = x.dim();
    let step = n_rows.div_ceil(MAX_CUT_ROWS);
    let mut samples = vec![Vec::with_capacity(n_rows.div_ceil(step)); n_columns];
    for row in x.slice(s![..;step, ..]).outer_iter() {
        samples.iter_mut().zip(row).for_each(|(sample, &value)| sample.push(value));
    }
    let cuts: Vec<Vec<f32>> = samples.into_iter().map(cut).collect();
    let mut columns = vec![vec![0_u8; n_rows]; n_columns];
    for (index, row) in x.outer_iter().enumerate() {
        for ((bins, &value), cuts) in columns.iter_mut().zip(row).zip(&cuts) {
            bins[index] = cuts.partition_point(|&cut| cut < value) as u8;
        }
    }
    cuts.into_iter().zip(columns).collect()
}

/// Cuts one column's values.
fn cut(mut values: Vec<f32>) -> Vec<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let mut distinct: Vec<(f32, usize)> = Vec::new();
    for &value in &values {
        match distinct.last_mut() {
            Some((last, count)) if *last == value => *count += 1,
            _ => distinct.push((value, 1)),
        }
    }
    let few = distinct.len() <= MAX_BINS;
    let (mut rows_left, mut bins_left) = (values.len(), MAX_BINS);
    let mut in_bin = 0;
    let mut cuts = Vec::with_capacity(distinct.len().min(MAX_BINS));
    for pair in distinct.windows(2) {
        let ((value, count), (next, next_count)) = (pair[0], pair[1]);
        in_bin += count;
        // A frequent value also begins a bin, so that it is alone in it.
        let target = rows_left / bins_left;
        if bins_left > 1 && (few || in_bin >= target || next_count >= target) {
            cuts.push(middle(value, next));
            rows_left -= in_bin;
            bins_left -= 1;
            in_bin = 0;
        }
    }
    cuts
}

/// Half-way between two values, at least `low` and below `high`.
fn middle(low: f32, high: f32) -> f32 {
    let middle = low * 0.5 + high * 0.5;
    if middle >= low && middle < high { middle } else { low }
}

#[cfg(test)]
mod tests {
    use hourglass_core::Matrix;

    use super::*;

    #[test]
    fn few_distinct_values_are_cut_half_way() {
        assert_eq!(cut(vec![3.0, 1.0, 1.0, 2.0]), [1.5, 2.5]);
        assert!(cut(vec![7.0; 5]).is_empty());
    }

    #[test]
    fn many_values_are_cut_evenly_and_a_frequent_one_stays_alone() {
        let values = (0..20_000).map(|i| if i % 2 == 0 { 0.0 } else { i as f32 }).collect();
        let cuts = cut(values);
        assert_eq!(cuts.len(), MAX_BINS - 1);
        assert!(cuts[0] < 1.0 && cuts[1] > 60.0, "{:?}", &cuts[..2]);
    }

    #[test]
    fn a_bin_agrees_with_its_cuts() {
        let x =
            Matrix::from_shape_fn((1000, 20), |(row, column)| ((row * 37) % (column + 3)) as f32);
        let bins = Bins::of(x.view());
        for ((row, column), &value) in x.indexed_iter() {
            let bin = usize::from(bins.columns[column][row]);
            let cuts = &bins.cuts[column];
            assert!(bin == 0 || cuts[bin - 1] < value);
            assert!(bin == cuts.len() || value <= cuts[bin]);
        }
    }
}
