//! Curves, layers and parts of the loss made up for one finding each, and healthy ones beside them.

use super::*;
use crate::Variant;

fn training(losses: &[(f64, f64)]) -> Training {
    let epochs = losses.iter().map(|&(train_loss, validation_loss)| Epoch {
        train_loss,
        validation_loss,
        learning_rate: 1e-3,
        gradient_norm: 1.0,
        ..Epoch::default()
    });
    Training {
        epochs: epochs.collect(),
        optimizer: "adam".into(),
        stops_early: false,
        not_finite: None,
        n_epochs: losses.len(),
        architecture: Architecture { key: "model.undercomplete".into(), ..Default::default() },
    }
}

fn ids(training: &Training) -> Vec<FindingId> {
    during(training).iter().map(|finding| finding.id).collect()
}

fn curve(n: u32, loss: impl Fn(f64) -> (f64, f64)) -> Training {
    training(&(0..n).map(|i| loss(f64::from(i))).collect::<Vec<_>>())
}

#[test]
fn curves_and_what_they_say() {
    let healthy = |i: f64| 0.02 + 0.1 * (-i / 4.0).exp();
    let table: [(&str, Training, &[FindingId]); 6] = [
        ("healthy", curve(30, |i| (healthy(i), healthy(i) + 0.001)), &[]),
        (
            "steady fall",
            curve(30, |i| (0.1 * 0.97_f64.powf(i), 0.1 * 0.97_f64.powf(i))),
            &[FindingId::LearningRateTooLow],
        ),
        (
            "up and down",
            curve(30, |i| (0.1 + 0.05 * (i * 2.0).sin(), 0.1)),
            &[FindingId::LearningRateTooHigh],
        ),
        (
            "idle",
            curve(40, |i| (healthy(i.min(12.0)), healthy(i.min(12.0)))),
            &[FindingId::Plateau],
        ),
        (
            "overfits",
            curve(12, |i| (0.1 / (i + 1.0), 0.05 + 0.02 * (i - 4.0).abs())),
            &[FindingId::Overfitting],
        ),
        ("too short to say", curve(4, |i| (0.1 + i, 0.1 + i)), &[]),
    ];
    for (name, training, expected) in table {
        assert_eq!(ids(&training), expected, "{name}");
    }
}

#[test]
fn what_is_not_a_number_is_said_with_its_epoch_and_its_place() {
    let broken = curve(6, |i| (if i > 2.0 { f64::NAN } else { 0.1 }, 0.1));
    let findings = during(&broken);
    assert_eq!(ids(&broken)[0], FindingId::NonFiniteLoss);
    assert!(findings[0].sentence.ends_with("in epoch 4"), "{}", findings[0].sentence);
    assert_eq!(findings[0].cures[0].changes[0].value, "1e-4");
    let mut cut = curve(2, |_| (0.1, 0.1));
    let place = Some("the parameter `encoder.0.weight`".to_owned());
    cut.not_finite = Some(NotFinite { epoch: 3, place });
    let sentence = &during(&cut)[0].sentence;
    assert!(sentence.contains("in epoch 3") && sentence.contains("encoder.0.weight"));
}

#[test]
fn a_rate_that_is_far_off_is_left_at_once() {
    let rates = |training: &Training| -> Vec<Vec<String>> {
        let cures = &during(training)[0].cures;
        cures.iter().map(|c| c.changes.iter().map(|c| c.value.clone()).collect()).collect()
    };
    let mut broken = curve(2, |_| (f64::NAN, 0.1));
    broken.optimizer = "sgd".into();
    broken.epochs.iter_mut().for_each(|epoch| epoch.learning_rate = 100.0);
    assert_eq!(rates(&broken)[..2], [["1e-2"], ["1e1"]]);
    // It went back and on at a tenth, so that is known to do.
    let mut went_on = curve(6, |_| (0.1, 0.1));
    went_on.optimizer = "sgd".into();
    went_on.epochs.iter_mut().for_each(|epoch| epoch.learning_rate = 0.1);
    went_on.not_finite = Some(NotFinite { epoch: 1, place: None });
    assert_eq!(rates(&went_on)[..2], [["3e-1"], ["1e-1"]]);
}

#[test]
fn a_gradient_that_jumps_explodes() {
    let mut jumps = curve(6, |i| (0.1 / (i + 1.0).powi(2), 0.1 / (i + 1.0).powi(2)));
    jumps.epochs[4].gradient_norm = 5_000.0;
    assert!(ids(&jumps).contains(&FindingId::ExplodingGradients));
}

