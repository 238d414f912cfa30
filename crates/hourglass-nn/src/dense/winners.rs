//! Which activations survive: the largest of a row, or of each column.

use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;

/// Columns that one task handles.
const COLUMNS: usize = 16;

/// Zeroes all but the `k` largest values; of equal values the first stay.
pub(crate) fn keep_largest(row: &mut [f32], k: usize) {
    if k >= row.len() {
        return;
    }
    let mut sorted = row.to_vec();
    let (_, &mut threshold, _) = sorted.select_nth_unstable_by(k, |a, b| b.total_cmp(a));
    let n_above = row.iter().filter(|&&value| value > threshold).count();
    let mut n_equal = k - n_above;
    for value in row {
        if *value < threshold || (*value == threshold && n_equal == 0) {
            *value = 0.0;
        } else if *value == threshold {
            n_equal -= 1;
        }
    }
}

/// Zeroes, column by column, all but the largest share of the values.
pub(crate) fn keep_largest_of_columns(mut output: ArrayViewMut2<'_, f32>, share: f32) {
    let k = ((output.nrows() as f32 * share).ceil() as usize).max(1);
    output.axis_chunks_iter_mut(Axis(1), COLUMNS).into_par_iter().for_each(|mut block| {
        let mut columns = block.t().as_standard_layout().into_owned();
        for (mut column, mut dst) in columns.rows_mut().into_iter().zip(block.columns_mut()) {
            keep_largest(column.as_slice_mut().expect("rows are contiguous"), k);
            dst.assign(&column);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_keep_the_first() {
        let mut row = [1.0, 2.0, 2.0, 2.0, 0.5];
        keep_largest(&mut row, 2);
        assert_eq!(row, [0.0, 2.0, 2.0, 0.0, 0.0]);
    }
}
