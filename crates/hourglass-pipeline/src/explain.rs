//! What a run would do: the stages with what the cache holds, and the stage graph for people and
//! for drawing programs. Nothing is run, nothing downloaded, nothing written.

use std::collections::BTreeMap;
use std::path::Path;

use hourglass_data::{ColumnSummary, Locations, SplitConfig};
use serde::Serialize;

use crate::cache::{Cache, read_json};
use crate::config::Pipeline;
use crate::error::Error;
use crate::plan::{Kind, Plan, Stage};
use crate::repeat::{DataFacts, FACTS_FILE};

/// What would happen to a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// Name of the stage for people.
    pub stage: String,
    /// First digits of its key.
    pub key: String,
    /// Whether the cache holds what it makes.
    pub cached: bool,
    /// Whether its code would run.
    pub runs: bool,
    /// Why.
    pub why: String,
    /// Seconds that it took when it ran, where the cache holds it.
    pub seconds: Option<f64>,
}

/// Explains every stage of a pipeline.
///
/// # Errors
/// If the data is not here, or can't be read.
pub fn explain(
    pipeline: &Pipeline,
    base: &Path,
    locations: &Locations,
    runs_dir: &Path,
) -> Result<Vec<Explained>, Error> {
    let resolved = hourglass_data::locate(&pipeline.data, base, locations)?;
    let plan = Plan::new(pipeline, &resolved.fingerprint(pipeline.data_seed())?);
    let cache = Cache::new(runs_dir);
    let found: Vec<_> = plan.stages.iter().map(|stage| cache.find(&stage.inputs)).collect();
    let mut explained = Vec::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        let entry = &found[index];
        let (runs, why) = match stage.kind {
            Kind::Data => (true, "always: the source is hashed".to_owned()),
            Kind::Report => (true, "always: it is put together from the stages".to_owned()),
            _ if entry.is_some() => (false, "in the cache".to_owned()),
            Kind::Extract(_) => {
                let readers = plan.stages.iter().zip(&found);
                let needed = readers.filter(|(reader, _)| reader.reads.contains(&index));
                if needed.into_iter().any(|(_, entry)| entry.is_none()) {
                    (true, "not kept, and a classifier needs it".to_owned())
                } else {
                    (false, "not needed: its classifiers are in the cache".to_owned())
                }
            }
            _ => (true, reason(&cache, stage)),
        };
        explained.push(Explained {
            stage: stage.label.clone(),
            key: stage.inputs.key().short().to_owned(),
            cached: entry.is_some(),
            runs,
            why,
            seconds: entry.as_ref().map(|entry| entry.seconds),
        });
    }
    Ok(explained)
}

/// What the preprocessing of the first repeat does to each column of a table; `None` where the
/// cache doesn't hold it. Empty for images.
///
/// # Errors
/// If the data is not here, or can't be read.
pub fn explain_columns(
    pipeline: &Pipeline,
    base: &Path,
    locations: &Locations,
    runs_dir: &Path,
) -> Result<Option<Vec<ColumnSummary>>, Error> {
    let resolved = hourglass_data::locate(&pipeline.data, base, locations)?;
    let plan = Plan::new(pipeline, &resolved.fingerprint(pipeline.data_seed())?);
    let first = plan.stages.iter().find(|stage| stage.kind == Kind::Preprocess);
    let entry = first.and_then(|stage| Cache::new(runs_dir).find(&stage.inputs));
    match entry {
        None => Ok(None),
        Some(entry) => {
            let facts: DataFacts = read_json(&entry.dir.join(FACTS_FILE))?;
            Ok(Some(facts.columns))
        }
    }
}

fn reason(cache: &Cache, stage: &Stage) -> String {
    match cache.nearest(&stage.inputs) {
        Some(changes) => format!("changed: {}", changes.join(", ")),
        None => "never ran".to_owned(),
    }
}

/// How a stage graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphFormat {
    /// Indented lines.
    Text,
    /// For Markdown pages.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// The stage graph of a pipeline; stages that repeats have in common are drawn once.
pub fn graph(pipeline: &Pipeline, format: GraphFormat) -> String {
    let split = SplitConfig { folds: None, ..pipeline.split.clone() };
    let plan = Plan::new(&Pipeline { repeats: 1, split, ..pipeline.clone() }, "");
    let names: Vec<String> =
        plan.stages.iter().map(|stage| stage.label.replace(", repeat 1", "")).collect();
    let edges = plan
        .stages
        .iter()
        .enumerate()
        .flat_map(|(to, stage)| stage.reads.iter().map(move |&from| (from, to)));
    let mut text = String::new();
    match format {
        GraphFormat::Text => {
            text += &format!("{} ({} x)\n", pipeline.name, pipeline.n_runs());
            let mut depths = BTreeMap::new();
            for (index, stage) in plan.stages.iter().enumerate() {
                let above = stage.reads.iter().filter_map(|read| depths.get(read)).max();
                let depth: usize = above.map_or(1, |depth| depth + 1);
                depths.insert(index, depth);
                let reads: Vec<&str> = match stage.kind {
                    Kind::Report => vec!["everything that is kept"],
                    _ => stage.reads.iter().map(|&read| names[read].as_str()).collect(),
                };
                let depth = if stage.kind == Kind::Report { 1 } else { depth };
                let from = if reads.is_empty() {
                    String::new()
                } else {
                    format!("  <- {}", reads.join(", "))
                };
                text += &format!("{}{}{from}\n", "  ".repeat(depth), names[index]);
            }
        }
        GraphFormat::Mermaid => {
            text.push_str("flowchart LR\n");
            for (index, name) in names.iter().enumerate() {
                text += &format!("    s{index}[\"{name}\"]\n");
            }
            edges.for_each(|(from, to)| text += &format!("    s{from} --> s{to}\n"));
        }
        GraphFormat::Dot => {
            text.push_str("digraph pipeline {\n    rankdir = LR;\n    node [shape = box];\n");
            for (index, name) in names.iter().enumerate() {
                text += &format!("    s{index} [label = \"{name}\"];\n");
            }
            edges.for_each(|(from, to)| text += &format!("    s{from} -> s{to};\n"));
            text.push_str("}\n");
        }
    }
    text
}
