//! What can go wrong while features are made.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model operation failed.
    #[error(transparent)]
    Model(#[from] hourglass_models::Error),
    /// An operation failed, or weights can't be written or read.
    #[error(transparent)]
    Nn(#[from] hourglass_nn::Error),
    /// There are too few rows to fit on.
    #[error("{what} needs at least {needed} training rows, but there are {found}")]
    TooFewRows {
        /// What is fitted.
        what: &'static str,
        /// Rows needed.
        needed: usize,
        /// Rows found.
        found: usize,
    },
    /// The matrix has another width than what was fitted.
    #[error("the matrix has {found} columns, but {what} was fitted on {expected}")]
    Width {
        /// What was fitted.
        what: &'static str,
        /// Its columns.
        expected: usize,
        /// Columns that came.
        found: usize,
    },
    /// A file of the bundle can't be written or read.
    #[error("can't {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file of the bundle is damaged.
    #[error("`{}` is not the description of a bundle", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}
