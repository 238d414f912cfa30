//! The learning-rate range test of a pipeline: its data, its model, its optimiser, in the first
//! repeat. It uses no cache and leaves nothing but what it returns.

use hourglass_core::{Interrupt, Part, Progress};
use hourglass_models::build;
use hourglass_report::RateReport;
use hourglass_train::{FitOptions, RateRange, range_test};

use crate::config::Pipeline;
use crate::error::Error;
use crate::lens;
use crate::repeat::Rows;
use crate::run::RunOptions;

/// Trains with rising rates on the training rows of the first repeat.
///
/// # Errors
/// Whatever the data or the training says.
pub fn learning_rate_test(
    pipeline: &Pipeline,
    range: RateRange,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<RateReport, Error> {
    let RunOptions { base, locations, .. } = options;
    let source = hourglass_data::resolve(&pipeline.data, base, locations, progress, interrupt)?;
    let seed = pipeline.repeat_seed(0);
    let mut rows = Rows::new(pipeline, &source, interrupt, 0);
    let samples = &rows.get()?.samples;
    let n_features = samples.shape.n_features();
    let mut model = build(&pipeline.model, &samples.shape, seed.child("model"))?;
    lens::give(&pipeline.model, model.as_mut())?;
    let fit_options = FitOptions { progress, interrupt, ..FitOptions::default() };
    let train = samples.part(Part::Train);
    let (config, seed) = (&pipeline.train, seed.child("train"));
    let test = range_test(model.as_ref(), train, config, range, seed, &fit_options)?;
    let points = test.points.iter().map(|p| [p.learning_rate, p.loss, p.smoothed]).collect();
    Ok(RateReport {
        name: pipeline.name.clone(),
        data: rows.get()?.facts.provenance.sentence.clone(),
        model: pipeline.model.describe(n_features),
        optimizer: config.optimizer.name().to_owned(),
        configured: config.optimizer.learning_rate(),
        batch_size: config.batch_size * config.accumulate,
        points,
        lowest_at: test.lowest_at,
        steepest_at: test.steepest_at,
        suggestion: test.suggestion,
        diverged_at: test.diverged_at,
    })
}
