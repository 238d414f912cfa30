//! The stages of a pipeline, what each reads, and the keys of what each makes. It runs nothing.

use std::collections::BTreeMap;

use hourglass_core::Seed;
use hourglass_features::{FeatureSet, HiddenLayers};
use serde_json::{Value, json};

use crate::config::Pipeline;
use crate::key::{Inputs, Key, to_value};
use crate::lens;

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
    /// Fits one model on one feature set with a share of the labels (both by their index in the
    /// file); keeps predictions.
    Downstream {
        /// What it sees.
        set: FeatureSet,
        /// Index of the model in the file.
        model: usize,
        /// Index of the share of labels in the file.
        labels: usize,
    },
    /// Puts everything together in the run directory.
    Report,
}

/// One node of the stage graph.
#[derive(Clone, Debug)]
pub struct Stage {
    /// What it does.
    pub kind: Kind,
    /// Run from 0 (a repeat, or a fold of one), or `None` for what all share.
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
            Kind::Downstream { .. } => "downstream",
            Kind::Report => "report",
        }
    }

    /// Whether the cache keeps what it makes.
    pub fn is_stored(self) -> bool {
        matches!(self, Kind::Preprocess | Kind::Train | Kind::Figures | Kind::Downstream { .. })
    }

    /// Counted up where the code behind a stage starts to make something else.
    fn version(self) -> u32 {
        match self {
            Kind::Preprocess => 4,
            Kind::Downstream { .. } => 3,
            Kind::Figures | Kind::Train => 2,
            _ => 1,
        }
    }
}

impl Plan {
    /// The stages of a pipeline on data with this fingerprint.
    pub fn new(pipeline: &Pipeline, fingerprint: &str) -> Plan {
        let mut plan = Plan { stages: Vec::new() };
        let data = plan.push(Kind::Data, None, tables([("data", to_value(&pipeline.data))]), &[]);
        plan.stages[data].inputs.data = Some(fingerprint.to_owned());
        let mut last = Vec::new();
        for repeat in 0..pipeline.n_runs() {
            last.extend(plan.push_repeat(pipeline, repeat, data));
        }
        let report = json!({
            "name": pipeline.name,
            "seed": pipeline.seed,
            "metric": to_value(&pipeline.downstream.metric),
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
        let at = Some(At { repeat, seed, label: pipeline.run_label(repeat) });
        let at = at.as_ref();

        let preprocess_tables = tables([
            ("split", to_value(&pipeline.split)),
            ("fold", json!(pipeline.fold(repeat))),
            ("preprocess", to_value(&pipeline.preprocess)),
        ]);
        let preprocess = self.push(Kind::Preprocess, at, preprocess_tables, &[data]);
        let mut train_tables =
            tables([("model", model.clone()), ("train", to_value(&pipeline.train))]);
        train_tables.extend(lens::content(&pipeline.model).map(|of| ("perceptual".to_owned(), of)));
        let train = self.push(Kind::Train, at, train_tables, &[preprocess]);
        // What reads the training is pushed later, and so sees this version in its key.
        self.stages[train].inputs.version += pipeline.model.version() - 1;
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
            for (labels, fraction) in pipeline.downstream.label_fraction.iter().enumerate() {
                for (model, estimator) in pipeline.downstream.models.iter().enumerate() {
                    let own = tables([
                        ("model", to_value(estimator)),
                        ("label_fraction", json!(fraction)),
                        ("class_weight", to_value(&pipeline.downstream.class_weight)),
                        ("inner_folds", to_value(&pipeline.downstream.inner_folds)),
                        ("calibration", to_value(&pipeline.downstream.calibration)),
                    ]);
                    let kind = Kind::Downstream { set, model, labels };
                    let downstream = self.push(kind, at, own, &[extract]);
                    let few = match *fraction {
                        1.0 => String::new(),
                        share => format!(" ({}% of labels)", share * 100.0),
                    };
                    let label = format!("downstream {} + {}{few}", set.name(), estimator.name());
                    self.stages[downstream].label = labelled(&label, at);
                    last.push(downstream);
                }
            }
        }
        last
    }

    fn push(
        &mut self,
        kind: Kind,
        at: Option<&At>,
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
            seed: at.map(|at| at.seed.value()),
        };
        let what = match kind {
            Kind::Extract(set) => format!("extract {}", set.name()),
            other => other.name().to_owned(),
        };
        let repeat = at.map(|at| at.repeat);
        let label = labelled(&what, at);
        self.stages.push(Stage { kind, repeat, inputs, label, reads: reads.to_vec() });
        self.stages.len() - 1
    }
}

/// The run that a stage belongs to.
struct At {
    repeat: usize,
    seed: Seed,
    label: String,
}

fn labelled(what: &str, at: Option<&At>) -> String {
    match at {
        Some(at) => format!("{what}, {}", at.label),
        None => what.to_owned(),
    }
}

fn tables<const N: usize>(entries: [(&str, Value); N]) -> BTreeMap<String, Value> {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
