//! The report of an experiment: [`Report`] as JSON, and what is rendered from it.
//!
//! It reads finished numbers: it trains nothing, tests nothing and opens no file.

mod error;
mod model;
mod timings;

mod json;
mod verdict;

mod markdown;
mod page;
mod table;

mod facts;
mod figure;
mod picture;
mod words;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use error::ReportError;
pub use markdown::to_markdown;
pub use model::{
    AUTOENCODER, ClassRow, Comparison, Confusion, DataFile, DataSummary, EpochRow, FixedSample,
    LatentMap, Mark, Metric, ModelSummary, PCA, RANDOM_ENCODER, RAW, RAW_AND_AUTOENCODER,
    Reconstruction, ReconstructionError, Report, ResultRow, SCHEMA_VERSION, TrainingRun, rounded,
};
pub use page::{RateReport, rate_page, to_html};
pub use table::{results_csv, results_text};
pub use timings::{StageTiming, Timings};
pub use verdict::{Answer, Verdict, verdict};
