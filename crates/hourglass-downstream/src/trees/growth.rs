//! What the trees of a forest share: how far they may grow, and how the columns of a split are
//! drawn. It knows neither classes nor values.

use hourglass_core::Rng;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows of a node below which sorting them is cheaper than a histogram of all bins.
pub(crate) const SORTED_ROWS: usize = 256;

/// How many columns a split is chosen among.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MaxFeatures {
    /// The square root of their number: usual for classes.
    Sqrt,
    /// A third of them: usual for values.
    Third,
    /// All of them.
    All,
    /// This many, or all where there are fewer.
    Count(usize),
}

impl MaxFeatures {
    fn of(self, n_features: usize) -> usize {
        match self {
            MaxFeatures::Sqrt => (n_features as f64).sqrt() as usize,
            MaxFeatures::Third => n_features / 3,
            MaxFeatures::All => n_features,
            MaxFeatures::Count(count) => count.min(n_features),
        }
        .max(1)
    }
}

/// How far a tree grows.
#[derive(Clone, Debug)]
pub(crate) struct Growth {
    pub max_features: MaxFeatures,
    pub max_depth: Option<usize>,
    /// Drawn rows in a leaf at least.
    pub min_leaf: usize,
    /// Whether a column is cut at one random place instead of the best one.
    pub random_cuts: bool,
}

/// The best cut so far.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    pub score: f64,
    pub column: usize,
    pub bin: u8,
}

/// A tree that is growing: its columns, the first few of which are shuffled anew for each split.
pub(crate) trait Growing {
    fn columns(&mut self) -> &mut Vec<usize>;
    fn max_features(&self) -> MaxFeatures;
}

/// The best cut among the columns drawn; more are drawn while none of them can be cut.
pub(crate) fn draw_columns<G: Growing>(
    grower: &mut G,
    rng: &mut Rng,
    mut cut: impl FnMut(&mut G, usize, &mut Rng) -> Option<Cut>,
) -> Option<Cut> {
    let n_columns = grower.columns().len();
    let n_drawn = grower.max_features().of(n_columns);
    let mut best = None;
    for drawn in 0..n_columns {
        if drawn >= n_drawn && best.is_some() {
            break;
        }
        let other = rng.random_range(drawn..n_columns);
        grower.columns().swap(drawn, other);
        let column = grower.columns()[drawn];
        if let Some(found) = cut(grower, column, rng)
            && best.is_none_or(|best: Cut| found.score > best.score)
        {
            best = Some(found);
        }
    }
    best
}

/// A random bin that leaves rows on both sides, or `None` where all rows are in one.
pub(crate) fn random_bin(bins: &[u8], rows: &[u32], rng: &mut Rng) -> Option<u8> {
    let (mut low, mut high) = (u8::MAX, u8::MIN);
    for &row in rows {
        let bin = bins[row as usize];
        low = low.min(bin);
        high = high.max(bin);
    }
    (low < high).then(|| rng.random_range(low..high))
}

/// Moves the rows that stay low to the front, in place; returns their number.
pub(crate) fn partition(rows: &mut [u32], low: impl Fn(u32) -> bool) -> usize {
    let mut n_low = 0;
    for index in 0..rows.len() {
        if low(rows[index]) {
            rows.swap(index, n_low);
            n_low += 1;
        }
    }
    n_low
}
