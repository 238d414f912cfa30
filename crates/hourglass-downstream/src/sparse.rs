//! Rows that mostly repeat one value per column, kept as what differs from it.
//!
//! Sparse codes are mostly zeros, and scaled sparse codes are mostly one other number in each
//! column. Either way a product with them costs only what differs: `x w = background w + (x -
//! background) w`, and the first term is the same for every row. It doesn't look for structure
//! across columns.

use std::ops::Range;

use hourglass_core::MatrixView;
use rayon::prelude::*;

/// Share of values that may differ from their column's background. Above it the dense products are
/// as fast (measured at 60,000 x 1000), and the copy would no longer be small.
const MAX_DENSITY: f64 = 0.1;

/// Rows looked at to guess the backgrounds and to give up early.
const N_GUESS: usize = 256;

/// Rows in compressed form, relative to one background value a column.
pub(crate) struct SparseRows {
    pub background: Vec<f32>,
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

impl SparseRows {
    /// The compressed rows, or `None` where more than a tenth of the values differ.
    pub fn detect(x: MatrixView<'_>) -> Option<SparseRows> {
        let step = (x.nrows() / N_GUESS).max(1);
        let guess = x.slice(ndarray::s![..;step, ..]);
        let background = majorities(guess);
        let most = |n_rows: usize| (MAX_DENSITY * (n_rows * x.ncols()) as f64) as usize;
        // The sample may be unlucky, so it only rules out what is clearly dense.
        if count_differing(guess, &background) > 2 * most(guess.nrows()) {
            return None;
        }
        if count_differing(x, &background) > most(x.nrows()) {
            return None;
        }
        Some(Self::relative_to(x, background))
    }

    /// The rows relative to a background found on other rows.
    pub fn relative_to(x: MatrixView<'_>, background: Vec<f32>) -> SparseRows {
        let mut rows = SparseRows {
            starts: Vec::with_capacity(x.nrows() + 1),
            columns: Vec::with_capacity(count_differing(x, &background)),
            values: Vec::new(),
            background,
        };
        rows.values.reserve_exact(rows.columns.capacity());
        rows.starts.push(0);
        for row in x.outer_iter() {
            for (column, (&value, &usual)) in row.iter().zip(&rows.background).enumerate() {
                if value != usual {
                    rows.columns.push(column as u32);
                    rows.values.push(value - usual);
                }
            }
            rows.starts.push(rows.columns.len());
        }
        rows
    }

    /// Columns and differences of one row.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range: Range<usize> = self.starts[row]..self.starts[row + 1];
        (&self.columns[range.clone()], &self.values[range])
    }
}

/// The value that most of a column's rows share, where there is one, by Boyer and Moore's majority
/// vote; else any of its values, which the count then shows to be useless.
fn majorities(x: MatrixView<'_>) -> Vec<f32> {
    let mut candidates = vec![(0.0_f32, 0_u32); x.ncols()];
    for row in x.outer_iter() {
        for (&value, (candidate, votes)) in row.iter().zip(&mut candidates) {
            if *votes == 0 {
                (*candidate, *votes) = (value, 1);
            } else if *candidate == value {
                *votes += 1;
            } else {
                *votes -= 1;
            }
        }
    }
    candidates.into_iter().map(|(candidate, _)| candidate).collect()
}

fn count_differing(x: MatrixView<'_>, background: &[f32]) -> usize {
    let count = |row: ndarray::ArrayView1<'_, f32>| -> u32 {
        row.iter().zip(background).map(|(value, usual)| u32::from(value != usual)).sum()
    };
    x.outer_iter().into_par_iter().with_min_len(512).map(|row| count(row) as usize).sum()
}

#[cfg(test)]
mod tests {
    use hourglass_core::Matrix;

    use super::*;

    /// Values that equal `column` but for one column in 20.
    fn mostly_background(n_rows: usize) -> Matrix {
        Matrix::from_shape_fn((n_rows, 40), |(row, column)| {
            if (row * 7 + column) % 20 == 3 { row as f32 + 0.5 } else { column as f32 }
        })
    }

    #[test]
    fn rows_come_back_from_the_differences() {
        let x = mostly_background(300);
        let sparse = SparseRows::detect(x.view()).expect("a twentieth differs");
        for (row, expected) in x.outer_iter().enumerate() {
            let mut found = sparse.background.clone();
            let (columns, values) = sparse.row(row);
            columns.iter().zip(values).for_each(|(&c, &v)| found[c as usize] += v);
            assert_eq!(found, expected.to_vec());
        }
    }

    #[test]
    fn dense_rows_stay_as_they_are() {
        let x = Matrix::from_shape_fn((300, 40), |(row, column)| (row * column) as f32);
        assert!(SparseRows::detect(x.view()).is_none());
    }
}
