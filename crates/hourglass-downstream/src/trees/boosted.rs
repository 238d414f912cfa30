//! One tree of a boosted ensemble: grown depth first from histograms of integer gradients.

use super::bins::Bins;
use super::tree::Tree;

/// Bits of the largest sum of a histogram: two sums share 64 bits, one of them signed.
const SUM_BITS: u32 = 30;

/// Bits of one row's gradient at most.
const MAX_BITS: u32 = 14;

/// A tree whose leaves add to a score.
pub(crate) struct ValueTree {
    tree: Tree,
    values: Vec<f32>,
}

impl ValueTree {
    /// What a row's score gains.
    pub fn value(&self, row: &[f32]) -> f32 {
        self.values[self.tree.leaf(row)]
    }

    /// Numbers that the tree is made of.
    pub fn size(&self) -> usize {
        self.tree.size() + self.values.len()
    }
}

/// What a tree may do.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub max_depth: usize,
    pub l2: f64,
    pub min_child_weight: f64,
    pub learning_rate: f64,
}

/// First and second derivatives of all rows as integers: a signed first one in the upper half, a
/// second one in the lower. Sums of both are one addition, and exact.
pub(crate) struct Gradients {
    packed: Vec<i64>,
    first_unit: f64,
    second_unit: f64,
}

impl Gradients {
    /// Rounds the derivatives to integers whose sum over all rows can't overflow.
    pub fn new(n_rows: usize, derivative: impl Fn(usize) -> (f32, f32)) -> Self {
        let pairs: Vec<(f32, f32)> = (0..n_rows).map(derivative).collect();
        let largest = pairs.iter().fold((f32::MIN_POSITIVE, f32::MIN_POSITIVE), |most, pair| {
            (most.0.max(pair.0.abs()), most.1.max(pair.1))
        });
        let bits = MAX_BITS.min(SUM_BITS.saturating_sub(usize::BITS - n_rows.leading_zeros()));
        let steps = f32::from(1_u16 << bits);
        let pack = |(first, second): (f32, f32)| {
            let first = (first / largest.0 * steps).round() as i64;
            let second = (second / largest.1 * steps).round() as i64;
            (first << 32) + second
        };
        Gradients {
            packed: pairs.into_iter().map(pack).collect(),
            first_unit: f64::from(largest.0 / steps),
            second_unit: f64::from(largest.1 / steps),
        }
    }

    fn unpack(&self, sum: i64) -> (f64, f64) {
        let second = sum & 0xffff_ffff;
        let first = (sum - second) >> 32;
        (first as f64 * self.first_unit, second as f64 * self.second_unit)
    }
}

/// Sums of packed gradients in each bin of one column.
type Histogram = [i64; 256];

/// Grows one tree on some columns.
pub(crate) struct Grower<'a> {
    bins: &'a Bins,
    columns: Vec<usize>,
    limits: Limits,
    gradients: Gradients,
    tree: Tree,
    values: Vec<f32>,
    /// Packed gradients of the rows of one node, in their order.
    ordered: Vec<i64>,
}

struct Cut {
    gain: f64,
    column: usize,
    bin: u8,
}

struct Node {
    place: usize,
    depth: usize,
    sum: i64,
}

impl<'a> Grower<'a> {
    pub fn new(bins: &'a Bins, columns: Vec<usize>, limits: Limits, gradients: Gradients) -> Self {
        Grower {
            bins,
            columns,
            limits,
            ordered: Vec::with_capacity(gradients.packed.len()),
            gradients,
            tree: Tree::default(),
            values: Vec::new(),
        }
    }

    /// Grows the tree, and tells what each row's score gains.
    pub fn grow(mut self, mut gain: impl FnMut(usize, f32)) -> ValueTree {
        let mut rows: Vec<u32> = (0..self.gradients.packed.len() as u32).collect();
        let sum = self.gradients.packed.iter().sum();
        let place = self.tree.push_leaf(0);
        let histograms = self.histograms(&rows);
        self.grow_node(Node { place, depth: 0, sum }, &mut rows, histograms, &mut gain);
        ValueTree { tree: self.tree, values: self.values }
    }

    fn grow_node(
        &mut self,
        node: Node,
        rows: &mut [u32],
        histograms: Vec<Histogram>,
        gain: &mut impl FnMut(usize, f32),
    ) {
        let Some(Cut { column, bin, .. }) = self.best_cut(&node, &histograms) else {
            let (first, second) = self.gradients.unpack(node.sum);
            let value = (-self.limits.learning_rate * first / (second + self.limits.l2)) as f32;
            // Without a penalty a leaf without curvature would have no finite value.
            let value = if value.is_finite() { value } else { 0.0 };
            self.tree.set_leaf(node.place, self.values.len() as u32);
            self.values.push(value);
            rows.iter().for_each(|&row| gain(row as usize, value));
            return;
        };
        let column_bins = &self.bins.columns[column];
        let n_low = stable_partition(rows, |row| column_bins[row as usize] <= bin);
        let threshold = self.bins.cuts[column][usize::from(bin)];
        let (low, high) = self.tree.split(node.place, column, threshold);
        let (low_rows, high_rows) = rows.split_at_mut(n_low);
        let packed = &self.gradients.packed;
        let low_sum = low_rows.iter().map(|&row| packed[row as usize]).sum();
        let depth = node.depth + 1;
        let low_node = Node { place: low, depth, sum: low_sum };
        let high_node = Node { place: high, depth, sum: node.sum - low_sum };
        // Leaves at the last level need no histogram.
        let (low_histograms, high_histograms) = if depth == self.limits.max_depth {
            (Vec::new(), Vec::new())
        } else if low_rows.len() <= high_rows.len() {
            let small = self.histograms(low_rows);
            let large = subtract(histograms, &small);
            (small, large)
        } else {
            let small = self.histograms(high_rows);
            (subtract(histograms, &small), small)
        };
        self.grow_node(low_node, low_rows, low_histograms, gain);
        self.grow_node(high_node, high_rows, high_histograms, gain);
    }

