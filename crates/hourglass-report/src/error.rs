//! What can go wrong with a report.

use thiserror::Error;

/// Why a report can't be read, written or drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The file is of another program version.
    #[error(
        "the report has layout `{found}`, this program reads layout `{known}`\n\
         hint: run the pipeline again with this version"
    )]
    SchemaVersion {
        /// Layout of the file.
        found: u32,
        /// Layout of this program.
        known: u32,
    },
    /// The text is no report.
    #[error("the report can't be read")]
    Json {
        /// Position and reason.
        #[from]
        source: serde_json::Error,
    },
    /// The page could not be filled in.
    #[error("the report's page can't be drawn")]
    Page {
        /// Line of the template and reason.
        #[from]
        source: minijinja::Error,
    },
    /// A picture could not be encoded.
    #[error("the picture of sample `{sample}` can't be encoded")]
    Picture {
        /// Number of the sample, from 0.
        sample: usize,
        /// What the encoder says.
        source: png::EncodingError,
    },
}
