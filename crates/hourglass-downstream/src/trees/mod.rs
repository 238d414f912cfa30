//! What the tree ensembles share: columns cut into bins, and the grown tree.

pub(crate) mod bins;
pub(crate) mod boosted;
pub(crate) mod tree;
