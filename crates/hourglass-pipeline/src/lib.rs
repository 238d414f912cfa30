//! The pipeline file, its checks, the stage graph, the cache and the run directory.

mod cache;
mod compare;
mod config;
mod error;
mod explain;
mod figures;
mod file;
mod judgement;
mod key;
mod learning_rate;
mod lint;
mod memory;
mod overrides;
mod plan;
mod problem;
mod reference;
mod repeat;
mod run;
mod run_folder;
mod schema;
mod scores;
mod suite;
mod summary;
mod verify;

pub use cache::{Cache, Claim, Entry, Lock, Slot};
pub use compare::{Change, ResultChange, RunDifference, compare_runs};
pub use config::{DownstreamConfig, Pipeline};
pub use error::Error;
pub use explain::{Explained, GraphFormat, explain, graph};
pub use file::{load, parse};
pub use key::{Inputs, Key};
pub use learning_rate::learning_rate_test;
pub use memory::peak_rss_bytes;
pub use plan::{Kind, Plan, Stage};
pub use problem::{FileError, Problem};
pub use reference::reference;
pub use run::{RunOptions, RunOutcome, read_run, run};
pub use schema::pipeline_schema;

pub use hourglass_train::RateRange;
pub use suite::{SuiteOptions, SuiteOutcome, run_suite};
pub use verify::{Found, Verification, VerifiedFile, verify_run};
