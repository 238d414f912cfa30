//! From the columns of a polars frame to a table: every column gets its type, rows are filtered,
//! columns selected, and the target becomes classes or numbers. Nothing is fitted here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use hourglass_core::{SampleShape, Targets, Task};
use polars::prelude::{DataFrame, DataType, TimeUnit};
use rayon::prelude::*;
use serde::Serialize;

use crate::column::{Column, Levels};
use crate::config::DataConfig;
use crate::error::{Error, nearest};
use crate::expression::Expression;
use crate::table::{Features, Table};
use crate::typing::{self, Codes, ColumnType, Misfit};

/// How the columns of a frame are used.
pub(crate) struct Roles<'a> {
    /// Where the keys stand, such as `data.csv`, for messages.
    pub section: &'a str,
    pub target: &'a str,
    pub task: Task,
    pub drop_columns: &'a [String],
    /// Values that mean "missing" in every column.
    pub missing: &'a [String],
    pub strip_target: Option<&'a str>,
    pub reading: &'a Reading,
}

/// The keys of `[data]` that say how any table is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Reading {
    pub types: BTreeMap<String, ColumnType>,
    pub missing_in: BTreeMap<String, Vec<String>>,
    pub filter: Option<String>,
    pub select: Option<String>,
}

impl Reading {
    pub(crate) fn of(config: &DataConfig) -> Self {
        let DataConfig { types, missing_in, filter, select, .. } = config.clone();
        Reading { types, missing_in, filter, select }
    }
}

/// A frame with the file it came from.
pub(crate) struct Source<'a> {
    pub frame: DataFrame,
    pub path: &'a Path,
    /// Line of each row, where rows have lines.
    pub lines: Option<Vec<usize>>,
    /// Rows of the file before these.
    pub before: usize,
}

/// Turns the training frame and, where there is one, the test frame into tables with the same
/// columns and the same classes.
pub(crate) fn tables(
    train: Source<'_>,
    test: Option<Source<'_>>,
    roles: &Roles<'_>,
) -> Result<(Table, Option<Table>), Error> {
    let train = Typed::new(train, roles, None)?;
    let kinds = train.kinds();
    let test = test.map(|test| Typed::new(test, roles, Some(&kinds))).transpose()?;
    let train_labels = train.labels(roles)?;
    let test_labels = test.as_ref().map(|test| test.labels(roles)).transpose()?;
    let mut classes = Classes::default();
    [Some(&train_labels), test_labels.as_ref()].into_iter().flatten().for_each(|l| classes.add(l));
    let classes = classes.names();
    let features = train.features(roles)?;
    let test_table = match (test, test_labels) {
        (Some(test), Some(labels)) => Some(test.into_table(&features, labels, &classes)),
        _ => None,
    };
    Ok((train.into_table(&features, train_labels, &classes), test_table))
}

/// A frame whose columns have types, its rows filtered.
pub(crate) struct Typed<'a> {
    path: &'a Path,
    pub names: Vec<String>,
    pub columns: Vec<Column>,
    /// What the place of each row is called.
    places: Places,
}

/// What the columns of a file are read as; other rows of the same data have to fit.
#[derive(Clone, Debug)]
pub(crate) struct Kinds {
    path: PathBuf,
    pub names: Vec<String>,
    kinds: Vec<ColumnType>,
}

/// Line or number of each row.
struct Places {
    lines: Option<Vec<usize>>,
    /// Rows that the filter kept; all where absent.
    kept: Option<Vec<usize>>,
    before: usize,
}

impl Places {
    fn of(&self, row: usize) -> String {
        let row = self.kept.as_ref().map_or(row, |kept| kept[row]);
        match &self.lines {
            Some(lines) => format!("line {}", lines[row]),
            None => format!("row {}", self.before + row + 1),
        }
    }
}

