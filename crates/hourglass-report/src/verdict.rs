//! The answer in words: do the autoencoder's features help, and how sure is that?
//!
//! It reads finished results and tests nothing itself.

use serde::{Deserialize, Serialize};

use crate::model::{
    AUTOENCODER, Comparison, Mark, Metric, PCA, RANDOM_ENCODER, RAW, RAW_AND_AUTOENCODER, ResultRow,
};
use crate::words;

/// A difference of a fraction metric that lies within one point is as good as none: the region of
/// practical equivalence of Benavoli, Corani, Demšar and Zaffalon, Time for a Change, JMLR 2017.
const SAME_WITHIN: f64 = 0.01;

/// The answer of the experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The answer in one sentence, with its numbers.
    pub sentence: String,
    /// The answer in one word.
    pub mark: Answer,
    /// What else a reader must know to judge it, one sentence each: the other downstream models,
    /// the simple rivals, the best raw model.
    pub notes: Vec<String>,
}

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The features help.
    Gain,
    /// The difference is too small to matter, and that is certain.
    NoGain,
    /// The features make it worse.
    Worse,
    /// The interval holds both a gain and a loss, or there is no interval.
    Uncertain,
    /// Raw and autoencoder features were not both measured with one model.
    NotMeasured,
}

/// Words the answer from the results.
///
/// The sentence is about `main_model`, or about the first model that has both sides where the main
/// one has not; choosing the model with the largest gain would flatter. It is about the
/// autoencoder's features alone, unless only raw and autoencoder side by side help.
///
/// ```
/// use hourglass_report::{Answer, Metric, verdict};
/// let verdict = verdict(&[], &Metric::accuracy(), "logistic_regression");
/// assert_eq!(verdict.mark, Answer::NotMeasured);
/// ```
pub fn verdict(results: &[ResultRow], metric: &Metric, main_model: &str) -> Verdict {
    let most = results.iter().map(|row| row.label_fraction).fold(0.0, f64::max);
    let all_labels: Vec<ResultRow> =
        results.iter().filter(|row| row.label_fraction == most).cloned().collect();
    let mut verdict = of_one_fraction(&all_labels, metric, main_model);
    verdict.notes.extend(few_labels(results, metric, main_model, most));
    verdict
}

fn of_one_fraction(results: &[ResultRow], metric: &Metric, main_model: &str) -> Verdict {
    let Some(pair) = headline(results, main_model) else {
        return Verdict {
            sentence: "There is no answer: autoencoder features and raw features were not both \
                       measured with one model."
                .into(),
            mark: Answer::NotMeasured,
            notes: best_raw(results, metric).into_iter().collect(),
        };
    };
    let answer = answer(pair.against, metric);
    let mut notes = Vec::new();
    notes.extend(practice(metric, &pair));
    notes.extend(other_set(results, metric, &pair));
    notes.extend(other_models(results, metric, &pair));
    notes.extend([PCA, RANDOM_ENCODER].iter().filter_map(|key| {
        let rival = find(results, key, &pair.with.model)?;
        rival_note(rival, metric, &pair, answer)
    }));
    notes.extend(best_raw(results, metric));
    Verdict { sentence: sentence(metric, &pair, answer), mark: answer, notes }
}

/// The two rows that the sentence compares.
struct Pair<'a> {
    with: &'a ResultRow,
    raw: &'a ResultRow,
    against: &'a Comparison,
}

fn find<'a>(results: &'a [ResultRow], feature_set: &str, model: &str) -> Option<&'a ResultRow> {
    results
        .iter()
        .find(|row| row.feature_set == feature_set && row.model == model && row.mean.is_finite())
}

fn pair<'a>(results: &'a [ResultRow], feature_set: &str, model: &str) -> Option<Pair<'a>> {
    let with = find(results, feature_set, model)?;
    let raw = find(results, RAW, model)?;
    let against = with.against_raw.as_ref().filter(|against| against.difference.is_finite())?;
    Some(Pair { with, raw, against })
}

fn headline<'a>(results: &'a [ResultRow], main_model: &str) -> Option<Pair<'a>> {
    let models = std::iter::once(main_model).chain(results.iter().map(|row| row.model.as_str()));
    models
        .filter_map(|model| {
            let alone = pair(results, AUTOENCODER, model);
            let beside = pair(results, RAW_AND_AUTOENCODER, model);
            match (alone, beside) {
                (Some(alone), Some(beside))
                    if alone.against.mark != Mark::Better
                        && beside.against.mark == Mark::Better =>
                {
                    Some(beside)
                }
                (alone, beside) => alone.or(beside),
            }
        })
        .next()
}

