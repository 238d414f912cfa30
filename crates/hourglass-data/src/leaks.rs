//! Tests that rows which aren't trained on decide nothing: every kind of preprocessing on a table
//! with every kind of column, while the other rows are changed in every way.

use hourglass_core::{Part, Seed, Targets};

use crate::column::{Column, Levels};
use crate::preprocess::PreprocessConfig;
use crate::split::SplitConfig;
use crate::table::{Features, Loaded, Origin, Provenance, Table};
use crate::{Prepared, prepare};

const CONFIGS: [&str; 4] = [
    "missing = { fill = 'mean' }\nnumeric = 'standard'\nindicators = true",
    "missing = { fill = { nearest = { k = 3 } } }\nclip = [0.05, 0.95]\nrare_share = 0.1\n\
     numeric = { quantile = { output = 'normal', n_quantiles = 20 } }\n\
     categorical = { target = {} }",
    "missing = { fill = 'median' }\nnumeric = 'yeo_johnson'\ncategorical = 'frequency'\n\
     dates = ['days', 'year', 'weekday']",
    "missing = { fill = 'most_frequent' }\nnumeric = 'robust'\ncategorical = { ordinal = {} }\n\
     [columns.x0]\nnumeric = { min_max = { range = [-1.0, 1.0] } }",
];

/// Rows from `first` on: two numbers with gaps, a boolean, a category and a date.
fn table(first: usize, n: usize) -> Table {
    let rows = || (first..first + n).map(|i| (i * 7919 % 1009) as f64);
    let gap = |value: f64, every: f64| if value % every == 3.0 { f64::NAN } else { value };
    let names = ["red", "green", "blue", "rust", "white"];
    let texts: Vec<Option<&str>> =
        rows().map(|v| (v % 13.0 != 5.0).then(|| names[(v % 7.0).min(4.0) as usize])).collect();
    let columns = vec![
        Column::Numbers(rows().map(|v| gap(v, 11.0)).collect()),
        Column::Numbers(rows().map(|v| gap((v * 0.37).sin() * v, 17.0)).collect()),
        Column::Booleans(rows().map(|v| (v % 19.0 != 1.0).then_some(v % 3.0 == 0.0)).collect()),
        Column::Levels(Levels::of(texts.into_iter())),
        Column::Dates(rows().map(|v| gap(v + 0.25, 23.0)).collect()),
    ];
    Table {
        shape: hourglass_core::SampleShape::Vector { len: columns.len() },
        feature_names: (0..columns.len()).map(|i| format!("x{i}")).collect(),
        features: Features::Columns(columns),
        targets: Targets::Classes {
            ids: (0..n).map(|i| (i % 3) as u32).collect(),
            names: ["a", "b", "c"].map(String::from).to_vec(),
        },
    }
}

fn loaded(train: Table, test: Option<Table>) -> Loaded {
    let provenance = Provenance {
        dataset: "x".into(),
        origin: Origin::File,
        fallback: None,
        sentence: String::new(),
        files: Vec::new(),
        licence: None,
        citation: None,
    };
    Loaded { train, test, provenance }
}

fn run(loaded: &Loaded, config: &str, split: &SplitConfig, fold: usize) -> Prepared {
    let config: PreprocessConfig = toml::from_str(config).unwrap();
    prepare(loaded, split, &config, Seed::new(8), fold).unwrap()
}

/// Changes a row: huge, missing, a level of its own.
fn spoil(table: &mut Table, row: usize) {
    let Features::Columns(columns) = &mut table.features else { unreachable!() };
    for column in columns {
        match column {
            Column::Numbers(values) => {
                values[row] = if row.is_multiple_of(2) { 1e7 } else { f64::NAN }
            }
            Column::Dates(values) => values[row] = 1e5,
            Column::Booleans(values) => values[row] = None,
            Column::Levels(levels) => {
                levels.names.push(format!("new {row}"));
                levels.codes[row] = levels.names.len() as u32 - 1;
            }
        }
    }
}