impl<'a> Typed<'a> {
    /// Types every column; those of `like`, where given, have the say.
    pub(crate) fn new(
        source: Source<'a>,
        roles: &Roles<'_>,
        like: Option<&Kinds>,
    ) -> Result<Self, Error> {
        let Source { frame, path, lines, before } = source;
        let found: Vec<String> =
            frame.get_column_names().into_iter().map(|name| name.to_string()).collect();
        check_names(&found, path, roles)?;
        if frame.height() == 0 {
            let what = format!("`{}`", path.display());
            return Err(Error::Empty { what, missing: "row", hint: "is the file whole?" });
        }
        let names = match like {
            Some(like) => like.names_in(&found, path)?,
            None => found,
        };
        let places = Places { lines, kept: None, before };
        let at: HashMap<&str, &polars::prelude::Column> =
            frame.columns().iter().map(|column| (column.name().as_str(), column)).collect();
        let typed: Vec<Result<Column, Error>> = names
            .par_iter()
            .enumerate()
            .map(|(i, name)| {
                let wanted = like.map(|like| like.kinds[i]);
                let wanted = wanted.or(roles.reading.types.get(name).copied());
                let codes = roles.codes(name);
                let series = at[name.as_str()].as_materialized_series();
                let is_target = name == roles.target;
                if is_target || roles.drop_columns.contains(name) {
                    // What is no feature may hold anything; the target is looked at later.
                    return Ok(lenient(series, &codes, roles.strip_target.filter(|_| is_target)));
                }
                match typed(series, wanted, &codes) {
                    Ok(Ok(column)) => Ok(column),
                    Ok(Err(misfit)) => {
                        Err(misfit_error(misfit, path, &places, name, like.is_some()))
                    }
                    Err(found) => {
                        let (path, column) = (path.to_path_buf(), name.clone());
                        Err(Error::ColumnType { path, column, found })
                    }
                }
            })
            .collect();
        // The first column's error, whichever thread was first.
        let columns = typed.into_iter().collect::<Result<Vec<_>, _>>()?;
        let typed = Typed { path, names, columns, places };
        match &roles.reading.filter {
            Some(filter) => typed.filtered(filter),
            None => Ok(typed),
        }
    }

    /// What other rows of the same data have to fit.
    pub(crate) fn kinds(&self) -> Kinds {
        Kinds {
            path: self.path.to_path_buf(),
            names: self.names.clone(),
            kinds: self.columns.iter().map(ColumnType::of).collect(),
        }
    }

    /// Number of rows.
    pub(crate) fn n_rows(&self) -> usize {
        self.columns.first().map_or(0, Column::len)
    }

    fn filtered(mut self, filter: &str) -> Result<Self, Error> {
        let rows = Expression::parse("data.filter", filter)?.rows(&self.names, &self.columns)?;
        if rows.is_empty() {
            let what = format!("`{}` behind `data.filter`", self.path.display());
            return Err(Error::Empty {
                what,
                missing: "row",
                hint: "the filter keeps none of them",
            });
        }
        self.columns = self.columns.iter().map(|column| column.select(&rows)).collect();
        self.places.kept = Some(rows);
        Ok(self)
    }

    /// Names of the columns that are features.
    pub(crate) fn features(&self, roles: &Roles<'_>) -> Result<Vec<String>, Error> {
        let candidates: Vec<usize> = (0..self.names.len())
            .filter(|&at| self.names[at] != roles.target)
            .filter(|&at| !roles.drop_columns.contains(&self.names[at]))
            .collect();
        let none = |hint| {
            let what = format!("`{}`", self.path.display());
            Err(Error::Empty { what, missing: "feature column", hint })
        };
        if candidates.is_empty() {
            return none("the target and `drop_columns` take every column");
        }
        let names: Vec<String> = candidates.iter().map(|&at| self.names[at].clone()).collect();
        let Some(select) = &roles.reading.select else { return Ok(names) };
        // To `select`, the columns are rows of a table of their own.
        let kinds = candidates.iter().map(|&at| Some(self.columns[at].kind()));
        let facts = [
            Column::Levels(Levels::of(names.iter().map(|name| Some(name.as_str())))),
            Column::Levels(Levels::of(kinds)),
        ];
        let columns = ["name", "type"].map(String::from);
        let kept = Expression::parse("data.select", select)?.rows(&columns, &facts)?;
        if kept.is_empty() {
            return none("`data.select` keeps none of them");
        }
        Ok(kept.into_iter().map(|at| names[at].clone()).collect())
    }

