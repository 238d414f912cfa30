//! The data sets that come with the program: smartcore's, and of linfa's those that smartcore
//! lacks. Of smartcore only the numbers are used: its digits bear the names of the iris data.
//! linfa's lie in `data/`, as linfa-datasets 0.8.1 has them, since the crate brings linfa, a second
//! ndarray and features of serde with it that half of all dependencies are compiled anew for.

use std::io::Read;

use flate2::read::GzDecoder;
use hourglass_core::{Matrix, SampleShape, Targets};
use smartcore::dataset::{boston, breast_cancer, diabetes, digits, iris};

use crate::config::Builtin;
use crate::table::{Features, Origin, Provenance, Table};

/// Loads a data set; none has test rows of its own.
pub(crate) fn load(dataset: Builtin) -> (Table, Provenance) {
    let facts = dataset.facts();
    let classes = |ids: Vec<u32>| Targets::Classes {
        ids,
        names: facts.classes.iter().map(|&name| name.into()).collect(),
    };
    let (numbers, targets): (Vec<f32>, Targets) = match dataset {
        Builtin::Digits => {
            let data = digits::load_dataset();
            (data.data, classes(data.target.iter().map(|&class| class as u32).collect()))
        }
        Builtin::Iris => {
            let data = iris::load_dataset();
            (as_fisher_printed(data.data), classes(data.target))
        }
        Builtin::BreastCancer => {
            let data = breast_cancer::load_dataset();
            (data.data, classes(data.target))
        }
        Builtin::Diabetes => {
            let data = diabetes::load_dataset();
            let progression = data.target.iter().map(|&value| value as f32).collect();
            (data.data, Targets::Values(progression))
        }
        Builtin::Boston => {
            let data = boston::load_dataset();
            (without_column(&data.data, data.num_features, BOSTON_B), Targets::Values(data.target))
        }
        Builtin::WineQuality => {
            let rows = rows(include_bytes!("../data/winequality-red.csv.gz"));
            let numbers = rows.iter().flat_map(|row| &row[..11]).copied().collect();
            (numbers, Targets::Values(rows.iter().map(|row| row[11]).collect()))
        }
        Builtin::Linnerud => {
            let exercises = rows(include_bytes!("../data/linnerud_exercise.csv.gz"));
            let measures = rows(include_bytes!("../data/linnerud_physiological.csv.gz"));
            let weights = measures.iter().map(|row| row[0]).collect();
            (exercises.concat(), Targets::Values(weights))
        }
    };
    let n_features = facts.shape.n_features();
    let features = Matrix::from_shape_vec((targets.len(), n_features), numbers)
        .expect("the shape of a data set that comes with the program is tested");
    let feature_names = match facts.shape {
        SampleShape::Image { width, .. } => {
            (0..n_features).map(|i| format!("pixel_{}_{}", i / width, i % width)).collect()
        }
        _ => facts.columns.iter().map(|&name| name.into()).collect(),
    };
    let provenance = Provenance {
        dataset: facts.name.into(),
        origin: Origin::Builtin,
        fallback: None,
        sentence: format!("{}, carried by the program", facts.title),
        files: Vec::new(),
        licence: facts.licence.map(Into::into),
        citation: Some(facts.citation.into()),
    };
    let table =
        Table { features: Features::Floats(features), targets, shape: facts.shape, feature_names };
    (table, provenance)
}

/// The numbers of a packed table, without its head.
fn rows(packed: &[u8]) -> Vec<Vec<f32>> {
    let mut text = String::new();
    GzDecoder::new(packed)
        .read_to_string(&mut text)
        .expect("a table that comes with the program is tested");
    let number =
        |field: &str| field.trim().parse().expect("a table that comes with the program is tested");
    text.lines().skip(1).map(|line| line.split(',').map(number).collect()).collect()
}

/// Position of the Boston column `B`, a transform of the share of Black inhabitants: it is left
/// out, as scikit-learn left the whole data set out, and the measures that remain are 12.
const BOSTON_B: usize = 11;

fn without_column(numbers: &[f32], n_columns: usize, column: usize) -> Vec<f32> {
    let kept = numbers.iter().enumerate().filter(|(i, _)| i % n_columns != column);
    kept.map(|(_, &number)| number).collect()
}

/// Corrects the two rows in which the UCI file, which smartcore carries, differs from the article.
///
/// # Source
/// The errata on <https://archive.ics.uci.edu/dataset/53/iris>: the 35th sample is 4.9, 3.1, 1.5,
/// 0.2 and the 38th is 4.9, 3.6, 1.4, 0.1. scikit-learn corrects them too.
fn as_fisher_printed(mut numbers: Vec<f32>) -> Vec<f32> {
    numbers[34 * 4..35 * 4].copy_from_slice(&[4.9, 3.1, 1.5, 0.2]);
    numbers[37 * 4..38 * 4].copy_from_slice(&[4.9, 3.6, 1.4, 0.1]);
    numbers
}

