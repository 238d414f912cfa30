//! Arrays in npy and npz files as samples: tables, grey and coloured images. The format itself is
//! in `npy.rs`.

use hourglass_core::{Matrix, SampleShape, Targets, Task};
use ndarray::{Array2, Array4};

use crate::column::Column;
use crate::config::{ArrayFile, NumpySource};
use crate::content;
use crate::error::Error;
use crate::npy::{self, Array, Values};
use crate::read::file_provenance;
use crate::table::{Features, Loaded, Table};

impl NumpySource {
    /// The files, in a fixed order.
    pub(crate) fn files(&self) -> Vec<&ArrayFile> {
        let test = [self.test_features.as_ref(), self.test_targets.as_ref()];
        [Some(&self.features), Some(&self.targets)].into_iter().chain(test).flatten().collect()
    }
}

/// Reads the arrays of a source.
pub(crate) fn load(source: &NumpySource) -> Result<Loaded, Error> {
    let mut files = Vec::new();
    let mut part = |features: &ArrayFile, targets: &ArrayFile| {
        let mut read = |file: &ArrayFile| {
            let content = content::read(&file.path, None)?;
            files.push(content.file);
            npy::read(&content.bytes, file.array.as_deref(), &file.path)
        };
        let rows = rows(read(features)?, features)?;
        let labels = labels(read(targets)?, targets, source.task)?;
        let (n_images, n_labels) = (rows.0.dim().0, labels.len());
        if n_images != n_labels {
            let (images, labels) = (features.path.clone(), targets.path.clone());
            return Err(Error::CountMismatch { images, n_images, labels, n_labels });
        }
        Ok((rows, labels))
    };
    let (rows, labels) = part(&source.features, &source.targets)?;
    let test = match (&source.test_features, &source.test_targets) {
        (Some(features), Some(targets)) => Some((part(features, targets)?, features)),
        _ => None,
    };
    let mut names: Vec<String> = Vec::new();
    let all = [Some(&labels), test.as_ref().map(|((_, labels), _)| labels)];
    for labels in all.into_iter().flatten() {
        if let Labels::Classes(labels) = labels {
            names.extend(labels.iter().cloned());
        }
    }
    sort_classes(&mut names);
    let table = |((features, shape), labels): (Rows, Labels)| Table {
        feature_names: feature_names(&shape),
        features,
        targets: labels.into_targets(&names),
        shape,
    };
    let train = table((rows, labels));
    let test = match test {
        Some((part, features)) => {
            let test = table(part);
            if test.shape != train.shape {
                let problem =
                    format!("its rows are {:?}, those of training {:?}", test.shape, train.shape);
                let hint = "both must be of the same data set";
                return Err(Error::Numpy { path: features.path.clone(), problem, hint });
            }
            Some(test)
        }
        None => None,
    };
    let provenance = file_provenance(&source.features.path, &train, test.as_ref(), files);
    Ok(Loaded { train, test, provenance })
}

type Rows = (Features, SampleShape);

/// The features and what a row means.
fn rows(array: Array, file: &ArrayFile) -> Result<Rows, Error> {
    let fail = |problem: String, hint| Error::Numpy { path: file.path.clone(), problem, hint };
    let Array { shape, values } = array;
    let (Values::Bytes(_) | Values::Numbers(_)) = values else {
        return Err(fail("it holds texts, not numbers".into(), "name another array"));
    };
    let sound = "features are (rows, columns), (n, height, width) or (n, height, width, channels)";
    match *shape.as_slice() {
        [n_rows, n_columns] => {
            let numbers: Vec<f64> = match values {
                Values::Bytes(bytes) => bytes.into_iter().map(f64::from).collect(),
                Values::Numbers(numbers) => numbers,
                Values::Texts(_) => Vec::new(),
            };
            let column = |column: usize| {
                Column::Numbers((0..n_rows).map(|row| numbers[row * n_columns + column]).collect())
            };
            let columns = (0..n_columns).map(column).collect();
            Ok((Features::Columns(columns), SampleShape::Vector { len: n_columns }))
        }
        [n, height, width] => images(values, [n, height, width, 1]).map_err(|p| fail(p, sound)),
        [n, height, width, channels @ (1 | 3)] => {
            images(values, [n, height, width, channels]).map_err(|p| fail(p, sound))
        }
        _ => Err(fail(format!("its shape is {shape:?}"), sound)),
    }
}