    fn into_table(mut self, features: &[String], labels: Labels, classes: &[String]) -> Table {
        let at: HashMap<&str, usize> = self.names.iter().map(String::as_str).zip(0..).collect();
        let take = |name: &String| {
            let column = &mut self.columns[at[name.as_str()]];
            std::mem::replace(column, Column::Numbers(Vec::new()))
        };
        let columns: Vec<Column> = features.iter().map(take).collect();
        Table {
            shape: SampleShape::Vector { len: columns.len() },
            features: Features::Columns(columns),
            targets: labels.into_targets(classes),
            feature_names: features.to_vec(),
        }
    }

    /// The target of each row.
    pub(crate) fn labels(&self, roles: &Roles<'_>) -> Result<Labels, Error> {
        let at = self.names.iter().position(|name| name == roles.target);
        let column = &self.columns[at.expect("`check_names` has looked for the target")];
        let fail = |row, problem: String, hint: &str| Error::Target {
            path: self.path.to_path_buf(),
            place: self.places.of(row),
            column: roles.target.to_owned(),
            problem,
            hint: hint.to_owned(),
        };
        if let Some(row) = (0..column.len()).find(|&row| column.is_missing(row)) {
            let hint = "complete the row or delete it, or set `data.filter` to \
                        `\"TARGET is not missing\"`; a row without a target teaches nothing";
            return Err(fail(row, "is missing".into(), hint));
        }
        match (column, roles.task) {
            (Column::Numbers(numbers), Task::Regression) => {
                match numbers.iter().position(|number| !(*number as f32).is_finite()) {
                    None => Ok(Labels::Values(numbers.iter().map(|&n| n as f32).collect())),
                    Some(row) => {
                        let problem = format!("is {}, beyond 32-bit floats", numbers[row]);
                        Err(fail(row, problem, "correct the value, or scale the target"))
                    }
                }
            }
            (_, Task::Regression) => {
                let problem = format!("is {}, not numeric", column.kind());
                let hint = "set `task = \"classification\"`, or name another column";
                Err(fail(0, problem, hint))
            }
            (Column::Numbers(numbers), Task::Classification) => {
                let whole = numbers.iter().enumerate().map(|(row, &number)| {
                    if number.fract() == 0.0 && number.abs() < 1e15 {
                        return Ok(number as i64);
                    }
                    let hint = "set `task = \"regression\"`, or cut the numbers into classes first";
                    Err(fail(row, format!("is {number}, no class"), hint))
                });
                Ok(Labels::Whole(whole.collect::<Result<_, Error>>()?))
            }
            (Column::Booleans(booleans), _) => {
                let text = booleans
                    .iter()
                    .map(|value| Some(if *value == Some(true) { "true" } else { "false" }));
                Ok(Labels::Text(Levels::of(text)))
            }
            (Column::Levels(levels), _) => Ok(Labels::Text(levels.clone())),
            (Column::Dates(_), _) => {
                let problem = "is of type `date`".to_owned();
                Err(fail(0, problem, "text, booleans and whole numbers can be classes"))
            }
        }
    }
}

impl Kinds {
    /// The own names, if a test file has them, too, and no others; their order is free.
    fn names_in(&self, found: &[String], path: &Path) -> Result<Vec<String>, Error> {
        let [own, others] = [&self.names[..], found]
            .map(|names| names.iter().map(String::as_str).collect::<HashSet<&str>>());
        let lacks = self.names.iter().find(|name| !others.contains(name.as_str()));
        let extra = found.iter().find(|name| !own.contains(name.as_str()));
        let problem = match (lacks, extra) {
            (None, None) => return Ok(self.names.clone()),
            (Some(lacks), _) => format!("column `{lacks}` is missing"),
            (None, Some(extra)) => format!("column `{extra}` is new"),
        };
        Err(Error::ColumnsDiffer {
            train: self.path.clone(),
            n_train: self.names.len(),
            test: path.to_path_buf(),
            n_test: found.len(),
            problem,
        })
    }
}

impl Roles<'_> {
    fn codes(&self, column: &str) -> Codes {
        let own = self.reading.missing_in.get(column);
        Codes::new(self.missing.iter().chain(own.into_iter().flatten()))
    }
}

