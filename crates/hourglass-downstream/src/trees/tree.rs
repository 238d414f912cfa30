//! A grown tree: which way a row goes, and where it ends.

/// A tree whose leaves carry an index that its ensemble gives a meaning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Column compared, or [`LEAF`].
    column: u32,
    threshold: f32,
    /// Node for values up to the threshold; a leaf's index.
    low: u32,
    /// Node for values above it.
    high: u32,
}

const LEAF: u32 = u32::MAX;

impl Tree {
    /// Adds a leaf that a later [`Tree::split`] may replace; returns its place.
    pub fn push_leaf(&mut self, leaf: u32) -> usize {
        self.nodes.push(Node { column: LEAF, threshold: 0.0, low: leaf, high: 0 });
        self.nodes.len() - 1
    }

    /// Makes the leaf at `place` a split with two new leaves; returns their places.
    pub fn split(&mut self, place: usize, column: usize, threshold: f32) -> (usize, usize) {
        let (low, high) = (self.push_leaf(0), self.push_leaf(0));
        self.nodes[place] =
            Node { column: column as u32, threshold, low: low as u32, high: high as u32 };
        (low, high)
    }

    /// Gives the leaf at `place` its index.
    pub fn set_leaf(&mut self, place: usize, leaf: u32) {
        self.nodes[place].low = leaf;
    }

    /// Numbers that the tree is made of: a column, a threshold and two ways a node.
    pub fn size(&self) -> usize {
        4 * self.nodes.len()
    }

    /// The index of the leaf where a row ends.
    pub fn leaf(&self, row: &[f32]) -> usize {
        let mut node = &self.nodes[0];
        while node.column != LEAF {
            let below = row[node.column as usize] <= node.threshold;
            node = &self.nodes[if below { node.low } else { node.high } as usize];
        }
        node.low as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_where_the_thresholds_send_them() {
        let mut tree = Tree::default();
        let root = tree.push_leaf(0);
        let (low, high) = tree.split(root, 1, 0.5);
        tree.set_leaf(low, 7);
        let (_, far) = tree.split(high, 0, 2.0);
        tree.set_leaf(far, 9);
        assert_eq!(tree.leaf(&[0.0, 0.5]), 7);
        assert_eq!(tree.leaf(&[2.0, 0.6]), 0);
        assert_eq!(tree.leaf(&[2.1, 0.6]), 9);
    }
}
