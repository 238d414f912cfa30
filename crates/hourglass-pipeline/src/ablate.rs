//! What each key of a file is worth: one at a time goes back to its default, the rest stays, with
//! the same seeds. Measured on validation rows; test rows are never looked at.

use std::path::Path;

use hourglass_core::{Interrupt, Progress};
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use crate::config::Pipeline;
use crate::error::{Doing, Error};
use crate::file::Text;
use crate::key::to_value;
use crate::measures::{Estimated, Measures};
use crate::overrides;
use crate::problem::{Problem, Source};
use crate::run::RunOptions;
use crate::side_by_side::{Prefixed, side_by_side};
use crate::space::FIXED;
use crate::trial::TrialRoom;

/// How a file is taken apart.
#[derive(Clone, Debug)]
pub struct AblateOptions {
    /// What surrounds each run.
    pub run: RunOptions,
    /// Keys to change, as `KEY` for its default or `KEY=VALUE`; empty for every key that the file
    /// sets away from its default.
    pub keys: Vec<String>,
    /// Changes tried at a time, 1 or more.
    pub jobs: usize,
}

/// What the keys of a file are worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ablation {
    /// Name of the downstream metric.
    pub metric: String,
    /// Repeats of each run.
    pub repeats: usize,
    /// Score of the file as it is, on validation rows.
    pub score: Estimated,
    /// Its reconstruction error over that of the mean of the training rows, on validation rows.
    pub reconstruction: Estimated,
    /// The changes, in the order of the file.
    pub changes: Vec<Ablated>,
    /// Keys that the file sets and that have no default to go back to.
    pub without_default: Vec<String>,
}

/// One key that was changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ablated {
    /// Its path.
    pub key: String,
    /// Its value in the file, as TOML; `None` where the file doesn't set it.
    pub was: Option<String>,
    /// Its value now; `None` where nothing is there.
    pub is: Option<String>,
    /// What came of it.
    pub outcome: Worth,
}

/// What a key is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// The run came to its end.
    Measured {
        /// Score without the key's value.
        score: Estimated,
        /// What the value adds to the score; positive: it helps.
        score_worth: Estimated,
        /// Reconstruction error without the key's value.
        reconstruction: Estimated,
        /// What the value takes off the error; positive: it helps.
        reconstruction_worth: Estimated,
    },
    /// It didn't.
    Failed {
        /// Why.
        error: String,
    },
}

/// A file with one change.
struct Change {
    key: String,
    was: Option<String>,
    is: Option<String>,
    pipeline: Pipeline,
}

/// Takes a file apart.
///
/// # Errors
/// With what is wrong with the file or a key; if the file as it is can't be run; an interrupt,
/// after which the same call goes on.
pub fn ablate(
    path: &Path,
    overrides: &[String],
    options: &AblateOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Ablation, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::ReadFile { path: path.to_owned(), source })?;
    let origin = path.display().to_string();
    let text = Text { text: &text, origin: &origin, overrides: overrides.to_vec() };
    let whole = text.read()?.without_sweep();
    if whole.split.n_folds() > 1 {
        return Err(Error::Folds { command: "pipeline ablate" });
    }
    let (changes, without_default) = match options.keys.as_slice() {
        [] => every_key(&text, &whole)?,
        keys => {
            let changes = keys.iter().map(|key| asked_for(&text, &whole, key));
            (changes.collect::<Result<Vec<_>, Error>>()?, Vec::new())
        }
    };
    std::fs::create_dir_all(&options.run.runs_dir).doing("create", &options.run.runs_dir)?;
    let all: Vec<(&str, &Pipeline)> = std::iter::once(("the file as it is", &whole))
        .chain(changes.iter().map(|change| (change.key.as_str(), &change.pipeline)))
        .collect();
    let measured = side_by_side(&all, options.jobs, interrupt, |(name, pipeline)| {
        let quiet = Prefixed { name, inner: progress };
        let room = TrialRoom::open(pipeline, &options.run, &quiet, interrupt)?;
        let measures = room.measure(pipeline, &quiet, interrupt);
        progress.say(&format!("{name}: {}", if measures.is_ok() { "measured" } else { "failed" }));
        measures
    });
    let mut measured = measured.into_iter();
    let interrupted = || Error::Interrupted { stage: "ablate".to_owned() };
    let whole_measures = measured.next().ok_or_else(interrupted)??;
    let mut ablated = Vec::with_capacity(changes.len());
    for change in changes {
        let outcome = match measured.next().ok_or_else(interrupted)? {
            Err(error) if error.is_interrupt() => return Err(error),
            Err(error) => Worth::Failed { error: error.to_string() },
            Ok(measures) => worth(&whole_measures, &measures),
        };
        let Change { key, was, is, .. } = change;
        ablated.push(Ablated { key, was, is, outcome });
    }
    Ok(Ablation {
        metric: whole_measures.metric.name().to_owned(),
        repeats: whole.repeats,
        score: whole_measures.score(),
        reconstruction: whole_measures.mean_error(),
        changes: ablated,
        without_default,
    })
}

