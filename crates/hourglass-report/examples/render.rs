//! Renders a layout sample: a report with every section, made of **invented numbers**, to look at
//! while the page is changed. It says nothing about any model.
//!
//! `cargo run --release -p hourglass-report --example render -- FOLDER`

use std::collections::BTreeMap;
use std::path::PathBuf;

use hourglass_core::{Partition, SampleShape};
use hourglass_report::{
    ClassRow, Comparison, Confusion, DataFile, DataSummary, EpochRow, FixedSample, LatentMap, Mark,
    Metric, ModelSummary, Reconstruction, ReconstructionError, Report, ResultRow, SCHEMA_VERSION,
    StageTiming, Timings, TrainingRun, rounded, to_html, to_markdown, verdict,
};

const SIDE: usize = 28;
const REPEATS: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: render FOLDER")?;
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder)?;
    let (report, timings) = (sample(), timings());
    std::fs::write(folder.join("report.json"), report.to_json()?)?;
    std::fs::write(folder.join("report.md"), to_markdown(&report, Some(&timings)))?;
    std::fs::write(folder.join("report.html"), to_html(&report, Some(&timings))?)?;
    Ok(())
}

fn sample() -> Report {
    let metric = Metric::accuracy();
    let results = results();
    Report {
        schema_version: SCHEMA_VERSION,
        name: "Layout sample".into(),
        seed: 42,
        repeats: REPEATS,
        folds: 1,
        repeat_seeds: vec![9_871_236_541_236_547_891, 1_236_547_891_236_547, 77_123_654_789],
        verdict: verdict(&results, &metric, "logistic_regression"),
        data: data(),
        model: ModelSummary {
            kind: "k_sparse".into(),
            description: "784-1000-784, ReLU, 25 units active, tied weights".into(),
            n_parameters: 785_784,
            latent_dim: 1000,
            feature_width: 1000,
            optimiser: "AdamW, learning rate 0.001 halved on plateaus, batches of 128, squared \
                        error"
                .into(),
        },
        metric,
        method: vec![
            "Every number of this page is invented: it shows the layout, not a result.".into(),
            "Everything is fitted on the training part, chosen on validation, and the test part \
             is read once for each fit."
                .into(),
            "Intervals are bootstrap intervals over test rows and repeats; the test is paired and \
             corrected after Holm over all comparisons."
                .into(),
        ],
        results,
        main_model: "logistic_regression".into(),
        label_fractions: vec![1.0],
        curves: Vec::new(),
        predictions: Vec::new(),
        per_class: per_class(),
        confusion: ["raw", "autoencoder"].map(confusion).into(),
        training: (0..REPEATS).map(training).collect(),
        reconstruction: Some(reconstruction()),
        latent_map: Some(latent_map()),
        resolved_file: "name = \"layout-sample\"\nseed = 42\nrepeats = 3\n\n[data.mnist]\n\n\
                        [model.k_sparse]\nhidden = [1000]\nk = 25\n"
            .into(),
        versions: BTreeMap::from([
            ("hourglass".into(), "0.1.0".into()),
            ("candle-core".into(), "0.11.1".into()),
        ]),
        diagnosis: None,
    }
}

fn data() -> DataSummary {
    DataSummary {
        task: hourglass_core::Task::Classification,
        dataset: "Invented digits".into(),
        sentence: "No data were read: the rows of this page are drawn by a formula, scaled to 0 \
                   to 1 and cut as MNIST is."
            .into(),
        fallback: Some("Layout sample: every number and picture on this page is invented.".into()),
        rows: Partition { n_train: 54_000, n_validation: 6_000, n_test: 10_000 },
        n_features: SIDE * SIDE,
        classes: (0..10).map(|digit| digit.to_string()).collect(),
        licence: Some("CC BY-SA 3.0".into()),
        citation: Some(
            "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to \
             document recognition, Proceedings of the IEEE, 1998"
                .into(),
        ),
        files: ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]
            .map(|name| DataFile {
                name: name.into(),
                sha256: "0123456789abcdef".repeat(4),
                bytes: 47_040_016,
            })
            .into(),
    }
}

