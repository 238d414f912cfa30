//! Hourglass from outside: whole pipelines, the command line and faults.
//!
//! What one library does is tested beside its code.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "every line here is of a test")]

mod bad_data;
mod bad_files;
mod command_line;
mod doctor;
mod faults;
mod mnist;
mod page;
mod parity;
mod place;
mod protocol;
mod runs_of_runs;
#[cfg(unix)]
mod server;
#[cfg(target_os = "linux")]
mod slurm;
mod sweep;
mod treatment;
mod whole_runs;