fn answer(against: &Comparison, metric: &Metric) -> Answer {
    match (against.mark, words::finite_pair(against.ci_low, against.ci_high)) {
        (Mark::Better, _) => Answer::Gain,
        (Mark::Worse, _) => Answer::Worse,
        (Mark::Same, Some((low, high)))
            if low.abs().max(high.abs()) <= same_within(against, metric) =>
        {
            Answer::NoGain
        }
        (Mark::Same, _) => Answer::Uncertain,
    }
}

/// Differences of at most this size count as none; none does where nothing is known.
fn same_within(against: &Comparison, metric: &Metric) -> f64 {
    let usual = if metric.is_fraction { SAME_WITHIN } else { -1.0 };
    against.practice.map_or(usual, |practice| practice.same_within)
}

/// How probable it is that the difference matters.
fn practice(metric: &Metric, shown: &Pair<'_>) -> Option<String> {
    let practice = shown.against.practice?;
    let share = |p: f64| words::number(100.0 * p, 0);
    let size = words::number(metric.shown_difference(practice.same_within), metric.decimals());
    let unit = metric.difference_unit();
    let space = if unit.is_empty() { "" } else { " " };
    Some(format!(
        "Where a difference of at most {size}{space}{unit} counts as none: better {} %, same {} %, \
         worse {} %.",
        share(practice.better),
        share(practice.same),
        share(practice.worse),
    ))
}

/// The same comparison where the models see a share of the labels only.
fn few_labels(results: &[ResultRow], metric: &Metric, main: &str, most: f64) -> Option<String> {
    let mut fractions: Vec<f64> =
        results.iter().map(|row| row.label_fraction).filter(|f| *f < most).collect();
    fractions.sort_by(f64::total_cmp);
    fractions.dedup();
    let part = |fraction: &f64| {
        let rows: Vec<ResultRow> =
            results.iter().filter(|row| row.label_fraction == *fraction).cloned().collect();
        let pair = headline(&rows, main)?;
        Some(format!(
            "{} against {} on raw with {} of the labels ({})",
            metric.value(pair.with.mean),
            metric.value(pair.raw.mean),
            words::share(*fraction),
            words::mark(pair.against.mark),
        ))
    };
    let parts: Vec<String> = fractions.iter().filter_map(part).collect();
    (!parts.is_empty()).then(|| format!("With few labels: {}.", words::listed(&parts)))
}

fn sentence(metric: &Metric, pair: &Pair<'_>, answer: Answer) -> String {
    let beside = pair.with.feature_set == RAW_AND_AUTOENCODER;
    let what =
        if beside { "Autoencoder features beside the raw ones" } else { "Autoencoder features" };
    let opening = match answer {
        Answer::Gain => format!("{what} help"),
        Answer::NoGain => format!("{what} bring no gain"),
        Answer::Worse => format!("{what} make it worse"),
        Answer::Uncertain | Answer::NotMeasured => {
            format!("It is uncertain whether {} help", what.replacen('A', "a", 1))
        }
    };
    let (with, without) =
        if beside { ("both", "the raw ones alone") } else { ("them", "the raw features") };
    let model = words::model(&pair.with.model);
    let scores = (metric.value(pair.with.mean), metric.value(pair.raw.mean));
    let comparison = if metric.heading().starts_with("test errors") {
        format!("{model} makes {} test errors with {with} and {} on {without}", scores.0, scores.1)
    } else {
        let name = words::metric(&metric.name);
        format!(
            "{model} has a test {name} of {} with {with} and {} on {without}",
            scores.0, scores.1
        )
    };
    format!("{opening}: {comparison} ({}).", certainty(metric, pair))
}