fn results() -> Vec<ResultRow> {
    let models = ["logistic_regression", "linear_svm", "knn"];
    let sets: [(&str, usize, [f64; 3]); 5] = [
        ("raw", 784, [7.42, 8.31, 2.95]),
        ("pca", 1000, [7.49, 8.28, 2.95]),
        ("random_encoder", 1000, [6.12, 6.55, 5.40]),
        ("autoencoder", 1000, [1.71, 1.62, 2.88]),
        ("raw+autoencoder", 1784, [1.74, 1.66, 2.61]),
    ];
    let mut rows = Vec::new();
    for (set, n_features, errors) in sets {
        for (i, model) in models.into_iter().enumerate() {
            let (raw, error) = (sets[0].2[i], errors[i]);
            rows.push(row((set, n_features), model, error, (set != "raw").then_some(raw - error)));
        }
    }
    rows.push(row(("raw", 784), "majority_class", 88.65, None));
    rows
}

fn row((set, n_features): (&str, usize), model: &str, error: f64, gain: Option<f64>) -> ResultRow {
    let score = 1.0 - error / 100.0;
    let against_raw = gain.map(|gain| {
        let (low, high) = (gain - 0.33, gain + 0.35);
        let mark = match (low > 0.0, high < 0.0) {
            (true, _) => Mark::Better,
            (_, true) => Mark::Worse,
            _ => Mark::Same,
        };
        let p = if mark == Mark::Same { 0.42 } else { 0.000_2 };
        Comparison {
            difference: gain / 100.0,
            ci_low: Some(low / 100.0),
            ci_high: Some(high / 100.0),
            p_value: Some(p),
            p_holm: Some(p),
            mark,
            effect: None,
            practice: None,
        }
    });
    let chosen = match model {
        "knn" | "majority_class" => BTreeMap::new(),
        _ => BTreeMap::from([("c".to_string(), 0.1)]),
    };
    ResultRow {
        label_fraction: 1.0,
        n_labels: 60_000,
        size: 10.0 * (n_features as f64 + 1.0),
        metrics: BTreeMap::new(),
        feature_set: set.into(),
        model: model.into(),
        n_features,
        scores: vec![score - 0.000_6, score, score + 0.000_6],
        mean: score,
        ci_low: Some(score - 0.002_4),
        ci_high: Some(score + 0.002_3),
        n: REPEATS,
        chosen: vec![chosen; REPEATS],
        against_raw,
    }
}

fn per_class() -> Vec<ClassRow> {
    let mut rows = Vec::new();
    for (set, loss) in [("raw", 0.074), ("autoencoder", 0.017)] {
        for class in 0..10_usize {
            let (precision, recall) =
                (1.0 - loss * (0.5 + wave(class)), 1.0 - loss * (1.5 - wave(class)));
            rows.push(ClassRow {
                feature_set: set.into(),
                model: "logistic_regression".into(),
                class: class.to_string(),
                precision,
                recall,
                f1: 2.0 * precision * recall / (precision + recall),
                support: 980 + 17 * class,
            });
        }
    }
    rows
}

fn confusion(set: &str) -> Confusion {
    let scale = if set == "raw" { 90.0 } else { 20.0 };
    let count = |truth: usize, taken: usize| match truth == taken {
        true => 2_900 + 31 * truth as u64,
        false => (scale * wave(truth * 10 + taken).powi(4)) as u64,
    };
    Confusion {
        feature_set: set.into(),
        model: "logistic_regression".into(),
        counts: (0..10).map(|truth| (0..10).map(|taken| count(truth, taken)).collect()).collect(),
    }
}

fn training(repeat: usize) -> TrainingRun {
    let epochs = (1..=30).map(|epoch| {
        let age = epoch as f64;
        let floor = 0.0061 + 0.0001 * repeat as f64;
        let loss = floor + 0.06 * (-age / 3.0).exp() + 0.0004 * wave(epoch + 31 * repeat);
        EpochRow {
            epoch,
            train_loss: loss * 0.97,
            validation_loss: Some(loss + 0.000_002 * age * age),
            learning_rate: 0.001 * 0.5_f64.powi(epoch as i32 / 10),
            reconstruction_error: Some(loss * 784.0),
        }
    });
    TrainingRun {
        repeat,
        best_epoch: 24 + repeat,
        stopped_because: "all 30 epochs done".into(),
        epochs: epochs.collect(),
    }
}

