//! Downstream models beside scikit-learn's on data sets that both carry: five folds by the number
//! of the row, columns standardised on the training rows, the same hyperparameters.
//!
//! ```python
//! def predictions(x, y, model, scale_y=False):
//!     p = np.zeros(len(y), float if scale_y else y.dtype)
//!     for f in range(5):
//!         t = np.arange(len(y)) % 5 == f
//!         m, sd = x[~t].mean(0), x[~t].std(0); sd[sd == 0] = 1
//!         z = ((x - m) / sd).astype(np.float32).astype(float); yy = y
//!         if scale_y: a, b = y[~t].mean(), y[~t].std(); yy = (y - a) / b
//!         q = model().fit(z[~t], yy[~t]).predict(z[t])
//!         p[t] = q * b + a if scale_y else q
//!     return p
//! ```

use std::path::Path;

use hourglass_core::{ColumnMoments, Interrupt, Matrix, Seed, Silent, Targets};
use hourglass_data::{Builtin, BuiltinSource, DataConfig, Locations};
use hourglass_downstream::{
    EstimatorConfig, ExtraTrees, FitData, GradientBoosting, Knn, Lasso, LinearSvm,
    LogisticRegression, NaiveBayes, RandomForest, RbfSvm, Ridge, Svr, ValueData, metrics,
};
use ndarray::Axis;

/// `accuracy_score(y, predictions(x, y, model))`, for trees the mean of three seeds:
///
/// ```python
/// LogisticRegression(C=1, tol=1e-8, max_iter=10000)
/// LinearSVC(C=1, intercept_scaling=100, tol=1e-6, max_iter=200000)
/// SVC(C=1, gamma="scale", decision_function_shape="ovr", break_ties=True)
/// GaussianNB()
/// KNeighborsClassifier(5, algorithm="brute")
/// RandomForestClassifier(100)
/// ExtraTreesClassifier(100)
/// HistGradientBoostingClassifier(max_iter=100, learning_rate=.1, max_depth=6, max_features=.3,
///     l2_regularization=1, min_samples_leaf=5, max_leaf_nodes=None, early_stopping=False)
/// ```
const EXPECTED: [(Builtin, [f64; 8]); 3] = [
    (
        Builtin::Digits,
        [0.969_393, 0.954_925, 0.982_193, 0.784_085, 0.974_958, 0.976_071, 0.981_636, 0.975_515],
    ),
    (
        Builtin::BreastCancer,
        [0.977_153, 0.970_123, 0.971_880, 0.936_731, 0.963_093, 0.962_507, 0.970_123, 0.969_537],
    ),
    (
        Builtin::Iris,
        [0.953_333, 0.926_667, 0.953_333, 0.953_333, 0.946_667, 0.935_556, 0.946_667, 0.946_667],
    ),
];

/// `r2_score(y, predictions(x, y, model, scale_y=True))`, for forests the mean of three seeds:
///
/// ```python
/// Ridge(alpha=1)
/// Lasso(alpha=0.01, tol=1e-8, max_iter=100000)
/// SVR(C=1, gamma="scale", epsilon=.1)
/// KNeighborsRegressor(5)
/// RandomForestRegressor(100, max_features=1/3)
/// ExtraTreesRegressor(100, max_features=1/3)
/// ```
const R2: [f64; 6] = [0.501_273, 0.501_690, 0.467_546, 0.398_756, 0.457_325, 0.472_336];

fn table(dataset: Builtin) -> (Matrix, Targets) {
    let builtin = Some(BuiltinSource { dataset });
    let config = DataConfig { builtin, ..DataConfig::default() };
    let (here, locations) = (Path::new("."), Locations::usual(None, true));
    let loaded =
        hourglass_data::load(&config, here, &locations, Seed::new(0), &Silent, &Interrupt::new());
    let train = loaded.unwrap().train;
    (train.features.to_matrix(), train.targets)
}

/// Standardised rows to fit on and to judge on, with their numbers.
fn fold(x: &Matrix, fold: usize) -> ([Matrix; 2], [Vec<usize>; 2]) {
    let (test, train): (Vec<usize>, Vec<usize>) = (0..x.nrows()).partition(|row| row % 5 == fold);
    let fitted = x.select(Axis(0), &train);
    let moments = ColumnMoments::of(fitted.view());
    let scaled = |rows: &[usize]| {
        let mut part = x.select(Axis(0), rows);
        for ((_, column), value) in part.indexed_iter_mut() {
            let std = if moments.std[column] > 0.0 { moments.std[column] } else { 1.0 };
            *value = ((f64::from(*value) - moments.mean[column]) / std) as f32;
        }
        part
    };
    ([scaled(&train), scaled(&test)], [train, test])
}

