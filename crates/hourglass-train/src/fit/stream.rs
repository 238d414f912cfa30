//! Training on rows that come in chunks, because they don't fit memory together. Every epoch is one
//! pass; rows are shuffled within a pool of neighbours, so a file that is sorted by something
//! should be shuffled before.

use hourglass_core::{Matrix, MatrixView, Seed};
use hourglass_models::Autoencoder;
use ndarray::{Axis, s};
use rand::seq::SliceRandom;

use super::{Fit, FitOptions, Live, move_model, range_of};
use crate::{Error, History, Result, TrainConfig};

/// Rows of a pool, and values where rows are wide: 64 MiB.
const POOL_ROWS: usize = 1 << 18;
const POOL_VALUES: usize = 16 << 20;

/// What reading rows may fail with.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Training rows that come in chunks, the same in every pass.
pub trait RowSource {
    /// Rows of a pass.
    fn n_rows(&self) -> usize;

    /// Columns of a row.
    fn n_features(&self) -> usize;

    /// Starts a pass.
    ///
    /// # Errors
    /// If the rows can't be had any more.
    fn pass(
        &self,
    ) -> Result<Box<dyn Iterator<Item = Result<Matrix, SourceError>> + '_>, SourceError>;
}

/// [`crate::fit`] for training rows that come in chunks. Validation rows are in memory: a share of
/// them will do where they are many.
///
/// # Shapes
/// - `validation`: `(n_rows, n_features)`, finite values
///
/// # Errors
/// As [`crate::fit`]; [`Error::Rows`] where the rows can't be read, [`Error::RowCount`] where they
/// change in number.
pub fn fit_stream(
    model: &dyn Autoencoder,
    rows: &dyn RowSource,
    validation: MatrixView<'_>,
    config: &TrainConfig,
    seed: Seed,
    options: &FitOptions<'_>,
) -> Result<History> {
    config.check()?;
    for (part, n_rows) in [("training", rows.n_rows()), ("validation", validation.nrows())] {
        if n_rows == 0 {
            return Err(Error::Empty { part });
        }
    }
    move_model(model, &config.device.open()?)?;
    // Telemetry and snapshots look at a few rows of the start.
    let first = Pools::new(rows)?.next_pool(Matrix::zeros((0, rows.n_features())))?;
    let watched = first.unwrap_or_default();
    let mut fit = Fit::new(model, watched.view(), validation, config, seed, options);
    fit.n_steps = (rows.n_rows() / (config.batch_size * config.accumulate)).max(1);
    let history = fit.run(|live| fit.epoch_of(rows, live));
    move_model(model, &candle_core::Device::Cpu)?;
    history
}

impl Fit<'_> {
    /// The steps of the current epoch that aren't done yet, on rows that come in chunks.
    fn epoch_of(&self, rows: &dyn RowSource, live: &mut Live) -> Result<()> {
        let n_rows = rows.n_rows();
        let start_of = |step: usize| step * n_rows / self.n_steps;
        let mut pools = Pools::new(rows)?;
        let seed = self.seed.child("order").nth(live.position.epoch as u64);
        let (mut step, mut n_pools) = (0, 0);
        let mut rest = Matrix::zeros((0, rows.n_features()));
        while let Some(pool) = pools.next_pool(rest)? {
            let mut order: Vec<usize> = (0..pool.nrows()).collect();
            order.shuffle(&mut seed.nth(n_pools).rng());
            n_pools += 1;
            let fit = Fit { train: pool.view(), range: range_of(pool.view()), ..*self };
            let mut used = 0;
            while step < self.n_steps {
                let n_batch = start_of(step + 1) - start_of(step);
                if used + n_batch > order.len() {
                    break;
                }
                let batch = &order[used..used + n_batch];
                // What a checkpoint holds was done before.
                if step == live.position.step {
                    let batches = fit.batches(live.position.epoch, step, batch)?;
                    fit.step_and_tell(live, batches)?;
                    if live.position.history.stopped.is_some() {
                        return Ok(());
                    }
                }
                step += 1;
                used += n_batch;
            }
            rest = pool.select(Axis(0), &order[used..]);
        }
        if (pools.n_read, step) == (n_rows, self.n_steps) {
            return Ok(());
        }
        Err(Error::RowCount { expected: n_rows, found: pools.n_read })
    }
}

/// Chunks put together.
struct Pools<'a> {
    chunks: Box<dyn Iterator<Item = Result<Matrix, SourceError>> + 'a>,
    most_rows: usize,
    n_read: usize,
}

impl<'a> Pools<'a> {
    fn new(rows: &'a dyn RowSource) -> Result<Self> {
        let chunks = rows.pass().map_err(Error::Rows)?;
        let most_rows = POOL_ROWS.min(POOL_VALUES / rows.n_features().max(1)).max(1);
        Ok(Pools { chunks, most_rows, n_read: 0 })
    }

    /// Rows that are left with the next chunks behind them; `None` after the last chunk.
    fn next_pool(&mut self, rest: Matrix) -> Result<Option<Matrix>> {
        let mut n_rows = rest.nrows();
        let mut parts = vec![rest];
        while n_rows < self.most_rows {
            let Some(chunk) = self.chunks.next() else { break };
            let chunk = chunk.map_err(Error::Rows)?;
            n_rows += chunk.nrows();
            self.n_read += chunk.nrows();
            parts.push(chunk);
        }
        if parts.len() == 1 {
            return Ok(None);
        }
        let mut pool = Matrix::zeros((n_rows, parts[0].ncols()));
        let mut first = 0;
        for part in parts {
            pool.slice_mut(s![first..first + part.nrows(), ..]).assign(&part);
            first += part.nrows();
        }
        Ok(Some(pool))
    }
}
