//! Studies over pipeline files: workers that run trials, the winner and its result on test, pages
//! and exports, schedules, and scripts for clusters.
//!
//! It chooses no parameters (that is `hourglass-search`), trains nothing itself (that is
//! `hourglass-pipeline`) and draws nothing (that is `hourglass-report`). It never prints.

mod crew;
mod effort;
mod emit;
mod error;
mod export;
mod folder;
mod patience;
mod run;
mod share;
mod submit;
mod summary;
mod sweep;
mod timetable;
mod winner;
mod worker;

pub use crew::{Crew, CrewEnd, Status, StatusTrial};
pub use effort::Effort;
pub use emit::{EmitFormat, emit};
pub use error::Error;
pub use export::{ExportFormat, export};
pub use folder::{write_dated, write_folder};
pub use hourglass_schedule::Timestamp;
pub use run::Site;
pub use share::{Share, share};
pub use submit::{Engine, SubmitOptions, script};
pub use summary::summary;
pub use sweep::{Budget, File, Sweep};
pub use timetable::{Fired, Runner, Timetable, TimetableFile};
pub use winner::{Winner, test};
pub use worker::{Work, Worker};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
