//! The report as one HTML page that loads nothing: the template, its style sheet and its script,
//! and what is put into them. The script only serves the tables; without it the page says the same.
//! Numbers are worded here and in `words.rs`, never in the template.

mod classes;
mod pictures;
mod plots;
mod rate_page;

pub use rate_page::{RateReport, rate_page};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use crate::diagnosis::{Diagnosis, Finding};
use crate::error::ReportError;
use crate::figure::{Figure, Spark};
use crate::metric_table::MetricTable;
use crate::model::Report;
use crate::table::ResultTable;
use crate::timings::{DownstreamTiming, StageTotal, Timings};
use crate::verdict::Answer;
use crate::words;

const TEMPLATE: &str = include_str!("page/page.html");
pub(crate) const STYLE: &str = include_str!("page/page.css");
pub(crate) const SCRIPT: &str = include_str!("page/page.js");

/// Renders the page, with what the run cost where that is known.
///
/// The same report and timings give the same bytes.
///
/// # Errors
/// [`ReportError::Page`] or [`ReportError::Picture`] if the page can't be drawn.
pub fn to_html(report: &Report, timings: Option<&Timings>) -> Result<String, ReportError> {
    let mut environment = environment()?;
    environment.add_template("page.html", TEMPLATE)?;
    let page = context! {
        style => STYLE,
        script => SCRIPT,
        name => &report.name,
        fallback => report.data.fallback.clone(),
        verdict => Serde(&report.verdict),
        answer => answer_class(report.verdict.mark),
        answer_word => answer_word(report.verdict.mark),
        summary => summary(report),
        tables => Serde(tables(report)),
        metrics => Serde(MetricTable::of(report)),
        score_figures => Serde(plots::scores(report)),
        few_labels => plots::few_labels(report),
        few_labels_caption => format!(
            "{} with {} against the share of the labels that it saw, logarithmic.",
            words::capital(&report.metric.heading()),
            words::model(&report.main_model),
        ),
        repeats => words::counted(report.repeats, "repeat"),
        method => Serde(&report.method),
        forest => plots::forest(report),
        chosen => Serde(chosen(report)),
        diagnosis => Serde(report.diagnosis.as_ref().map(diagnosis)),
        model_facts => Serde(report.model.facts()),
        runs => Serde(runs(report)),
        curves => Serde(plots::curves(report)),
        reconstruction => Serde(pictures::view(report)?),
        latent => Serde(plots::latent(report)),
        classes => Serde(classes::view(report)),
        data_sentence => &report.data.sentence,
        data_facts => Serde(report.data.facts()),
        files => Serde(files(report)),
        seed => report.seed.to_string(),
        seeds => Serde(report.repeat_seeds.iter().map(u64::to_string).collect::<Vec<_>>()),
        versions => Serde(report.versions.iter().collect::<Vec<_>>()),
        resolved_file => &report.resolved_file,
        costs => Serde(timings.map(costs)),
    };
    Ok(environment.get_template("page.html")?.render(page)?)
}

/// What every page's template is drawn with.
pub(crate) fn environment() -> Result<Environment<'static>, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_filter("capital", |text: &str| words::capital(text));
    environment.add_filter("joined", joined);
    Ok(environment)
}

/// The results with all labels, then those with ever fewer.
fn tables(report: &Report) -> Vec<ResultTable> {
    let few = report.label_fractions.iter().rev().skip(1);
    let few = few.map(|&fraction| ResultTable {
        title: format!("With {} of the labels", words::share(fraction)),
        ..ResultTable::of_fraction(report, fraction)
    });
    std::iter::once(ResultTable::of(report)).chain(few).collect()
}

/// The text with spaces that no line may break at between a number and its unit or sign.
fn joined(text: &str) -> String {
    text.replace(" %", "\u{a0}%")
        .replace("p < ", "p\u{a0}<\u{a0}")
        .replace("p = ", "p\u{a0}=\u{a0}")
}

fn answer_class(answer: Answer) -> &'static str {
    match answer {
        Answer::Gain => "better",
        Answer::Worse => "worse",
        Answer::NoGain | Answer::Uncertain | Answer::NotMeasured => "same",
    }
}

fn answer_word(answer: Answer) -> &'static str {
    match answer {
        Answer::Gain => "▲ Gain",
        Answer::NoGain => "● No gain",
        Answer::Worse => "▼ Worse",
        Answer::Uncertain => "● Uncertain",
        Answer::NotMeasured => "● Not measured",
    }
}

/// One line under the title.
fn summary(report: &Report) -> String {
    let rows = report.data.rows;
    format!(
        "{}, {} to learn from and {} to judge on; {}; {}; seed {}",
        report.data.dataset,
        words::counted(rows.n_train + rows.n_validation, "row"),
        words::grouped(rows.n_test as u64),
        words::spaced(&report.model.kind),
        words::counted(report.repeats, "repeat"),
        report.seed,
    )
}

#[derive(Serialize)]
struct DiagnosisView<'a> {
    findings: Vec<FindingView<'a>>,
    left_out: &'a [String],
}

