//! The stages of a pipeline, what each reads, and the keys of what each makes. It runs nothing.

use std::collections::BTreeMap;

use hourglass_core::Seed;
use hourglass_features::{FeatureSet, HiddenLayers};
use serde_json::{Value, json};

use crate::config::Pipeline;
use crate::key::{Inputs, Key, to_value};

/// What a stage does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Finds the source and hashes it.
    Data,
    /// Splits and scales; keeps a summary, not the matrix.
    Preprocess,
    /// Trains the autoencoder; keeps the bundle.
    Train,
    /// Reconstructions and the map of the latent, for the report.
    Figures,
    /// Makes one feature matrix; keeps nothing.
    Extract(FeatureSet),
    /// Fits one classifier (by its index in the file) on one feature set; keeps predictions.
    Downstream(FeatureSet, usize),
    /// Puts everything together in the run directory.
    Report,
}

/// One node of the stage graph.
#[derive(Clone, Debug)]
pub struct Stage {
    /// What it does.
    pub kind: Kind,
    /// Repeat from 0, or `None` for what all repeats share.
    pub repeat: Option<usize>,
    /// What decides its result.
    pub inputs: Inputs,
    /// Its name for people, such as `downstream raw + knn, repeat 2`.
    pub label: String,
    /// Positions of the stages that it reads.
    pub reads: Vec<usize>,
}

/// All stages of a pipeline, each after those that it reads.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The stages in the order in which they run.
    pub stages: Vec<Stage>,
}

impl Kind {
    /// Name of the stage, and of its folder in the cache.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Data => "data",
            Kind::Preprocess => "preprocess",
            Kind::Train => "train",
            Kind::Figures => "figures",
            Kind::Extract(_) => "extract",
            Kind::Downstream(..) => "downstream",
            Kind::Report => "report",
        }
    }

    /// Whether the cache keeps what it makes.
    pub fn is_stored(self) -> bool {
        matches!(self, Kind::Preprocess | Kind::Train | Kind::Figures | Kind::Downstream(..))
    }

    /// Counted up where the code behind a stage starts to make something else.
    fn version(self) -> u32 {
        1
    }
}

impl Plan {
    /// The stages of a pipeline on data with this fingerprint.
    pub fn new(pipeline: &Pipeline, fingerprint: &str) -> Plan {
        let mut plan = Plan { stages: Vec::new() };
        let data = plan.push(Kind::Data, None, tables([("data", to_value(&pipeline.data))]), &[]);
        plan.stages[data].inputs.data = Some(fingerprint.to_owned());
        let mut last = Vec::new();
        for repeat in 0..pipeline.repeats {
            last.extend(plan.push_repeat(pipeline, repeat, data));
        }
        let report = json!({
            "name": pipeline.name,
            "seed": pipeline.seed,
            "metric": pipeline.downstream.metric.name(),
        });
        plan.push(Kind::Report, None, tables([("report", report)]), &last);
        plan
    }

    /// The key of the whole run: that of its report.
    pub fn key(&self) -> Key {
        self.stages.last().map_or_else(|| Key::of(&Value::Null), |report| report.inputs.key())
    }

    /// The stage of a kind in a repeat.
    pub fn stage(&self, kind: Kind, repeat: Option<usize>) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.kind == kind && stage.repeat == repeat)
    }

    /// Adds the stages of a repeat and returns those that the report reads.
    fn push_repeat(&mut self, pipeline: &Pipeline, repeat: usize, data: usize) -> Vec<usize> {
        let seed = pipeline.repeat_seed(repeat);
        let model = to_value(&pipeline.model);
        let features = to_value(&pipeline.features);
        let scale = to_value(&pipeline.features.scale);
        let at = Some((repeat, seed));

        let preprocess_tables = tables([
            ("split", to_value(&pipeline.split)),
            ("preprocess", to_value(&pipeline.preprocess)),
        ]);
        let preprocess = self.push(Kind::Preprocess, at, preprocess_tables, &[data]);
        let train_tables = tables([("model", model.clone()), ("train", to_value(&pipeline.train))]);
        let train = self.push(Kind::Train, at, train_tables, &[preprocess]);
        let pictures = tables([("pictures", Value::Bool(repeat == 0))]);
        let figures = self.push(Kind::Figures, at, pictures, &[preprocess, train]);

        let mut last = vec![preprocess, train, figures];
        for &set in &pipeline.downstream.compare {
            // A feature set reads no more than decides it, so that raw features are not judged
            // anew where the model changes.
            let (read, own) = match set {
                FeatureSet::Raw => (preprocess, tables([("scale", scale.clone())])),
                FeatureSet::Pca => {
                    let width = match (pipeline.features.layers, pipeline.model.latent_dim()) {
                        (HiddenLayers::Latent, Some(latent_dim)) => json!(latent_dim),
                        _ => model.clone(),
                    };
                    (preprocess, tables([("scale", scale.clone()), ("width_of", width)]))
                }
                FeatureSet::RandomEncoder => {
                    let own = tables([("features", features.clone()), ("model", model.clone())]);
                    (preprocess, own)
                }
                FeatureSet::Autoencoder | FeatureSet::RawAutoencoder => {
                    (train, tables([("features", features.clone())]))
                }
            };
            let mut own = own;
            own.insert("set".to_owned(), json!(set.name()));
            let extract = self.push(Kind::Extract(set), at, own, &[read]);
            for (index, estimator) in pipeline.downstream.models.iter().enumerate() {
                let own = tables([("model", to_value(estimator))]);
                let kind = Kind::Downstream(set, index);
                let downstream = self.push(kind, at, own, &[extract]);
                let label = format!("{} + {}", set.name(), estimator.name());
                self.stages[downstream].label =
                    labelled(&format!("downstream {label}"), Some(repeat));
                last.push(downstream);
            }
        }
        last
    }

    fn push(
        &mut self,
        kind: Kind,
        repeat: Option<(usize, Seed)>,
        tables: BTreeMap<String, Value>,
        reads: &[usize],
    ) -> usize {
        let read = reads.iter().map(|&index| {
            let stage = &self.stages[index];
            // The report reads many stages of one name; their labels tell them apart.
            let name =
                if kind == Kind::Report { stage.label.clone() } else { stage.inputs.stage.clone() };
            (name, stage.inputs.key())
        });
        let inputs = Inputs {
            stage: kind.name().to_owned(),
            version: kind.version(),
            tables,
            reads: read.collect(),
            data: None,
            seed: repeat.map(|(_, seed)| seed.value()),
        };
        let what = match kind {
            Kind::Extract(set) => format!("extract {}", set.name()),
            other => other.name().to_owned(),
        };
        let repeat = repeat.map(|(repeat, _)| repeat);
        let label = labelled(&what, repeat);
        self.stages.push(Stage { kind, repeat, inputs, label, reads: reads.to_vec() });
        self.stages.len() - 1
    }
}

fn labelled(what: &str, repeat: Option<usize>) -> String {
    match repeat {
        Some(repeat) => format!("{what}, repeat {}", repeat + 1),
        None => what.to_owned(),
    }
}

fn tables<const N: usize>(entries: [(&str, Value); N]) -> BTreeMap<String, Value> {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
