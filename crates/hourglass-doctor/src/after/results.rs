//! What the comparisons say: no gain, too little to say anything, or models that were not fitted as
//! they should be.

use serde_json::Value;

use crate::threshold::{HARM, TOO_FEW_REPEATS, UNDER_REGULARISED, UNDER_REGULARISED_LOSS};
use crate::toml::inline;
use crate::{Architecture, Finding, FindingId, Severity};

/// A paired comparison for the main downstream model.
#[derive(Clone, Debug)]
pub struct Score {
    /// Feature set, such as `autoencoder`, or what it was compared with.
    pub feature_set: String,
    /// Mean paired difference; positive is better.
    pub difference: f64,
    /// Its 95 % interval, where there is one.
    pub interval: Option<[f64; 2]>,
    /// Whether the test finds a difference.
    pub is_significant: bool,
}

/// A fit that ended before it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconverged {
    /// Key of the model.
    pub model: String,
    /// Feature set.
    pub feature_set: String,
}

/// What a penalty that the file fixes costs: the main model fitted with it on some training rows,
/// beside the same with a penalty chosen on validation.
#[derive(Clone, Debug)]
pub struct Regularisation {
    /// Key of the model.
    pub model: String,
    /// Inverse strength of the penalty in the file.
    pub c: f64,
    /// Accuracy on the rows that it was fitted on.
    pub train_accuracy: f64,
    /// Accuracy on validation rows.
    pub validation_accuracy: f64,
    /// The same where the penalty is chosen.
    pub chosen_accuracy: f64,
}

/// What the report says.
#[derive(Clone, Debug)]
pub struct Results {
    /// How often the experiment was repeated.
    pub repeats: usize,
    /// Comparisons with raw under the main model.
    pub against_raw: Vec<Score>,
    /// Comparisons of the autoencoder with `pca` and `random_encoder` under the main model.
    pub against_rivals: Vec<Score>,
    /// Fits that ended before they were done.
    pub unconverged: Vec<Unconverged>,
    /// What a fixed penalty costs, where the file fixes it.
    pub regularisation: Option<Regularisation>,
    /// `downstream.models` as it stands in the file.
    pub models: Value,
    /// The autoencoder whose features they are.
    pub architecture: Architecture,
}

pub(super) fn examine(results: &Results) -> Vec<Finding> {
    let mut findings: Vec<Finding> = unconverged(results).into_iter().collect();
    findings.extend(under_regularised(results));
    findings.extend(results.against_rivals.iter().filter_map(|rival| no_better(results, rival)));
    let autoencoder =
        |score: &&Score| matches!(score.feature_set.as_str(), "autoencoder" | "raw+autoencoder");
    let best = results
        .against_raw
        .iter()
        .filter(autoencoder)
        .max_by(|a, b| a.difference.total_cmp(&b.difference));
    let Some(best) = best else { return findings };
    if best.is_significant && best.difference > 0.0 {
        return findings;
    }
    findings.extend(no_gain(best).into_iter().chain(too_few(results, best)));
    findings
}

fn no_gain(best: &Score) -> Option<Finding> {
    // Uncertain is not the same as none: then the number of repeats is the finding.
    let is_worse = best.is_significant;
    let points = best.difference * 100.0;
    let [_, high] = best.interval?;
    if !is_worse && high > 0.01 {
        return None;
    }
    let sentence = if is_worse {
        format!(
            "`{}` makes the score worse than raw columns, by {:.2} points",
            best.feature_set, -points
        )
    } else {
        format!("`{}` does not help: {points:+.2} points against raw columns", best.feature_set)
    };
    let is_harm = is_worse && best.difference < -HARM;
    let severity = if is_harm { Severity::Warning } else { Severity::Note };
    Some(
        Finding::new(FindingId::NoGain, severity, sentence)
            .measured("mean paired difference in points", points, -100.0 * HARM)
            .cured_by(
                "features.layers",
                "\"all_hidden\"",
                "every hidden layer as features (Jahrer, Porto Seguro, 2017)",
            ),
    )
}

