//! The pipeline file, its checks, the stage graph, the cache and the run directory.

mod ablate;
mod cache;
mod clinic;
mod compare;
mod config;
mod diagnosis;
mod doctor;
mod error;
mod explain;
mod figures;
mod file;
mod judgement;
mod key;
mod learning_rate;
mod lint;
mod measures;
mod memory;
mod objective;
mod overrides;
mod plan;
mod problem;
mod reference;
mod repeat;
mod run;
mod run_folder;
mod schema;
mod scores;
mod search;
mod side_by_side;
mod space;
mod suite;
mod summary;
mod treat;
mod trial;
mod unfinished;
mod verify;
mod watch;

pub use ablate::{Ablated, AblateOptions, Ablation, Worth, ablate};
pub use cache::{Cache, Claim, Entry, Lock, Slot};
pub use clinic::{CaseTreatment, Clinic, ClinicCase, ClinicFinding, ClinicOptions, run_clinic};
pub use compare::{Change, ResultChange, RunDifference, compare_runs};
pub use config::{DownstreamConfig, Pipeline};
pub use doctor::{Examination, doctor_check, doctor_examine};
pub use error::Error;
pub use explain::{Explained, GraphFormat, explain, explain_columns, graph};
pub use file::{Text, load, parse};
pub use key::{Inputs, Key};
pub use learning_rate::learning_rate_test;
pub use measures::Estimated;
pub use memory::peak_rss_bytes;
pub use objective::{Objective, Objectives};
pub use plan::{Kind, Plan, Stage};
pub use problem::{FileError, Problem};
pub use reference::reference;
pub use run::{RunOptions, RunOutcome, read_run, run};
pub use schema::pipeline_schema;
pub use search::{SearchConfig, choice_labels};
pub use space::{overrides_of, trial_pipeline};
pub use treat::{
    About, Attempt, Condition, EvidenceChange, Patch, TreatOptions, Treatment, treat,
};
pub use trial::{Look, TrialOutcome, TrialRoom, Verdict};

pub use hourglass_train::RateRange;
pub use suite::{SuiteOptions, SuiteOutcome, run_suite};
pub use verify::{Found, Verification, VerifiedFile, verify_run};
