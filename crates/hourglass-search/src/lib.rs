//! Hyperparameter search: a [`Study`] asks its [`Sampler`] for the parameters of the next
//! [`Trial`], a worker tries them, reports values on the way, learns from the [`Pruner`] whether to
//! go on, and tells how good they were. Studies live in a [`Store`] (memory, SQLite, PostgreSQL)
//! that any number of workers share.
//!
//! It knows no tensor, no pipeline file and no terminal: the objective is a closure, or whatever
//! the caller does between `ask` and `tell`.
//!
//! ```
//! use hourglass_search::{Direction, Distribution, MemoryStore, SearchSpace, Study, StudyConfig};
//! let space = SearchSpace::new([
//!     ("x", Distribution::float(-5.0, 5.0).into()),
//!     ("penalty", Distribution::categorical([0, 1]).into()),
//! ])?;
//! let study = Study::create(MemoryStore::shared(), StudyConfig::new("parabola", space))?;
//! study.optimize(50, |trial| {
//!     let x = trial.float("x")?;
//!     let penalty = trial.int("penalty")? as f64;
//!     Ok((x * x + penalty).into())
//! })?;
//! let best = study.best_trial()?;
//! assert!(best.values[0] < 1.0);
//! # Ok::<(), hourglass_search::Error>(())
//! ```

mod clock;
mod distribution;
mod error;
mod frozen;
mod importance;
mod parameter;
pub mod pruner;
pub mod sampler;
pub mod schedule;
mod space;
pub mod store;
mod study;
mod trial;
mod trial_state;

pub use clock::{Clock, ManualClock, SystemClock};
pub use distribution::Distribution;
pub use error::{Error, RangeProblem};
pub use frozen::{FrozenTrial, Holder, Param, REASON, best_trial, dominates, pareto_front};
pub use importance::importances;
pub use parameter::{Condition, Parameter};
pub use pruner::{Pruner, PrunerConfig};
pub use sampler::{Sampler, SamplerConfig};
pub use space::{Params, SearchSpace};
pub use store::{
    Address, MemoryStore, PostgresStore, SqliteStore, Store, StudyId, StudyRecord, open,
};
pub use study::{Ask, Study, StudyConfig};
pub use trial::{KeepAlive, Trial};
pub use trial_state::{Direction, Outcome, TrialState};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
