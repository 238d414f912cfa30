//! From the columns of a polars frame to a table: numbers to `f32`, booleans to 0 and 1, missing
//! values to NaN, the target to classes. Text is no feature yet: categorical encoding would start
//! in `feature`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hourglass_core::{Matrix, SampleShape, Targets};
use polars::prelude::{Column, DataFrame, DataType};

use crate::error::{Error, nearest};
use crate::table::{Features, Table};

/// How the columns of a frame are used.
pub(crate) struct Roles<'a> {
    /// `data.csv` or `data.parquet`, for messages.
    pub target_field: &'static str,
    pub drop_field: &'static str,
    pub target: &'a str,
    pub drop_columns: &'a [String],
    /// Texts that mean "missing".
    pub missing: &'a [String],
}

/// A frame with the file it came from.
pub(crate) struct Source<'a> {
    pub frame: DataFrame,
    pub path: &'a Path,
    /// Line of each row, where rows have lines.
    pub lines: Option<Vec<usize>>,
}

impl Source<'_> {
    fn place(&self, row: usize) -> String {
        match &self.lines {
            Some(lines) => format!("line {}", lines[row]),
            None => format!("row {}", row + 1),
        }
    }
}

/// Turns the training frame and, where there is one, the test frame into tables with the same
/// columns and the same classes.
pub(crate) fn tables(
    train: &Source<'_>,
    test: Option<&Source<'_>>,
    roles: &Roles<'_>,
) -> Result<(Table, Option<Table>), Error> {
    let (train_features, names) = features(train, roles)?;
    let train_labels = labels(train, roles)?;
    let Some(test) = test else {
        let classes = class_names(&[&train_labels]);
        return Ok((table(train_features, &names, &train_labels, &classes), None));
    };
    let (test_features, test_names) = features(test, roles)?;
    if names != test_names {
        let at = names.iter().zip(&test_names).position(|(a, b)| a != b);
        let at = at.unwrap_or(names.len().min(test_names.len()));
        let name = |names: &[String]| names.get(at).map_or("none".into(), |n| format!("`{n}`"));
        let problem = format!("column {} is {}, not {}", at + 1, name(&test_names), name(&names));
        return Err(Error::ColumnsDiffer {
            train: train.path.to_path_buf(),
            n_train: names.len(),
            test: test.path.to_path_buf(),
            n_test: test_names.len(),
            problem,
        });
    }
    let test_labels = labels(test, roles)?;
    let classes = class_names(&[&train_labels, &test_labels]);
    let test = table(test_features, &names, &test_labels, &classes);
    Ok((table(train_features, &names, &train_labels, &classes), Some(test)))
}

fn table(features: Matrix, names: &[String], labels: &Labels, classes: &[String]) -> Table {
    let ids: BTreeMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let ids = match labels {
        Labels::Text(labels) => labels.iter().map(|label| ids[label.as_str()]).collect(),
        Labels::Whole(labels) => {
            labels.iter().map(|label| ids[label.to_string().as_str()]).collect()
        }
    };
    Table {
        shape: SampleShape::Vector { len: names.len() },
        features: Features::Floats(features),
        targets: Targets::Classes { ids, names: classes.to_vec() },
        feature_names: names.to_vec(),
    }
}

fn features(source: &Source<'_>, roles: &Roles<'_>) -> Result<(Matrix, Vec<String>), Error> {
    let all: Vec<&str> =
        source.frame.get_column_names().into_iter().map(|name| name.as_str()).collect();
    let drops = roles.drop_columns.iter().map(|name| (name.as_str(), roles.drop_field));
    for (name, field) in drops.chain([(roles.target, roles.target_field)]) {
        if !all.contains(&name) {
            return Err(Error::MissingColumn {
                path: source.path.to_path_buf(),
                column: name.to_owned(),
                field,
                hint: nearest(name, all.iter().copied()),
            });
        }
    }
    let dropped: BTreeSet<&str> = roles.drop_columns.iter().map(String::as_str).collect();
    let columns: Vec<&Column> = (source.frame.columns().iter())
        .filter(|column| column.name() != roles.target && !dropped.contains(column.name().as_str()))
        .collect();
    let what = || format!("`{}`", source.path.display());
    if columns.is_empty() {
        let hint = "the target and `drop_columns` take every column";
        return Err(Error::Empty { what: what(), missing: "feature column", hint });
    }
    if source.frame.height() == 0 {
        return Err(Error::Empty { what: what(), missing: "row", hint: "is the file whole?" });
    }
    let mut matrix = Matrix::zeros((source.frame.height(), columns.len()));
    for (i, column) in columns.iter().enumerate() {
        let values = feature(column, source, roles)?;
        matrix.column_mut(i).iter_mut().zip(values).for_each(|(to, from)| *to = from);
    }
    let names = columns.iter().map(|column| column.name().to_string()).collect();
    Ok((matrix, names))
}

