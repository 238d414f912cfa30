//! `pipeline run | check | explain | graph | ablate | lr | reference | schema`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hourglass_core::{Interrupt, Progress};
use hourglass_data::{ColumnSummary, Locations};
use hourglass_pipeline::{
    AblateOptions, Ablation, Estimated, Pipeline, RateRange, RunOptions, Worth,
};
use hourglass_report::RateReport;

use crate::args::{
    Command, DoctorCommand, Global, GraphFormat, PipelineCommand, PipelineFile, TableFormat,
};
use crate::table::Table;
use crate::terminal::{line, print};

/// A pipeline file that was read and checked.
pub struct Loaded {
    pub pipeline: Pipeline,
    /// Folder that paths in the file are relative to.
    pub base: PathBuf,
}

/// Reads the pipeline file of a command that has one.
pub fn load(command: &Command) -> Result<Option<Loaded>> {
    let file = match command {
        Command::Doctor(DoctorCommand::Check { file, .. }) => file,
        Command::Pipeline(command) => match file_of(command) {
            Some(file) => file,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let PipelineFile { path, overrides } = file;
    let pipeline = hourglass_pipeline::load(path, overrides)?;
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Some(Loaded { pipeline, base }))
}

fn file_of(command: &PipelineCommand) -> Option<&PipelineFile> {
    match command {
        PipelineCommand::Run { file, .. }
        | PipelineCommand::Stream { file, .. }
        | PipelineCommand::Check { file }
        | PipelineCommand::Explain { file, .. }
        | PipelineCommand::Graph { file, .. }
        | PipelineCommand::Ablate { file, .. }
        | PipelineCommand::Lr { file, .. } => Some(file),
        PipelineCommand::Schema { .. } | PipelineCommand::Reference { .. } => None,
    }
}

pub fn run(
    command: &PipelineCommand,
    file: Option<&Loaded>,
    global: &Global,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let Some(Loaded { pipeline, base }) = file else { return describe_files(command) };
    let locations = |offline| Locations::usual(global.data_dir.as_deref(), offline);
    match command {
        PipelineCommand::Run { force, offline, format, .. } => {
            say_what_is_not_used(pipeline);
            let options = RunOptions {
                base: base.clone(),
                locations: locations(*offline),
                runs_dir: global.runs_dir.clone(),
                force: *force,
            };
            let outcome = hourglass_pipeline::run(pipeline, &options, progress, interrupt)?;
            print(&outcome_text(&outcome.folder, *format)?)?;
        }
        PipelineCommand::Stream { force, json, .. } => {
            let options = RunOptions {
                base: base.clone(),
                locations: locations(true),
                runs_dir: global.runs_dir.clone(),
                force: *force,
            };
            line(
                "`[downstream]`, `repeats` and `features.scale` are not used by `pipeline stream`",
            );
            let outcomes = hourglass_pipeline::stream(pipeline, &options, progress, interrupt)?;
            let json_text = match outcomes.as_slice() {
                [outcome] => serde_json::to_string_pretty(outcome)?,
                folds => serde_json::to_string_pretty(folds)?,
            };
            if *json {
                print(&(json_text + "\n"))?;
            } else {
                for outcome in outcomes {
                    print(&format!("{}\n{}\n", outcome.sentence(), outcome.features.display()))?;
                }
            }
        }
        PipelineCommand::Check { file } => line(&format!("`{}` is fine", file.path.display())),
        PipelineCommand::Explain { format, .. } => {
            let runs_dir = &global.runs_dir;
            let stages = hourglass_pipeline::explain(pipeline, base, &locations(true), runs_dir)?;
            let mut table = Table::new(["stage", "key", "runs", "why", "seconds"]);
            for stage in stages {
                let runs = if stage.runs { "yes" } else { "no" };
                let seconds = stage.seconds.map_or(String::new(), |s| format!("{s:.1}"));
                table.push([stage.stage, stage.key, runs.to_owned(), stage.why, seconds]);
            }
            print(&table.render(*format))?;
            let columns =
                hourglass_pipeline::explain_columns(pipeline, base, &locations(true), runs_dir)?;
            if let Some(columns) =
                columns.filter(|columns| !columns.is_empty() && !format.csv && !format.json)
            {
                print(&format!("\n{}", columns_table(columns).render(*format)))?;
            }
        }
        PipelineCommand::Graph { format, .. } => {
            let format = match format {
                GraphFormat::Text => hourglass_pipeline::GraphFormat::Text,
                GraphFormat::Mermaid => hourglass_pipeline::GraphFormat::Mermaid,
                GraphFormat::Dot => hourglass_pipeline::GraphFormat::Dot,
            };
            print(&hourglass_pipeline::graph(pipeline, format))?;
        }
        PipelineCommand::Ablate { file, keys, jobs, offline, format } => {
            let run = RunOptions {
                base: base.clone(),
                locations: locations(*offline),
                runs_dir: global.runs_dir.clone(),
                force: false,
            };
            let options = AblateOptions { run, keys: keys.clone(), jobs: *jobs };
            let (path, overrides) = (&file.path, &file.overrides);
            let found = hourglass_pipeline::ablate(path, overrides, &options, progress, interrupt)?;
            print(&ablation_text(&found, *format)?)?;
        }
        PipelineCommand::Lr { from, to, steps, page, offline, json, .. } => {
            let options = RunOptions {
                base: base.clone(),
                locations: locations(*offline),
                runs_dir: global.runs_dir.clone(),
                force: false,
            };
            let range = RateRange { from: *from, to: *to, steps: *steps };
            let report = hourglass_pipeline::learning_rate_test(
                pipeline, range, &options, progress, interrupt,
            )?;
            let path = page
                .clone()
                .unwrap_or_else(|| global.runs_dir.join(format!("{}-lr.html", pipeline.name)));
            write_rate_page(&report, &path)?;
            if *json {
                print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
            } else {
                print(&format!("{}\n{}\n", report.sentence(), path.display()))?;
            }
        }
        PipelineCommand::Schema { .. } | PipelineCommand::Reference { .. } => {}
    }
    Ok(())
}

/// What the keys are worth, those that help the score most first.
fn ablation_text(found: &Ablation, format: TableFormat) -> Result<String> {
    if format.json {
        return Ok(serde_json::to_string_pretty(found)? + "\n");
    }
    let mut table = Table::new([
        "key",
        "in the file",
        "without",
        "score without",
        "worth",
        "worth interval",
        "error without",
        "error worth",
        "error interval",
    ]);
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let mean = |estimated: &Estimated| figure(estimated.mean);
    let mut changes: Vec<_> = found.changes.iter().collect();
    let worth = |outcome: &Worth| match outcome {
        Worth::Measured { score_worth, .. } => score_worth.mean,
        Worth::Failed { .. } => f64::INFINITY,
    };
    changes.sort_by(|a, b| worth(&b.outcome).total_cmp(&worth(&a.outcome)));
    for change in changes {
        let mut row = vec![change.key.clone(), text(&change.was), text(&change.is)];
        match &change.outcome {
            Worth::Measured { score, score_worth, reconstruction, reconstruction_worth } => {
                row.extend([
                    mean(score),
                    signed(score_worth.mean),
                    interval(score_worth),
                    mean(reconstruction),
                    signed(reconstruction_worth.mean),
                    interval(reconstruction_worth),
                ]);
            }
            Worth::Failed { error } => {
                let first = error.lines().next().unwrap_or_default();
                row.push(format!("failed: {first}"));
                row.extend(std::iter::repeat_n("-".to_owned(), 5));
            }
        }
        table.push(row);
    }
    let table = table.render(format);
    if format.csv {
        return Ok(table);
    }
    let mut all = format!(
        "as it is: {} {} {}, reconstruction error {} of that of the mean; validation rows, {} \
         repeat(s)\n\n{table}",
        found.metric,
        mean(&found.score),
        interval(&found.score),
        mean(&found.reconstruction),
        found.repeats,
    );
    if !found.without_default.is_empty() {
        all += &format!(
            "\nno default to go back to: {}; try `--key KEY=VALUE`\n",
            found.without_default.join(", ")
        );
    }
    Ok(all)
}

/// A figure with four digits after the point, or in powers of ten where these say nothing.
pub fn figure(value: f64) -> String {
    let is_plain = value == 0.0 || (1e-3..1e5).contains(&value.abs());
    if is_plain { format!("{value:.4}") } else { format!("{value:.3e}") }
}

/// A difference with its sign.
pub fn signed(value: f64) -> String {
    let plus = if value >= 0.0 { "+" } else { "" };
    format!("{plus}{}", figure(value))
}

/// A 95 % interval in brackets; nothing where there is none.
pub fn interval(estimated: &Estimated) -> String {
    let ends = |[low, high]: [f64; 2]| format!("[{}, {}]", figure(low), figure(high));
    estimated.interval.map_or_else(String::new, ends)
}

/// Tables that belong to sweeps decide nothing here.
fn say_what_is_not_used(pipeline: &Pipeline) {
    let tables = match (&pipeline.search, &pipeline.schedule) {
        (Some(_), Some(_)) => "`[search]` and `[schedule]` are",
        (Some(_), None) => "`[search]` is",
        _ => return,
    };
    line(&format!("{tables} not used by `pipeline run`; `sweep run` reads them"));
}

/// What the preprocessing does to each column.
fn columns_table(columns: Vec<ColumnSummary>) -> Table {
    let mut table = Table::new(["column", "type", "becomes", "steps"]);
    for column in columns {
        let becomes = column.n_columns.to_string();
        table.push([column.name, column.kind, becomes, column.steps]);
    }
    table
}

fn write_rate_page(report: &RateReport, path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create `{}`", folder.display()))?;
    }
    std::fs::write(path, hourglass_report::rate_page(report)?)
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// The commands that tell of pipeline files and read none.
fn describe_files(command: &PipelineCommand) -> Result<()> {
    let (text, write) = match command {
        PipelineCommand::Schema { write } => (hourglass_pipeline::pipeline_schema(), write),
        PipelineCommand::Reference { write } => (hourglass_pipeline::reference(), write),
        _ => return Ok(()),
    };
    match write {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
        }
        None => Ok(print(&text)?),
    }
}

/// What a finished run prints; the run directory last.
fn outcome_text(folder: &Path, format: TableFormat) -> Result<String> {
    let (report, _) = hourglass_pipeline::read_run(folder)?;
    if format.csv {
        return Ok(hourglass_report::results_csv(&report));
    }
    if format.json {
        let outcome = serde_json::json!({
            "run_dir": folder,
            "verdict": report.verdict,
            "results": report.results,
        });
        return Ok(serde_json::to_string_pretty(&outcome)? + "\n");
    }
    Ok(format!("{}{}\n", crate::report::summary(folder)?, folder.display()))
}
