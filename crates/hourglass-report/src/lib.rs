//! The report of an experiment: [`Report`] as JSON, and what is rendered from it.
//!
//! It reads finished numbers: it trains nothing, tests nothing and opens no file.

mod diagnosis;
mod error;
mod model;
mod timings;

mod json;
mod verdict;

mod markdown;
mod metric_table;
mod page;
mod sweep;
mod table;

mod suite;

mod facts;
mod figure;
mod picture;
mod words;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use diagnosis::{Cure, Diagnosis, Evidence, Finding, Severity};
pub use error::ReportError;
pub use markdown::to_markdown;
pub use model::{
    AUTOENCODER, ClassRow, Comparison, Confusion, DataFile, DataSummary, Effect, EpochRow,
    FixedSample, LatentMap, Mark, Metric, ModelSummary, PCA, PartLoss, Practice, RANDOM_ENCODER,
    RAW, RAW_AND_AUTOENCODER, Reconstruction, ReconstructionError, Report, ResultRow,
    SCHEMA_VERSION, ScoreCurves, TrainingRun, ValuePredictions, rounded,
};
pub use page::{RateReport, rate_page, to_html};
pub use suite::{
    MeanGain, SUITE_SCHEMA_VERSION, SuiteCost, SuiteCosts, SuiteEntry, SuiteFailure, SuiteGain,
    SuiteRanks, SuiteReport, SuiteRow, suite_to_html, suite_to_markdown,
};
pub use sweep::{
    SWEEP_SCHEMA_VERSION, SweepChange, SweepObjective, SweepParameter, SweepReport, SweepState,
    SweepTest, SweepTestRow, SweepTrial, sweep_html,
};
pub use table::{results_csv, results_text};
pub use timings::{DownstreamTiming, StageTiming, Timings};
pub use verdict::{Answer, Verdict, verdict};
