//! Everything that needs a real store: one conformance suite over memory, SQLite and PostgreSQL,
//! many workers, restarts, and Optuna on the same tables.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "clippy.toml allows both in tests")]

mod conformance;
mod faults;
mod fixture;
mod optuna;
mod resume;
mod workers;