#[derive(Serialize)]
struct FindingView<'a> {
    id: &'a str,
    title: &'a str,
    severity: &'static str,
    sentence: &'a str,
    evidence: Vec<String>,
    plot: Option<String>,
    /// Lines of the file, and why.
    cures: Vec<(&'a [String], &'a str)>,
}

fn diagnosis(found: &Diagnosis) -> DiagnosisView<'_> {
    let plot = |finding: &Finding| {
        Figure::Spark(Spark { label: finding.title.clone(), values: finding.curve.clone() }).svg()
    };
    let findings = found.findings.iter().map(|finding| FindingView {
        id: &finding.id,
        title: &finding.title,
        severity: finding.severity.name(),
        sentence: &finding.sentence,
        evidence: finding.evidence.iter().map(words::evidence).collect(),
        plot: plot(finding),
        cures: finding.cures.iter().map(|cure| (&*cure.changes, &*cure.because)).collect(),
    });
    DiagnosisView { findings: findings.collect(), left_out: &found.left_out }
}

#[derive(Serialize)]
struct FileView<'a> {
    name: &'a str,
    bytes: String,
    sha256: &'a str,
}

fn files(report: &Report) -> Vec<FileView<'_>> {
    let view = |file: &'_ crate::DataFile| words::grouped(file.bytes);
    report
        .data
        .files
        .iter()
        .map(|file| FileView { name: &file.name, bytes: view(file), sha256: &file.sha256 })
        .collect()
}

#[derive(Serialize)]
struct RunView<'a> {
    repeat: usize,
    n_epochs: usize,
    best_epoch: usize,
    train_loss: String,
    validation_loss: String,
    learning_rate: String,
    stopped_because: &'a str,
}

fn runs(report: &Report) -> Vec<RunView<'_>> {
    let missing = || words::MISSING.to_string();
    report
        .training
        .iter()
        .map(|run| {
            let best = run.best();
            RunView {
                repeat: run.repeat + 1,
                n_epochs: run.epochs.len(),
                best_epoch: run.best_epoch,
                train_loss: best.map_or_else(missing, |e| words::significant(e.train_loss)),
                validation_loss: best
                    .and_then(|epoch| epoch.validation_loss)
                    .map_or_else(missing, words::significant),
                learning_rate: run
                    .epochs
                    .last()
                    .map_or_else(missing, |epoch| words::trimmed(epoch.learning_rate)),
                stopped_because: &run.stopped_because,
            }
        })
        .collect()
}

/// What validation chose for a feature set and a model, repeat by repeat.
#[derive(Serialize)]
struct ChosenView {
    feature_set: String,
    model: String,
    choices: Vec<String>,
}

fn chosen(report: &Report) -> Vec<ChosenView> {
    let one = |choice: &std::collections::BTreeMap<String, f64>| {
        let parts = choice.iter().map(|(name, value)| format!("{name} = {value}"));
        parts.collect::<Vec<_>>().join(", ")
    };
    report
        .results
        .iter()
        .filter(|row| row.chosen.iter().any(|choice| !choice.is_empty()))
        .map(|row| ChosenView {
            feature_set: words::feature_set(&row.feature_set),
            model: words::model(&row.model),
            choices: row.chosen.iter().map(one).collect(),
        })
        .collect()
}

#[derive(Serialize)]
struct CostView {
    sentence: String,
    stages: Vec<StageView>,
    /// Features, model, labels, seconds to fit and to predict.
    fits: Vec<[String; 5]>,
}

#[derive(Serialize)]
struct StageView {
    name: String,
    seconds: String,
    /// Share of the longest stage, per cent: the length of its bar.
    share: String,
    cache: String,
}

fn costs(timings: &Timings) -> CostView {
    let stages = timings.by_stage();
    let longest = stages.iter().map(|stage| stage.seconds).fold(0.0, f64::max);
    let view = |stage: &StageTotal| {
        let share = if longest > 0.0 { 100.0 * stage.seconds / longest } else { 0.0 };
        StageView {
            name: stage.name.clone(),
            seconds: words::number(stage.seconds, 1),
            share: format!("{share:.1}"),
            cache: format!("{} of {}", stage.from_cache, stage.times),
        }
    };
    CostView {
        sentence: timings.sentence(),
        stages: stages.iter().map(view).collect(),
        fits: fits(timings),
    }
}

fn fits(timings: &Timings) -> Vec<[String; 5]> {
    let same = |a: &DownstreamTiming, b: &DownstreamTiming| {
        let of = |fit: &DownstreamTiming| (fit.feature_set.clone(), fit.model.clone());
        of(a) == of(b) && a.label_fraction == b.label_fraction
    };
    let groups = timings.downstream.chunk_by(same);
    let row = |group: &[DownstreamTiming]| {
        let first = group.first()?;
        let mean = |seconds: fn(&DownstreamTiming) -> f64| {
            words::number(group.iter().map(seconds).sum::<f64>() / group.len() as f64, 3)
        };
        Some([
            words::feature_set(&first.feature_set),
            words::model(&first.model),
            words::share(first.label_fraction),
            mean(|fit| fit.fit_seconds),
            mean(|fit| fit.predict_seconds),
        ])
    };
    groups.filter_map(row).collect()
}
