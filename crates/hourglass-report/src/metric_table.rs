//! Every metric of every result as a table of words, with what the model is made of. The page and
//! Markdown lay it out.

use serde::Serialize;

use crate::model::Report;
use crate::words;

/// One line for each feature set, downstream model and share of the labels.
#[derive(Debug, Serialize)]
pub(crate) struct MetricTable {
    pub head: Vec<String>,
    /// Cells in the order of the head.
    pub rows: Vec<Vec<String>>,
    /// How many of the first columns are words; the others are numbers.
    pub n_words: usize,
}

impl MetricTable {
    pub(crate) fn of(report: &Report) -> Self {
        let has_few = report.label_fractions.len() > 1;
        let mut names: Vec<&String> = Vec::new();
        for name in report.results.iter().flat_map(|row| row.metrics.keys()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut head = vec!["features".to_owned(), "model".to_owned()];
        head.extend(has_few.then(|| "labels".to_owned()));
        let n_words = 2;
        head.extend(names.iter().map(|name| words::metric(name)));
        head.extend(["numbers in the model".to_owned(), "effect size".to_owned()]);
        let rows = report
            .results
            .iter()
            .map(|row| {
                let mut cells =
                    vec![words::feature_set(&row.feature_set), words::model(&row.model)];
                cells.extend(has_few.then(|| words::share(row.label_fraction)));
                cells.extend(names.iter().map(|name| {
                    let value = row.metrics.get(*name).copied().flatten();
                    value.map_or_else(|| words::MISSING.to_owned(), |v| words::number(v, 4))
                }));
                cells.push(words::grouped(row.size.round() as u64));
                let effect = row.against_raw.as_ref().and_then(|against| against.effect);
                cells.push(effect.map_or_else(String::new, |effect| {
                    let [size, low, high] =
                        [effect.size, effect.ci_low, effect.ci_high].map(|v| words::signed(v, 2));
                    format!("{size} [{low}, {high}]")
                }));
                cells
            })
            .collect();
        MetricTable { head, rows, n_words }
    }
}
