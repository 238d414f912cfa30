//! The works that are measured: the one list that the runner, the page and the help read.
//!
//! What a work does is in `tests/peers`: `main.rs` does ours, the scripts do theirs.

/// Whether a higher or a lower figure is better.
#[derive(Clone, Copy, PartialEq)]
pub enum Better {
    Higher,
    Lower,
}

/// Who is measured against.
pub struct Peer {
    /// What the table calls it.
    pub name: &'static str,
    /// Script in `tests/peers`.
    pub script: &'static str,
    /// Its arguments, before the folder.
    pub args: &'static [&'static str],
}

/// One line of the table.
pub struct Work {
    pub name: &'static str,
    /// What is done, for the page.
    pub about: &'static str,
    pub unit: &'static str,
    pub better: Better,
    pub peer: Option<Peer>,
    /// A first round that isn't counted.
    pub warm_up: bool,
    /// Rounds that are counted, where nothing else is asked for.
    pub rounds: usize,
    /// How far the two losses may be apart, relative to the peer's; where both report one.
    pub tolerance: f64,
    /// The ratio to reach at least, and the one to go for; of a work without a peer, the figure.
    pub goals: [f64; 2],
}

const fn torch(args: &'static [&'static str]) -> Option<Peer> {
    Some(Peer { name: "PyTorch eager", script: "steps.py", args })
}

const fn step(
    name: &'static str,
    about: &'static str,
    peer: Option<Peer>,
    goals: [f64; 2],
) -> Work {
    Work {
        name,
        about,
        unit: "samples/s",
        better: Better::Higher,
        peer,
        warm_up: true,
        rounds: 3,
        // Same weights and batches: what differs is the rounding, which a hundred steps magnify.
        tolerance: 0.02,
        goals,
    }
}

/// All works, in the order of the table.
pub const WORKS: &[Work] = &[
    step(
        "step-small",
        "training step, 784-256-64-256-784, ReLU, batch 256, AdamW",
        torch(&["small"]),
        [1.1, 1.5],
    ),
    step(
        "step-large",
        "training step, 784-1024-256-1024-784, ReLU, batch 256, AdamW",
        torch(&["large"]),
        [1.1, 1.5],
    ),
    step(
        "step-large-fused",
        "the large step against PyTorch with `AdamW(fused=True)`",
        Some(Peer {
            name: "PyTorch, fused AdamW",
            script: "steps.py",
            args: &["large", "--fused"],
        }),
        [1.0, 1.2],
    ),
    step(
        "step-large-compiled",
        "the large step against `torch.compile`",
        Some(Peer { name: "torch.compile", script: "steps.py", args: &["large", "--compile"] }),
        [1.0, 1.2],
    ),
    step(
        "step-k-sparse",
        "training step, k-sparse 784-1000-784, k = 25, batch 256, AdamW",
        torch(&["k-sparse"]),
        [1.3, 2.0],
    ),
    step(
        "step-conv",
        "training step, convolutional 1-32-64, kernel 3, stride 2, latent 64, transposed back, batch 128, AdamW",
        torch(&["conv"]),
        [0.9, 1.2],
    ),
    Work {
        name: "encode",
        about: "60,000 x 784 through the encoder 784-256-64",
        unit: "samples/s",
        better: Better::Higher,
        peer: Some(Peer { name: "PyTorch eager", script: "encode.py", args: &["torch"] }),
        warm_up: true,
        rounds: 3,
        tolerance: 1e-4,
        goals: [1.2, 2.0],
    },
    Work {
        name: "encode-onnx",
        about: "the same against ONNX Runtime",
        unit: "samples/s",
        better: Better::Higher,
        peer: Some(Peer { name: "ONNX Runtime", script: "encode.py", args: &["onnx"] }),
        warm_up: true,
        rounds: 3,
        tolerance: 1e-4,
        goals: [1.0, 1.3],
    },
    Work {
        name: "logistic",
        about: "logistic regression, 60,000 x 1,000, 10 classes, C = 1/60",
        unit: "s",
        better: Better::Lower,
        peer: Some(Peer { name: "scikit-learn lbfgs", script: "logistic.py", args: &[] }),
        warm_up: false,
        rounds: 3,
        tolerance: 1e-3,
        goals: [2.0, 5.0],
    },
    Work {
        name: "adult",
        about: "Adult: read, impute, encode, scale, split",
        unit: "s",
        better: Better::Lower,
        peer: Some(Peer { name: "pandas + ColumnTransformer", script: "adult.py", args: &[] }),
        warm_up: true,
        rounds: 3,
        // Values of the prepared parts: another split may lack a level that one person has.
        tolerance: 0.02,
        goals: [3.0, 8.0],
    },
    Work {
        name: "mnist",
        about: "the whole of pipelines/mnist.toml, one repeat (the peer is spared linear SVMs and the search for C)",
        unit: "s",
        better: Better::Lower,
        peer: Some(Peer { name: "PyTorch + scikit-learn", script: "mnist.py", args: &[] }),
        warm_up: false,
        rounds: 1,
        // Two trainings from other random numbers: mean validation loss of the autoencoder.
        tolerance: 0.1,
        goals: [1.5, 3.0],
    },
    Work {
        name: "matmul",
        about: "square product of 2048, the machine's rate",
        unit: "GFLOP/s",
        better: Better::Higher,
        peer: Some(Peer { name: "PyTorch eager", script: "matmul.py", args: &[] }),
        warm_up: true,
        rounds: 3,
        tolerance: 1e-4,
        goals: [1.0, 1.0],
    },
    Work {
        name: "share",
        about: "share of our matmul rate that the large step reaches, both measured in turn",
        unit: "share",
        better: Better::Higher,
        peer: None,
        warm_up: true,
        rounds: 3,
        tolerance: 0.0,
        goals: [0.65, 0.8],
    },
    Work {
        name: "growth",
        about: "preprocess, train an epoch, extract: time of ten times the rows",
        unit: "times",
        better: Better::Lower,
        peer: None,
        warm_up: true,
        rounds: 3,
        tolerance: 0.0,
        goals: [10.5, 10.5],
    },
    Work {
        name: "stream",
        about: "10 million x 30 in Parquet, preprocessed, trained an epoch, extracted batch by batch: peak memory",
        unit: "MiB",
        better: Better::Lower,
        peer: None,
        warm_up: false,
        rounds: 1,
        tolerance: 0.0,
        goals: [4096.0, 2048.0],
    },
    Work {
        name: "trials",
        about: "two small trainings at once on a thread each, against one after the other on two",
        unit: "times",
        better: Better::Higher,
        peer: None,
        warm_up: true,
        rounds: 3,
        tolerance: 0.0,
        goals: [1.0, 1.2],
    },
    Work {
        name: "check",
        about: "`hourglass pipeline check pipelines/mnist.toml`, the whole process",
        unit: "ms",
        better: Better::Lower,
        peer: None,
        warm_up: true,
        rounds: 3,
        tolerance: 0.0,
        goals: [50.0, 15.0],
    },
];
