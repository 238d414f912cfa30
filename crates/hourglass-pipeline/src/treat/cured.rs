//! The cured file: every key with its value, and beside those that were changed what they were and
//! why.

use std::path::Path;

use serde_json::Value;

use super::{Attempt, Patch, Treatment};
use crate::config::Pipeline;
use crate::key::to_value;

/// Keys of `[data]` whose value is a path relative to the file.
const PATHS: [&str; 8] = [
    "path",
    "test_path",
    "target_path",
    "test_target_path",
    "train_images",
    "train_labels",
    "test_images",
    "test_labels",
];

/// The text of the file. It lies elsewhere than the one that was treated, so that its paths are
/// made absolute.
pub(super) fn text(treatment: &Treatment, cured: &Pipeline, base: &Path) -> String {
    let kept: Vec<&Attempt> = treatment.attempts.iter().filter(|a| a.is_kept).collect();
    let mut text = format!(
        "# `doctor treat {}`: {} of {} cures that were tried helped.\n",
        treatment.file,
        kept.len(),
        treatment.attempts.len()
    );
    for attempt in &treatment.attempts {
        let word = if attempt.is_kept { "kept" } else { "dropped" };
        let lines: Vec<String> = attempt.changes.iter().map(Patch::line).collect();
        let id = attempt.finding.name();
        text += &comment(&format!("{word} for {id}: {}: {}", lines.join(", "), attempt.why));
    }
    text.push('\n');
    let mut table = String::new();
    for line in file(cured, base).lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = name.trim_matches(['[', ']']).to_owned();
        }
        let key = line.split_once(" = ").map(|(key, _)| key);
        let path = match key {
            Some(key) if table.is_empty() => key.to_owned(),
            Some(key) => format!("{table}.{key}"),
            None => table.clone(),
        };
        let is_place = key.is_some() || line.starts_with('[');
        let changed = kept.iter().rev().find_map(|attempt| {
            let here = |patch: &&Patch| is_place && is_at(&path, &patch.key, key.is_some());
            Some((attempt, attempt.changes.iter().find(here)?))
        });
        if let Some((attempt, patch)) = changed {
            let marker = comment(&marker(&kept, attempt, patch));
            if !text.contains(&marker) {
                text += &marker;
            }
        }
        text += line;
        text.push('\n');
    }
    text
}

/// What stands above a changed line: what it was before the first change, and why the last.
fn marker(kept: &[&Attempt], attempt: &Attempt, patch: &Patch) -> String {
    let mut changes = kept.iter().flat_map(|attempt| &attempt.changes);
    let first = changes.find(|change| change.key == patch.key);
    let was = first.and_then(|patch| patch.was.as_deref()).unwrap_or("not set");
    format!("{}: was {was}; {} ({})", patch.key, attempt.because, attempt.finding.name())
}

/// Whether a line or the head of a table is where a change shows.
fn is_at(path: &str, changed: &str, is_key: bool) -> bool {
    path == changed
        || path.starts_with(&format!("{changed}."))
        // A value given as a table may hold the key of the line.
        || (is_key && changed.starts_with(&format!("{path}.")))
}

fn comment(words: &str) -> String {
    format!("# {}\n", words.replace(['\n', '\r'], " "))
}

/// The file with every default and absolute paths.
fn file(pipeline: &Pipeline, base: &Path) -> String {
    let mut value = to_value(pipeline);
    if let Some(data) = value.get_mut("data") {
        make_absolute(data, base);
    }
    let with_paths: Result<Pipeline, _> = serde_json::from_value(value);
    with_paths.map_or_else(|_| pipeline.resolved(), |pipeline| pipeline.resolved())
}

fn make_absolute(value: &mut Value, base: &Path) {
    let Value::Object(table) = value else { return };
    for (key, inner) in table {
        match inner {
            Value::String(path) if PATHS.contains(&key.as_str()) => {
                let whole = base.join(&*path);
                let whole = std::path::absolute(&whole).unwrap_or(whole);
                *path = whole.to_string_lossy().into_owned();
            }
            inner => make_absolute(inner, base),
        }
    }
}
