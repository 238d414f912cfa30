//! The `[search]` table: what a sweep varies, by what it judges, and how long it goes on.
//!
//! Nothing is searched here. Which values a path may take is checked in [`crate::space`], against
//! the whole file.

use std::collections::BTreeMap;

use hourglass_search::{Distribution, Parameter, PrunerConfig, SamplerConfig, SearchSpace};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::file::Breach;
use crate::objective::{Objective, Objectives};

/// What a sweep does with this file. `pipeline run` doesn't read it.
///
/// | field | default | meaning | range |
/// | :-- | :-- | :-- | :-- |
/// | `trials` | none | trials that are run | `1..` |
/// | `minutes` | none | after which no new trial begins | above 0 |
/// | `repeats` | 1 | repeats of the experiment in each trial | `1..` |
/// | `sampler` | `tpe` | how values are chosen | |
/// | `pruner` | `none` | how hopeless trials are found | |
/// | `objective` | `downstream_validation` | what is optimised | |
/// | `space` | none | what is varied | paths of the file |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchConfig {
    /// Trials that are run; 1 or more.
    #[schemars(range(min = 1))]
    pub trials: u64,
    /// Minutes after which no new trial begins; above 0. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<f64>,
    /// Repeats of the experiment in each trial, whose values are averaged; 1 or more. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub repeats: usize,
    /// How values are chosen. Default: `tpe`.
    #[serde(default)]
    pub sampler: SamplerConfig,
    /// How hopeless trials are found before they end. Default: `none`.
    #[serde(default)]
    pub pruner: PrunerConfig,
    /// What is optimised: a figure, a figure with its direction, or a list of them. Default:
    /// `downstream_validation`.
    #[serde(default)]
    pub objective: Objectives,
    /// What is varied: paths of this file with the values they may take.
    pub space: BTreeMap<String, Parameter>,
}

fn one() -> usize {
    1
}

impl SearchConfig {
    /// The space, with the choices of conditions written out.
    ///
    /// A choice that is a table of one key, such as `{ adam = { ... } }`, may be named by that key
    /// in a condition.
    ///
    /// # Errors
    /// What is wrong with a range or a condition.
    pub fn search_space(&self) -> Result<SearchSpace, hourglass_search::Error> {
        let named = self.space.iter().map(|(path, parameter)| {
            let mut parameter = parameter.clone();
            if let Some(condition) = &mut parameter.condition
                && let Some(parent) = self.space.get(&condition.parent)
                && let Distribution::Categorical { choices } = &parent.distribution
            {
                for choice in &mut condition.choices {
                    if let Some(meant) = choice_of(choices, choice) {
                        *choice = meant.clone();
                    }
                }
            }
            (path.clone(), parameter)
        });
        SearchSpace::new(named)
    }

    /// What is optimised, in order.
    pub fn objectives(&self) -> &[Objective] {
        self.objective.list()
    }

    /// The rules that no single value can break, but for those that need the rest of the file.
    pub(crate) fn check(&self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let mut add = |path: &str, message: String| {
            breaches.push(Breach { path: format!("search.{path}"), message });
        };
        if self.trials == 0 {
            add("trials", "`trials` must be 1 or more".to_owned());
        }
        if self.repeats == 0 {
            add("repeats", "`repeats` must be 1 or more".to_owned());
        }
        if let Some(minutes) = self.minutes
            && !(minutes > 0.0 && minutes.is_finite())
        {
            add("minutes", format!("`minutes` is {minutes}, but must be above 0"));
        }
        if let Err(error) = self.sampler.check() {
            add("sampler", error.to_string());
        }
        if let Err(error) = self.pruner.check() {
            add("pruner", error.to_string());
        }
        if self.pruner != PrunerConfig::None && self.objectives().len() > 1 {
            add(
                "pruner",
                "`pruner` can't be used with several objectives\n\
                 hint: a trial has one curve, and the objectives may disagree about it"
                    .to_owned(),
            );
        }
        if let Err(message) = self.objective.check() {
            add("objective", message);
        }
        if let Err(error) = self.search_space() {
            let message = error.to_string();
            // The parameter is the first word in backticks.
            let parameter = message.split('`').nth(1).unwrap_or_default();
            let known = self.space.contains_key(parameter);
            add(&if known { format!("space.{parameter}") } else { "space".to_owned() }, message);
        }
        breaches
    }
}

/// The choice that a condition means: the value itself, or the only table with that key.
fn choice_of<'c>(choices: &'c [Value], meant: &Value) -> Option<&'c Value> {
    if let Some(same) = choices.iter().find(|choice| *choice == meant) {
        return Some(same);
    }
    let key = meant.as_str()?;
    let mut with_key = choices.iter().filter(|choice| label_key(choice) == Some(key));
    let first = with_key.next();
    if with_key.next().is_some() { None } else { first }
}

fn label_key(choice: &Value) -> Option<&str> {
    let table = choice.as_object()?;
    if table.len() == 1 { table.keys().next().map(String::as_str) } else { None }
}

/// What people call the choices of a categorical parameter: words as they are, a table of one key
/// by that key where no other table has it, everything else as TOML.
pub fn choice_labels(choices: &[Value]) -> Vec<String> {
    let label = |choice: &Value| match (choice, label_key(choice)) {
        (Value::String(word), _) => word.clone(),
        (_, Some(key)) if choice_of(choices, &Value::String(key.to_owned())).is_some() => {
            key.to_owned()
        }
        _ => crate::space::inline(choice),
    };
    choices.iter().map(label).collect()
}
