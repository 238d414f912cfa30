//! Which parameters mattered: PED-ANOVA, a pure function of finished trials.
//!
//! # Source
//! Watanabe, Bansal and Hutter, "PED-ANOVA: efficiently quantifying hyperparameter importance in
//! arbitrary subspaces", IJCAI 2023 (arXiv 2304.10255); Optuna's `PedAnovaImportanceEvaluator`.
//! What differs: densities are those of our sampler, of width-limited kernels without fading.

use std::collections::BTreeMap;

use crate::sampler::parzen::Mixture;
use crate::{Direction, Distribution, FrozenTrial, TrialState};

/// The share of trials that count as good, as in Optuna.
const GOOD_SHARE: f64 = 0.1;

/// Cells into which a range is cut.
const CELLS: u64 = 50;

/// Fewer good trials than this say nothing.
const FEWEST_GOOD: usize = 2;

/// How much each parameter had to do with whether a trial is among the best tenth in one objective.
/// The parts sum to 1; all are 0 where nothing can be told. A conditional parameter is judged by
/// the trials that used it.
///
/// ```
/// use hourglass_search::*;
/// let space = SearchSpace::new([
///     ("idle", Distribution::float(0.0, 1.0).into()),
///     ("x", Distribution::float(0.0, 1.0).into()),
/// ])?;
/// let study = Study::create(MemoryStore::shared(), StudyConfig::new("s", space))?;
/// study.optimize(60, |trial| Ok((trial.float("x")? - 0.3).abs().into()))?;
/// let parts = importances(&study.trials()?, 0, Direction::Minimize);
/// assert!(parts["x"] > parts["idle"]);
/// # Ok::<(), Error>(())
/// ```
pub fn importances(
    trials: &[FrozenTrial],
    objective: usize,
    direction: Direction,
) -> BTreeMap<String, f64> {
    let value = |trial: &FrozenTrial| trial.values.get(objective).copied();
    let complete = |trial: &&FrozenTrial| {
        trial.state == TrialState::Complete && value(trial).is_some_and(|value| !value.is_nan())
    };
    let mut ranked: Vec<&FrozenTrial> = trials.iter().filter(complete).collect();
    let nan = f64::NAN;
    ranked.sort_by(|a, b| direction.compare(value(a).unwrap_or(nan), value(b).unwrap_or(nan)));
    let names = ranked.iter().flat_map(|trial| trial.params.keys().cloned());
    let mut parts: BTreeMap<String, f64> = names.map(|name| (name, 0.0)).collect();
    for (name, part) in &mut parts {
        *part = divergence(name, &ranked).unwrap_or(0.0);
    }
    let total: f64 = parts.values().sum();
    if total > 0.0 {
        parts.values_mut().for_each(|part| *part /= total);
    }
    parts
}

/// Pearson's divergence between where the good trials lie and where all of them lie; none where
/// the parameter was hardly used or never varied.
fn divergence(name: &str, ranked: &[&FrozenTrial]) -> Option<f64> {
    let params: Vec<_> = ranked.iter().filter_map(|trial| trial.params.get(name)).collect();
    let distribution = &params.first()?.distribution;
    let fits = |internal: &f64| distribution.contains(*internal);
    let observed: Vec<f64> = params.iter().map(|param| param.internal).filter(fits).collect();
    let good = (GOOD_SHARE * observed.len() as f64).ceil() as usize;
    if good < FEWEST_GOOD || distribution.count() == Some(1) {
        return None;
    }
    let cells = cells(distribution);
    let (top, all) =
        (masses(distribution, &observed[..good], &cells), masses(distribution, &observed, &cells));
    Some(top.iter().zip(&all).map(|(top, all)| all * (top / all - 1.0).powi(2)).sum())
}

/// Internal numbers in the middle of cells of equal width on the parameter's scale.
fn cells(distribution: &Distribution) -> Vec<f64> {
    let count = match distribution {
        Distribution::Categorical { choices } => choices.len() as u64,
        _ => distribution.count().map_or(CELLS, |count| count.min(CELLS)),
    };
    (0..count).map(|cell| distribution.from_unit((cell as f64 + 0.5) / count as f64)).collect()
}

/// The share of each cell, from a kernel for each trial.
fn masses(distribution: &Distribution, observed: &[f64], cells: &[f64]) -> Vec<f64> {
    let rows: Vec<Vec<f64>> = observed.iter().map(|internal| vec![*internal]).collect();
    let mixture = Mixture::new(&[distribution], &rows);
    let masses: Vec<f64> = cells.iter().map(|cell| mixture.log_density(&[*cell]).exp()).collect();
    let total: f64 = masses.iter().sum();
    masses.into_iter().map(|mass| mass / total).collect()
}

#[cfg(test)]
mod tests {
    use hourglass_core::Seed;

    use super::*;
    use crate::sampler::Random;
    use crate::{MemoryStore, Parameter, SamplerConfig, SearchSpace, Study, StudyConfig};

    fn study(objective: impl Fn(&crate::Trial) -> f64) -> BTreeMap<String, f64> {
        let space = SearchSpace::new([
            ("big", Distribution::float(1e-4, 1.0).log().into()),
            ("deep", Parameter::from(Distribution::int(1, 9)).when("kind", ["b"])),
            ("idle", Distribution::int(1, 20).into()),
            ("kind", Distribution::categorical(["a", "b"]).into()),
            ("small", Distribution::float(0.0, 1.0).into()),
        ])
        .unwrap();
        let sampler = SamplerConfig::Random(Random::default());
        let config = StudyConfig { sampler, seed: Seed::new(3), ..StudyConfig::new("s", space) };
        let study = Study::create(MemoryStore::shared(), config).unwrap();
        study.optimize(300, |trial| Ok(objective(trial).into())).unwrap();
        importances(&study.trials().unwrap(), 0, Direction::Minimize)
    }

    #[test]
    fn what_matters_more_gets_more() {
        let parts = study(|trial| {
            let big = (trial.float("big").unwrap().log10() + 2.0).powi(2);
            big + 0.3 * trial.float("small").unwrap()
        });
        assert!((parts.values().sum::<f64>() - 1.0).abs() < 1e-12, "{parts:?}");
        assert!(parts["big"] > 2.0 * parts["small"], "{parts:?}");
        assert!(parts["small"] > parts["kind"], "{parts:?}");
        let parts = study(|trial| f64::from(u8::from(trial.text("kind").unwrap() == "a")));
        assert!(parts["kind"] > parts["big"] && parts["kind"] > parts["small"], "{parts:?}");
    }

    #[test]
    fn too_few_trials_tell_nothing() {
        assert!(importances(&[], 0, Direction::Minimize).is_empty());
    }
}
