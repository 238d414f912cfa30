//! Scalers, imputers and encoders against scikit-learn on public sets, to 1e-6. `parity.py` wrote
//! the reference.

use std::collections::BTreeMap;
use std::path::Path;

use hourglass_core::{Interrupt, Matrix, Seed};
use serde::Deserialize;

use super::*;
use crate::config::{DataConfig, Locations};
use crate::table::Table;

type Rows = Vec<Vec<f64>>;

#[derive(Deserialize)]
struct Reference {
    scalers: BTreeMap<String, BTreeMap<String, Rows>>,
    imputers: BTreeMap<String, BTreeMap<String, Rows>>,
    encoders: BTreeMap<String, BTreeMap<String, Rows>>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("parity.json")).unwrap()
}

/// A published set, or `None` where the tests have no data.
fn load(name: &str) -> Option<Table> {
    let kind = if name == "breast_cancer" { "builtin = { dataset" } else { "catalog = { name" };
    let config: DataConfig = toml::from_str(&format!("{kind} = '{name}' }}")).unwrap();
    if config.catalog.is_some() && std::env::var_os("HOURGLASS_DATA_DIR").is_none() {
        return None;
    }
    let resolved = crate::locate(&config, Path::new("."), &Locations::usual(None, true)).unwrap();
    Some(resolved.load(Seed::new(1), &Interrupt::new()).unwrap().train)
}

/// What comes out for all rows, fitted on all rows.
fn prepare(table: &Table, columns: &[Column], text: &str) -> (Matrix, Preprocessor) {
    let config: PreprocessConfig =
        toml::from_str(&format!("drop_duplicate_columns = false\n{text}")).unwrap();
    config.check().unwrap();
    let names = &table.feature_names;
    let seed = Seed::new(1);
    let (fitted, _) =
        Preprocessor::fit_columns(names, columns, &table.targets, &config, seed).unwrap();
    let rows: Vec<usize> = (0..table.n_rows()).collect();
    (fitted.transform_rows(names, columns, &rows).unwrap(), fitted)
}

#[track_caller]
fn compare(found: &Matrix, expected: &Rows, what: &str) {
    let n = found.nrows();
    for (row, expected) in [0, 1, n / 3, n / 2, n - 1].into_iter().zip(expected) {
        assert_eq!(found.ncols(), expected.len(), "{what}");
        for (column, (&a, b)) in found.row(row).iter().zip(expected).enumerate() {
            let near = (f64::from(a) - b).abs() <= 1e-6 * b.abs().max(1.0);
            assert!(near, "{what}, row {row}, column {column}: {a} is not {b}");
        }
    }
}

/// The numbers of a table, with holes where `parity.py` makes them.
fn with_holes(table: &Table) -> Vec<Column> {
    let columns = table.features.to_columns().into_iter().enumerate();
    let columns = columns.map(|(j, column)| match column {
        Column::Numbers(values) => Column::Numbers(
            values
                .into_iter()
                .enumerate()
                .map(|(i, value)| if (i * 7 + j * 3).is_multiple_of(11) { f64::NAN } else { value })
                .collect(),
        ),
        other => other,
    });
    columns.collect()
}

#[test]
fn scalers_agree_with_scikit_learn() {
    let mut n_compared = 0;
    for (name, expected) in reference().scalers {
        let Some(table) = load(&name) else { continue };
        for (scaler, expected) in expected {
            let numeric = match scaler.as_str() {
                "min_max" => "{ min_max = { range = [-1.0, 1.0] } }",
                "standard" => "'standard'",
                "robust" => "'robust'",
                "max_abs" => "'max_abs'",
                "uniform" => "{ quantile = { output = 'uniform' } }",
                "normal" => "{ quantile = { output = 'normal', n_quantiles = 100 } }",
                _ => "'yeo_johnson'",
            };
            let columns = table.features.to_columns();
            let text = format!("missing = {{ fill = 'median' }}\nnumeric = {numeric}");
            compare(&prepare(&table, &columns, &text).0, &expected, &format!("{name}, {scaler}"));
            n_compared += 1;
        }
    }
    assert!(n_compared == 7 || n_compared == 21, "{n_compared}");
}

#[test]
fn imputers_agree_with_scikit_learn() {
    for (name, expected) in reference().imputers {
        let Some(table) = load(&name) else { continue };
        let columns = match name.as_str() {
            "pima" => table.features.to_columns(),
            _ => with_holes(&table),
        };
        for (imputer, expected) in expected {
            let fill = match imputer.as_str() {
                "constant" => "{ constant = { value = -3.0 } }".to_owned(),
                "nearest" => "{ nearest = { k = 5 } }".to_owned(),
                "indicator" => "'mean'".to_owned(),
                simple => format!("'{simple}'"),
            };
            let is_indicator = imputer == "indicator";
            let text = format!("missing = {{ fill = {fill} }}\nindicators = {is_indicator}");
            let (mut found, fitted) = prepare(&table, &columns, &text);
            if is_indicator {
                let names = fitted.output_names();
                let kept: Vec<usize> =
                    (0..names.len()).filter(|&at| names[at].ends_with("_missing")).collect();
                found = found.select(ndarray::Axis(1), &kept);
            }
            compare(&found, &expected, &format!("{name}, {imputer}"));
        }
    }
}

#[test]
fn encoders_agree_with_scikit_learn() {
    for (name, expected) in reference().encoders {
        let Some(mut table) = load(&name) else { continue };
        let columns = table.features.to_columns();
        let kept: Vec<usize> = (0..columns.len())
            .filter(|&at| columns[at].kind() == "categorical")
            .filter(|&at| table.feature_names[at] != "veil-type")
            .collect();
        let columns: Vec<Column> = kept.iter().map(|&at| columns[at].clone()).collect();
        table.feature_names = kept.iter().map(|&at| table.feature_names[at].clone()).collect();
        for (encoder, expected) in expected {
            let categorical = match encoder.as_str() {
                "one_hot" => "categorical = 'one_hot'",
                "rare" => "rare_share = 0.05",
                "ordinal" => "categorical = { ordinal = {} }",
                "target" => "categorical = { target = {} }",
                _ => "categorical = 'frequency'",
            };
            let text = format!("missing = {{ fill = 'mean' }}\n{categorical}");
            let (found, _) = prepare(&table, &columns, &text);
            compare(&found, &expected, &format!("{name}, {encoder}"));
        }
    }
}