fn worth(whole: &Measures, without: &Measures) -> Worth {
    match whole.score_above(without) {
        Some(score_worth) => Worth::Measured {
            score: without.score(),
            score_worth,
            reconstruction: without.mean_error(),
            reconstruction_worth: whole.error_below(without),
        },
        None => Worth::Failed { error: "its score is of another kind".to_owned() },
    }
}

/// The file and its overrides as one table.
fn table_of(text: &Text<'_>) -> Result<toml::Table, Error> {
    let mut source = Source::default();
    source.push(text.origin, text.text);
    let texts = overrides::texts(&mut source, &text.overrides);
    let (mut table, _) = DeTable::parse_recoverable(text.text);
    overrides::merge_all(table.get_mut(), &texts);
    toml::Table::deserialize(toml::Deserializer::from(table)).map_err(|error| {
        let problem = Problem::new(error.span().unwrap_or(0..0), error.message());
        Error::File(source.render(vec![problem]))
    })
}

/// The file without a key, where it is a file then.
fn without(table: &toml::Table, path: &[&str]) -> Option<Pipeline> {
    let mut table = table.clone();
    let (last, tables) = path.split_last()?;
    let mut at = &mut table;
    for name in tables {
        at = at.get_mut(*name)?.as_table_mut()?;
    }
    at.remove(*last)?;
    let text = toml::to_string(&table).ok()?;
    let text = Text { text: &text, origin: "", overrides: Vec::new() };
    text.read().ok().map(Pipeline::without_sweep)
}

/// Every key that the file sets away from its default, and those that have none.
fn every_key(text: &Text<'_>, whole: &Pipeline) -> Result<(Vec<Change>, Vec<String>), Error> {
    let mut table = table_of(text)?;
    // A space names keys that a file without them may not have.
    table.retain(|key, _| key != "search" && key != "schedule");
    let (mut changes, mut without_default) = (Vec::new(), Vec::new());
    let mut waiting: Vec<Vec<&str>> = table.keys().rev().map(|key| vec![key.as_str()]).collect();
    while let Some(path) = waiting.pop() {
        let key = path.join(".");
        // What a sweep can't vary can't be compared here either, nor can another judge.
        if FIXED.contains(&key.as_str()) || key == "downstream.models" {
            continue;
        }
        let (first, below) = (path[0], &path[1..]);
        let value = below.iter().try_fold(&table[first], |value, name| value.get(*name));
        let Some(value) = value else { continue };
        // A section is no key: what stands in it is.
        let changed = if path.len() == 1 { None } else { without(&table, &path) };
        match (changed, value) {
            (Some(changed), _) if changed == *whole => {}
            (Some(pipeline), value) => {
                let is = value_at(&pipeline, &key);
                changes.push(Change { key, was: Some(value.to_string()), is, pipeline });
            }
            (None, toml::Value::Table(inner)) => {
                for name in inner.keys().rev() {
                    let mut below = path.clone();
                    below.push(name);
                    waiting.push(below);
                }
            }
            (None, _) => without_default.push(key),
        }
    }
    Ok((changes, without_default))
}

