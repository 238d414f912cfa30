//! Sick data, sick settings and sick models beside healthy ones: each finding where it belongs, and
//! none where nothing is wrong.

use hourglass_core::{Matrix, Part, Partition, SampleShape, Samples, Seed, Targets};
use hourglass_nn::{Activation, Init, Loss};
use rand::RngExt;

use crate::*;

const N: usize = 400;
const WIDTH: usize = 12;

/// Rows of three factors seen through twelve columns, and noise.
fn healthy() -> Samples {
    let mut rng = Seed::new(3).rng();
    let mut normal = move || {
        let sum: f32 = (0..12).map(|_| rng.random::<f32>()).sum();
        sum - 6.0
    };
    let loadings = Matrix::from_shape_simple_fn((3, WIDTH), &mut normal);
    let factors = Matrix::from_shape_simple_fn((N, 3), &mut normal);
    let noise = Matrix::from_shape_simple_fn((N, WIDTH), &mut normal);
    let features = factors.dot(&loadings) + noise * 0.3;
    let ids = factors.column(0).iter().map(|&factor| u32::from(factor > 0.0)).collect();
    Samples {
        features,
        targets: Targets::Classes { ids, names: vec!["no".into(), "yes".into()] },
        partition: Partition { n_train: 240, n_validation: 60, n_test: 100 },
        shape: SampleShape::Vector { len: WIDTH },
        feature_names: (0..WIDTH).map(|column| format!("c{column}")).collect(),
    }
}

fn settings() -> Settings {
    Settings {
        model_key: "model.undercomplete".into(),
        hidden_activation: Activation::Relu,
        output_activation: Activation::Linear,
        init: None,
        n_layers: 2,
        n_parameters: 80,
        is_constrained: false,
        loss: Loss::Mse,
        optimizer: "adam".into(),
        learning_rate: 1e-3,
        is_plain_descent: false,
        batch_size: 32,
        compare: vec!["raw".into(), "autoencoder".into()],
    }
}

fn ids(findings: &[Finding]) -> Vec<FindingId> {
    findings.iter().map(|finding| finding.id).collect()
}

fn with_data(change: impl FnOnce(&mut Samples)) -> Vec<FindingId> {
    let mut samples = healthy();
    change(&mut samples);
    ids(&before(&settings(), &samples))
}

fn with_settings(change: impl FnOnce(&mut Settings)) -> Vec<FindingId> {
    let mut settings = settings();
    change(&mut settings);
    ids(&before(&settings, &healthy()))
}

#[test]
fn healthy_data_and_settings_have_no_finding() {
    assert_eq!(before(&settings(), &healthy()), []);
}

