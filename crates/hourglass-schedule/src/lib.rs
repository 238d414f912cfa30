//! When a pipeline is due: cron lines, time zones, and what becomes of times that were missed.
//!
//! It has no clock, no store and no thread: the moment is an argument, and who fires what is
//! written down elsewhere.

mod config;
mod cron;
mod duration;
mod error;
mod schedule;

pub use config::{Misfire, Overlap, ScheduleConfig};
pub use error::Error;
pub use jiff::Timestamp;
pub use schedule::{Due, Schedule};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
