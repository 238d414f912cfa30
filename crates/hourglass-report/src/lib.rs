//! The report of an experiment: [`Report`] as JSON, and what is rendered from it.
//!
//! It reads finished numbers: it trains nothing, tests nothing and opens no file.

mod error;
mod markdown;
mod model;
mod table;
mod timings;
mod verdict;
mod words;

pub use error::ReportError;
pub use markdown::to_markdown;
pub use model::{
    AUTOENCODER, ClassRow, Comparison, Confusion, DataFile, DataSummary, EpochRow, FixedSample,
    LatentMap, Mark, Metric, ModelSummary, PCA, RANDOM_ENCODER, RAW, RAW_AND_AUTOENCODER,
    Reconstruction, ReconstructionError, Report, ResultRow, SCHEMA_VERSION, TrainingRun, rounded,
};
pub use table::{results_csv, results_text};
pub use timings::{StageTiming, Timings};
pub use verdict::{Answer, Verdict, verdict};
