//! What surrounds a training run: files, watchers, and who may stop it.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use hourglass_core::{Interrupt, Progress, SampleShape, Silent};

use crate::{Observer, Unobserved};

/// Usual time between two checkpoints, so that saving stays far below a hundredth of the work.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(20);

/// What nobody raises.
static NEVER: LazyLock<Interrupt> = LazyLock::new(Interrupt::new);

/// What surrounds a training run. The default saves nothing, tells nobody and is never stopped.
///
/// ```
/// use hourglass_train::FitOptions;
///
/// let options =
///     FitOptions { checkpoint: Some("last.safetensors".into()), ..FitOptions::default() };
/// # assert!(options.best.is_none());
/// ```
#[derive(Clone)]
pub struct FitOptions<'a> {
    /// Where the whole state is saved, and resumed from if the file is there.
    pub checkpoint: Option<PathBuf>,
    /// Least time between two checkpoints; zero saves after every step. Default: 20 seconds.
    pub checkpoint_interval: Duration,
    /// Where the weights with the lowest validation loss are saved, alone, as a bundle holds them.
    pub best: Option<PathBuf>,
    /// Where telemetry goes.
    pub telemetry: Option<PathBuf>,
    /// Folder for TensorBoard's event files.
    pub tensorboard: Option<PathBuf>,
    /// How many samples of the training part, and as many of validation, are reconstructed over
    /// the epochs: the first ones.
    pub n_watched: usize,
    /// What a row means, for corruptions that ask; plain columns where `None`.
    pub shape: Option<&'a SampleShape>,
    /// Who is told in words.
    pub progress: &'a dyn Progress,
    /// Who may interrupt it: the state is saved, and the same call goes on from there.
    pub interrupt: &'a Interrupt,
    /// Who is told of steps and epochs, and may end it.
    pub observer: &'a dyn Observer,
}

impl Default for FitOptions<'_> {
    fn default() -> Self {
        FitOptions {
            checkpoint: None,
            checkpoint_interval: CHECKPOINT_INTERVAL,
            best: None,
            telemetry: None,
            tensorboard: None,
            n_watched: 0,
            shape: None,
            progress: &Silent,
            interrupt: &NEVER,
            observer: &Unobserved,
        }
    }
}