/// What stands in brackets: `difference 5.71 points, 95 % interval 5.20 to 6.13, p < 0.001, 3
/// repeats`.
fn certainty(metric: &Metric, pair: &Pair<'_>) -> String {
    let show =
        |difference: f64| words::number(metric.shown_difference(difference), metric.decimals());
    let against = pair.against;
    // The sign says better or worse; for a metric whose smaller numbers are better it would read
    // the wrong way round.
    let size = words::number(metric.shown_difference(against.difference).abs(), metric.decimals());
    let direction = match against.difference {
        d if d < 0.0 => " for the worse",
        d if d > 0.0 && against.mark != Mark::Better => " for the better",
        _ => "",
    };
    let unit = metric.difference_unit();
    let space = if unit.is_empty() { "" } else { " " };
    let mut parts = vec![format!("difference {size}{space}{unit}{direction}")];
    parts.push(match words::finite_pair(against.ci_low, against.ci_high) {
        // Turned so that the interval has the sign of the size that it stands beside.
        Some((low, high)) if against.difference < 0.0 => {
            format!("95 % interval {} to {}", show(-high), show(-low))
        }
        Some((low, high)) => format!("95 % interval {} to {}", show(low), show(high)),
        None => "no interval".into(),
    });
    let p = against.p_holm.or(against.p_value);
    parts.extend(p.filter(|p| p.is_finite()).map(words::p_value));
    parts.push(words::counted(pair.with.n, "repeat"));
    parts.join(", ")
}

/// The other of the two feature sets that hold the autoencoder's features, under the same model.
fn other_set(results: &[ResultRow], metric: &Metric, shown: &Pair<'_>) -> Option<String> {
    let (key, opening) = if shown.with.feature_set == AUTOENCODER {
        (RAW_AND_AUTOENCODER, "Raw and autoencoder features side by side give")
    } else {
        (AUTOENCODER, "The autoencoder's features alone give")
    };
    let other = pair(results, key, &shown.with.model)?;
    let than = match other.against.mark {
        Mark::Better => "better than raw",
        Mark::Same => "not distinguishable from raw",
        Mark::Worse => "worse than raw",
    };
    Some(format!("{opening} {}, {than}.", metric.value(other.with.mean)))
}

/// The same comparison under the models that the sentence is not about.
fn other_models(results: &[ResultRow], metric: &Metric, shown: &Pair<'_>) -> Option<String> {
    let parts: Vec<String> = results
        .iter()
        .filter(|row| row.feature_set == shown.with.feature_set && row.model != shown.with.model)
        .filter_map(|row| pair(results, &row.feature_set, &row.model))
        .map(|other| {
            format!(
                "{} {} against {} on raw ({})",
                words::model(&other.with.model),
                metric.value(other.with.mean),
                metric.value(other.raw.mean),
                words::mark(other.against.mark),
            )
        })
        .collect();
    let models = if parts.len() == 1 { "the other model" } else { "the other models" };
    (!parts.is_empty()).then(|| format!("With {models}: {}.", words::listed(&parts)))
}

/// Says so where a simpler feature set does as well: its mean is inside the interval of the
/// autoencoder's, or on the better side of it.
fn rival_note(
    rival: &ResultRow,
    metric: &Metric,
    shown: &Pair<'_>,
    answer: Answer,
) -> Option<String> {
    let mean = shown.with.mean;
    let (low, high) =
        words::finite_pair(shown.with.ci_low, shown.with.ci_high).unwrap_or((mean, mean));
    let (worse_end, better_end) = if metric.higher_is_better { (low, high) } else { (high, low) };
    if metric.is_better(worse_end, rival.mean) {
        return None;
    }
    let (who, moral) = if rival.feature_set == PCA {
        ("PCA", "a linear method is enough")
    } else {
        ("the untrained random encoder", "the training adds nothing")
    };
    let does =
        if metric.is_better(rival.mean, better_end) { "does better" } else { "does as well" };
    let moral = if answer == Answer::Gain { format!(": {moral}") } else { String::new() };
    Some(format!("{} {does} ({}){moral}.", words::capital(who), metric.value(rival.mean)))
}

