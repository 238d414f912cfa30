//! The trials of a study as a table: CSV (RFC 4180), JSON, or Parquet.

use std::path::Path;

use hourglass_data::Cells;
use hourglass_report::{SweepReport, SweepState, SweepTrial};

use crate::{Error, Result};

/// A format that trials are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// One line a trial.
    Csv,
    /// Everything that the page shows.
    Json,
    /// One row a trial.
    Parquet,
}

impl ExportFormat {
    /// The format that the name of a file asks for, by its ending.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "csv" => Some(ExportFormat::Csv),
            "json" => Some(ExportFormat::Json),
            "parquet" => Some(ExportFormat::Parquet),
            _ => None,
        }
    }
}

/// Writes the trials of a study to a file.
///
/// # Errors
/// If the file can't be written.
pub fn export(report: &SweepReport, format: ExportFormat, path: &Path) -> Result<()> {
    match format {
        ExportFormat::Csv => write(path, &csv(report)),
        ExportFormat::Json => write(path, &json(report)),
        ExportFormat::Parquet => Ok(hourglass_data::write_parquet(path, columns(report))?),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|source| Error::io("write", path, source))
}

pub(crate) fn json(report: &SweepReport) -> String {
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}

/// Every column with its cells: number, state, objectives, parameters, seconds, reason.
fn columns(report: &SweepReport) -> Vec<(String, Cells)> {
    let trials = &report.trials;
    let texts =
        |of: &dyn Fn(&SweepTrial) -> Option<String>| Cells::Texts(trials.iter().map(of).collect());
    let floats =
        |of: &dyn Fn(&SweepTrial) -> Option<f64>| Cells::Floats(trials.iter().map(of).collect());
    let number = trials.iter().map(|trial| i64::try_from(trial.number).ok()).collect();
    let mut columns = vec![
        ("number".to_owned(), Cells::Integers(number)),
        ("state".to_owned(), texts(&|trial| Some(state(trial.state).to_owned()))),
    ];
    for (index, objective) in report.objectives.iter().enumerate() {
        let value = |trial: &SweepTrial| trial.values.get(index).copied();
        columns.push((objective.name.clone(), floats(&value)));
    }
    for parameter in &report.parameters {
        let value = |trial: &SweepTrial| trial.parameters.get(&parameter.path).copied();
        let cells = if parameter.choices.is_empty() {
            floats(&value)
        } else {
            texts(&|trial| parameter.choices.get(value(trial)? as usize).cloned())
        };
        columns.push((parameter.path.clone(), cells));
    }
    columns.push(("epochs".to_owned(), {
        let epochs = |trial: &SweepTrial| trial.curve.last().map(|(epoch, _)| *epoch as i64);
        Cells::Integers(trials.iter().map(epochs).collect())
    }));
    columns.push(("seconds".to_owned(), floats(&|trial| trial.seconds)));
    columns.push(("reason".to_owned(), texts(&|trial| trial.reason.clone())));
    columns
}

pub(crate) fn csv(report: &SweepReport) -> String {
    let columns = columns(report);
    let quoted = |cell: &str| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    };
    let mut text = String::new();
    let names: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
    text += &names.join(",");
    text.push('\n');
    for row in 0..report.trials.len() {
        let cell = |cells: &Cells| match cells {
            Cells::Floats(cells) => cells[row].map_or(String::new(), |value| value.to_string()),
            Cells::Integers(cells) => cells[row].map_or(String::new(), |value| value.to_string()),
            Cells::Texts(cells) => cells[row].as_deref().map_or(String::new(), quoted),
        };
        let cells: Vec<String> = columns.iter().map(|(_, cells)| cell(cells)).collect();
        text += &cells.join(",");
        text.push('\n');
    }
    text
}

fn state(state: SweepState) -> &'static str {
    match state {
        SweepState::Waiting => "waiting",
        SweepState::Running => "running",
        SweepState::Complete => "complete",
        SweepState::Pruned => "pruned",
        SweepState::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hourglass_report::{SWEEP_SCHEMA_VERSION, SweepObjective, SweepParameter};

    use super::*;

    fn report() -> SweepReport {
        let trial = |number, state, values, reason: Option<&str>| SweepTrial {
            number,
            state,
            values,
            parameters: BTreeMap::from([("train.loss".to_owned(), 1.0)]),
            curve: vec![(1, 0.5), (2, 0.25)],
            seconds: Some(1.5),
            reason: reason.map(str::to_owned),
        };
        SweepReport {
            schema_version: SWEEP_SCHEMA_VERSION,
            name: "x".to_owned(),
            study: "x-1".to_owned(),
            seed: 1,
            sampler: "random".to_owned(),
            pruner: "none".to_owned(),
            objectives: vec![SweepObjective { name: "score".to_owned(), higher_is_better: true }],
            intermediate: "loss".to_owned(),
            parameters: vec![SweepParameter {
                path: "train.loss".to_owned(),
                is_log: false,
                choices: vec!["mse".to_owned(), "bce".to_owned()],
                importance: None,
            }],
            trials: vec![
                trial(0, SweepState::Complete, vec![0.75], None),
                trial(1, SweepState::Failed, Vec::new(), Some("NaN, \"early\"")),
            ],
            best: Some(0),
            front: Vec::new(),
            changes: Vec::new(),
            tested: Vec::new(),
        }
    }

    #[test]
    fn csv_has_a_line_a_trial() {
        assert_eq!(
            csv(&report()),
            "number,state,score,train.loss,epochs,seconds,reason\n\
             0,complete,0.75,bce,2,1.5,\n\
             1,failed,,bce,2,1.5,\"NaN, \"\"early\"\"\"\n"
        );
    }

    #[test]
    fn every_format_is_written() {
        let folder = tempfile::tempdir().unwrap();
        for (format, name) in [
            (ExportFormat::Csv, "t.csv"),
            (ExportFormat::Json, "t.json"),
            (ExportFormat::Parquet, "t.parquet"),
        ] {
            let path = folder.path().join(name);
            export(&report(), format, &path).unwrap();
            assert!(std::fs::metadata(&path).unwrap().len() > 100, "{name}");
        }
        let error = export(&report(), ExportFormat::Csv, &folder.path().join("no/t.csv"));
        assert!(error.unwrap_err().to_string().starts_with("cannot write `"));
    }
}
