//! Sick data, sick settings and sick models beside healthy ones: each finding where it belongs, and
//! none where nothing is wrong.

use hourglass_core::{
    ColumnGroup, ColumnKind, Matrix, Part, Partition, SampleShape, Samples, Seed, Targets,
};
use hourglass_nn::{Activation, Init, Loss};
use ndarray::s;
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

fn architecture() -> Architecture {
    Architecture {
        key: "model.undercomplete".into(),
        takes_corruption: true,
        latent_dim: 3,
        n_parameters: 80,
        ..Architecture::default()
    }
}

fn recipe() -> Recipe {
    Recipe { optimizer: "adam".into(), learning_rate: 1e-3, epochs: 20 }
}

fn settings() -> Settings {
    Settings {
        architecture: architecture(),
        hidden_activation: Activation::Relu,
        output_activation: Activation::Linear,
        init: None,
        n_layers: 2,
        convolution: None,
        loss: Loss::Mse,
        recipe: recipe(),
        is_plain_descent: false,
        batch_size: 32,
        compare: vec!["raw".into(), "autoencoder".into()],
        counts_classes_alike: false,
        models: serde_json::json!([{ "logistic_regression": {} }]),
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
fn levels_may_coincide_and_a_category_may_not_stand_twice() {
    // Two levels beside three, the first of which coincides with the first of the two; or beside
    // the same two again.
    let found = |is_copy: bool| {
        with_data(|samples| {
            for (row, mut values) in samples.features.rows_mut().into_iter().enumerate() {
                let second = if is_copy { row % 2 } else { [0, 1, 0, 2][row % 4] };
                values.slice_mut(s![..5]).fill(0.0);
                values[row % 2] = 1.0;
                values[2 + second] = 1.0;
            }
            let group =
                |name: &str, kind, columns| ColumnGroup { name: name.into(), kind, columns };
            samples.shape = SampleShape::Table {
                groups: vec![
                    group("two", ColumnKind::Categorical, 0..2),
                    group("three", ColumnKind::Categorical, 2..5),
                    group("rest", ColumnKind::Numeric, 5..WIDTH),
                ],
            };
        })
        .contains(&FindingId::DuplicateColumns)
    };
    assert_eq!([false, true].map(found), [false, true]);
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
    let mut copied = healthy();
    for row in 0..20 {
        let copy = copied.features.row(row).to_owned();
        copied.features.row_mut(300 + row).assign(&copy);
    }
    let cure = &before(&settings(), &copied)[0].cures[0].changes[0];
    assert_eq!((cure.key.as_str(), cure.value.as_str()), ("split.by", "\"equal_rows\""));
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
                (s.recipe.optimizer, s.is_plain_descent, s.n_layers) = ("sgd".into(), true, 6);
            }),
            &[Id::UnsuitableOptimizer],
        ),
        (with_settings(|s| s.recipe.learning_rate = 10.0), &[Id::LearningRateTooHigh]),
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
    assert_eq!(with_settings(|s| s.architecture.n_parameters = 10_000), [Id::FewSamples]);
}

#[test]
fn fixed_hyperparameters_are_found_and_set_free() {
    let mut settings = settings();
    settings.models = serde_json::json!([{ "knn": { "k": 3 } }, { "linear_svm": { "c": null } }]);
    let findings = before(&settings, &healthy());
    assert_eq!(ids(&findings), [FindingId::OneSidedTuning]);
    assert_eq!(findings[0].cures[0].changes[0].value, "[{ knn = {} }, { linear_svm = {} }]");
    assert_eq!(findings[0].severity, Severity::Warning);
    settings.models = serde_json::json!([{ "linear_svm": {} }, { "knn": { "k": 3 } }]);
    assert_eq!(before(&settings, &healthy())[0].severity, Severity::Note);
}