/// Every column that the pipeline file names must be there.
fn check_names(found: &[String], path: &Path, roles: &Roles<'_>) -> Result<(), Error> {
    let section = roles.section;
    let drops = roles.drop_columns.iter().map(|name| (name, format!("{section}.drop_columns")));
    let types = roles.reading.types.keys().map(|name| (name, "data.types".to_owned()));
    let codes = roles.reading.missing_in.keys().map(|name| (name, "data.missing_in".to_owned()));
    let target = roles.target.to_owned();
    let target = [(&target, format!("{section}.target"))];
    for (name, field) in drops.chain(target).chain(types).chain(codes) {
        if !found.contains(name) {
            return Err(Error::MissingColumn {
                path: path.to_path_buf(),
                column: name.clone(),
                field,
                hint: other_delimiter(found)
                    .unwrap_or_else(|| nearest(name, found.iter().map(String::as_str))),
            });
        }
    }
    Ok(())
}

/// A table of one column whose name holds another delimiter was cut by the wrong one.
fn other_delimiter(found: &[String]) -> Option<String> {
    let [only] = found else { return None };
    let delimiter = [';', '\t', '|', ','].into_iter().find(|&sign| only.contains(sign))?;
    Some(format!("the only column is `{only}`: is the `delimiter` {delimiter:?}?"))
}

type Series = polars::prelude::Series;

/// A column of its type; the outer error is a polars type that has no use here.
fn typed(
    series: &Series,
    wanted: Option<ColumnType>,
    codes: &Codes,
) -> Result<Result<Column, Misfit>, String> {
    let dtype = series.dtype();
    let refuse = |_| dtype.to_string();
    if dtype.is_primitive_numeric() {
        let numbers = series.cast(&DataType::Float64).map_err(refuse)?;
        let numbers = numbers.f64().map_err(refuse)?;
        let numbers = numbers.iter().map(|number| number.unwrap_or(f64::NAN)).collect();
        return Ok(typing::of_numbers(numbers, wanted, codes));
    }
    if dtype.is_bool() {
        let booleans = series.bool().map_err(refuse)?.iter().collect();
        return Ok(typing::of_booleans(booleans, wanted));
    }
    let per_day = match dtype {
        DataType::Null => return Ok(typing::of_texts(&vec![None; series.len()], wanted, codes)),
        DataType::Date => Some(1.0),
        DataType::Datetime(TimeUnit::Milliseconds, _) => Some(86_400e3),
        DataType::Datetime(TimeUnit::Microseconds, _) => Some(86_400e6),
        DataType::Datetime(TimeUnit::Nanoseconds, _) => Some(86_400e9),
        _ => None,
    };
    if let Some(per_day) = per_day {
        let counts = series.to_physical_repr().cast(&DataType::Float64).map_err(refuse)?;
        let counts = counts.f64().map_err(refuse)?;
        let days = counts.iter().map(|count| count.map_or(f64::NAN, |count| count / per_day));
        return Ok(Ok(Column::Dates(days.collect())));
    }
    let texts = match dtype {
        DataType::String => series.clone(),
        // A category of Arrow or Parquet: texts that the file stores once.
        DataType::Categorical(..) | DataType::Enum(..) => {
            let texts = series.cast(&DataType::String).map_err(refuse)?;
            let texts: Vec<Option<&str>> = texts.str().map_err(refuse)?.iter().collect();
            let wanted = wanted.or(Some(ColumnType::Categorical));
            return Ok(typing::of_texts(&texts, wanted, codes));
        }
        _ => return Err(dtype.to_string()),
    };
    let texts: Vec<Option<&str>> = texts.str().map_err(refuse)?.iter().collect();
    Ok(typing::of_texts(&texts, wanted, codes))
}

/// A column whatever it holds: as its own type where it has one, else as texts.
fn lenient(series: &Series, codes: &Codes, strip: Option<&str>) -> Column {
    let all_missing = || Column::Numbers(vec![f64::NAN; series.len()]);
    if let (Some(end), Ok(texts)) = (strip, series.str()) {
        let texts: Vec<Option<&str>> = texts
            .iter()
            .map(|text| text.map(|text| text.trim().strip_suffix(end).unwrap_or(text)))
            .collect();
        let column = typing::of_texts(&texts, None, codes);
        return column.unwrap_or_else(|_| {
            typing::of_texts(&texts, Some(ColumnType::Categorical), codes)
                .unwrap_or_else(|_| all_missing())
        });
    }
    match typed(series, None, codes) {
        Ok(Ok(column)) => column,
        Ok(Err(_)) => match typed(series, Some(ColumnType::Categorical), codes) {
            Ok(Ok(column)) => column,
            _ => all_missing(),
        },
        Err(_) => all_missing(),
    }
}

