//! Schedules and their fires as the store keeps them. When a schedule is due is decided by whoever
//! reads it; this file only says what is remembered.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Its name, unique within the store.
    pub name: String,
    /// Everything that decides when it is due and what it starts, as its owner writes it.
    pub spec: Value,
    /// Whether it rests.
    pub suspended: bool,
    /// Times before this one are not due: when it was first seen, or when it last changed.
    pub since: Timestamp,
}

/// One time at which a schedule was due.
#[derive(Clone, Debug, PartialEq)]
pub struct Fire {
    /// Name of the schedule.
    pub schedule: String,
    /// When it was due.
    pub due_at: Timestamp,
    /// What became of it.
    pub state: FireState,
    /// Who runs or ran it.
    pub worker: Option<String>,
    /// Until when it is the worker's, while it runs.
    pub lease_until: Option<Timestamp>,
    /// When it was taken by the worker.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// What its worker has to say about it.
    pub note: String,
}

/// What became of a fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FireState {
    /// It waits for a worker.
    Waiting,
    /// A worker runs it.
    Running,
    /// It ran.
    Done,
    /// It ran and failed.
    Failed,
    /// It was left out: missed, overlapping, or past its deadline.
    Skipped,
}

impl FireState {
    /// All states.
    pub const ALL: [FireState; 5] = [
        FireState::Waiting,
        FireState::Running,
        FireState::Done,
        FireState::Failed,
        FireState::Skipped,
    ];

    /// Its name in the store.
    pub fn name(self) -> &'static str {
        match self {
            FireState::Waiting => "waiting",
            FireState::Running => "running",
            FireState::Done => "done",
            FireState::Failed => "failed",
            FireState::Skipped => "skipped",
        }
    }
}