/// The same against a rival that needs no training, or none that is any good.
fn no_better(results: &Results, rival: &Score) -> Option<Finding> {
    let [_, high] = rival.interval?;
    let is_worse = rival.is_significant || high < 0.0;
    if !is_worse || rival.difference >= -HARM {
        return None;
    }
    let points = rival.difference * 100.0;
    let (id, words) = match rival.feature_set.as_str() {
        "pca" => (FindingId::NoBetterThanPca, "as many principal components"),
        _ => (FindingId::NoBetterThanRandom, "the same encoder before any training"),
    };
    let sentence = format!("the features are worse than {words}, by {:.2} points", -points);
    let mut finding = Finding::new(id, Severity::Warning, sentence).measured(
        "mean paired difference in points",
        points,
        -100.0 * HARM,
    );
    let architecture = &results.architecture;
    // Channels of a convolution are no widths.
    let has_widths = !architecture.key.contains("convolutional");
    let narrow = architecture.hidden_dims.iter().any(|&width| width < architecture.latent_dim);
    if has_widths && narrow {
        let (key, width) = (architecture.key_of("hidden_dims"), 4 * architecture.latent_dim);
        let wide = architecture.hidden_dims.iter().map(|&hidden| hidden.max(width).to_string());
        let wide = wide.collect::<Vec<_>>().join(", ");
        let straight = "a layer narrower than the latent decides what it holds; without one it \
                        spans what components span (Baldi and Hornik, 1989)";
        finding = finding.cured_by(&key, "[]", straight).cured_by(
            key,
            format!("[{wide}]"),
            "no layer is narrower than the latent",
        );
    }
    Some(
        finding
            .cured_by(
                "train.optimizer",
                "{ adam = { learning_rate = 1e-3 } }",
                "a rate that suits most nets (Kingma and Ba, ICLR 2015)",
            )
            .cured_by(
                "features.layers",
                "\"all_hidden\"",
                "every hidden layer as features (Jahrer, Porto Seguro, 2017)",
            ),
    )
}

fn too_few(results: &Results, best: &Score) -> Option<Finding> {
    if results.repeats as f64 >= TOO_FEW_REPEATS || best.is_significant {
        return None;
    }
    let sentence = format!(
        "{} repeat(s) can't tell whether a difference of {:+.2} points is more than luck",
        results.repeats,
        best.difference * 100.0
    );
    Some(
        Finding::new(FindingId::TooFewRepeats, Severity::Warning, sentence)
            .measured("repeats", results.repeats as f64, TOO_FEW_REPEATS)
            .cured_by("repeats", "5", "Bouthillier et al., MLSys 2021"),
    )
}

/// The list of models with one key of one of them changed.
fn changed(models: &Value, name: &str, key: &str, value: Option<Value>) -> String {
    let mut models = models.clone();
    for model in models.as_array_mut().into_iter().flatten() {
        let Some(table) = model.get_mut(name).and_then(Value::as_object_mut) else { continue };
        match &value {
            Some(value) => drop(table.insert(key.to_owned(), value.clone())),
            None => drop(table.remove(key)),
        }
    }
    inline(&models)
}

fn unconverged(results: &Results) -> Option<Finding> {
    let first = results.unconverged.first()?;
    let mut sets: Vec<&str> = results
        .unconverged
        .iter()
        .filter(|fit| fit.model == first.model)
        .map(|fit| fit.feature_set.as_str())
        .collect();
    sets.dedup();
    let sentence = format!(
        "`{}` ended before it had converged, on {}",
        first.model,
        sets.iter().map(|set| format!("`{set}`")).collect::<Vec<_>>().join(", ")
    );
    let iterations = results
        .models
        .as_array()
        .into_iter()
        .flatten()
        .find_map(|model| model.get(&first.model)?.get("max_iterations")?.as_u64());
    let mut finding = Finding::new(FindingId::DownstreamNotConverged, Severity::Warning, sentence)
        .measured("fits that ended early", results.unconverged.len() as f64, 0.0);
    if let Some(iterations) = iterations {
        let more = Some(Value::from((iterations * 10).max(200)));
        finding = finding.shown("steps allowed", iterations as f64).cured_by(
            "downstream.models",
            changed(&results.models, &first.model, "max_iterations", more),
            "more steps, as scikit-learn's ConvergenceWarning advises",
        );
    }
    Some(finding.cured_by("features.scale", "\"standard\"", "columns of one scale converge faster"))
}

fn under_regularised(results: &Results) -> Option<Finding> {
    let Regularisation { model, c, train_accuracy, validation_accuracy, chosen_accuracy } =
        results.regularisation.as_ref()?;
    let gap = train_accuracy - validation_accuracy;
    let lost = chosen_accuracy - validation_accuracy;
    if gap <= UNDER_REGULARISED || lost <= UNDER_REGULARISED_LOSS {
        return None;
    }
    let sentence = format!(
        "`{model}` is under-regularised: {:.1} % right on its training rows, {:.1} % on validation \
         rows, and {:.1} % with a penalty chosen on validation",
        train_accuracy * 100.0,
        validation_accuracy * 100.0,
        chosen_accuracy * 100.0
    );
    Some(
        Finding::new(FindingId::UnderRegularised, Severity::Warning, sentence)
            .measured("training less validation accuracy", gap, UNDER_REGULARISED)
            .measured("lost against a chosen penalty", lost, UNDER_REGULARISED_LOSS)
            .shown("inverse strength of the penalty", *c)
            .cured_by(
                "downstream.models",
                changed(&results.models, model, "c", None),
                "the penalty is chosen on validation",
            ),
    )
}
