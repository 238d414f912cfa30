//! One tree of a forest of classifiers: deep, each split chosen among few columns by the Gini
//! impurity, leaves that hold class shares.

use hourglass_core::Rng;

use super::bins::{Bins, MAX_BINS};
use super::growth::{
    Cut, Growing, Growth, MaxFeatures, SORTED_ROWS, draw_columns, partition, random_bin,
};
use super::tree::Tree;

/// A tree with the class shares of each leaf.
pub(crate) struct ClassTree {
    pub tree: Tree,
    /// Class shares of each leaf, leaf by leaf.
    pub shares: Vec<f32>,
}

/// Grows one tree.
pub(crate) struct ClassGrower<'a> {
    growth: &'a Growth,
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

impl<'a> ClassGrower<'a> {
    pub fn new(
        growth: &'a Growth,
        bins: &'a Bins,
        classes: &'a [u32],
        n_classes: usize,
        weights: Vec<u32>,
    ) -> Self {
        ClassGrower {
            growth,
            bins,
            classes,
            n_classes,
            weights,
            columns: (0..bins.cuts.len()).collect(),
            histogram: vec![0; (MAX_BINS + 1) * n_classes],
            sorted: Vec::with_capacity(SORTED_ROWS),
        }
    }

    /// Grows the tree from the rows that weigh something.
    pub fn grow(mut self, rng: &mut Rng) -> ClassTree {
        let n_rows = self.classes.len();
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
                && total as usize >= 2 * self.growth.min_leaf
                && self.growth.max_depth.is_none_or(|most| depth < most);
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
        draw_columns(self, rng, |grower, column, rng| {
            if grower.growth.random_cuts {
                grower.cut_random(rows, counts, column, rng)
            } else if rows.len() < SORTED_ROWS {
                grower.cut_sorted(rows, counts, column)
            } else {
                grower.cut_histogram(rows, counts, column)
            }
        })
    }

    /// One cut at a random place between the column's smallest and largest bin.
    fn cut_random(
        &mut self,
        rows: &[u32],
        counts: &[u32],
        column: usize,
        rng: &mut Rng,
    ) -> Option<Cut> {
        let bins = &self.bins.columns[column];
        let bin = random_bin(bins, rows, rng)?;
        let mut scan = Scan::new(counts, self.growth.min_leaf, column);
        let mut low = vec![0_u32; self.n_classes];
        for &row in rows {
            let row = row as usize;
            if bins[row] <= bin {
                low[self.classes[row] as usize] += self.weights[row];
            }
        }
        low.iter().enumerate().for_each(|(class, &count)| scan.take(class, count));
        scan.try_cut(bin);
        scan.best
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
        let mut scan = Scan::new(counts, self.growth.min_leaf, column);
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
        let mut scan = Scan::new(counts, self.growth.min_leaf, column);
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

impl Growing for ClassGrower<'_> {
    fn columns(&mut self) -> &mut Vec<usize> {
        &mut self.columns
    }

    fn max_features(&self) -> MaxFeatures {
        self.growth.max_features
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

#[cfg(test)]
mod tests {
    use hourglass_core::Matrix;

    use super::*;

    #[test]
    fn sorted_rows_and_histograms_find_the_same_cut() {
        let x = Matrix::from_shape_fn((200, 3), |(row, column)| {
            ((row * [7, 11, 13][column]) % 101) as f32
        });
        let classes: Vec<u32> = x.outer_iter().map(|row| (row[0] as u32 / 10) % 3).collect();
        let bins = Bins::of(x.view());
        let growth = Growth {
            max_features: MaxFeatures::Sqrt,
            max_depth: None,
            min_leaf: 1,
            random_cuts: false,
        };
        let mut grower = ClassGrower::new(&growth, &bins, &classes, 3, vec![2; 200]);
        let rows: Vec<u32> = (0..200).collect();
        let counts = grower.count(&rows);
        for column in 0..3 {
            let sorted = grower.cut_sorted(&rows, &counts, column).unwrap();
            let histogram = grower.cut_histogram(&rows, &counts, column).unwrap();
            assert_eq!((sorted.bin, sorted.score), (histogram.bin, histogram.score));
        }
    }
}
