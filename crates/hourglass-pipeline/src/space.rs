//! The space of a sweep against the file it varies: whether its paths exist, and whether the file
//! is fine at its corners. A trial's file is the user's file with the trial's values laid over it,
//! exactly as `--set` would.

use std::collections::BTreeSet;

use hourglass_search::{Distribution, Params, SearchSpace};
use serde_json::Value;

use crate::config::Pipeline;
use crate::file::{Breach, Text};
use crate::lint;
use crate::problem::FileError;
use crate::search::SearchConfig;

/// Tables and keys that a sweep can't vary, since trials could not be compared then, or since they
/// say what a sweep is.
pub(crate) const FIXED: [&str; 11] = [
    "name",
    "seed",
    "repeats",
    "threads",
    "train.device",
    "data",
    "split",
    "search",
    "schedule",
    "downstream.compare",
    "downstream.metric",
];

/// Corners that are looked at; of a larger space, those along its edges.
const MOST_CORNERS: usize = 512;

/// Depth of a path; no table of the file is as deep.
const MOST_PARTS: usize = 10;

/// The values of a trial as overrides, parents before their children.
pub fn overrides_of(params: &Params) -> Vec<String> {
    params.iter().map(|(path, value)| format!("{path}={}", inline(value))).collect()
}

/// A value as TOML on one line.
pub(crate) fn inline(value: &Value) -> String {
    match toml::Value::try_from(value) {
        Ok(value) => value.to_string(),
        // Only JSON's null has no TOML form, and no file holds one.
        Err(_) => "\"\"".to_owned(),
    }
}

/// The file of a trial: that of the user with `params` laid over it, and without the tables that
/// belong to the sweep.
///
/// # Errors
/// With every mistake that the values bring into the file.
pub fn trial_pipeline(text: &Text<'_>, params: &Params) -> Result<Pipeline, FileError> {
    let mut pipeline = text.with(overrides_of(params)).read()?;
    let repeats = pipeline.search.as_ref().map_or(1, |search| search.repeats);
    pipeline.repeats = repeats;
    pipeline.search = None;
    pipeline.schedule = None;
    Ok(pipeline)
}

/// What is wrong with the space of a file that is fine otherwise.
pub(crate) fn check(text: &Text<'_>, schema: &Value, search: &SearchConfig) -> Vec<Breach> {
    let known = paths(schema);
    let mut breaches: Vec<Breach> = search
        .space
        .keys()
        .filter_map(|path| {
            let message = unknown(path, &known)?;
            Some(Breach { path: format!("search.space.{path}"), message })
        })
        .collect();
    let Ok(space) = search.search_space() else { return breaches };
    if breaches.is_empty() {
        breaches.extend(corners(&space).iter().find_map(|corner| wrong_corner(text, corner)));
    }
    breaches
}

/// Why a path can't be searched, if it can't.
fn unknown(path: &str, known: &BTreeSet<String>) -> Option<String> {
    let is_below = |table: &&str| path == *table || path.starts_with(&format!("{table}."));
    if let Some(fixed) = FIXED.iter().find(|fixed| is_below(fixed)) {
        return Some(format!(
            "`{fixed}` can't be searched\nhint: trials with different values of it could not be \
             compared"
        ));
    }
    if known.contains(path) {
        return None;
    }
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let hint = match lint::nearest(path, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write the keys from the top of the file down, as for `--set`".to_owned(),
    };
    Some(format!("there is no `{path}` in a pipeline file\nhint: {hint}"))
}

/// What is wrong with the file at a corner, and the parameter to blame.
fn wrong_corner(text: &Text<'_>, corner: &Params) -> Option<Breach> {
    let first = |params: &Params| {
        let error = text.with(overrides_of(params)).read().err()?;
        let problem = error.problems().first()?;
        let help = problem.help.as_ref().map_or(String::new(), |help| format!("\nhint: {help}"));
        let label =
            if problem.label.is_empty() { String::new() } else { format!(" ({})", problem.label) };
        Some(format!("{}{label}{help}", problem.title))
    };
    let together = first(corner)?;
    // The one that is wrong by itself, with the tables that it stands in; else all of them.
    for (path, value) in corner {
        let parents = corner.iter().filter(|(other, _)| path.starts_with(&format!("{other}.")));
        let mut alone: Params =
            parents.map(|(path, value)| (path.clone(), value.clone())).collect();
        alone.insert(path.clone(), value.clone());
        if let Some(message) = first(&alone) {
            let message = format!("with `{path} = {}`: {message}", inline(value));
            return Some(Breach { path: format!("search.space.{path}"), message });
        }
    }
    let values = overrides_of(corner).join(", ");
    Some(Breach { path: "search.space".to_owned(), message: format!("with {values}: {together}") })
}

/// Both ends of every range and every choice, in all combinations where they are few enough; else
/// along the edges that leave the first corner and the last.
fn corners(space: &SearchSpace) -> Vec<Params> {
    let ends: Vec<Vec<f64>> =
        space.iter().map(|(_, parameter)| ends(&parameter.distribution)).collect();
    let names: Vec<&str> = space.iter().map(|(name, _)| name).collect();
    let at = |indices: &[usize]| {
        space.fill(|name, _| {
            let place = names.iter().position(|known| *known == name).unwrap_or(0);
            ends[place][indices[place]]
        })
    };
    let n_all = ends.iter().try_fold(1_usize, |product, ends| {
        product.checked_mul(ends.len()).filter(|product| *product <= MOST_CORNERS)
    });
    let mut found: Vec<Params> = Vec::new();
    let mut push = |params: Params| {
        if !found.contains(&params) {
            found.push(params);
        }
    };
    match n_all {
        Some(n_all) => {
            for mut number in 0..n_all {
                let indices: Vec<usize> = ends
                    .iter()
                    .map(|ends| {
                        let index = number % ends.len();
                        number /= ends.len();
                        index
                    })
                    .collect();
                push(at(&indices));
            }
        }
        None => {
            for is_last in [false, true] {
                let start: Vec<usize> =
                    ends.iter().map(|ends| if is_last { ends.len() - 1 } else { 0 }).collect();
                push(at(&start));
                for place in 0..ends.len() {
                    for index in 0..ends[place].len() {
                        let mut indices = start.clone();
                        indices[place] = index;
                        push(at(&indices));
                    }
                }
            }
        }
    }
    found
}

fn ends(distribution: &Distribution) -> Vec<f64> {
    match distribution {
        Distribution::Categorical { choices } => (0..choices.len()).map(|i| i as f64).collect(),
        Distribution::Float { low, high, .. } => vec![*low, *high],
        Distribution::Int { low, high, .. } => vec![*low as f64, *high as f64],
    }
}

/// Every path that a file can have, whatever kinds it chooses.
fn paths(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(schema, schema, "", 0, &mut found);
    found
}

fn walk(root: &Value, node: &Value, path: &str, depth: usize, found: &mut BTreeSet<String>) {
    if depth > MOST_PARTS {
        return;
    }
    if let Some(target) = node.get("$ref").and_then(Value::as_str) {
        if let Some(next) = root.pointer(target.trim_start_matches('#')) {
            walk(root, next, path, depth, found);
        }
        return;
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for alternative in node.get(keyword).and_then(Value::as_array).into_iter().flatten() {
            walk(root, alternative, path, depth, found);
        }
    }
    for (key, inner) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if FIXED.contains(&path.as_str()) {
            continue;
        }
        walk(root, inner, &path, depth + 1, found);
        found.insert(path);
    }
}