#[test]
fn published_test_rows_and_their_labels_decide_nothing() {
    let split = SplitConfig::default();
    for config in CONFIGS {
        let original = loaded(table(0, 240), Some(table(500, 60)));
        let before = run(&original, config, &split, 0);
        let mut moved = original.clone();
        let test = moved.test.as_mut().unwrap();
        (0..60).for_each(|row| spoil(test, row));
        let Targets::Classes { ids, .. } = &mut test.targets else { unreachable!() };
        ids.reverse();
        let after = run(&moved, config, &split, 0);
        assert_eq!(before.preprocessor, after.preprocessor);
        let fit = Part::TrainValidation;
        assert_eq!(before.samples.part(fit), after.samples.part(fit));
        assert_eq!(before.samples.class_ids(fit), after.samples.class_ids(fit));
        assert_ne!(before.samples.part(Part::Test), after.samples.part(Part::Test));
    }
}

#[test]
fn rows_of_the_other_parts_decide_nothing_in_any_fold() {
    let whole = SplitConfig::default();
    let folds = SplitConfig { folds: Some(3), ..SplitConfig::default() };
    for config in CONFIGS {
        for (split, fold) in [(&whole, 0), (&folds, 0), (&folds, 2)] {
            let original = loaded(table(0, 240), None);
            let before = run(&original, config, split, fold);
            let n_train = before.samples.partition.n_train;
            // The rows of each part, found by the split itself.
            let parts = crate::split::split(
                &original.train.targets,
                None,
                split,
                false,
                Seed::new(8),
                fold,
            )
            .unwrap();
            assert_eq!(parts.train.len(), n_train);
            let mut moved = original.clone();
            parts
                .validation
                .iter()
                .chain(&parts.test)
                .for_each(|&row| spoil(&mut moved.train, row));
            let after = run(&moved, config, split, fold);
            assert_eq!(before.preprocessor, after.preprocessor);
            assert_eq!(before.samples.part(Part::Train), after.samples.part(Part::Train));
            assert_ne!(before.samples.part(Part::Test), after.samples.part(Part::Test));
            spoil(&mut moved.train, parts.train[0]);
            let spoilt = run(&moved, config, split, fold);
            assert_ne!(after.preprocessor, spoilt.preprocessor, "training rows do decide");
        }
    }
}

#[test]
fn the_order_of_files_and_columns_decides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let read = |test: &str| {
        std::fs::write(
            dir.path().join("a.csv"),
            "x,kind,y\n1,red,p\n2,blue,q\n3,red,p\n4,blue,q\n5,red,p\n6,red,q\n7,x,p\n8,x,q\n",
        )
        .unwrap();
        std::fs::write(dir.path().join("b.csv"), test).unwrap();
        let text = "[csv]\npath = 'a.csv'\ntest_path = 'b.csv'\ntarget = 'y'";
        let config: crate::DataConfig = toml::from_str(text).unwrap();
        let locations = crate::Locations::usual(None, true);
        let resolved = crate::locate(&config, dir.path(), &locations).unwrap();
        let loaded = resolved.load(Seed::new(1), &Default::default()).unwrap();
        run(
            &loaded,
            "numeric = 'standard'",
            &SplitConfig { validation: 0.3, ..Default::default() },
            0,
        )
    };
    let before = read("x,kind,y\n1,red,p\n9,new,q\n");
    let after = read("y,kind,x\nq,new,9\np,red,1\n");
    assert_eq!(before.preprocessor, after.preprocessor);
    let fit = Part::TrainValidation;
    assert_eq!(before.samples.part(fit), after.samples.part(fit));
    let (a, b) = (before.samples.part(Part::Test), after.samples.part(Part::Test));
    assert_eq!((a.row(0), a.row(1)), (b.row(1), b.row(0)));
}
