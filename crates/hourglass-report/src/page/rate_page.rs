//! The page of a learning-rate range test, in the look of the report. It reads finished numbers.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};
use serde::{Deserialize, Serialize};

use super::STYLE;
use crate::error::ReportError;
use crate::figure::{Figure, Rates};
use crate::words;

const TEMPLATE: &str = include_str!("rate_page.html");

/// What a learning-rate range test found, ready to be shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateReport {
    /// Name of the pipeline.
    pub name: String,
    /// What it was trained on, as a sentence.
    pub data: String,
    /// The architecture, as a line.
    pub model: String,
    /// The optimiser.
    pub optimizer: String,
    /// The rate in the file.
    pub configured: f64,
    /// Rows a step.
    pub batch_size: usize,
    /// Each step: learning rate, loss of its batch, smoothed loss.
    pub points: Vec<[f64; 3]>,
    /// The rate at which the smoothed loss was lowest.
    pub lowest_at: f64,
    /// The rate at which the smoothed loss fell fastest.
    pub steepest_at: f64,
    /// What to begin with.
    pub suggestion: f64,
    /// The rate at which the test ended because the loss rose or was no number; `None` where the
    /// last rate was reached.
    pub diverged_at: Option<f64>,
}

impl RateReport {
    /// The result as two sentences.
    pub fn sentence(&self) -> String {
        let [suggestion, lowest] = [self.suggestion, self.lowest_at].map(short);
        let end = match self.diverged_at {
            Some(rate) => format!("it exploded at {}.", short(rate)),
            None => "it did not explode up to the last rate: widen the range with `--to`.".into(),
        };
        format!(
            "Begin with a learning rate of about {suggestion}, a tenth of that at which the loss \
             was lowest. The smoothed loss was lowest at {lowest}, fell fastest at {}, and {end}",
            short(self.steepest_at)
        )
    }
}

/// Two digits are all that such a test can tell.
fn short(rate: f64) -> String {
    format!("{rate:.1e}").replace(".0e", "e")
}

/// Renders the page; the same result gives the same bytes.
///
/// # Errors
/// [`ReportError::Page`] if the page can't be drawn.
pub fn rate_page(report: &RateReport) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("rate_page.html", TEMPLATE)?;
    let marks = [
        (report.suggestion, "suggestion"),
        (report.configured, "in the file"),
        (report.lowest_at, "lowest loss"),
    ];
    let inside = |rate: f64| {
        let rates = || report.points.iter().map(|point| point[0]);
        rates().any(|r| r >= rate) && rates().any(|r| r <= rate)
    };
    let figure = Figure::Rates(Rates {
        points: report
            .points
            .iter()
            .map(|&[rate, loss, smoothed]| (rate, loss, smoothed))
            .collect(),
        marks: marks
            .into_iter()
            .filter(|(rate, _)| inside(*rate))
            .map(|(rate, name)| (rate, name.to_owned()))
            .collect(),
    });
    let facts = [
        ("data", report.data.clone()),
        ("model", report.model.clone()),
        ("optimiser", format!("{}, {} in the file", report.optimizer, short(report.configured))),
        ("batch", words::counted(report.batch_size, "row")),
        ("steps", report.points.len().to_string()),
    ];
    Ok(environment.get_template("rate_page.html")?.render(context! {
        style => STYLE,
        name => &report.name,
        sentence => report.sentence(),
        figure => figure.svg(),
        facts => Serde(facts),
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_was_found() {
        let report = RateReport {
            name: "a <b>".to_owned(),
            data: "digits".to_owned(),
            model: "k_sparse 64-256-64".to_owned(),
            optimizer: "adam".to_owned(),
            configured: 1e-3,
            batch_size: 64,
            points: (0..50).map(|i| [10_f64.powf(f64::from(i) / 10.0 - 5.0), 0.1, 0.1]).collect(),
            lowest_at: 0.02,
            steepest_at: 0.004,
            suggestion: 0.002,
            diverged_at: None,
        };
        let page = rate_page(&report).unwrap();
        assert!(page.contains("a &lt;b&gt;") && page.contains("<svg"));
        assert!(page.contains("about 2e-3") && page.contains("in the file"));
        assert!(report.sentence().contains("widen the range"));
        let ended = RateReport { diverged_at: Some(0.35), ..report };
        assert!(ended.sentence().ends_with("and it exploded at 3.5e-1."), "{}", ended.sentence());
    }
}