/// What the carriers don't say, or say wrongly.
struct Facts {
    name: &'static str,
    title: &'static str,
    shape: SampleShape,
    columns: &'static [&'static str],
    classes: &'static [&'static str],
    citation: &'static str,
    licence: Option<&'static str>,
}

const UCI: Option<&str> = Some("CC BY 4.0 (UCI Machine Learning Repository)");

impl Builtin {
    fn facts(self) -> Facts {
        match self {
            Builtin::Digits => Facts {
                name: "digits",
                title: "1,797 handwritten digits of 8 x 8 pixels",
                shape: SampleShape::Image { channels: 1, height: 8, width: 8 },
                columns: &[],
                classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
                citation: "E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, \
                           1998, doi:10.24432/C50P49",
                licence: UCI,
            },
            Builtin::Iris => Facts {
                name: "iris",
                title: "150 iris flowers with 4 measures",
                shape: SampleShape::Vector { len: 4 },
                columns: &["sepal_length", "sepal_width", "petal_length", "petal_width"],
                classes: &["setosa", "versicolor", "virginica"],
                citation: "R. A. Fisher: The use of multiple measurements in taxonomic problems, \
                           1936, doi:10.1111/j.1469-1809.1936.tb02137.x",
                licence: UCI,
            },
            Builtin::BreastCancer => Facts {
                name: "breast_cancer",
                title: "569 tumours with 30 measures",
                shape: SampleShape::Vector { len: 30 },
                columns: &BREAST_CANCER_COLUMNS,
                classes: &["malignant", "benign"],
                citation: "W. Wolberg, O. Mangasarian, N. Street, W. Street: Breast Cancer \
                           Wisconsin (Diagnostic), 1993, doi:10.24432/C5DW2B",
                licence: UCI,
            },
            Builtin::Diabetes => Facts {
                name: "diabetes",
                title: "442 patients with 10 measures and the progression of diabetes",
                shape: SampleShape::Vector { len: 10 },
                columns: &["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"],
                classes: &[],
                citation: "B. Efron, T. Hastie, I. Johnstone, R. Tibshirani: Least angle \
                           regression, 2004, doi:10.1214/009053604000000067",
                licence: None,
            },
            Builtin::Boston => Facts {
                name: "boston",
                title: "506 districts of Boston with 12 measures and the value of their homes",
                shape: SampleShape::Vector { len: 12 },
                columns: &[
                    "crim", "zn", "indus", "chas", "nox", "rm", "age", "dis", "rad", "tax",
                    "ptratio", "lstat",
                ],
                classes: &[],
                citation: "D. Harrison, D. L. Rubinfeld: Hedonic housing prices and the demand for \
                           clean air, 1978, doi:10.1016/0095-0696(78)90006-2",
                licence: None,
            },
            Builtin::WineQuality => Facts {
                name: "wine_quality",
                title: "1,599 red wines with 11 measures and a mark",
                shape: SampleShape::Vector { len: 11 },
                columns: &[
                    "fixed_acidity",
                    "volatile_acidity",
                    "citric_acid",
                    "residual_sugar",
                    "chlorides",
                    "free_sulfur_dioxide",
                    "total_sulfur_dioxide",
                    "density",
                    "ph",
                    "sulphates",
                    "alcohol",
                ],
                classes: &[],
                citation: "P. Cortez, A. Cerdeira, F. Almeida, T. Matos, J. Reis: Modeling wine \
                           preferences by data mining from physicochemical properties, 2009, \
                           doi:10.1016/j.dss.2009.05.016",
                licence: UCI,
            },
            Builtin::Linnerud => Facts {
                name: "linnerud",
                title: "20 men with 3 exercises and their weight",
                shape: SampleShape::Vector { len: 3 },
                columns: &["chins", "situps", "jumps"],
                classes: &[],
                citation: "M. Tenenhaus: La régression PLS, théorie et pratique, 1998, page 15",
                licence: None,
            },
        }
    }
}

