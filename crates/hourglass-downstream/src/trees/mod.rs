//! What the tree ensembles share: columns cut into bins, how trees grow, and the grown tree.

pub(crate) mod bins;
pub(crate) mod boosted;
pub(crate) mod class_tree;
pub(crate) mod growth;
pub(crate) mod tree;
pub(crate) mod value_tree;
