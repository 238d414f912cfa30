//! The whole state of a training run in one file, so that it goes on bit for bit.

use std::path::Path;

use hourglass_nn::{NamedTensor, Optimizer, OptimizerState, Parameter, ScheduleState, TensorFile};
use serde::{Deserialize, Serialize};

use crate::{Error, History, Result};

/// Changes when a checkpoint of an older version can't be resumed.
const VERSION: u32 = 2;

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
    /// Norm of the gradients of the last step.
    pub gradient_norm: f64,
    pub schedule: ScheduleState,
    /// Lowest validation loss so far.
    pub best_loss: Option<f64>,
    pub n_bad_epochs: usize,
    pub history: History,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    n_steps: u64,
    position: Position,
}

/// Values of every parameter, in their order.
pub(crate) type Weights = Vec<Vec<f32>>;

pub(crate) fn save(
    path: &Path,
    position: &Position,
    parameters: &[Parameter],
    optimizer: &Optimizer,
    best: Option<&Weights>,
) -> Result<()> {
    let state = optimizer.state();
    let header = Header { version: VERSION, n_steps: state.n_steps, position: position.clone() };
    let header = serde_json::to_string(&header).map_err(|e| wrong(path, &e))?;
    let mut file = TensorFile::default();
    file.metadata.insert("training".to_owned(), header);
    file.push_parameters(parameters)?;
    for (parameter, slots) in parameters.iter().zip(&state.slots) {
        for (slot, values) in slots.iter().enumerate() {
            file.tensors.push(flat(slot_name(slot, parameter), values));
        }
    }
    for (parameter, values) in parameters.iter().zip(best.into_iter().flatten()) {
        file.tensors.push(flat(best_name(parameter), values));
    }
    Ok(file.save(path)?)
}

/// Restores parameters and optimiser; returns where training stood and the best weights.
pub(crate) fn load(
    path: &Path,
    parameters: &[Parameter],
    optimizer: &mut Optimizer,
) -> Result<(Position, Option<Weights>)> {
    let file = TensorFile::load(path)?;
    let header = file.metadata.get("training").ok_or_else(|| wrong(path, &"no header"))?;
    let header: Header = serde_json::from_str(header).map_err(|e| wrong(path, &e))?;
    if header.version != VERSION {
        return Err(wrong(path, &format!("version {}, not {VERSION}", header.version)));
    }
    let values = |name: String| {
        let tensor = file.get(&name).ok_or_else(|| wrong(path, &format!("no `{name}`")))?;
        Ok::<_, Error>(tensor.values.clone())
    };
    let mut slots = Vec::with_capacity(parameters.len());
    for (parameter, sizes) in parameters.iter().zip(&optimizer.state().slots) {
        slots.push(
            (0..sizes.len())
                .map(|slot| values(slot_name(slot, parameter)))
                .collect::<Result<Vec<_>>>()?,
        );
    }
    let best = match parameters.first() {
        Some(first) if file.get(&best_name(first)).is_some() => {
            Some(parameters.iter().map(|p| values(best_name(p))).collect::<Result<Weights>>()?)
        }
        _ => None,
    };
    file.restore_parameters(parameters)?;
    optimizer.restore(OptimizerState { n_steps: header.n_steps, slots })?;
    Ok((header.position, best))
}

fn flat(name: String, values: &[f32]) -> NamedTensor {
    NamedTensor { name, shape: vec![values.len()], values: values.to_vec() }
}

fn slot_name(slot: usize, parameter: &Parameter) -> String {
    format!("optimizer.{slot}.{}", parameter.name())
}

fn best_name(parameter: &Parameter) -> String {
    format!("best.{}", parameter.name())
}

fn wrong(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::Checkpoint { path: path.to_owned(), reason: reason.to_string() }
}
