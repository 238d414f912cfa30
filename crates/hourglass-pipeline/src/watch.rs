//! Ends a training that the doctor finds hopeless, where the file asks for that. Whether a curve is
//! bad is known in `hourglass-doctor`; here stands only how long it must be.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use hourglass_core::Progress;
use hourglass_doctor::{Epoch, Finding, FindingId, Severity, Training, during};
use hourglass_train::{Answer, EpochRecord, Observer, StepRecord, Stopped};

use crate::config::Pipeline;
use crate::doctor::training_so_far;

/// Epochs in a row that a warning must stand: as many as early stopping commonly waits for a loss
/// to fall once (Prechelt, *Early Stopping - But When?*, 1998, strips of 5).
const LOOKS: usize = 5;

/// Findings that more epochs don't mend, if they stand for some time.
const HOPELESS: [FindingId; 2] = [FindingId::LearningRateTooHigh, FindingId::ExplodingGradients];

/// Watches in front of another observer, which is asked as well.
pub(crate) struct DoctorsWatch<'a> {
    inner: &'a dyn Observer,
    progress: &'a dyn Progress,
    training: Mutex<Training>,
}

impl<'a> DoctorsWatch<'a> {
    /// `bundle` may hold the telemetry of epochs before an interruption.
    pub(crate) fn new(
        pipeline: &Pipeline,
        bundle: &Path,
        inner: &'a dyn Observer,
        progress: &'a dyn Progress,
    ) -> Self {
        let training = Mutex::new(training_so_far(pipeline, bundle));
        DoctorsWatch { inner, progress, training }
    }

    /// The finding for which training is given up after this epoch. The looks before are taken
    /// again, so that a training that was resumed ends where it would have ended.
    fn given_up(&self, record: &EpochRecord) -> Option<Finding> {
        let mut training = self.training.lock().unwrap_or_else(PoisonError::into_inner);
        // Telemetry may run ahead of the checkpoint that a training resumed from.
        training.epochs.truncate(record.epoch - 1);
        training.epochs.push(epoch_of(record));
        let n = training.epochs.len();
        let now = hopeless(&training, n)?;
        let stands =
            n >= LOOKS && (n - LOOKS + 1..n).all(|upto| hopeless(&training, upto).is_some());
        (now.severity == Severity::Error || stands).then_some(now)
    }
}

/// What made the first so many epochs hopeless, if anything did.
fn hopeless(training: &Training, upto: usize) -> Option<Finding> {
    let epochs = training.epochs[..upto].to_vec();
    let found = during(&Training { epochs, ..training.clone() }).into_iter();
    let mut bad = found.filter(|f| f.id == FindingId::NonFiniteLoss || HOPELESS.contains(&f.id));
    bad.next()
}

/// What the doctor reads of an epoch that has just ended: its curves, which are all that is asked.
fn epoch_of(record: &EpochRecord) -> Epoch {
    Epoch {
        train_loss: record.train_loss,
        validation_loss: record.validation_loss,
        learning_rate: record.learning_rate,
        gradient_norm: record.gradient_norm,
        ..Epoch::default()
    }
}

impl Observer for DoctorsWatch<'_> {
    fn every_steps(&self) -> u64 {
        self.inner.every_steps()
    }

    fn on_step(&self, record: &StepRecord) -> Answer {
        self.inner.on_step(record)
    }

    fn on_epoch(&self, record: &EpochRecord) -> Answer {
        let answer = self.inner.on_epoch(record);
        if answer != Answer::GoOn {
            return answer;
        }
        match self.given_up(record) {
            Some(finding) => {
                let epoch = record.epoch;
                self.progress.say(&format!("given up in epoch {epoch}: {}", finding.sentence));
                Answer::Stop(Stopped::Hopeless)
            }
            None => Answer::GoOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use hourglass_core::Silent;
    use hourglass_train::Unobserved;

    use super::*;

    const FILE: &str = r#"
        name = "small"
        seed = 1
        data.builtin.dataset = "iris"
        model.undercomplete = { latent_dim = 2 }
        train = { epochs = 50, optimizer = { adam = { learning_rate = 1e-2 } } }
        downstream.models = [{ majority = {} }]
    "#;

    /// The epoch in which a curve of losses is given up.
    fn ended(loss: impl Fn(usize) -> f64) -> Option<usize> {
        let pipeline = crate::parse(FILE, "small", &[]).unwrap();
        let nowhere = Path::new("nowhere");
        let watch = DoctorsWatch::new(&pipeline, nowhere, &Unobserved, &Silent);
        (1..=50).find(|&epoch| {
            let record = EpochRecord {
                epoch,
                train_loss: loss(epoch),
                validation_loss: loss(epoch),
                learning_rate: 1e-2,
                gradient_norm: 1.0,
            };
            watch.on_epoch(&record) == Answer::Stop(Stopped::Hopeless)
        })
    }

    #[test]
    fn a_falling_curve_goes_on_and_one_that_rises_again_and_again_is_given_up() {
        assert_eq!(ended(|epoch| 1.0 / epoch as f64), None);
        // One bad epoch among good ones is forgiven.
        assert_eq!(ended(|epoch| if epoch == 9 { 0.5 } else { 1.0 / epoch as f64 }), None);
        let wild = |epoch: usize| if epoch.is_multiple_of(2) { 2.0 } else { 1.0 };
        let epoch = ended(wild).unwrap();
        assert!((LOOKS..20).contains(&epoch), "{epoch}");
        assert_eq!(ended(|epoch| if epoch < 3 { 1.0 } else { f64::NAN }), Some(3));
    }

    #[test]
    fn a_resumed_training_ends_where_it_would_have_ended() {
        let wild = |epoch: usize| if epoch.is_multiple_of(2) { 2.0 } else { 1.0 };
        let whole = ended(wild).unwrap();
        let pipeline = crate::parse(FILE, "small", &[]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // Telemetry of all epochs but the last, and of one that the checkpoint hadn't seen.
        let lines: String = (1..=whole)
            .map(|epoch| {
                let loss = wild(epoch);
                format!(
                    "{{\"epoch\": {epoch}, \"train_loss\": {loss}, \"validation_loss\": {loss}, \
                     \"learning_rate\": 0.01, \"gradient_norm\": 1.0}}\n"
                )
            })
            .collect();
        std::fs::write(folder.path().join("telemetry.jsonl"), lines).unwrap();
        let watch = DoctorsWatch::new(&pipeline, folder.path(), &Unobserved, &Silent);
        let record = |epoch| EpochRecord {
            epoch,
            train_loss: wild(epoch),
            validation_loss: wild(epoch),
            learning_rate: 1e-2,
            gradient_norm: 1.0,
        };
        assert_eq!(watch.on_epoch(&record(whole - 1)), Answer::GoOn);
        assert_eq!(watch.on_epoch(&record(whole)), Answer::Stop(Stopped::Hopeless));
    }
}
