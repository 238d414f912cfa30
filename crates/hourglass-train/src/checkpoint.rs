//! The whole state of a training run in one file, so that it goes on bit for bit.
//!
//! The file holds up to three things: the state as it is, the state to roll back to, and the best
//! weights. It is written beside its place and renamed, so that a kill leaves the one before.

use std::collections::BTreeMap;
use std::path::Path;

use hourglass_models::Autoencoder;
use hourglass_nn::{NamedTensor, OptimizerState, ScheduleState, TensorFile};
use serde::{Deserialize, Serialize};

use crate::{Error, History, Result};

/// Changes when a checkpoint of an older version can't be resumed.
const VERSION: u32 = 2;

/// In front of the names of the state to roll back to.
const GOOD: &str = "good.";

/// In front of the names of the best weights.
const BEST: &str = "best.";

/// Where training stands, apart from tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Epochs finished.
    pub epoch: usize,
    /// Steps finished in the current epoch.
    pub step: usize,
    /// Rows seen in the current epoch.
    pub n_rows: usize,
    /// Sum of losses times rows in the current epoch.
    pub loss_sum: f64,
    /// The same for each part of the loss.
    pub part_sums: BTreeMap<String, f64>,
    /// Norm of the gradients of the last step that it was measured in.
    pub gradient_norm: f64,
    pub schedule: ScheduleState,
    /// What rollbacks have left of the learning rate.
    pub rate_factor: f64,
    /// Lowest validation loss so far.
    pub best_loss: Option<f64>,
    /// Validations since then.
    pub n_bad: usize,
    /// Time spent before the run was resumed.
    pub seconds: f64,
    pub history: History,
}

/// Values of every parameter and of every buffer, in their order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weights {
    pub parameters: Vec<Vec<f32>>,
    pub buffers: Vec<Vec<f32>>,
}

/// All that is needed to go on.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub position: Position,
    pub weights: Weights,
    pub moments: OptimizerState,
    /// The moving average of the weights; empty where there is none.
    pub average: Vec<Vec<f32>>,
}

/// What a file holds.
pub(crate) struct Checkpoint {
    pub now: State,
    pub good: Option<State>,
    pub best: Option<Weights>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    now: Place,
    good: Option<Place>,
}

/// The part of a [`State`] that isn't tensors.
#[derive(Serialize, Deserialize)]
struct Place {
    n_steps: u64,
    counts: Vec<u64>,
    n_slots: usize,
    has_average: bool,
    position: Position,
}

impl Weights {
    pub fn of(model: &dyn Autoencoder) -> Result<Self> {
        let parameters = model.parameters().iter().map(|parameter| parameter.values());
        let buffers = model.buffers().iter().map(|buffer| buffer.values());
        Ok(Weights {
            parameters: parameters.collect::<Result<_, _>>()?,
            buffers: buffers.collect::<Result<_, _>>()?,
        })
    }

    pub fn restore(&self, model: &dyn Autoencoder) -> Result<()> {
        for (parameter, values) in model.parameters().iter().zip(&self.parameters) {
            parameter.set_values(values)?;
        }
        for (buffer, values) in model.buffers().iter().zip(&self.buffers) {
            buffer.set_values(values)?;
        }
        Ok(())
    }

    /// A file of these values alone, under the names and in the shapes of the model.
    pub fn file(&self, model: &dyn Autoencoder) -> TensorFile {
        let mut file = TensorFile::default();
        let parameters = model.parameters().iter().map(|p| (p.name(), p.tensor().dims().to_vec()));
        let buffers = model.buffers().iter().map(|b| (b.name(), b.tensor().dims().to_vec()));
        let of_all = self.parameters.iter().chain(&self.buffers);
        for ((name, shape), values) in parameters.chain(buffers).zip(of_all) {
            let (name, values) = (name.to_owned(), values.clone());
            file.tensors.push(NamedTensor { name, shape, values });
        }
        file
    }

    fn push(&self, file: &mut TensorFile, prefix: &str, names: &Names) {
        push_all(file, prefix, &names.parameters, &self.parameters);
        push_all(file, &format!("{prefix}buffer."), &names.buffers, &self.buffers);
    }

    fn read(file: &Reader<'_>, prefix: &str, names: &Names) -> Result<Self> {
        Ok(Weights {
            parameters: file.all(prefix, &names.parameters)?,
            buffers: file.all(&format!("{prefix}buffer."), &names.buffers)?,
        })
    }
}

impl State {
    fn place(&self) -> Place {
        Place {
            n_steps: self.moments.n_steps,
            counts: self.moments.counts.clone(),
            n_slots: self.moments.slots.first().map_or(0, Vec::len),
            has_average: !self.average.is_empty(),
            position: self.position.clone(),
        }
    }