fn misfit_error(
    misfit: Misfit,
    path: &Path,
    places: &Places,
    column: &str,
    like_train: bool,
) -> Error {
    let Misfit { row, value, expected, inferred } = misfit;
    let said = match (inferred, like_train) {
        (true, _) => "most of the column is numbers",
        (_, true) => "the training rows say the type of the column",
        _ => "`data.types` says so",
    };
    Error::Misfit {
        path: path.to_path_buf(),
        place: places.of(row),
        problem: format!("column `{column}` holds `{value}`, which is no {}", expected.noun()),
        hint: format!(
            "{said}: correct the value; if it marks a missing one, name it in `missing`; if the \
             column is a category, set `data.types = {{ {column} = \"categorical\" }}`"
        ),
    }
}

/// The target of each row.
pub(crate) enum Labels {
    Text(Levels),
    Whole(Vec<i64>),
    Values(Vec<f32>),
}

impl Labels {
    /// Name of the class of a row; empty for a regression.
    pub(crate) fn class(&self, row: usize) -> String {
        match self {
            Labels::Text(levels) => levels.get(row).unwrap_or_default().to_owned(),
            Labels::Whole(labels) => labels[row].to_string(),
            Labels::Values(_) => String::new(),
        }
    }

    pub(crate) fn into_targets(self, classes: &[String]) -> Targets {
        let known: BTreeMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let ids = match self {
            Labels::Values(values) => return Targets::Values(values),
            Labels::Text(levels) => {
                // A name that no row bears any more, behind a filter, is no class.
                let ids: Vec<Option<u32>> =
                    levels.names.iter().map(|name| known.get(name.as_str()).copied()).collect();
                let id = |&code: &u32| ids[code as usize].expect("every label is a class");
                levels.codes.iter().map(id).collect()
            }
            Labels::Whole(labels) => {
                labels.iter().map(|label| known[label.to_string().as_str()]).collect()
            }
        };
        Targets::Classes { ids, names: classes.to_vec() }
    }
}

/// The classes that occur.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    whole: BTreeSet<i64>,
    text: BTreeSet<String>,
}

impl Classes {
    pub(crate) fn add(&mut self, labels: &Labels) {
        match labels {
            Labels::Values(_) => {}
            Labels::Whole(labels) => self.whole.extend(labels),
            Labels::Text(levels) => {
                // Behind a filter, a name may be left that no row bears.
                let mut occurs = vec![false; levels.names.len()];
                levels.codes.iter().for_each(|&code| occurs[code as usize] = true);
                let names = levels.names.iter().zip(occurs).filter(|(_, occurs)| *occurs);
                self.text.extend(names.map(|(name, _)| name.clone()));
            }
        }
    }

    /// Their names: numbers in order of size, text in alphabetical order.
    pub(crate) fn names(&self) -> Vec<String> {
        let whole = self.whole.iter().map(i64::to_string);
        match self.text.is_empty() {
            true => whole.collect(),
            false => whole
                .chain(self.text.iter().cloned())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DataConfig, Locations};
    use crate::table::Loaded;
    use hourglass_core::{Interrupt, Seed, Silent};

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
        let Features::Columns(columns) = &loaded.train.features else { unreachable!() };
        let Column::Numbers(b) = &columns[2] else { unreachable!() };
        assert_eq!(columns[0], Column::Numbers(vec![1.0, 2.0, -30.0]));
        assert_eq!(columns[1], Column::Booleans(vec![Some(true), Some(false), None]));
        assert!(b[0] == 0.5 && b[1].is_nan() && b[2].is_nan());
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
        let columns = [vec![1.0, 3.0], vec![2.0, 4.0]].map(Column::Numbers).to_vec();
        assert_eq!(train.features, Features::Columns(columns));
        assert_eq!(train.feature_names, ["column_1", "column_2"]);
    }