fn with(variant: Variant, change: impl Fn(&mut Epoch)) -> Training {
    let mut training = curve(6, |i| (0.1 / (i + 1.0), 0.02 + 0.002 / (i + 1.0)));
    training.architecture.variant = variant;
    training.architecture.latent_dim = 4;
    training.epochs.iter_mut().for_each(change);
    training
}

fn layer(name: &str, always_zero_share: f64, saturated_share: Option<f64>) -> Layer {
    let (n_units, zero_share) = (10, 0.8_f64.max(always_zero_share));
    let (mean, spread) = (0.3, 0.3);
    Layer {
        name: name.into(),
        n_units,
        mean,
        spread,
        zero_share,
        always_zero_share,
        saturated_share,
    }
}

fn parameter(name: &str, gradient_norm: f64) -> Parameter {
    Parameter { name: name.into(), weight_norm: 1.0, gradient_norm }
}

#[test]
fn layers_and_parameters_and_what_they_say() {
    let layers = |first, latent| {
        with(Variant::Plain, move |e| {
            e.layers = vec![layer("encoder.0", first, None), layer("encoder.1", latent, None)]
        })
    };
    assert_eq!(ids(&layers(0.1, 0.1)), []);
    assert_eq!(ids(&layers(0.95, 0.1)), [FindingId::DyingRelus]);
    let sparse = Variant::KSparse { k: 2, anneal_epochs: 0 };
    let by_design = with(sparse, |e| e.layers = vec![layer("encoder.0", 0.95, None)]);
    assert_eq!(ids(&by_design), []);
    let saturated = |share| {
        with(Variant::Plain, move |e| e.layers = vec![layer("encoder.0", 0.0, Some(share))])
    };
    assert_eq!(ids(&saturated(0.05)), []);
    assert_eq!(ids(&saturated(0.9)), [FindingId::SaturatedUnits]);

    let gradients = |first| {
        with(Variant::Plain, move |e| {
            e.parameters = [first, 0.1, 0.2, 1.0].map(|norm| parameter("a.weight", norm)).to_vec();
        })
    };
    assert_eq!(ids(&gradients(0.5)), []);
    assert_eq!(ids(&gradients(1e-9)), [FindingId::VanishingGradients]);
    assert_eq!(ids(&gradients(0.0)), [FindingId::NoGradient]);
    // A dead layer passes nothing back; weights that are 0 make one, and aren't its doing.
    let dead = |weight_norm| {
        with(Variant::Plain, move |e| {
            e.layers = vec![layer("encoder.0", 1.0, None)];
            e.parameters = vec![Parameter { weight_norm, ..parameter("a.weight", 0.0) }];
        })
    };
    assert_eq!(ids(&dead(1.0)), [FindingId::DyingRelus]);
    assert_eq!(ids(&dead(0.0)), [FindingId::NoGradient]);
    let embedded = with(Variant::Plain, |e| {
        e.parameters = [0.5, 0.1, 0.2, 1.0].map(|norm| parameter("a.weight", norm)).to_vec();
        e.parameters.insert(0, parameter("encoder.embedding.1.weight", 1e-9));
    });
    assert_eq!(ids(&embedded), []);
}

#[test]
fn dying_is_dated() {
    let mut training = with(Variant::Plain, |e| e.layers = vec![layer("encoder.0", 0.95, None)]);
    training.epochs[0].layers[0].always_zero_share = 0.0;
    training.epochs[1].layers[0].always_zero_share = 0.1;
    let sentence = &during(&training)[0].sentence;
    assert!(sentence.ends_with("since epoch 3"), "{sentence}");
}