fn accuracy(config: &EstimatorConfig, x: &Matrix, ids: &[u32], n_classes: usize) -> f64 {
    let mut right = 0.0;
    for f in 0..5 {
        let ([train, test], rows) = fold(x, f);
        let [known, truth] = rows.map(|rows| rows.iter().map(|&r| ids[r]).collect::<Vec<u32>>());
        let data = FitData::split(train.view(), &known, known.len(), n_classes);
        let estimator = config.classifier().unwrap();
        let fitted = estimator.fit(&data, Seed::new(1), &Silent, &Interrupt::new()).unwrap();
        let predicted = fitted.predict(test.view()).unwrap();
        right += metrics::accuracy(&truth, &predicted) * truth.len() as f64;
    }
    right / ids.len() as f64
}

#[test]
fn classifiers_agree_with_scikit_learn() {
    let linear = |binary: bool| {
        // Two classes have a column of weights each here, which halves the penalty.
        let c = if binary { 0.5 } else { 1.0 };
        LogisticRegression { c: Some(c), max_iterations: 2000, tolerance: 1e-8 }
    };
    let mut missed = Vec::new();
    for (dataset, expected) in EXPECTED {
        let (x, targets) = table(dataset);
        let Targets::Classes { ids, names } = targets else { panic!("classes") };
        let configs = [
            EstimatorConfig::LogisticRegression(linear(names.len() == 2)),
            EstimatorConfig::LinearSvm(LinearSvm {
                c: Some(1.0),
                max_iterations: 2000,
                tolerance: 1e-8,
            }),
            EstimatorConfig::RbfSvm(RbfSvm { c: Some(1.0), gamma: Some(1.0) }),
            EstimatorConfig::NaiveBayes(NaiveBayes { smoothing: Some(1e-9) }),
            EstimatorConfig::Knn(Knn { k: Some(5) }),
            EstimatorConfig::RandomForest(RandomForest {
                min_leaf: Some(1),
                ..RandomForest::default()
            }),
            EstimatorConfig::ExtraTrees(ExtraTrees { min_leaf: Some(1), ..ExtraTrees::default() }),
            EstimatorConfig::GradientBoosting(GradientBoosting {
                max_depth: Some(6),
                min_child_weight: 0.001,
                ..GradientBoosting::default()
            }),
        ];
        for (config, expected) in configs.iter().zip(expected) {
            let found = accuracy(config, &x, &ids, names.len());
            let trees = ["random_forest", "extra_trees", "gradient_boosting"];
            let within = if trees.contains(&config.name()) { 0.01 } else { 0.002 };
            let off = (found - expected).abs();
            if off > within {
                missed.push(format!("{dataset:?} {}: {found} {expected}", config.name()));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn regressors_agree_with_scikit_learn() {
    let (x, targets) = table(Builtin::Diabetes);
    let Targets::Values(values) = targets else { panic!("values") };
    let configs = [
        // There the values are standardised, which leaves the ridge's penalty as it is and shrinks
        // the lasso's.
        EstimatorConfig::Ridge(Ridge { alpha: Some(1.0) }),
        EstimatorConfig::Lasso(Lasso { alpha: Some(0.01 * 77.0) }),
        EstimatorConfig::Svr(Svr { c: Some(1.0), gamma: Some(1.0) }),
        EstimatorConfig::Knn(Knn { k: Some(5) }),
        EstimatorConfig::RandomForest(RandomForest {
            min_leaf: Some(1),
            ..RandomForest::default()
        }),
        EstimatorConfig::ExtraTrees(ExtraTrees { min_leaf: Some(1), ..ExtraTrees::default() }),
    ];
    let mut missed = Vec::new();
    for (config, expected) in configs.iter().zip(R2) {
        let (mut truth, mut predicted) = (Vec::new(), Vec::new());
        for f in 0..5 {
            let ([train, test], rows) = fold(&x, f);
            let [known, judged] =
                rows.map(|rows| rows.iter().map(|&r| values[r]).collect::<Vec<f32>>());
            let data = ValueData::split(train.view(), &known, known.len());
            let regressor = config.regressor().unwrap();
            let fitted = regressor.fit(&data, Seed::new(1), &Silent, &Interrupt::new()).unwrap();
            predicted.extend(fitted.predict(test.view()).unwrap());
            truth.extend(judged);
        }
        let found = metrics::r2(&truth, &predicted);
        let trees = ["random_forest", "extra_trees"].contains(&config.name());
        let within = if trees { 0.02 } else { 0.002 };
        if (found - expected).abs() > within {
            missed.push(format!("{}: {found} {expected}", config.name()));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