    #[test]
    fn unusable_tables_are_named() {
        for (train, test, keys, said) in [
            (
                "x,y\n1,a\n\nred,b\n",
                "",
                "",
                "line 4: column `x` holds `red`, which is no number\nhint: most of the column",
            ),
            ("x,z\n1,a\n", "", "", "no column `y`, which `data.csv.target` names"),
            ("x,Y\n1,a\n", "", "", "hint: did you mean `Y`?"),
            ("x;y\n1;a\n", "", "", "the only column is `x;y`: is the `delimiter` ';'?"),
            (
                "weight,y\n1,a\n",
                "",
                "drop_columns = ['wieght']",
                "`data.csv.drop_columns` names\nhint: did you mean `weight`?",
            ),
            ("y\na\nb\n", "", "", "has no feature column"),
            ("x,y\n1,a\n2,?\n", "", "", "line 3: target `y` is missing"),
            ("x,y\n1,0.5\n", "", "", "line 2: target `y` is 0.5, no class"),
            ("a,b,y\n1,2,c\n", "a,x,y\n1,2,c\n", "", "has 3 columns where"),
            ("a,b,y\n1,2,c\n", "a,y\n1,c\n", "", "column `b` is missing"),
            ("a,y\n1,c\n", "a,b,y\n1,2,c\n", "", "column `b` is new"),
            (
                "a,y\n1,c\n2,d\n",
                "a,y\n1,c\nred,c\n",
                "",
                "line 3: column `a` holds `red`, which is no number\nhint: the training rows say",
            ),
            ("x,y\n1,2.5\n2,\n", "", "task = 'regression'", "line 3: target `y` is missing"),
            ("x,y\n1,a\n", "", "task = 'regression'", "target `y` is categorical, not numeric"),
            ("x,y\n1,1e39\n", "", "task = 'regression'", "beyond 32-bit floats"),
        ] {
            let error = load(train, test, keys).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn types_filters_and_selections_are_obeyed() {
        let text = "id,code,size,y,w\n1,7,0,a,x\n2,7,5,b,z\n3,8,6,b,x\n4,8,7,a,z\n";
        let source = "types = { code = 'categorical' }\nmissing_in = { size = ['0'] }\n\
                      [csv]\npath = 'train.csv'\ntarget = 'y'\ndrop_columns = ['id']";
        let load = |more: &str| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("train.csv"), text).unwrap();
            let config: DataConfig = toml::from_str(&format!("{more}\n{source}")).unwrap();
            let locations = Locations::usual(None, true);
            crate::load(&config, dir.path(), &locations, Seed::new(0), &Silent, &Interrupt::new())
        };
        let train = load("filter = 'id > 1'\nselect = \"name != 'w'\"").unwrap().train;
        assert_eq!(train.feature_names, ["code", "size"]);
        assert_eq!(train.n_rows(), 3);
        let Features::Columns(columns) = &train.features else { unreachable!() };
        assert_eq!((columns[0].kind(), columns[1].kind()), ("categorical", "numeric"));
        let train = load("filter = 'size is missing'").unwrap().train;
        assert_eq!(train.targets, Targets::Classes { ids: vec![0], names: vec!["a".into()] });
        for (more, said) in [
            ("filter = 'id > 9'", "has no row\nhint: the filter keeps none"),
            ("select = \"type == 'date'\"", "has no feature column\nhint: `data.select`"),
            (
                "select = 'colour == 1'",
                "there is no column `colour`\nhint: there is `name`, `type`",
            ),
        ] {
            let error = load(more).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn regression_targets_are_numbers() {
        let loaded = load("x,y\n1,2.5\n2,-1\n", "x,y\n3,0\n", "task = 'regression'").unwrap();
        assert_eq!(loaded.train.targets, Targets::Values(vec![2.5, -1.0]));
        assert_eq!(loaded.test.unwrap().targets, Targets::Values(vec![0.0]));
    }

    #[test]
    fn a_table_of_ten_thousand_columns_is_read() {
        let header: Vec<String> = (0..10_000).map(|i| format!("c{i}")).collect();
        let row = |y: &str| vec!["1"; 10_000].join(",") + "," + y;
        let text = format!("{},y\n{}\n{}\n", header.join(","), row("a"), row("b"));
        let train = load(&text, "", "").unwrap().train;
        assert_eq!((train.n_rows(), train.n_features()), (2, 10_000));
    }
}
