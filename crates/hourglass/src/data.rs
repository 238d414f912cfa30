//! `data list | describe | download`.

use std::path::Path;

use anyhow::Result;
use hourglass_core::{Interrupt, Progress, SampleShape, Seed};
use hourglass_data::{CatalogSource, DataConfig, Description, Locations};

use crate::args::{DataCommand, Global, TableFormat};
use crate::table::Table;
use crate::terminal::print;

pub fn run(
    command: &DataCommand,
    global: &Global,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let locations = |offline| Locations::usual(global.data_dir.as_deref(), offline);
    match command {
        DataCommand::List { format } => list(*format, &locations(true)),
        DataCommand::Describe { name, offline, format } => {
            describe(name, *format, &locations(*offline), progress, interrupt)
        }
        DataCommand::Download { name } => {
            let entry = hourglass_data::find(name)?;
            let files = hourglass_data::download(&entry, &locations(false), progress, interrupt)?;
            let lines = files.iter().map(|file| format!("{}\n", file.display()));
            Ok(print(&lines.collect::<String>())?)
        }
    }
}

fn source(name: &str) -> DataConfig {
    DataConfig {
        catalog: Some(CatalogSource { name: name.to_owned(), task: None }),
        ..DataConfig::default()
    }
}

fn list(format: TableFormat, locations: &Locations) -> Result<()> {
    let mut table = Table::new(["name", "title", "licence", "here"]);
    for entry in hourglass_data::catalog() {
        let config = source(&entry.name);
        let is_here = hourglass_data::locate(&config, Path::new("."), locations).is_ok();
        let here = if is_here { "yes" } else { "no" };
        table.push([entry.name, entry.title, entry.licence, here.to_owned()]);
    }
    Ok(print(&table.render(format))?)
}

fn describe(
    name: &str,
    format: TableFormat,
    locations: &Locations,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let entry = hourglass_data::find(name)?;
    let config = source(&entry.name);
    let base = Path::new(".");
    let loaded = hourglass_data::load(&config, base, locations, Seed::new(0), progress, interrupt)?;
    let description = hourglass_data::describe(&loaded);
    if format.json {
        return Ok(print(&format!("{}\n", serde_json::to_string_pretty(&description)?))?);
    }
    let table = tabulate(&description);
    if format.csv {
        return Ok(print(&table.render(format))?);
    }
    let shape = match &description.shape {
        SampleShape::Vector { .. } | SampleShape::Table { .. } => {
            format!("{} columns", description.n_features)
        }
        SampleShape::Image { channels, height, width } => {
            format!("images of {channels} x {height} x {width}")
        }
    };
    let sentence = &description.provenance.sentence;
    let (licence, citation) = (&entry.licence, &entry.citation);
    let head = format!("{}\n{sentence}\n{shape}\n{licence}\n{citation}\n\n", entry.title);
    let mut text = head + &table.render(format);
    if !description.train.columns.is_empty() {
        text +=
            &format!("\nColumns of the training rows:\n\n{}", columns(&description).render(format));
    }
    Ok(print(&text)?)
}

/// What each column of a table holds.
fn columns(description: &Description) -> Table {
    let mut table =
        Table::new(["column", "type", "missing", "min", "max", "mean", "levels", "most"]);
    for column in description.train.columns.iter().chain(&description.train.target) {
        let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.4}"));
        let most = column.levels.iter().map(|level| format!("{} {}", level.name, level.n_rows));
        table.push([
            column.name.clone(),
            column.kind.clone(),
            column.n_missing.to_string(),
            number(column.min),
            number(column.max),
            number(column.mean),
            if column.n_levels > 0 { column.n_levels.to_string() } else { String::new() },
            most.collect::<Vec<_>>().join(", "),
        ]);
    }
    table
}

fn tabulate(description: &Description) -> Table {
    let mut table = Table::new(["part", "rows", "missing", "min", "max", "mean", "class", "count"]);
    let parts = [("train", Some(&description.train)), ("test", description.test.as_ref())];
    for (part, summary) in parts {
        let Some(summary) = summary else { continue };
        let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.4}"));
        let own = [
            part.to_owned(),
            summary.n_rows.to_string(),
            format!("{:.4}", summary.missing),
            number(summary.min.map(f64::from)),
            number(summary.max.map(f64::from)),
            number(summary.mean),
        ];
        for class in &summary.classes {
            let mut row = own.to_vec();
            row.extend([class.name.clone(), class.n_rows.to_string()]);
            table.push(row);
        }
        if summary.classes.is_empty() {
            let mut row = own.to_vec();
            row.extend([String::new(), String::new()]);
            table.push(row);
        }
    }
    table
}