/// Says so where no autoencoder features reach the best raw model of any kind.
fn best_raw(results: &[ResultRow], metric: &Metric) -> Option<String> {
    let best = |wanted: fn(&ResultRow) -> bool| {
        results
            .iter()
            .filter(|row| wanted(row) && row.mean.is_finite())
            .reduce(|best, row| if metric.is_better(row.mean, best.mean) { row } else { best })
    };
    let raw = best(|row| row.feature_set == RAW)?;
    let with = best(|row| matches!(&*row.feature_set, AUTOENCODER | RAW_AND_AUTOENCODER))?;
    metric.is_better(raw.mean, with.mean).then(|| {
        format!(
            "The best score needs no autoencoder: {} on the raw features, {}, against {} at best \
             with autoencoder features.",
            words::model(&raw.model),
            metric.value(raw.mean),
            metric.value(with.mean),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::row;

    const LOGISTIC: &str = "logistic_regression";

    fn of(rows: &[ResultRow]) -> Verdict {
        verdict(rows, &Metric::accuracy(), LOGISTIC)
    }

    /// Raw and one other set under logistic regression.
    fn two(set: &str, raw: f64, mean: f64, mark: Mark) -> Vec<ResultRow> {
        vec![row(RAW, LOGISTIC, raw, None), row(set, LOGISTIC, mean, Some((mean - raw, mark)))]
    }

    #[test]
    fn the_sentence_says_the_answer_and_its_certainty() {
        let wide = {
            let mut rows = two(AUTOENCODER, 0.92, 0.93, Mark::Same);
            let against = rows[1].against_raw.as_mut().unwrap();
            (against.ci_low, against.ci_high) = (Some(-0.02), Some(0.04));
            rows
        };
        let single = {
            let mut rows = two(AUTOENCODER, 0.92, 0.93, Mark::Same);
            rows[1].n = 1;
            let against = rows[1].against_raw.as_mut().unwrap();
            (against.ci_low, against.ci_high) = (None, None);
            (against.p_value, against.p_holm) = (None, None);
            rows
        };
        for (rows, mark, sentence) in [
            (
                two(AUTOENCODER, 0.925_8, 0.982_9, Mark::Better),
                Answer::Gain,
                "Autoencoder features help: logistic regression makes 1.71 % test errors with \
                 them and 7.42 % on the raw features (difference 5.71 points, 95 % interval 5.31 \
                 to 6.11, p < 0.001, 3 repeats).",
            ),
            (
                two(AUTOENCODER, 0.925_8, 0.926_8, Mark::Same),
                Answer::NoGain,
                "Autoencoder features bring no gain: logistic regression makes 7.32 % test errors \
                 with them and 7.42 % on the raw features (difference 0.10 points for the better, \
                 95 % interval −0.30 to 0.50, p = 0.60, 3 repeats).",
            ),
            (
                two(AUTOENCODER, 0.925_8, 0.9, Mark::Worse),
                Answer::Worse,
                "Autoencoder features make it worse: logistic regression makes 10.00 % test \
                 errors with them and 7.42 % on the raw features (difference 2.58 points for the \
                 worse, 95 % interval 2.18 to 2.98, p < 0.001, 3 repeats).",
            ),
            (
                wide,
                Answer::Uncertain,
                "It is uncertain whether autoencoder features help: logistic regression makes \
                 7.00 % test errors with them and 8.00 % on the raw features (difference 1.00 \
                 points for the better, 95 % interval −2.00 to 4.00, p = 0.60, 3 repeats).",
            ),
            (
                single,
                Answer::Uncertain,
                "It is uncertain whether autoencoder features help: logistic regression makes \
                 7.00 % test errors with them and 8.00 % on the raw features (difference 1.00 \
                 points for the better, no interval, 1 repeat).",
            ),
            (
                two(RAW_AND_AUTOENCODER, 0.9, 0.95, Mark::Better),
                Answer::Gain,
                "Autoencoder features beside the raw ones help: logistic regression makes 5.00 % \
                 test errors with both and 10.00 % on the raw ones alone (difference 5.00 points, \
                 95 % interval 4.60 to 5.40, p < 0.001, 3 repeats).",
            ),
        ] {
            let verdict = of(&rows);
            assert_eq!(verdict.sentence, sentence);
            assert_eq!(verdict.mark, mark, "{sentence}");
        }
    }

    #[test]
    fn without_both_sides_there_is_no_answer() {
        let mut failed = two(AUTOENCODER, 0.9, 0.95, Mark::Better);
        failed[1].mean = f64::NAN;
        for rows in [
            Vec::new(),
            vec![row(RAW, LOGISTIC, 0.9, None)],
            vec![row(AUTOENCODER, LOGISTIC, 0.9, None)],
            vec![row(RAW, LOGISTIC, 0.9, None), row(AUTOENCODER, "knn", 0.9, None)],
            two(PCA, 0.9, 0.95, Mark::Better),
            failed,
        ] {
            assert_eq!(of(&rows).mark, Answer::NotMeasured);
        }
    }

    #[test]
    fn another_model_speaks_where_the_main_one_is_missing() {
        let mut rows = two(AUTOENCODER, 0.9, 0.95, Mark::Better);
        rows.iter_mut().for_each(|row| row.model = "linear_svm".into());
        let verdict = of(&rows);
        assert_eq!(verdict.mark, Answer::Gain);
        assert!(verdict.sentence.contains("linear SVM makes"), "{}", verdict.sentence);
    }

    #[test]
    fn notes_name_what_the_sentence_leaves_out() {
        let base = || two(AUTOENCODER, 0.925_8, 0.982_9, Mark::Better);
        let with = |extra: Vec<ResultRow>| of(&[base(), extra].concat()).notes.join("\n");
        let against = |difference, mark| Some((difference, mark));
        for (extra, expected) in [
            (Vec::new(), ""),
            (
                vec![row(PCA, LOGISTIC, 0.982, against(0.05, Mark::Better))],
                "PCA does as well (1.80 %): a linear method is enough.",
            ),
            (
                vec![row(RANDOM_ENCODER, LOGISTIC, 0.99, against(0.05, Mark::Better))],
                "The untrained random encoder does better (1.00 %): the training adds nothing.",
            ),
            (vec![row(PCA, LOGISTIC, 0.95, against(0.03, Mark::Better))], ""),
            (
                vec![row(RAW_AND_AUTOENCODER, LOGISTIC, 0.92, against(-0.006, Mark::Same))],
                "Raw and autoencoder features side by side give 8.00 %, not distinguishable from \
                 raw.",
            ),
            (
                vec![
                    row(RAW, "knn", 0.97, None),
                    row(AUTOENCODER, "knn", 0.96, against(-0.01, Mark::Worse)),
                ],
                "With the other model: k nearest neighbours 4.00 % against 3.00 % on raw (worse).",
            ),
            (
                vec![row(RAW, "gradient_boosting", 0.986, None)],
                "The best score needs no autoencoder: gradient boosting on the raw features, \
                 1.40 %, against 1.71 % at best with autoencoder features.",
            ),
        ] {
            assert_eq!(with(extra), expected);
        }
    }

    #[test]
    fn side_by_side_takes_the_headline_where_only_it_helps() {
        let mut rows = two(AUTOENCODER, 0.9, 0.88, Mark::Worse);
        rows.push(row(RAW_AND_AUTOENCODER, LOGISTIC, 0.93, Some((0.03, Mark::Better))));
        let verdict = of(&rows);
        assert_eq!(verdict.mark, Answer::Gain);
        assert!(verdict.sentence.starts_with("Autoencoder features beside the raw ones help"));
        assert_eq!(
            verdict.notes,
            ["The autoencoder's features alone give 12.00 %, worse than raw."]
        );
    }

    #[test]
    fn practice_and_few_labels_are_said() {
        let mut rows = two(AUTOENCODER, 0.92, 0.93, Mark::Same);
        let against = rows[1].against_raw.as_mut().unwrap();
        against.practice =
            Some(crate::Practice { same_within: 0.02, better: 0.06, same: 0.93, worse: 0.01 });
        let mut few = two(AUTOENCODER, 0.8, 0.9, Mark::Better);
        few.iter_mut().for_each(|row| row.label_fraction = 0.01);
        let verdict = of(&[few, rows].concat());
        assert_eq!(verdict.mark, Answer::NoGain);
        assert_eq!(
            verdict.notes,
            [
                "Where a difference of at most 2.00 points counts as none: better 6 %, same 93 %, \
                 worse 1 %.",
                "With few labels: 10.00 % against 20.00 % on raw with 1 % of the labels (better).",
            ]
        );
    }

    #[test]
    fn other_metrics_are_named() {
        let rmse = Metric { name: "rmse".into(), higher_is_better: false, is_fraction: false };
        let rows = two(AUTOENCODER, 0.5, 0.45, Mark::Better);
        let verdict = verdict(&rows, &rmse, LOGISTIC);
        assert!(
            verdict.sentence.contains(
                "logistic regression has a test RMSE of 0.450 with them and 0.500 on the raw"
            ),
            "{}",
            verdict.sentence
        );
    }
}
