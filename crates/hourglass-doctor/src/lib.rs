//! Finds what goes wrong with an autoencoder, shows the evidence and names the cure.
//!
//! There are three moments: [`before`] reads the settings and the prepared rows, [`during`] the
//! figures of the epochs, [`after`] what the model makes of the rows, its latent and the results.
//! Each returns [`Finding`]s; what is said of one wherever it occurs is its [`Page`]. Limits stand
//! in one table, [`THRESHOLDS`].
//!
//! It opens no file, trains nothing and changes nothing: whoever calls it holds the rows and the
//! model, and decides what to do about a finding.

mod after;
mod architecture;
mod before;
mod catalog;
mod during;
mod finding;
mod recipe;
mod sample;
mod threshold;
mod toml;

pub use after::{
    Denoised, Labels, Latent, Reconstruction, Reconstructions, Regularisation, Results, Score,
    Unconverged, after, corrupted, normal_draws, shuffled_columns, variance_shares,
};
pub use architecture::{Architecture, Variant, strength_of};
pub use before::{Convolution, Settings, before, coded_missing, coded_values};
pub use catalog::{FindingId, Moment, Page};
pub use during::{Epoch, LatentDivergence, Layer, NotFinite, Parameter, Training, during};
pub use finding::{Change, Cure, Evidence, Finding, Severity};
pub use recipe::Recipe;
pub use threshold::{THRESHOLDS, Threshold};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests;
