//! What a run directory says: epochs of the telemetry, returns in the history, results of the
//! report.

use std::path::Path;

use hourglass_doctor::{
    Architecture, Epoch, NotFinite, Regularisation, Results, Score, Training, Unconverged,
};
use hourglass_downstream::statistics::{compare_repeats, compare_resampled};
use hourglass_report::{AUTOENCODER, Mark, PCA, RANDOM_ENCODER, Report, ResultRow};
use hourglass_train::History;

use super::described;
use crate::cache::read_json;
use crate::config::Pipeline;
use crate::key::to_value;
use crate::repeat::HISTORY_FILE;

/// The epochs of a repeat, as far as they were written.
pub(super) fn training(pipeline: &Pipeline, folder: &Path, architecture: Architecture) -> Training {
    let history: Option<History> = read_json(&folder.join(HISTORY_FILE)).ok();
    let not_finite = history.and_then(|history| {
        let first = history.rollbacks.into_iter().next()?;
        Some(NotFinite { epoch: first.epoch, place: Some(first.place) })
    });
    Training {
        epochs: epochs(folder),
        optimizer: pipeline.train.optimizer.name().to_owned(),
        stops_early: pipeline.train.early_stopping.is_some(),
        not_finite,
        n_epochs: pipeline.train.epochs,
        architecture,
    }
}

/// The epochs alone, where nothing is known of the file.
pub(super) fn without_a_file(folder: &Path) -> Training {
    let epochs = epochs(folder);
    Training {
        optimizer: String::new(),
        stops_early: false,
        not_finite: None,
        n_epochs: epochs.len(),
        architecture: Architecture::default(),
        epochs,
    }
}

/// The finished epochs of a bundle's telemetry; a line that was cut off ends the list.
pub(super) fn epochs(folder: &Path) -> Vec<Epoch> {
    let text = std::fs::read_to_string(folder.join("telemetry.jsonl")).unwrap_or_default();
    text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
}

/// The results that count all labels.
pub(super) fn results(
    pipeline: &Pipeline,
    report: &Report,
    regularisation: Option<Regularisation>,
) -> Results {
    let all_labels = report.label_fractions.last().copied().unwrap_or(1.0);
    let rows: Vec<&ResultRow> =
        report.results.iter().filter(|row| row.label_fraction == all_labels).collect();
    let main = || rows.iter().copied().filter(|row| row.model == report.main_model);
    let against_raw = main().filter_map(|row| {
        let against = row.against_raw.as_ref()?;
        Some(Score {
            feature_set: row.feature_set.clone(),
            difference: against.difference,
            interval: against.ci_low.zip(against.ci_high).map(|(low, high)| [low, high]),
            is_significant: against.mark != Mark::Same,
        })
    });
    let of = |set: &str| main().find(|row| row.feature_set == set);
    let rivals = [PCA, RANDOM_ENCODER];
    let against_rivals = rivals
        .into_iter()
        .filter_map(|name| against(pipeline, report, of(AUTOENCODER)?, of(name)?));
    // A single fit that ends early is luck of the draw; half of the repeats are not.
    let ends_early = |row: &&&ResultRow| {
        let flags = row.chosen.iter().filter_map(|chosen| chosen.get("converged"));
        let (n, n_early) =
            flags.fold((0, 0), |(n, early), &flag| (n + 1, early + u32::from(flag == 0.0)));
        2 * n_early > n
    };
    let unconverged = rows
        .iter()
        .filter(ends_early)
        .map(|row| Unconverged { model: row.model.clone(), feature_set: row.feature_set.clone() });
    Results {
        repeats: report.repeats,
        against_raw: against_raw.collect(),
        against_rivals: against_rivals.collect(),
        unconverged: unconverged.collect(),
        regularisation,
        models: to_value(&pipeline.downstream.models),
        architecture: described::architecture(pipeline, 0),
    }
}

/// A paired comparison of two feature sets over the repeats, corrected where they share rows.
fn against(
    pipeline: &Pipeline,
    report: &Report,
    with: &ResultRow,
    rival: &ResultRow,
) -> Option<Score> {
    let sign = if report.metric.higher_is_better { 1.0 } else { -1.0 };
    let signed = |row: &ResultRow| row.scores.iter().map(|score| sign * score).collect::<Vec<_>>();
    let (with, without) = (signed(with), signed(rival));
    let rows = report.data.rows;
    let (n_fit, n_test) = (rows.n_train + rows.n_validation, rows.n_test);
    let keeps_test = pipeline.split.keeps_published(pipeline.data.publishes_test());
    let comparison = if keeps_test {
        compare_repeats(&with, &without)
    } else {
        compare_resampled(&with, &without, n_fit, n_test)
    };
    let comparison = comparison.ok()?;
    Some(Score {
        feature_set: rival.feature_set.clone(),
        difference: comparison.difference,
        interval: Some([comparison.ci_low, comparison.ci_high]),
        is_significant: comparison.p_value < 0.05,
    })
}