fn reconstruction() -> Reconstruction {
    let error = |name: &str, train: f64| ReconstructionError {
        name: name.into(),
        train: Some(train),
        validation: Some(train * 1.01),
        test: Some(train * 0.99),
    };
    let epochs = vec![1, 2, 5, 10, 20, 30];
    let samples = |offset: usize| {
        (0..8).map(|i| fixed_sample((i + offset) % 10, &epochs)).collect::<Vec<_>>()
    };
    Reconstruction {
        shape: SampleShape::Image { channels: 1, height: SIDE, width: SIDE },
        value_range: [0.0, 1.0],
        errors: vec![
            error("mean of the training part", 52.73),
            error("pca (25)", 16.08),
            error("autoencoder", 4.92),
        ],
        losses: Vec::new(),
        train: samples(0),
        validation: samples(3),
        epochs,
    }
}

/// A ring or a bar, blurred less and less.
fn fixed_sample(class: usize, epochs: &[usize]) -> FixedSample {
    let picture = |blur: f32| {
        let pixel = |i: usize| {
            let (x, y) = ((i % SIDE) as f32 - 13.5, (i / SIDE) as f32 - 13.5);
            let radius = (x * x / (0.5 + 0.06 * class as f32) + y * y).sqrt();
            let distance = (radius - 8.0).abs().min((x + y * 0.3 * wave(class) as f32).abs());
            (1.4 - distance / (1.2 + blur)).clamp(0.0, 1.0)
        };
        rounded(&(0..SIDE * SIDE).map(pixel).collect::<Vec<_>>())
    };
    FixedSample {
        label: Some(class.to_string()),
        original: picture(0.0),
        reconstructions: epochs.iter().map(|&epoch| picture(6.0 / epoch as f32)).collect(),
    }
}

fn latent_map() -> LatentMap {
    let point = |i: usize| {
        let class = (i % 10) as f64;
        let (centre, spread) = (class * 0.63, 0.4 + wave(i));
        let turn = i as f64 * 2.4;
        let x = 4.0 * centre.cos() + spread * turn.cos();
        let y = 3.0 * (centre * 1.7).sin() + spread * turn.sin();
        [(x * 1000.0).round() as f32 / 1000.0, (y * 1000.0).round() as f32 / 1000.0]
    };
    LatentMap {
        method: "first two principal components of the latent of test rows".into(),
        points: (0..2000).map(point).collect(),
        classes: (0..2000).map(|i| (i % 10) as u32).collect(),
        explained_variance: Some([0.112, 0.087]),
    }
}

fn timings() -> Timings {
    let stages = ["preprocess", "train", "extract", "downstream"];
    let mut all = vec![stage(None, "data", 0.4, false)];
    for repeat in 0..REPEATS {
        for (name, seconds) in stages.into_iter().zip([0.9, 61.3, 3.2, 22.8]) {
            all.push(stage(Some(repeat), name, seconds, repeat == 0 && name == "preprocess"));
        }
    }
    Timings {
        schema_version: SCHEMA_VERSION,
        started: "2026-01-01T00:00:00Z".into(),
        finished: "2026-01-01T00:04:25Z".into(),
        total_seconds: 265.0,
        peak_memory_mib: Some(1043.0),
        threads: 2,
        machine: "an invented machine".into(),
        stages: all,
        downstream: Vec::new(),
    }
}

fn stage(repeat: Option<usize>, stage: &str, seconds: f64, from_cache: bool) -> StageTiming {
    StageTiming { repeat, stage: stage.into(), seconds, from_cache }
}

/// Something between 0 and 1 that looks irregular.
fn wave(i: usize) -> f64 {
    (0.5 + 0.5 * (i as f64 * 12.989_8).sin() * (i as f64 * 78.233).cos()).clamp(0.0, 1.0)
}