#[test]
fn classes_that_count_alike_are_a_note() {
    let mut samples = healthy();
    let Targets::Classes { ids, .. } = &mut samples.targets else { unreachable!() };
    ids.iter_mut().enumerate().for_each(|(row, id)| *id = u32::from(row % 20 == 0));
    let mut settings = settings();
    let severity = |settings: &Settings| before(settings, &samples)[0].severity;
    assert_eq!(severity(&settings), Severity::Warning);
    settings.counts_classes_alike = true;
    assert_eq!(severity(&settings), Severity::Note);
}

/// Columns that each keep their distribution, but no longer go together in the test part.
#[test]
fn a_classifier_sees_what_no_column_shows() {
    let mut samples = healthy();
    for row in 300..N {
        let shift = if row % 2 == 0 { 1.0 } else { -1.0 };
        samples.features[[row, 0]] = shift * 3.0 + samples.features[[row, 0]] * 0.05;
    }
    assert_eq!(ids(&before(&settings(), &samples)), [FindingId::DataMismatch]);
}

#[test]
fn sick_convolutions_are_found() {
    use FindingId as Id;
    let mut rng = Seed::new(9).rng();
    let mut samples = healthy();
    // Blobs of a few pixels on 10 x 10.
    samples.features = Matrix::zeros((N, 100));
    for mut row in samples.features.rows_mut() {
        let (y, x) = (rng.random_range(0..6_usize), rng.random_range(0..6_usize));
        for (dy, dx) in (0..4).flat_map(|dy| (0..4).map(move |dx| (dy, dx))) {
            row[(y + dy) * 10 + x + dx] = 0.5 + 0.5 * rng.random::<f32>();
        }
    }
    samples.shape = SampleShape::Image { height: 10, width: 10, channels: 1 };
    samples.feature_names = (0..100).map(|pixel| format!("p{pixel}")).collect();
    let found = |n_layers, kernel| {
        let convolution = Some(Convolution { n_layers, kernel, stride: 2 });
        let architecture = Architecture { hidden_dims: vec![4; n_layers], ..architecture() };
        let mut findings = before(&Settings { convolution, architecture, ..settings() }, &samples);
        // Nothing is ever drawn at the rim.
        findings.retain(|finding| finding.severity > Severity::Note);
        ids(&findings)
    };
    assert_eq!(found(1, 5), []);
    assert_eq!(found(2, 5), [Id::CroppedMaps]);
    assert_eq!(found(1, 1), [Id::SmallReceptiveField]);
}

/// What a model makes of training, validation and shuffled rows.
fn judged(
    of_train: impl Fn(&Matrix) -> Matrix,
    of_validation: impl Fn(&Matrix) -> Matrix,
    pca_error: Option<f64>,
) -> Vec<FindingId> {
    judged_as(&architecture(), of_train, of_validation, pca_error, None)
}