#[test]
fn prices_and_what_they_say() {
    let parts = |name: &'static str, price: f64| {
        move |e: &mut Epoch| {
            e.validation_parts =
                BTreeMap::from([("reconstruction".into(), 1.0), (name.into(), price)]);
        }
    };
    let contractive =
        |price| with(Variant::Contractive { weight: 0.1 }, parts("contraction", price));
    assert_eq!(ids(&contractive(0.2)), []);
    assert_eq!(ids(&contractive(1e-7)), [FindingId::ContractionTooWeak]);

    let sparse = |always: f64, zero: f64| {
        with(Variant::Sparse { weight: 0.1, target: None }, move |e| {
            e.layers = vec![Layer { zero_share: zero, ..layer("encoder.0", always, None) }];
        })
    };
    assert_eq!(ids(&sparse(0.05, 0.9)), []);
    assert_eq!(ids(&sparse(0.95, 0.99)), [FindingId::SparsityTooStrong]);
    assert_eq!(ids(&sparse(0.0, 0.1)), [FindingId::SparsityTooWeak]);
    // How much has to be asked for is not known beforehand.
    let weights = |price: f64| -> Vec<String> {
        let mut dense = with(Variant::Sparse { weight: 0.1, target: None }, |e| {
            e.layers = vec![Layer { zero_share: 0.1, ..layer("encoder.0", 0.0, None) }];
        });
        dense.epochs.iter_mut().for_each(parts("penalty", price));
        let cures = during(&dense)[0].cures.clone();
        cures.into_iter().map(|cure| cure.changes[0].value.clone()).collect()
    };
    assert_eq!(weights(0.01), ["1e0", "1e1", "1e2", "1e3"]);
    assert_eq!(weights(0.2), ["5e-1", "5e0", "5e1"]);
    let kl = |mean: f64, spread: f64| {
        with(Variant::Sparse { weight: 0.1, target: Some(0.05) }, move |e| {
            e.layers = vec![Layer { mean, spread, ..layer("encoder.0", 0.0, None) }];
        })
    };
    assert_eq!(ids(&kl(0.05, 0.1)), []);
    assert_eq!(ids(&kl(0.5, 0.2)), [FindingId::SparsityTooWeak]);

    let codes = |share: f64| {
        with(Variant::VectorQuantised { n_codes: 4 }, move |e| {
            e.facts = BTreeMap::from([(
                "code_shares".into(),
                vec![1.0 - 3.0 * share, share, share, share],
            )]);
        })
    };
    assert_eq!(ids(&codes(0.2)), []);
    assert_eq!(ids(&codes(0.0)), [FindingId::DeadCodes]);
}

#[test]
fn latents_that_are_distributions_and_what_they_say() {
    let nats = |warm_up: f64, nats: [f64; 4]| {
        with(Variant::Variational { beta: 1.0, warm_up, output_std: None }, move |e| {
            e.latent.kl_per_dimension = Some(nats.to_vec());
        })
    };
    assert_eq!(ids(&nats(0.5, [1.0, 2.0, 0.5, 0.3])), []);
    assert_eq!(ids(&nats(0.5, [0.0; 4])), [FindingId::PosteriorCollapse]);
    let mut silenced = nats(0.0, [1.0, 0.0, 0.5, 0.0]);
    silenced.epochs[0].latent.kl_per_dimension = Some(vec![1.0; 4]);
    assert_eq!(ids(&silenced), [FindingId::WarmUpTooShort]);
    let mut exploded = nats(0.5, [1.0; 4]);
    exploded.epochs.iter_mut().for_each(|epoch| {
        epoch.facts = BTreeMap::from([("variance_by_dimension".into(), vec![1.0, 2e4])]);
    });
    assert_eq!(ids(&exploded), [FindingId::ExplodingVariance]);
    assert_eq!(ids(&nats(0.5, [1.0, 2.0, 900.0, 0.3])), [FindingId::ExplodingVariance]);
}

#[test]
fn training_that_ends_early_is_said() {
    assert_eq!(ids(&curve(3, |i| (0.1 / (i + 1.0), 0.1 / (i + 1.0)))), [FindingId::Undertrained]);
    let mut broken_off = curve(3, |i| (0.1 / (i + 1.0), 0.1 / (i + 1.0)));
    broken_off.n_epochs = 30;
    assert_eq!(ids(&broken_off), []);
}

#[test]
fn a_line_of_telemetry_is_an_epoch() {
    let line = r#"{"epoch":1,"train_loss":null,"validation_loss":0.5,"learning_rate":0.1,
        "gradient_norm":1.0,"layers":[{"name":"encoder.0","n_units":2,"mean":0.0,"spread":1.0,
        "zero_share":0.5,"always_zero_share":0.5,"saturated_share":null}],
        "latent":{"spectrum":[],"effective_rank":1.0,"kl_per_dimension":[0.25]}}"#;
    let epoch: Epoch = serde_json::from_str(line).unwrap();
    assert!(epoch.train_loss.is_nan() && epoch.layers[0].always_zero_share == 0.5);
    assert_eq!(epoch.latent.kl_per_dimension, Some(vec![0.25]));
}

#[test]
fn a_loss_may_rise_while_what_is_asked_does() {
    let mut rises = curve(20, |i| (0.1 + 0.01 * i.min(10.0), 0.3 - 0.01 * i));
    assert!(ids(&rises).contains(&FindingId::LearningRateTooHigh));
    rises.architecture.variant = Variant::Variational { beta: 1.0, warm_up: 0.5, output_std: None };
    assert!(!ids(&rises).contains(&FindingId::LearningRateTooHigh));
    rises.architecture.variant = Variant::KSparse { k: 2, anneal_epochs: 10 };
    assert!(!ids(&rises).contains(&FindingId::LearningRateTooHigh));
}