#[test]
fn sick_data_are_found() {
    use FindingId as Id;
    let column = |samples: &mut Samples, change: &dyn Fn(usize, f32) -> f32| {
        for (row, value) in samples.features.column_mut(2).iter_mut().enumerate() {
            *value = change(row, *value);
        }
    };
    let table: [(Vec<FindingId>, &[FindingId]); 8] = [
        (with_data(|s| column(s, &|_, value| value * 1000.0)), &[Id::UnscaledInputs]),
        (
            with_data(|s| column(s, &|row, value| if row == 7 { 60.0 } else { value * 0.5 })),
            &[Id::Outliers],
        ),
        (
            with_data(|s| column(s, &|row, value| if row % 9 == 0 { -9.0 } else { value * 0.2 })),
            &[Id::CodedMissing],
        ),
        (with_data(|s| column(s, &|_, _| 1.5)), &[Id::ConstantColumns]),
        (
            with_data(|s| {
                let copy = s.features.column(2).to_owned();
                s.features.column_mut(5).assign(&copy);
            }),
            &[Id::DuplicateColumns],
        ),
        (
            with_data(|s| {
                for row in 0..20 {
                    let copy = s.features.row(row).to_owned();
                    s.features.row_mut(300 + row).assign(&copy);
                }
            }),
            &[Id::DuplicateRows],
        ),
        (
            with_data(|s| {
                let Targets::Classes { ids, .. } = &mut s.targets else { unreachable!() };
                ids.iter_mut().enumerate().for_each(|(row, id)| *id = u32::from(row % 20 == 0));
            }),
            &[Id::ClassImbalance],
        ),
        (
            with_data(|s| column(s, &|row, value| if row >= 300 { value + 4.0 } else { value })),
            &[Id::DataMismatch],
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
    let leaked = with_data(|s| {
        let Targets::Classes { ids, .. } = s.targets.clone() else { unreachable!() };
        for (value, id) in s.features.column_mut(2).iter_mut().zip(ids) {
            *value = *value * 0.01 + id as f32;
        }
    });
    assert_eq!(leaked, [Id::LabelLeakage]);
}

#[test]
fn sick_settings_are_found() {
    use FindingId as Id;
    let table: [(Vec<FindingId>, &[FindingId]); 9] = [
        (with_settings(|s| s.output_activation = Activation::Sigmoid), &[Id::OutputRange]),
        (with_settings(|s| s.loss = Loss::Bce), &[Id::UnsuitableLoss]),
        (
            with_settings(|s| (s.init, s.n_layers) = (Some(Init::GlorotUniform), 6)),
            &[Id::UnsuitableInitialisation],
        ),
        (
            with_settings(|s| {
                (s.optimizer, s.is_plain_descent, s.n_layers) = ("sgd".into(), true, 6);
            }),
            &[Id::UnsuitableOptimizer],
        ),
        (with_settings(|s| s.learning_rate = 10.0), &[Id::LearningRateTooHigh]),
        (with_settings(|s| s.batch_size = 1), &[Id::BatchTooSmall]),
        (with_settings(|s| s.batch_size = 240), &[Id::BatchTooLarge]),
        (
            with_settings(|s| (s.hidden_activation, s.n_layers) = (Activation::Sigmoid, 8)),
            &[Id::VanishingGradients],
        ),
        (with_settings(|s| s.compare = vec!["autoencoder".into()]), &[Id::NoBaseline]),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
    assert_eq!(with_settings(|s| s.n_parameters = 10_000), [Id::FewSamples]);
}

/// What a model makes of training, validation and shuffled rows.
fn judged(
    of_train: impl Fn(&Matrix) -> Matrix,
    of_validation: impl Fn(&Matrix) -> Matrix,
    pca_error: Option<f64>,
) -> Vec<FindingId> {
    let samples = healthy();
    let train = samples.part(Part::Train).to_owned();
    let validation = samples.part(Part::Validation).to_owned();
    let shuffled = shuffled_columns(validation.view(), Seed::new(1));
    let mean = train.mean_axis(ndarray::Axis(0)).unwrap().to_vec();
    let outputs = [of_train(&train), of_validation(&validation), of_validation(&shuffled)];
    let pair = |inputs, outputs| Reconstructions { inputs, outputs };
    let model = Reconstruction {
        shape: &samples.shape,
        train_mean: &mean,
        train: pair(train.view(), outputs[0].view()),
        validation: pair(validation.view(), outputs[1].view()),
        shuffled: pair(shuffled.view(), outputs[2].view()),
        pca_error,
        is_constrained: false,
        stride: None,
    };
    ids(&after(Some(&model), None, None))
}

/// The projection onto the three factors' span: what a good autoencoder of width 3 does.
fn projection() -> Matrix {
    let samples = healthy();
    let mut basis: Vec<ndarray::Array1<f32>> = Vec::new();
    for row in samples.features.rows().into_iter().take(3) {
        let mut vector = row.to_owned();
        for known in &basis {
            let along = vector.dot(known);
            vector.scaled_add(-along, known);
        }
        let norm = vector.dot(&vector).sqrt();
        basis.push(vector / norm);
    }
    let rows: Vec<_> = basis.iter().map(|vector| vector.view()).collect();
    let basis = ndarray::stack(ndarray::Axis(0), &rows).unwrap();
    basis.t().dot(&basis)
}

#[test]
fn sick_reconstructions_are_found() {
    use FindingId as Id;
    let projection = projection();
    let good = |rows: &Matrix| rows.dot(&projection);
    assert_eq!(judged(good, good, None), []);
    let copy = |rows: &Matrix| rows * 0.98;
    assert_eq!(judged(copy, copy, None), [Id::IdentityLearning]);
    let mean = |rows: &Matrix| rows * 0.0;
    assert_eq!(judged(mean, mean, None), [Id::MeanOutput]);
    assert_eq!(judged(good, good, Some(0.1)), [Id::WorseThanPca]);
    let halved = |rows: &Matrix| good(rows) * 0.5;
    assert_eq!(judged(good, halved, None), [Id::OverfittedReconstruction]);
}

fn latent(values: &Matrix, is_scaled: bool) -> Vec<FindingId> {
    let latent = Latent {
        values: values.view(),
        is_scaled,
        scale_sensitive: vec!["knn".into()],
        is_constrained: false,
        model_key: "model.undercomplete".into(),
    };
    ids(&after(None, Some(&latent), None))
}

#[test]
fn sick_latents_are_found() {
    use FindingId as Id;
    let mut rng = Seed::new(5).rng();
    let values = Matrix::from_shape_simple_fn((200, 6), || rng.random::<f32>());
    assert_eq!(latent(&values, false), []);
    let mut dead = values.clone();
    dead.column_mut(1).fill(0.0);
    assert_eq!(latent(&dead, true), [Id::DeadLatents]);
    let mut doubled = values.clone();
    let copy = doubled.column(0).to_owned() * -2.0;
    doubled.column_mut(3).assign(&copy);
    assert_eq!(latent(&doubled, true), [Id::DuplicateLatents]);
    let mut wide = values.clone();
    wide.column_mut(4).mapv_inplace(|value| value * 40.0);
    assert_eq!(latent(&wide, false), [Id::BottleneckTooLarge, Id::UnscaledLatents]);
    assert_eq!(latent(&(values * 0.0), true), [Id::DeadLatents]);
}

#[test]
fn results_say_no_gain_or_too_little() {
    let results = |repeats, difference, interval, is_significant| {
        let score =
            Score { feature_set: "autoencoder".into(), difference, interval, is_significant };
        ids(&after(None, None, Some(&Results { repeats, against_raw: vec![score] })))
    };
    assert_eq!(results(5, 0.03, Some([0.02, 0.04]), true), []);
    assert_eq!(results(5, -0.03, Some([-0.04, -0.02]), true), [FindingId::NoGain]);
    assert_eq!(results(5, 0.001, Some([-0.004, 0.006]), false), [FindingId::NoGain]);
    assert_eq!(results(1, 0.02, None, false), [FindingId::TooFewRepeats]);
    assert_eq!(results(5, 0.02, Some([-0.01, 0.05]), false), []);
}
