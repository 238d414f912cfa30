//! Studies and trials: what to try next, what to stop early, where it is kept.
//!
//! It knows no tensor and no pipeline file: an objective is a closure.