/// One feature column as numbers.
fn feature(column: &Column, source: &Source<'_>, roles: &Roles<'_>) -> Result<Vec<f32>, Error> {
    let refuse = |_| Error::ColumnType {
        path: source.path.to_path_buf(),
        column: column.name().to_string(),
        found: column.dtype().to_string(),
    };
    let dtype = column.dtype();
    if dtype.is_primitive_numeric() || dtype.is_bool() {
        let numbers = column.cast(&DataType::Float32).map_err(refuse)?;
        let numbers = numbers.as_materialized_series().f32().map_err(refuse)?;
        return Ok(numbers.iter().map(|value| value.unwrap_or(f32::NAN)).collect());
    }
    if *dtype == DataType::Null {
        return Ok(vec![f32::NAN; column.len()]);
    }
    // A column is text as soon as one field is, or where blanks surround the numbers.
    let texts = column.as_materialized_series().str().map_err(refuse)?;
    let numbers = texts.iter().enumerate().map(|(row, text)| {
        let Some(text) = text.map(str::trim).filter(|text| !is_missing(text, roles)) else {
            return Ok(f32::NAN);
        };
        text.parse().map_err(|_| Error::TextColumn {
            path: source.path.to_path_buf(),
            place: source.place(row),
            column: column.name().to_string(),
            value: text.to_owned(),
        })
    });
    numbers.collect()
}

fn is_missing(text: &str, roles: &Roles<'_>) -> bool {
    roles.missing.iter().any(|code| code.trim() == text)
}

/// The target of each row.
enum Labels {
    Text(Vec<String>),
    Whole(Vec<i64>),
}

fn labels(source: &Source<'_>, roles: &Roles<'_>) -> Result<Labels, Error> {
    let column = source.frame.column(roles.target).expect("`features` has looked for the column");
    let fail = |row, problem: String, hint: &str| Error::Target {
        path: source.path.to_path_buf(),
        place: source.place(row),
        column: roles.target.to_owned(),
        problem,
        hint: hint.to_owned(),
    };
    let missing = |row| {
        fail(
            row,
            "is missing".into(),
            "complete the row or delete it; a row without a class teaches nothing",
        )
    };
    let refuse = |_| {
        let problem = format!("is of type `{}`", column.dtype());
        fail(0, problem, "text, booleans and whole numbers can be classes")
    };
    let series = column.as_materialized_series();
    let dtype = column.dtype();
    if dtype.is_integer() {
        let whole = series.cast(&DataType::Int64).map_err(refuse)?;
        let whole = whole.i64().map_err(refuse)?.iter().enumerate();
        let whole = whole.map(|(row, label)| label.ok_or_else(|| missing(row)));
        return Ok(Labels::Whole(whole.collect::<Result<_, Error>>()?));
    }
    if dtype.is_float() {
        let numbers = series.cast(&DataType::Float64).map_err(refuse)?;
        let numbers = numbers.f64().map_err(refuse)?.iter().enumerate();
        let whole = numbers.map(|(row, label)| {
            let label = label.ok_or_else(|| missing(row))?;
            if label.fract() == 0.0 && label.abs() < 1e15 {
                return Ok(label as i64);
            }
            let hint = "only classes can be predicted yet; cut the numbers into classes first";
            Err(fail(row, format!("is {label}, no class"), hint))
        });
        return Ok(Labels::Whole(whole.collect::<Result<_, Error>>()?));
    }
    if dtype.is_bool() {
        let booleans = series.bool().map_err(refuse)?.iter().enumerate();
        let text = booleans.map(|(row, label)| Ok(label.ok_or_else(|| missing(row))?.to_string()));
        return Ok(Labels::Text(text.collect::<Result<_, Error>>()?));
    }
    if *dtype == DataType::Null {
        return Err(missing(0));
    }
    let text = series.str().map_err(refuse)?.iter().enumerate().map(|(row, label)| {
        let label = label.map(str::trim).filter(|label| !is_missing(label, roles));
        Ok(label.ok_or_else(|| missing(row))?.to_owned())
    });
    Ok(Labels::Text(text.collect::<Result<_, Error>>()?))
}