/// The change that `--key` asks for.
fn asked_for(text: &Text<'_>, whole: &Pipeline, asked: &str) -> Result<Change, Error> {
    let wrong = |problem: &str| Error::Key { key: asked.to_owned(), problem: problem.to_owned() };
    let (key, pipeline) = match asked.split_once('=') {
        Some((key, _)) => (key.trim(), text.with(vec![asked.to_owned()]).read()?.without_sweep()),
        None => {
            let path: Vec<&str> = asked.split('.').collect();
            let without = without(&table_of(text)?, &path);
            (
                asked,
                without.ok_or_else(|| wrong("the file doesn't set it, or can't be without it"))?,
            )
        }
    };
    let is_below = |table: &&str| key == *table || key.starts_with(&format!("{table}."));
    if FIXED.iter().any(is_below) {
        return Err(wrong("runs with different values of it can't be compared"));
    }
    if pipeline == *whole {
        return Err(wrong("it is at this value already"));
    }
    let key = key.to_owned();
    let (was, is) = (value_at(whole, &key), value_at(&pipeline, &key));
    Ok(Change { key, was, is, pipeline })
}

/// The value at a path of the file with its defaults, as TOML; `None` where there is nothing.
pub(crate) fn value_at(pipeline: &Pipeline, key: &str) -> Option<String> {
    let whole = to_value(pipeline);
    let value = key.split('.').try_fold(&whole, |value, name| value.get(name))?;
    match value {
        serde_json::Value::Null => None,
        value => Some(crate::space::inline(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        name = "small"
        seed = 1
        data.builtin.dataset = "iris"
        split = { validation = 0.3, test = 0.3 }
        preprocess.numeric = "standard"
        [model.undercomplete]
        latent_dim = 2
        activation = "tanh"
        [train]
        epochs = 4
        batch_size = 128
        clip_norm = 1.0
        optimizer = { adam = { learning_rate = 1e-2, beta1 = 0.8 } }
        schedule = { cosine = {} }
        [features]
        scale = "global"
        [downstream]
        compare = ["raw", "autoencoder"]
        models = [{ logistic_regression = {} }]
    "#;

    fn text(overrides: &[&str]) -> Text<'static> {
        let overrides = overrides.iter().map(|text| (*text).to_owned()).collect();
        Text { text: FILE, origin: "small", overrides }
    }

    #[test]
    fn keys_away_from_their_default_are_found_at_the_highest_place_that_has_one() {
        let text = text(&["train.max_norm=3.0"]);
        let whole = text.read().unwrap().without_sweep();
        let (changes, without_default) = every_key(&text, &whole).unwrap();
        let mut found: Vec<(&str, Option<&str>)> =
            changes.iter().map(|change| (change.key.as_str(), change.is.as_deref())).collect();
        found.sort_unstable();
        let names: Vec<&str> = found.iter().map(|change| change.0).collect();
        // `batch_size` is at its default; the optimiser itself can't be left out.
        for expected in [
            "features.scale",
            "model.undercomplete.activation",
            "preprocess.numeric",
            "train.clip_norm",
            "train.max_norm",
            "train.optimizer.adam.beta1",
            "train.schedule",
        ] {
            assert!(names.contains(&expected), "{expected}: {names:?}");
        }
        assert!(!names.contains(&"train.batch_size"), "{names:?}");
        assert!(found.contains(&("train.schedule", Some("\"constant\""))), "{found:?}");
        assert!(found.contains(&("train.clip_norm", None)), "{found:?}");
        assert!(without_default.contains(&"train.epochs".to_owned()), "{without_default:?}");
        for change in &changes {
            assert_ne!(change.pipeline, whole, "{}", change.key);
        }
    }

    #[test]
    fn asked_keys_are_changed_or_refused() {
        let text = text(&[]);
        let whole = text.read().unwrap().without_sweep();
        let ask = |key: &str| asked_for(&text, &whole, key);
        let change = ask("train.epochs=9").unwrap();
        assert_eq!((change.was.as_deref(), change.is.as_deref()), (Some("4"), Some("9")));
        assert_eq!(change.pipeline.train.epochs, 9);
        assert_eq!(ask("train.schedule").unwrap().is.as_deref(), Some("\"constant\""));
        for (key, expected) in [
            ("train.epochs", "can't be without it"),
            ("train.momentum", "doesn't set it"),
            ("train.epochs=4", "at this value already"),
            ("seed=3", "can't be compared"),
            ("train.epoch=9", "unknown key `epoch`"),
        ] {
            let error = ask(key).err().unwrap();
            assert!(error.is_mistake() && error.to_string().contains(expected), "{key}: {error}");
        }
    }
}