    fn histograms(&mut self, rows: &[u32]) -> Vec<Histogram> {
        let packed = &self.gradients.packed;
        self.ordered.clear();
        self.ordered.extend(rows.iter().map(|&row| packed[row as usize]));
        let mut histograms = vec![[0; 256]; self.columns.len()];
        for (histogram, &column) in histograms.iter_mut().zip(&self.columns) {
            let bins = &self.bins.columns[column];
            for (&row, &gradient) in rows.iter().zip(&self.ordered) {
                histogram[usize::from(bins[row as usize])] += gradient;
            }
        }
        histograms
    }

    /// The cut that lowers the loss most, the first of several, or `None`.
    fn best_cut(&self, node: &Node, histograms: &[Histogram]) -> Option<Cut> {
        let Limits { l2, min_child_weight, .. } = self.limits;
        let score = |first: f64, second: f64| first * first / (second + l2).max(f64::MIN_POSITIVE);
        let (first, second) = self.gradients.unpack(node.sum);
        let whole = score(first, second);
        let mut best: Option<Cut> = None;
        for (histogram, &column) in histograms.iter().zip(&self.columns) {
            let n_bins = self.bins.n_bins(column);
            let mut sum = 0;
            for (bin, &here) in histogram[..n_bins - 1].iter().enumerate() {
                if here == 0 {
                    continue;
                }
                sum += here;
                let (low_first, low_second) = self.gradients.unpack(sum);
                let (high_first, high_second) = (first - low_first, second - low_second);
                if low_second < min_child_weight || high_second < min_child_weight {
                    continue;
                }
                let gain = score(low_first, low_second) + score(high_first, high_second) - whole;
                if gain > best.as_ref().map_or(1e-9, |best| best.gain) {
                    best = Some(Cut { gain, column, bin: bin as u8 });
                }
            }
        }
        best
    }
}

fn subtract(mut whole: Vec<Histogram>, part: &[Histogram]) -> Vec<Histogram> {
    for (whole, part) in whole.iter_mut().zip(part) {
        whole.iter_mut().zip(part).for_each(|(whole, part)| *whole -= part);
    }
    whole
}

/// Moves the low rows to the front; both sides keep their order, which keeps memory accesses
/// ascending.
fn stable_partition(rows: &mut [u32], low: impl Fn(u32) -> bool) -> usize {
    let mut high = Vec::with_capacity(rows.len());
    let mut n_low = 0;
    for index in 0..rows.len() {
        let row = rows[index];
        if low(row) {
            rows[n_low] = row;
            n_low += 1;
        } else {
            high.push(row);
        }
    }
    rows[n_low..].copy_from_slice(&high);
    n_low
}

#[cfg(test)]
mod tests {
    use hourglass_core::Matrix;

    use super::*;

    #[test]
    fn packed_sums_come_apart() {
        let gradients = Gradients::new(3, |row| ([-1.0, 0.25, -0.5][row], [0.1, 0.2, 0.4][row]));
        let (first, second) = gradients.unpack(gradients.packed.iter().sum());
        assert!((first + 1.25).abs() < 1e-3, "{first}");
        assert!((second - 0.7).abs() < 1e-3, "{second}");
    }

    #[test]
    fn a_step_is_found_and_its_leaves_are_newton_steps() {
        let x = Matrix::from_shape_fn((100, 2), |(row, column)| (row * (1 - column)) as f32);
        let bins = Bins::of(x.view());
        let limits = Limits { max_depth: 3, l2: 1.0, min_child_weight: 1.0, learning_rate: 1.0 };
        let gradients = Gradients::new(100, |row| (if row < 30 { -1.0 } else { 0.5 }, 0.25));
        let grower = Grower::new(&bins, vec![0, 1], limits, gradients);
        let mut gains = vec![0.0; 100];
        let tree = grower.grow(|row, value| gains[row] = value);
        // -G / (H + l2): 30 / 8.5 and -35 / 18.5 where nothing splits further.
        assert!((tree.value(&[10.0, 0.0]) - 30.0 / 8.5).abs() < 1e-2);
        assert!((tree.value(&[60.0, 0.0]) + 35.0 / 18.5).abs() < 1e-2);
        for (row, gain) in x.outer_iter().zip(&gains) {
            assert_eq!(tree.value(row.as_slice().unwrap()), *gain);
        }
    }
}