const BREAST_CANCER_COLUMNS: [&str; 30] = [
    "mean_radius",
    "mean_texture",
    "mean_perimeter",
    "mean_area",
    "mean_smoothness",
    "mean_compactness",
    "mean_concavity",
    "mean_concave_points",
    "mean_symmetry",
    "mean_fractal_dimension",
    "radius_error",
    "texture_error",
    "perimeter_error",
    "area_error",
    "smoothness_error",
    "compactness_error",
    "concavity_error",
    "concave_points_error",
    "symmetry_error",
    "fractal_dimension_error",
    "worst_radius",
    "worst_texture",
    "worst_perimeter",
    "worst_area",
    "worst_smoothness",
    "worst_compactness",
    "worst_concavity",
    "worst_concave_points",
    "worst_symmetry",
    "worst_fractal_dimension",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regressions_carry_numbers() {
        // d = load_diabetes(); x = d.data.astype("f4").astype("f8"); w as below
        // (x * w).sum() -> 47.7011, (d.target * (np.arange(442) % 97 + 1)).sum() -> 3076270
        let weight = |i: usize| (i % 97 + 1) as f64;
        let (table, _) = load(Builtin::Diabetes);
        let matrix = table.features.to_matrix();
        let weighted: f64 = matrix.iter().enumerate().map(|(i, &x)| f64::from(x) * weight(i)).sum();
        // scikit-learn has since scaled the columns anew: they differ in the sixth digit.
        assert!((weighted / 47.701_115 - 1.0).abs() < 1e-4, "{weighted}");
        let Targets::Values(values) = &table.targets else { unreachable!() };
        let ordered: f64 = values.iter().enumerate().map(|(i, &y)| f64::from(y) * weight(i)).sum();
        assert_eq!((matrix.dim(), ordered), ((442, 10), 3_076_270.0));

        // The first row as Harrison and Rubinfeld's table prints it, without its column B.
        let (table, _) = load(Builtin::Boston);
        let first = [0.00632, 18.0, 2.31, 0.0, 0.538, 6.575, 65.2, 4.09, 1.0, 296.0, 15.3, 4.98];
        assert_eq!(table.features.to_matrix().row(0).to_vec(), first);
        let Targets::Values(values) = &table.targets else { unreachable!() };
        assert_eq!((values.len(), values[0]), (506, 24.0));
    }

    #[test]
    fn linfas_sets_are_those_of_their_sources() {
        // x, y = d[:, :11], d[:, 11] of UCI's winequality-red.csv, and
        // x, y = load_linnerud().data, load_linnerud().target[:, 0]
        // x = x.astype("f4").astype("f8"); w = (np.arange(x.size) % 97 + 1).reshape(x.shape)
        // x.sum(), (x * w).sum(), (y * (np.arange(len(y)) % 97 + 1)).sum()
        let weight = |i: usize| (i % 97 + 1) as f64;
        for (dataset, shape, sums, ordered) in [
            (Builtin::WineQuality, (1599, 11), [143_072.781_894, 7_131_455.148_86], 435_141.0),
            (Builtin::Linnerud, (20, 3), [4_506.0, 143_306.0], 36_750.0),
        ] {
            let (table, _) = load(dataset);
            let matrix = table.features.to_matrix();
            assert_eq!((matrix.dim(), table.feature_names.len()), (shape, shape.1));
            let values = || matrix.iter().map(|&value| f64::from(value)).enumerate();
            let found =
                [values().map(|(_, x)| x).sum(), values().map(|(i, x)| x * weight(i)).sum()];
            for (found, expected) in found.into_iter().zip(sums) {
                let found: f64 = found;
                assert!((found / expected - 1.0).abs() < 1e-9, "{dataset:?}: {found}");
            }
            let Targets::Values(values) = &table.targets else { unreachable!() };
            let values = values.iter().enumerate();
            assert_eq!(values.map(|(i, &y)| f64::from(y) * weight(i)).sum::<f64>(), ordered);
        }
    }

    #[test]
    fn numbers_are_those_of_scikit_learn() {
        // from sklearn.datasets import load_digits, load_iris, load_breast_cancer
        // d = load_digits(); x = d.data.astype("f4").astype("f8")
        // w = (np.arange(x.size) % 97 + 1).reshape(x.shape)
        // x.shape, x.sum(), (x * w).sum(), np.bincount(d.target),
        // (d.target * (np.arange(len(x)) % 97 + 1)).sum()          # scikit-learn 1.9.1
        let ten = vec![178, 182, 177, 183, 181, 182, 181, 179, 174, 180];
        for (dataset, shape, sum, weighted, counts, order) in [
            (Builtin::Digits, (1797, 64), 561_718.0, 27_561_536.0, ten, 392_360),
            (Builtin::Iris, (150, 4), 2_078.699_996, 99_563.099_808, vec![50; 3], 6_334),
            (
                Builtin::BreastCancer,
                (569, 30),
                1_056_474.460_156,
                51_934_240.139_087,
                vec![212, 357],
                17_755,
            ),
        ] {
            let (table, provenance) = load(dataset);
            assert_eq!(table.features.dim(), shape);
            assert_eq!(table.feature_names.len(), shape.1);
            assert_eq!(table.shape.n_features(), shape.1);
            let weight = |i: usize| (i % 97 + 1) as f64;
            let matrix = table.features.to_matrix();
            let values = || matrix.iter().map(|&value| f64::from(value)).enumerate();
            let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-7;
            assert!(near(values().map(|(_, x)| x).sum(), sum), "{dataset:?}");
            assert!(near(values().map(|(i, x)| x * weight(i)).sum(), weighted), "{dataset:?}");
            let Targets::Classes { ids, names } = &table.targets else { unreachable!() };
            let count = |class: u32| ids.iter().filter(|&&id| id == class).count();
            assert_eq!((0..names.len() as u32).map(count).collect::<Vec<_>>(), counts);
            let ordered = ids.iter().enumerate().map(|(i, &id)| id as usize * (i % 97 + 1));
            assert_eq!(ordered.sum::<usize>(), order, "{dataset:?}");
            assert_eq!(provenance.origin, Origin::Builtin);
        }
    }
}