fn judged_as(
    architecture: &Architecture,
    of_train: impl Fn(&Matrix) -> Matrix,
    of_validation: impl Fn(&Matrix) -> Matrix,
    pca_error: Option<f64>,
    noise: Option<f32>,
) -> Vec<FindingId> {
    let samples = healthy();
    let train = samples.part(Part::Train).to_owned();
    let validation = samples.part(Part::Validation).to_owned();
    let shuffled = shuffled_columns(validation.view(), Seed::new(1));
    let mut rng = Seed::new(2).rng();
    let corrupted = validation
        .mapv(|value| value + noise.unwrap_or(0.0) * if rng.random() { 1.0 } else { -1.0 });
    let mean = train.mean_axis(ndarray::Axis(0)).unwrap().to_vec();
    let outputs = [of_train(&train), of_validation(&validation), of_validation(&shuffled)];
    let of_corrupted = of_validation(&corrupted);
    let pair = |inputs, outputs| Reconstructions { inputs, outputs };
    let shares = variance_shares(train.view());
    let model = Reconstruction {
        architecture,
        recipe: &recipe(),
        shape: &samples.shape,
        train_mean: &mean,
        n_train: train.nrows(),
        train: pair(train.view(), outputs[0].view()),
        validation: pair(validation.view(), outputs[1].view()),
        shuffled: pair(shuffled.view(), outputs[2].view()),
        pca_error,
        variance_shares: &shares,
        denoised: noise.map(|strength| Denoised {
            corrupted: corrupted.view(),
            outputs: of_corrupted.view(),
            key: "model.denoising.corruption.gaussian.std",
            strength: strength.into(),
        }),
        labels: samples.class_ids(Part::Train).map(|classes| Labels { classes, n_classes: 2 }),
        drawn: None,
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
    let halved = |rows: &Matrix| good(rows) * 0.1;
    assert_eq!(judged(good, halved, None), [Id::OverfittedReconstruction, Id::MemorisedSamples]);
    let large = Architecture { n_parameters: 100_000, ..architecture() };
    assert!(judged_as(&large, good, halved, None, None).contains(&Id::CapacityTooLarge));
    assert_eq!(
        judged(|rows| good(rows) * 0.2, |rows| good(rows) * 0.2, None),
        [Id::CapacityTooSmall]
    );
    assert_eq!(
        judged(|rows| good(rows) * 0.2, |rows| good(rows) * 0.2, Some(1.0)),
        [Id::WorseThanPca, Id::Undertrained, Id::CapacityTooSmall]
    );
    // One of three factors is kept, and the other two hold as much again.
    let narrow = Architecture { latent_dim: 1, ..architecture() };
    let dim = |rows: &Matrix| good(rows) * 0.4;
    assert!(judged_as(&narrow, dim, dim, None, None).contains(&Id::BottleneckTooSmall));
}

#[test]
fn sick_variational_models_are_found() {
    let variant = Variant::Variational { beta: 4.0, warm_up: 0.5, output_std: Some(1.0) };
    let architecture = Architecture { variant, is_constrained: true, ..architecture() };
    let projection = projection();
    let good = |rows: &Matrix| rows.dot(&projection);
    assert_eq!(judged_as(&architecture, good, good, None, None), []);
    let ruled = |rows: &Matrix| rows.dot(&projection) * 0.2;
    assert_eq!(judged_as(&architecture, ruled, ruled, None, None), [FindingId::KlDominates]);
}

#[test]
fn sick_corruption_is_found() {
    use FindingId as Id;
    let denoising = Architecture { is_constrained: true, ..architecture() };
    let projection = projection();
    let good = |rows: &Matrix| rows.dot(&projection);
    let noisy = |noise| judged_as(&denoising, good, good, None, Some(noise));
    assert_eq!(noisy(1.0), []);
    assert_eq!(noisy(0.01), [Id::NoiseTooWeak]);
    let found =
        judged_as(&denoising, |rows| good(rows) * 0.3, |rows| good(rows) * 0.3, None, Some(20.0));
    assert!(found.contains(&Id::NoiseTooStrong), "{found:?}");
    let copy = |rows: &Matrix| rows * 0.98;
    let found = judged_as(&denoising, copy, copy, None, Some(1.0));
    assert!(found.contains(&Id::CorruptionLearnt), "{found:?}");
}

/// What is found in rows that come back so, the same for training and validation; shuffled columns
/// come back as 0.
fn reconstructed(
    architecture: &Architecture,
    shape: &SampleShape,
    [rows, outputs]: [&Matrix; 2],
    labels: Option<Labels<'_>>,
) -> Vec<Finding> {
    let mean = rows.mean_axis(ndarray::Axis(0)).unwrap().to_vec();
    let lost = rows * 0.0;
    let pair = Reconstructions { inputs: rows.view(), outputs: outputs.view() };
    let model = Reconstruction {
        architecture,
        recipe: &recipe(),
        shape,
        train_mean: &mean,
        n_train: rows.nrows(),
        train: pair,
        validation: pair,
        shuffled: Reconstructions { inputs: rows.view(), outputs: lost.view() },
        pca_error: None,
        variance_shares: &[],
        denoised: None,
        labels,
        drawn: None,
        stride: None,
    };
    after(Some(&model), None, None)
}

/// The class hides in a column of little variance, and the model keeps the others.
#[test]
fn detail_without_information_is_found() {
    let mut rng = Seed::new(4).rng();
    let classes: Vec<u32> = (0..200).map(|row| row % 2).collect();
    let rows = Matrix::from_shape_fn((200, 6), |(row, column)| {
        if column == 0 { (row % 2) as f32 * 0.5 } else { 4.0 * rng.random::<f32>() }
    });
    let mut kept = rows.clone();
    kept.column_mut(0).fill(0.25);
    let found = |outputs: &Matrix| {
        let labels = Some(Labels { classes: &classes, n_classes: 2 });
        let shape = SampleShape::Vector { len: 6 };
        ids(&reconstructed(&architecture(), &shape, [&rows, outputs], labels))
    };
    assert_eq!(found(&kept), [FindingId::IrrelevantDetail]);
    assert_eq!(found(&rows), []);
}

#[test]
fn blur_is_a_warning_unless_the_model_blurs_by_design() {
    let mut rng = Seed::new(5).rng();
    let rows =
        Matrix::from_shape_fn((60, 64), |(row, _)| (row % 7) as f32 + 4.0 * rng.random::<f32>());
    let smooth = Matrix::from_shape_fn((60, 64), |(row, _)| (row % 7) as f32 + 2.0);
    let found = |variant: Variant| {
        let architecture = Architecture { variant, ..architecture() };
        let shape = SampleShape::Image { channels: 1, height: 8, width: 8 };
        let found = reconstructed(&architecture, &shape, [&rows, &smooth], None).into_iter();
        found.filter(|f| f.id == FindingId::Blur).map(|f| f.severity).collect::<Vec<_>>()
    };
    assert_eq!(found(Variant::Plain), [Severity::Warning]);
    for by_design in [Variant::MaskedImage, Variant::Linear] {
        assert_eq!(found(by_design), [Severity::Note]);
    }
}

fn latent(values: &Matrix, is_scaled: bool) -> Vec<FindingId> {
    latent_of(Variant::Plain, values, is_scaled)
}

fn latent_of(variant: Variant, values: &Matrix, is_scaled: bool) -> Vec<FindingId> {
    let is_constrained = variant != Variant::Plain;
    let architecture = Architecture { variant, is_constrained, ..architecture() };
    let latent = Latent {
        architecture: &architecture,
        epochs: 20,
        values: values.view(),
        is_scaled,
        scale_sensitive: vec!["knn".into()],
    };
    ids(&after(None, Some(&latent), None))
}

#[test]
fn few_layers_forgive_an_initialiser() {
    let severity = |n_layers, init| {
        let settings = Settings { n_layers, init: Some(init), ..settings() };
        before(&settings, &healthy())[0].severity
    };
    assert_eq!(severity(8, Init::GlorotUniform), Severity::Note);
    assert_eq!(severity(16, Init::GlorotUniform), Severity::Warning);
    assert_eq!(severity(2, Init::Zeros), Severity::Warning);
}

#[test]
fn a_batch_that_grows_keeps_its_steps_or_lengthens_them() {
    let small = Settings { batch_size: 2, ..settings() };
    let findings = before(&small, &healthy());
    let lines = |cure: &Cure| {
        cure.changes.iter().map(|c| format!("{} = {}", c.key, c.value)).collect::<Vec<_>>()
    };
    let cures: Vec<Vec<String>> = findings[0].cures.iter().map(lines).collect();
    assert_eq!(cures[0], ["train.batch_size = 32", "train.epochs = 320"]);
    let rate = "train.optimizer.adam.learning_rate = 4e-3";
    assert_eq!(cures[1], ["train.batch_size = 32", rate]);
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
    let nothing = &values * 0.0;
    assert_eq!(latent(&nothing, true), [Id::DeadLatents]);

    let k_sparse = Variant::KSparse { k: 2, anneal_epochs: 0 };
    assert_eq!(latent_of(k_sparse.clone(), &values, true), []);
    let mut mostly_dead = nothing.clone();
    mostly_dead.column_mut(2).assign(&values.column(2));
    assert_eq!(latent_of(k_sparse, &mostly_dead, true), [Id::KSparseDeadUnits]);
    let winners = |n_maps| Variant::WinnerTakeAll { n_maps };
    assert_eq!(latent_of(winners(None), &mostly_dead, true), [Id::DeadFilters]);
    // One living place keeps a whole map of six alive.
    assert_eq!(latent_of(winners(Some(1)), &mostly_dead, true), []);
    let variational = Variant::Variational { beta: 1.0, warm_up: 0.5, output_std: None };
    assert_eq!(latent_of(variational.clone(), &(&values * 2.0), true), []);
    assert_eq!(latent_of(variational, &(&values * 0.01), true), [Id::PosteriorCollapse]);
}

#[test]
fn results_say_no_gain_or_too_little() {
    let results = |repeats, difference, interval, is_significant| {
        let score =
            Score { feature_set: "autoencoder".into(), difference, interval, is_significant };
        ids(&after(None, None, Some(&Results { repeats, against_raw: vec![score], ..nothing() })))
    };
    assert_eq!(results(5, 0.03, Some([0.02, 0.04]), true), []);
    assert_eq!(results(5, -0.03, Some([-0.04, -0.02]), true), [FindingId::NoGain]);
    assert_eq!(results(5, 0.001, Some([-0.004, 0.006]), false), [FindingId::NoGain]);
    assert_eq!(results(1, 0.02, None, false), [FindingId::TooFewRepeats]);
    assert_eq!(results(5, 0.02, Some([-0.01, 0.05]), false), []);
}

/// Results without anything to be said.
fn nothing() -> Results {
    Results {
        repeats: 5,
        against_raw: Vec::new(),
        against_rivals: Vec::new(),
        unconverged: Vec::new(),
        regularisation: None,
        models: serde_json::json!([{ "logistic_regression": { "c": 1e6, "max_iterations": 20 } }]),
        architecture: architecture(),
    }
}

#[test]
fn results_say_what_was_not_fitted_well() {
    use FindingId as Id;
    let found = |results: &Results| after(None, None, Some(results));
    assert_eq!(found(&nothing()), []);
    let (model, feature_set) = ("logistic_regression".to_owned(), "raw".to_owned());
    let unconverged = vec![Unconverged { model: model.clone(), feature_set }];
    let findings = found(&Results { unconverged, ..nothing() });
    assert_eq!(ids(&findings), [Id::DownstreamNotConverged]);
    let value = &findings[0].cures[0].changes[0].value;
    assert!(value.contains("max_iterations = 200"), "{value}");
    let regularisation = |validation_accuracy| Regularisation {
        model: model.clone(),
        c: 1e6,
        train_accuracy: 1.0,
        validation_accuracy,
        chosen_accuracy: 0.95,
    };
    let with =
        |accuracy| found(&Results { regularisation: Some(regularisation(accuracy)), ..nothing() });
    assert_eq!(with(0.95), []);
    let findings = with(0.85);
    assert_eq!(ids(&findings), [Id::UnderRegularised]);
    let value = &findings[0].cures[0].changes[0].value;
    assert_eq!(value, "[{ logistic_regression = { max_iterations = 20 } }]");
    let rival = |name: &str, high: f64| Score {
        feature_set: name.into(),
        difference: high - 0.02,
        interval: Some([high - 0.04, high]),
        is_significant: high < 0.0,
    };
    let narrow = Architecture { hidden_dims: vec![2, 40], ..architecture() };
    let against_rivals = vec![rival("pca", -0.005)];
    let findings = found(&Results { against_rivals, architecture: narrow, ..nothing() });
    let values = findings[0].cures.iter().map(|cure| cure.changes[0].value.as_str());
    assert_eq!(values.take(2).collect::<Vec<_>>(), ["[]", "[12, 40]"]);
    let against = |score| ids(&found(&Results { against_rivals: vec![score], ..nothing() }));
    assert_eq!(against(rival("pca", 0.005)), []);
    assert_eq!(against(rival("pca", -0.005)), [Id::NoBetterThanPca]);
    assert_eq!(against(rival("random_encoder", -0.005)), [Id::NoBetterThanRandom]);
}
