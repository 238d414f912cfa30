//! The main model class by class: scores side by side, and who was taken for whom.

use serde::Serialize;

use crate::model::{Confusion, Report};
use crate::words;

/// Above this many classes the matrix is not drawn, only the most frequent confusions.
const MOST_CLASSES: usize = 20;
/// Confusions named in the sentence under a matrix.
const N_NAMED: usize = 5;

#[derive(Serialize)]
pub(super) struct ClassesView {
    model: String,
    feature_sets: Vec<String>,
    rows: Vec<ClassView>,
    matrices: Vec<MatrixView>,
    names: Vec<String>,
}

#[derive(Serialize)]
struct ClassView {
    class: String,
    support: String,
    /// Precision, recall and F1 for each feature set.
    scores: Vec<[String; 3]>,
}

#[derive(Serialize)]
struct MatrixView {
    feature_set: String,
    /// Empty where there are too many classes to draw.
    rows: Vec<Vec<CountView>>,
    named: String,
}

#[derive(Serialize)]
struct CountView {
    count: String,
    is_diagonal: bool,
    /// Share of the largest mistake, per cent; shades the cell.
    shade: u32,
}

/// The section, or `None` for a regression.
pub(super) fn view(report: &Report) -> Option<ClassesView> {
    if report.per_class.is_empty() && report.confusion.is_empty() {
        return None;
    }
    let mut sets: Vec<&str> = Vec::new();
    let mut classes: Vec<&str> = Vec::new();
    for row in &report.per_class {
        if !sets.contains(&&*row.feature_set) {
            sets.push(&row.feature_set);
        }
        if !classes.contains(&&*row.class) {
            classes.push(&row.class);
        }
    }
    let rows = classes.iter().map(|class| class_row(report, class, &sets)).collect();
    Some(ClassesView {
        model: words::model(&report.main_model),
        feature_sets: sets.iter().map(|set| words::capital(&words::feature_set(set))).collect(),
        rows,
        matrices: report.confusion.iter().map(|c| matrix(report, c)).collect(),
        names: report.data.classes.clone(),
    })
}

fn class_row(report: &Report, class: &str, sets: &[&str]) -> ClassView {
    let find =
        |set: &str| report.per_class.iter().find(|r| r.class == class && r.feature_set == set);
    let share = |value: f64| words::number(100.0 * value, 1);
    let scores = sets
        .iter()
        .map(|set| match find(set) {
            Some(row) => [row.precision, row.recall, row.f1].map(share),
            None => [(); 3].map(|()| words::MISSING.to_string()),
        })
        .collect();
    let support = sets.iter().find_map(|set| find(set)).map_or(0, |row| row.support);
    ClassView { class: class.into(), support: words::grouped(support as u64), scores }
}

fn matrix(report: &Report, confusion: &Confusion) -> MatrixView {
    let per_repeat = |count: u64| count as f64 / report.repeats.max(1) as f64;
    let mut mistakes: Vec<(u64, usize, usize)> = Vec::new();
    for (truth, row) in confusion.counts.iter().enumerate() {
        for (taken, &count) in row.iter().enumerate() {
            if truth != taken && count > 0 {
                mistakes.push((count, truth, taken));
            }
        }
    }
    // The largest first; equal ones in the order of the classes.
    mistakes.sort_by_key(|&(count, truth, taken)| (std::cmp::Reverse(count), truth, taken));
    let most = mistakes.first().map_or(1, |mistake| mistake.0);
    let shown = |count: u64| {
        let mean = per_repeat(count);
        let decimals = if count == 0 || mean >= 10.0 || mean.fract() == 0.0 { 0 } else { 1 };
        words::number(mean, decimals)
    };
    let cell = |(taken, count): (usize, &u64), truth: usize| CountView {
        count: if *count == 0 { "·".into() } else { shown(*count) },
        is_diagonal: taken == truth,
        shade: if taken == truth { 0 } else { (100 * count / most) as u32 },
    };
    let rows = if confusion.counts.len() > MOST_CLASSES {
        Vec::new()
    } else {
        let row = |(truth, row): (usize, &Vec<u64>)| {
            row.iter().enumerate().map(|entry| cell(entry, truth)).collect()
        };
        confusion.counts.iter().enumerate().map(row).collect()
    };
    let name = |class: usize| match report.data.classes.get(class) {
        Some(name) => name.clone(),
        None => class.to_string(),
    };
    let named: Vec<String> = mistakes
        .iter()
        .take(N_NAMED)
        .map(|&(count, truth, taken)| {
            format!("{} taken for {} ({})", name(truth), name(taken), shown(count))
        })
        .collect();
    MatrixView {
        feature_set: words::capital(&words::feature_set(&confusion.feature_set)),
        rows,
        named: words::listed(&named),
    }
}