    fn push(&self, file: &mut TensorFile, prefix: &str, names: &Names) {
        self.weights.push(file, prefix, names);
        for (name, slots) in names.parameters.iter().zip(&self.moments.slots) {
            for (slot, values) in slots.iter().enumerate() {
                file.tensors.push(flat(slot_name(prefix, slot, name), values));
            }
        }
        push_all(file, &format!("{prefix}average."), &names.parameters, &self.average);
    }

    fn read(file: &Reader<'_>, place: Place, prefix: &str, names: &Names) -> Result<Self> {
        let mut slots = Vec::with_capacity(names.parameters.len());
        for name in &names.parameters {
            let of_parameter =
                (0..place.n_slots).map(|slot| file.values(slot_name(prefix, slot, name)));
            slots.push(of_parameter.collect::<Result<Vec<_>>>()?);
        }
        let average = if place.has_average {
            file.all(&format!("{prefix}average."), &names.parameters)?
        } else {
            Vec::new()
        };
        Ok(State {
            position: place.position,
            weights: Weights::read(file, prefix, names)?,
            moments: OptimizerState { n_steps: place.n_steps, counts: place.counts, slots },
            average,
        })
    }
}

impl Checkpoint {
    pub fn save(&self, path: &Path, model: &dyn Autoencoder) -> Result<()> {
        let names = Names::of(model);
        let header = Header {
            version: VERSION,
            now: self.now.place(),
            good: self.good.as_ref().map(State::place),
        };
        let header = serde_json::to_string(&header).map_err(|e| wrong(path, &e))?;
        let mut file = TensorFile::default();
        file.metadata.insert("training".to_owned(), header);
        self.now.push(&mut file, "", &names);
        if let Some(good) = &self.good {
            good.push(&mut file, GOOD, &names);
        }
        if let Some(best) = &self.best {
            best.push(&mut file, BEST, &names);
        }
        Ok(file.save(path)?)
    }

    pub fn load(path: &Path, model: &dyn Autoencoder) -> Result<Self> {
        let names = Names::of(model);
        let file = TensorFile::load(path)?;
        let header = file.metadata.get("training").ok_or_else(|| wrong(path, &"no header"))?;
        // The version stands alone, so that a header of another version can be told apart.
        let version: serde_json::Value =
            serde_json::from_str(header).map_err(|e| wrong(path, &e))?;
        if version["version"] != VERSION {
            return Err(wrong(path, &format!("version {}, not {VERSION}", version["version"])));
        }
        let header: Header = serde_json::from_str(header).map_err(|e| wrong(path, &e))?;
        let reader = Reader { path, file: &file };
        let has_best = names.parameters.first().is_some_and(|name| {
            let name = format!("{BEST}{name}");
            file.get(&name).is_some()
        });
        Ok(Checkpoint {
            now: State::read(&reader, header.now, "", &names)?,
            good: header.good.map(|place| State::read(&reader, place, GOOD, &names)).transpose()?,
            best: has_best.then(|| Weights::read(&reader, BEST, &names)).transpose()?,
        })
    }
}

/// Names of what a model holds.
struct Names {
    parameters: Vec<String>,
    buffers: Vec<String>,
}

impl Names {
    fn of(model: &dyn Autoencoder) -> Self {
        Names {
            parameters: model.parameters().iter().map(|p| p.name().to_owned()).collect(),
            buffers: model.buffers().iter().map(|b| b.name().to_owned()).collect(),
        }
    }
}

struct Reader<'a> {
    path: &'a Path,
    file: &'a TensorFile,
}

impl Reader<'_> {
    fn values(&self, name: String) -> Result<Vec<f32>> {
        match self.file.get(&name) {
            Some(tensor) => Ok(tensor.values.clone()),
            None => Err(wrong(self.path, &format!("no `{name}`"))),
        }
    }

    fn all(&self, prefix: &str, names: &[String]) -> Result<Vec<Vec<f32>>> {
        names.iter().map(|name| self.values(format!("{prefix}{name}"))).collect()
    }
}

fn push_all(file: &mut TensorFile, prefix: &str, names: &[String], values: &[Vec<f32>]) {
    for (name, values) in names.iter().zip(values) {
        file.tensors.push(flat(format!("{prefix}{name}"), values));
    }
}

fn flat(name: String, values: &[f32]) -> NamedTensor {
    NamedTensor { name, shape: vec![values.len()], values: values.to_vec() }
}

fn slot_name(prefix: &str, slot: usize, parameter: &str) -> String {
    format!("{prefix}optimizer.{slot}.{parameter}")
}

fn wrong(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::Checkpoint { path: path.to_owned(), reason: reason.to_string() }
}
