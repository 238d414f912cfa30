//! The learning-rate range test: a few steps whose rate rises from far too small to far too
//! large, and what can be read off the losses. The weights are spoilt by it; nothing is saved.

use hourglass_core::{MatrixView, Seed};
use hourglass_models::Autoencoder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fit::{Fit, FitOptions};
use crate::{Error, Result, TrainConfig};

/// Weight of the past in the smoothed loss.
const SMOOTHING: f64 = 0.9;

/// The test ends where the smoothed loss has risen to so many times its lowest.
const RISEN: f64 = 4.0;

/// Steps before the test may end: the smoothed loss needs a few.
const FEWEST_STEPS: usize = 10;

/// How far below the rate of the lowest loss the suggestion lies.
const MARGIN: f64 = 10.0;

/// Over what the rate rises, and how fast.
///
/// | field | default | meaning | range |
/// | :-- | :-- | :-- | :-- |
/// | `from` | 1e-6 | first rate | above 0 |
/// | `to` | 10 | last rate | above `from` |
/// | `steps` | 200 | steps between them, each with a batch of its own | `20..` |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateRange {
    /// The first rate; above 0.
    pub from: f64,
    /// The last rate; above `from`.
    pub to: f64,
    /// Steps between them; 20 or more.
    pub steps: usize,
}

impl Default for RateRange {
    fn default() -> Self {
        RateRange { from: 1e-6, to: 10.0, steps: 200 }
    }
}

/// One step of the test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RatePoint {
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Loss of its batch, before the step.
    pub loss: f64,
    /// The losses so far, averaged with falling weights (0.9 a step), without the bias of the
    /// start.
    pub smoothed: f64,
}

/// What the test found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateTest {
    /// Every step until the loss had risen fourfold, was no number, or the last rate was reached.
    pub points: Vec<RatePoint>,
    /// The rate at which the smoothed loss was lowest.
    pub lowest_at: f64,
    /// The rate at which the smoothed loss fell fastest, for the same ratio of rates.
    pub steepest_at: f64,
    /// A tenth of the rate of the lowest loss: what to begin with.
    pub suggestion: f64,
    /// The rate at which the test ended because the loss rose or was no number; `None` where the
    /// last rate was reached, and the range ought to be wider.
    pub diverged_at: Option<f64>,
}

impl RateRange {
    fn check(self) -> Result<()> {
        let wrong = |key, value: f64, range: String| {
            Err(Error::Config { key, value: value.to_string(), range })
        };
        if !(self.from > 0.0 && self.from.is_finite()) {
            return wrong("from", self.from, "above 0".to_owned());
        }
        if !(self.to > self.from && self.to.is_finite()) {
            return wrong("to", self.to, format!("above `from` = {}", self.from));
        }
        if self.steps < 20 {
            return wrong("steps", self.steps as f64, "20 or more".to_owned());
        }
        Ok(())
    }

    /// The rate of a step: the ratio from one to the next is always the same.
    fn rate(self, step: usize) -> f64 {
        let share = step as f64 / (self.steps - 1) as f64;
        self.from * (self.to / self.from).powf(share)
    }
}

/// Trains a model with rising rates; its weights are of no use afterwards.
///
/// The schedule, the limits and the files of `config` play no part; optimiser, batches, loss,
/// penalties and clipping do.
///
/// # Shapes
/// - `train`: `(n_rows, n_features)`, finite values
///
/// # Errors
/// [`Error::Config`] for a range that is none, [`Error::NotFinite`] where the loss is no number
/// from the beginning, [`Error::Interrupted`], and what the model says.
///
/// # Source
/// Smith, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186, WACV 2017,
/// section 3.3. There the rate rises linearly over a few epochs; here by a constant ratio, as in
/// fastai, so that one test spans all orders of magnitude. The suggestion is fastai's `minimum`.
pub fn range_test(
    model: &dyn Autoencoder,
    train: MatrixView<'_>,
    config: &TrainConfig,
    range: RateRange,
    seed: Seed,
    options: &FitOptions<'_>,
) -> Result<RateTest> {
    config.check()?;
    range.check()?;
    if train.nrows() == 0 {
        return Err(Error::Empty { part: "training" });
    }
    let fit = Fit::new(model, train, train, config, seed, options);
    let mut live = fit.start();
    let mut points: Vec<RatePoint> = Vec::with_capacity(range.steps);
    let (mut average, mut lowest) = (0.0, f64::INFINITY);
    let mut diverged_at = None;
    options.progress.begin("learning-rate range test", Some(range.steps as u64));
    for step in 0..range.steps {
        if options.interrupt.is_raised() {
            let (epoch, checkpoint) = (live.position.epoch + 1, None);
            return Err(Error::Interrupted { epoch, step, checkpoint });
        }
        let learning_rate = range.rate(step);
        let loss = match fit.step_at(&mut live, learning_rate) {
            Ok(loss) => loss,
            Err(Error::NotFinite { .. }) if !points.is_empty() => {
                diverged_at = Some(learning_rate);
                break;
            }
            Err(error) => return Err(error),
        };
        average = SMOOTHING * average + (1.0 - SMOOTHING) * loss;
        let smoothed = average / (1.0 - SMOOTHING.powi(step as i32 + 1));
        points.push(RatePoint { learning_rate, loss, smoothed });
        lowest = smoothed.min(lowest);
        options
            .progress
            .advance(step as u64 + 1, &format!("rate {learning_rate:.2e}, loss {loss:.6}"));
        if step >= FEWEST_STEPS && smoothed > RISEN * lowest {
            diverged_at = Some(learning_rate);
            break;
        }
    }
    options.progress.end("");
    Ok(read_off(points, diverged_at))
}