/// Images, channel by channel.
fn images(values: Values, [n, height, width, channels]: [usize; 4]) -> Result<Rows, String> {
    fn planes<T: Clone>(values: Vec<T>, shape: [usize; 4]) -> Result<Array2<T>, String> {
        let [n, height, width, channels] = shape;
        let images = Array4::from_shape_vec((n, height, width, channels), values);
        let images = images.map_err(|error| error.to_string())?.permuted_axes([0, 3, 1, 2]);
        let planes = images.as_standard_layout().into_owned();
        let flat = (n, channels * height * width);
        planes.into_shape_with_order(flat).map_err(|error| error.to_string())
    }
    let shape = [n, height, width, channels];
    let features = match values {
        Values::Bytes(bytes) => Features::Bytes(planes(bytes, shape)?),
        Values::Numbers(numbers) => {
            let floats: Vec<f32> = numbers.into_iter().map(|number| number as f32).collect();
            Features::Floats(planes::<f32>(floats, shape)? as Matrix)
        }
        Values::Texts(_) => return Err("it holds texts, not numbers".into()),
    };
    Ok((features, SampleShape::Image { channels, height, width }))
}

/// Names of the columns or pixels.
pub(crate) fn feature_names(shape: &SampleShape) -> Vec<String> {
    match *shape {
        SampleShape::Image { channels: 1, height, width } => {
            (0..height * width).map(|i| format!("pixel_{}_{}", i / width, i % width)).collect()
        }
        SampleShape::Image { channels, height, width } => (0..channels * height * width)
            .map(|i| {
                let (channel, pixel) = (i / (height * width), i % (height * width));
                format!("pixel_{}_{}_{channel}", pixel / width, pixel % width)
            })
            .collect(),
        _ => (1..=shape.n_features()).map(|i| format!("column_{i}")).collect(),
    }
}

/// The target of each row.
enum Labels {
    Classes(Vec<String>),
    Values(Vec<f32>),
}

impl Labels {
    fn len(&self) -> usize {
        match self {
            Labels::Classes(labels) => labels.len(),
            Labels::Values(values) => values.len(),
        }
    }

    fn into_targets(self, names: &[String]) -> Targets {
        match self {
            Labels::Values(values) => Targets::Values(values),
            Labels::Classes(labels) => {
                let known: std::collections::BTreeMap<&str, u32> =
                    names.iter().map(String::as_str).zip(0..).collect();
                let ids = labels.iter().map(|label| known[label.as_str()]).collect();
                Targets::Classes { ids, names: names.to_vec() }
            }
        }
    }
}

fn labels(array: Array, file: &ArrayFile, task: Task) -> Result<Labels, Error> {
    let fail = |problem: String, hint| Error::Numpy { path: file.path.clone(), problem, hint };
    let n = array.shape.iter().product::<usize>();
    if array.shape.iter().filter(|&&size| size != 1).count() > 1 || n == 0 {
        return Err(fail(format!("its shape is {:?}", array.shape), "targets are one a row: (n)"));
    }
    let numbers = match array.values {
        Values::Texts(texts) if task == Task::Classification => return Ok(Labels::Classes(texts)),
        Values::Texts(_) => {
            return Err(fail(
                "it holds texts, not numbers".into(),
                "set `task = \"classification\"`",
            ));
        }
        Values::Bytes(bytes) => bytes.into_iter().map(f64::from).collect(),
        Values::Numbers(numbers) => numbers,
    };
    let bad = |&number: &f64| match task {
        Task::Classification => number.fract() != 0.0 || number.abs() >= 1e15,
        Task::Regression => !(number as f32).is_finite(),
    };
    if let Some(row) = numbers.iter().position(bad) {
        let problem = format!("target {} is {}", row + 1, numbers[row]);
        return Err(fail(
            problem,
            "classes are whole numbers; `task = \"regression\"` takes finite ones",
        ));
    }
    Ok(match task {
        Task::Classification => {
            Labels::Classes(numbers.iter().map(|&n| (n as i64).to_string()).collect())
        }
        Task::Regression => Labels::Values(numbers.iter().map(|&n| n as f32).collect()),
    })
}