/// Names of the classes: numbers in order of size, text in alphabetical order.
fn class_names(labels: &[&Labels]) -> Vec<String> {
    let whole: Option<Vec<&Vec<i64>>> = labels
        .iter()
        .map(|labels| match labels {
            Labels::Whole(labels) => Some(labels),
            Labels::Text(_) => None,
        })
        .collect();
    if let Some(whole) = whole {
        let distinct: BTreeSet<i64> = whole.into_iter().flatten().copied().collect();
        return distinct.into_iter().map(|label| label.to_string()).collect();
    }
    let mut distinct = BTreeSet::new();
    for labels in labels {
        match labels {
            Labels::Text(labels) => distinct.extend(labels.iter().cloned()),
            Labels::Whole(labels) => distinct.extend(labels.iter().map(i64::to_string)),
        }
    }
    distinct.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Interrupt, Seed, Silent};
    use ndarray::array;

    use super::*;
    use crate::config::{DataConfig, Locations};
    use crate::table::Loaded;

    /// Loads `train.csv` and, where `test` isn't empty, `test.csv`.
    fn load(train: &str, test: &str, keys: &str) -> Result<Loaded, Error> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("train.csv"), train).unwrap();
        std::fs::write(dir.path().join("test.csv"), test).unwrap();
        let test_path = if test.is_empty() { "" } else { "test_path = 'test.csv'" };
        let text = format!("[csv]\npath = 'train.csv'\ntarget = 'y'\n{test_path}\n{keys}");
        let config: DataConfig = toml::from_str(&text).unwrap();
        let locations = Locations::usual(None, true);
        crate::load(&config, dir.path(), &locations, Seed::new(0), &Silent, &Interrupt::new())
    }

    #[test]
    fn columns_become_numbers_and_classes() {
        let text = "a,flag,y,b,id\n1,true,dog,0.5,r1\n 2 ,false,cat,?,r2\n-3e1,,dog, NA ,r3\n";
        let loaded = load(text, "", "drop_columns = ['id']").unwrap();
        let Features::Floats(floats) = &loaded.train.features else { unreachable!() };
        let bits = |m: &Matrix| m.mapv(|v| if v.is_nan() { None } else { Some(v) });
        let nan = f32::NAN;
        let expected = array![[1.0, 1.0, 0.5], [2.0, 0.0, nan], [-30.0, nan, nan]];
        assert_eq!(bits(floats), bits(&expected));
        assert_eq!(loaded.train.feature_names, ["a", "flag", "b"]);
        let names = vec!["cat".to_owned(), "dog".to_owned()];
        assert_eq!(loaded.train.targets, Targets::Classes { ids: vec![1, 0, 1], names });
        assert_eq!(loaded.provenance.files[0].name, "train.csv");
    }

    #[test]
    fn targets_become_sorted_classes() {
        for (labels, names, ids) in [
            (["10", "9", "10"], vec!["9", "10"], vec![1, 0, 1]),
            (["1.0", "-2.0", "1.0"], vec!["-2", "1"], vec![1, 0, 1]),
            (["true", "false", "true"], vec!["false", "true"], vec![1, 0, 1]),
            (["b ", "a", "b"], vec!["a", "b"], vec![1, 0, 1]),
        ] {
            let rows: Vec<_> = labels.iter().map(|label| format!("1,{label}\n")).collect();
            let loaded = load(&format!("x,y\n{}", rows.concat()), "", "").unwrap();
            let names = names.into_iter().map(String::from).collect();
            assert_eq!(loaded.train.targets, Targets::Classes { ids, names });
        }
    }

    #[test]
    fn train_and_test_share_their_classes() {
        let loaded = load("x,y\n1,b\n2,c\n", "x,y\n3,a\n4,b\n", "").unwrap();
        let names: Vec<_> = ["a", "b", "c"].map(String::from).to_vec();
        let classes = |ids| Targets::Classes { ids, names: names.clone() };
        assert_eq!(loaded.train.targets, classes(vec![1, 2]));
        assert_eq!(loaded.test.unwrap().targets, classes(vec![0, 1]));
    }

    #[test]
    fn files_without_a_header_number_their_columns() {
        let dir = tempfile::tempdir().unwrap();
        let packed = crate::content::gzip(b"1;2;0\n3;4;1\n");
        std::fs::write(dir.path().join("a.csv.gz"), packed).unwrap();
        let text = "[csv]\npath = 'a.csv.gz'\ntarget = 'column_3'\ndelimiter = ';'\n\
                    has_header = false";
        let config: DataConfig = toml::from_str(text).unwrap();
        let locations = Locations::usual(None, true);
        let interrupt = Interrupt::new();
        let loaded =
            crate::load(&config, dir.path(), &locations, Seed::new(0), &Silent, &interrupt);
        let train = loaded.unwrap().train;
        assert_eq!(train.features, Features::Floats(array![[1.0, 2.0], [3.0, 4.0]]));
        assert_eq!(train.feature_names, ["column_1", "column_2"]);
    }

    #[test]
    fn unusable_tables_are_named() {
        for (train, test, keys, said) in [
            (
                "x,y\n1,a\n\nred,b\n",
                "",
                "",
                "line 4: column `x` holds `red`, which is no number\nhint: categorical",
            ),
            ("x,z\n1,a\n", "", "", "no column `y`, which `data.csv.target` names"),
            ("x,Y\n1,a\n", "", "", "hint: did you mean `Y`?"),
            (
                "weight,y\n1,a\n",
                "",
                "drop_columns = ['wieght']",
                "`data.csv.drop_columns` names\nhint: did you mean `weight`?",
            ),
            ("y\na\nb\n", "", "", "has no feature column"),
            ("x,y\n1,a\n2,?\n", "", "", "line 3: target `y` is missing"),
            ("x,y\n1,0.5\n", "", "", "line 2: target `y` is 0.5, no class"),
            ("a,b,y\n1,2,c\n", "b,a,y\n1,2,c\n", "", "has 2 feature columns where"),
            ("a,b,y\n1,2,c\n", "a,y\n1,c\n", "", "column 2 is none, not `b`"),
        ] {
            let error = load(train, test, keys).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