fn read_off(points: Vec<RatePoint>, diverged_at: Option<f64>) -> RateTest {
    let lowest = (0..points.len())
        .min_by(|&a, &b| points[a].smoothed.total_cmp(&points[b].smoothed))
        .unwrap_or(0);
    let lowest_at = points[lowest].learning_rate;
    // Over a few steps, since single ones are noise.
    let reach = (points.len() / 20).max(1);
    let slope = |at: usize| {
        let (from, to) = (at.saturating_sub(reach), (at + reach).min(points.len() - 1));
        (points[to].smoothed - points[from].smoothed) / (to - from).max(1) as f64
    };
    let steepest = (0..=lowest).min_by(|&a, &b| slope(a).total_cmp(&slope(b))).unwrap_or(0);
    RateTest {
        lowest_at,
        steepest_at: points[steepest].learning_rate,
        suggestion: lowest_at / MARGIN,
        diverged_at,
        points,
    }
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Matrix, SampleShape};
    use hourglass_models::{ModelConfig, build};
    use hourglass_nn::OptimizerConfig;
    use rand::RngExt;

    use super::*;

    fn rows() -> Matrix {
        let mut rng = Seed::new(1).rng();
        let mut rows = Matrix::zeros((300, 12));
        for mut row in rows.rows_mut() {
            let u = rng.random::<f32>();
            row.indexed_iter_mut().for_each(|(i, v)| *v = (u * (i + 1) as f32).sin());
        }
        rows
    }

    fn run(range: RateRange) -> Result<RateTest> {
        let shape = SampleShape::Vector { len: 12 };
        let model = build(&ModelConfig::examples()[1], &shape, Seed::new(7)).unwrap();
        let config =
            TrainConfig { batch_size: 32, ..TrainConfig::new(1, OptimizerConfig::adam(1e-3)) };
        let options = FitOptions::default();
        range_test(model.as_ref(), rows().view(), &config, range, Seed::new(3), &options)
    }

    #[test]
    fn the_loss_falls_and_then_explodes() {
        let test = run(RateRange::default()).unwrap();
        assert_eq!(test, run(RateRange::default()).unwrap(), "the same seed, the same test");
        let diverged_at = test.diverged_at.expect("a rate of 10 is too large for Adam");
        let (first, lowest) = (test.points[0].smoothed, test.lowest_at);
        assert!(test.points.iter().any(|point| point.smoothed < 0.5 * first));
        assert!(test.steepest_at <= lowest && lowest < diverged_at);
        assert!((1e-5..0.1).contains(&test.suggestion), "{}", test.suggestion);
        let ratios = test.points.windows(2).map(|p| p[1].learning_rate / p[0].learning_rate);
        assert!(ratios.into_iter().all(|ratio| (ratio - 1e7_f64.powf(1.0 / 199.0)).abs() < 1e-9));
    }

    #[test]
    fn what_is_read_off_is_where_it_lies() {
        // Flat, then down to the 30th of 40 points, then up.
        let smoothed = |i: usize| match i {
            0..15 => 1.0,
            15..30 => 1.0 - 0.05 * (i - 14) as f64,
            _ => 0.25 + 0.3 * (i - 29) as f64,
        };
        let point = |i| RatePoint {
            learning_rate: 10_f64.powf(i as f64 / 10.0 - 4.0),
            loss: smoothed(i),
            smoothed: smoothed(i),
        };
        let test = read_off((0..40).map(point).collect(), None);
        assert!((test.lowest_at / 10_f64.powf(-1.1) - 1.0).abs() < 1e-9, "{}", test.lowest_at);
        assert_eq!(test.suggestion, test.lowest_at / 10.0);
        assert!(test.steepest_at > point(14).learning_rate && test.steepest_at < test.lowest_at);
    }

    #[test]
    fn a_range_that_is_none_is_an_error() {
        for (range, expected) in [
            (RateRange { from: 0.0, ..RateRange::default() }, "`from` is 0, but must be above 0"),
            (
                RateRange { to: 1e-7, ..RateRange::default() },
                "`to` is 0.0000001, but must be above `from` = 0.000001",
            ),
            (
                RateRange { steps: 5, ..RateRange::default() },
                "`steps` is 5, but must be 20 or more",
            ),
        ] {
            assert_eq!(run(range).unwrap_err().to_string(), expected);
        }
    }
}