/// Each class once: numbers by size where all are numbers, else by text.
fn sort_classes(names: &mut Vec<String>) {
    names.sort_unstable();
    names.dedup();
    if let Ok(mut numbers) =
        names.iter().map(|name| name.parse::<i64>()).collect::<Result<Vec<_>, _>>()
    {
        numbers.sort_unstable();
        *names = numbers.iter().map(i64::to_string).collect();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use hourglass_core::{Interrupt, Seed, Silent};

    use super::*;
    use crate::config::{DataConfig, Locations};

    fn npy(dir: &Path, name: &str, kind: &str, shape: &str, data: &[u8]) {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        let bytes = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat();
        std::fs::write(dir.join(name), bytes).unwrap();
    }

    fn load(dir: &Path, more: &str) -> Result<Loaded, Error> {
        let text = format!(
            "[numpy]\nfeatures = {{ path = 'x.npy' }}\ntargets = {{ path = 'y.npy' }}\n{more}"
        );
        let config: DataConfig = toml::from_str(&text).unwrap();
        let locations = Locations::usual(None, true);
        crate::load(&config, dir, &locations, Seed::new(0), &Silent, &Interrupt::new())
    }

    #[test]
    fn tables_and_images_are_told_by_their_shape() {
        let dir = tempfile::tempdir().unwrap();
        npy(dir.path(), "y.npy", "|u1", "(2,)", &[10, 9]);
        npy(dir.path(), "x.npy", "|u1", "(2, 3)", &[1, 2, 3, 4, 5, 6]);
        let train = load(dir.path(), "").unwrap().train;
        let columns = [vec![1.0, 4.0], vec![2.0, 5.0], vec![3.0, 6.0]].map(Column::Numbers);
        assert_eq!(train.features, Features::Columns(columns.to_vec()));
        let names = ["9", "10"].map(String::from).to_vec();
        assert_eq!(train.targets, Targets::Classes { ids: vec![1, 0], names });

        npy(dir.path(), "x.npy", "|u1", "(2, 1, 2, 3)", &[1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0]);
        let train = load(dir.path(), "task = 'regression'").unwrap().train;
        assert_eq!(train.shape, SampleShape::Image { channels: 3, height: 1, width: 2 });
        let Features::Bytes(bytes) = &train.features else { unreachable!() };
        assert_eq!(bytes.row(0).to_vec(), [1, 4, 2, 5, 3, 6]);
        assert_eq!(train.feature_names[5], "pixel_0_1_2");
        assert_eq!(train.targets, Targets::Values(vec![10.0, 9.0]));
    }

    #[test]
    fn unfit_arrays_are_named() {
        let dir = tempfile::tempdir().unwrap();
        npy(dir.path(), "x.npy", "|u1", "(2, 1)", &[1, 2]);
        for (shape, kind, data, said) in [
            ("(3,)", "|u1", vec![1, 2, 3], "holds 2 images but"),
            ("(1, 1)", "<f4", 0.5_f32.to_le_bytes().to_vec(), "target 1 is 0.5"),
            ("(2, 2)", "|u1", vec![0; 4], "its shape is [2, 2]"),
        ] {
            npy(dir.path(), "y.npy", kind, shape, &data);
            let error = load(dir.path(), "").unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        npy(dir.path(), "x.npy", "|u1", "(2,)", &[1, 2]);
        let error = load(dir.path(), "").unwrap_err().to_string();
        assert!(error.contains("its shape is [2]\nhint: features are"), "{error}");
    }
}
