//! Every member against PyTorch, and every member resumed.

use super::*;

/// `w` after 1, 10, 50 and 100 steps on a quadratic bowl that is shaken, so that gradients change
/// their signs.
fn descend(
    optimizer: &mut Optimizer,
    w: &Parameter,
    steps: std::ops::RangeInclusive<u64>,
) -> Trace {
    let mut trace = Vec::new();
    for step in steps {
        let values = w.values().unwrap();
        {
            let mut gradient = w.lock();
            for (i, scale) in [3.0, 1.0, 0.3, 0.1, 2.0].into_iter().enumerate() {
                let shake = (0.7 * step as f64 + i as f64).cos();
                gradient.values[i] = (scale * f64::from(values[i]) + shake) as f32;
            }
            gradient.is_set = true;
        }
        let rate = optimizer.rule.learning_rate();
        optimizer.step(rate).unwrap();
        if [1, 10, 50, 100].contains(&step) {
            trace.push(w.values().unwrap());
        }
    }
    trace
}

type Trace = Vec<Vec<f32>>;

fn start(config: OptimizerConfig) -> (Optimizer, Parameter) {
    let w = Parameter::new("w", vec![1.0, -2.0, 3.0, -0.5, 4.0], &[5], true).unwrap();
    (Optimizer::new(config, vec![w.clone()]), w)
}

#[test]
#[rustfmt::skip]
fn trajectories_agree_with_pytorch() {
    // import math, torch; torch.set_default_dtype(torch.float64); T = torch.optim
    // a = torch.tensor([3.0, 1.0, 0.3, 0.1, 2.0])
    // class Lion(T.Optimizer):  # not in PyTorch 2.15: program 1 of the paper
    //     def __init__(s, p): super().__init__(p, {}); s.m = torch.zeros(5)
    //     def step(s):
    //         for p in s.param_groups[0]['params']:
    //             u = torch.sign(0.9 * s.m + 0.1 * p.grad)
    //             p.data -= 0.01 * (u + 0.1 * p.data); s.m = 0.99 * s.m + 0.01 * p.grad
    // k = dict(lr=.01, weight_decay=.1); d = dict(k, decoupled_weight_decay=True)
    // for make in [lambda p: T.Adam(p, **k), lambda p: T.AdamW(p, **k),
    //         lambda p: T.SGD(p, momentum=.9, **k),
    //         lambda p: T.SGD(p, momentum=.9, nesterov=True, **k), lambda p: T.RMSprop(p, **k),
    //         lambda p: T.Adagrad(p, lr=.1, weight_decay=.1), lambda p: T.NAdam(p, **k),
    //         lambda p: T.NAdam(p, **d), lambda p: T.RAdam(p, **k), lambda p: T.RAdam(p, **d), Lion]:
    //     w = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0, -0.5, 4.0])); o = make([w])
    //     for t in range(1, 101):
    //         w.grad = a * w.detach() + torch.tensor([math.cos(0.7 * t + i) for i in range(5)])
    //         o.step()
    //         if t in (1, 10, 50, 100): print(w.tolist())
    let expected = [
        // adam
        [
            [0.99, -1.99, 2.99, -0.49, 3.99],
            [0.902_927_781, -1.904_619_16, 2.906_994_3, -0.480_962_559, 3.900_764_4],
            [0.548_446_062, -1.546_049_27, 2.572_372_5, -0.429_359_159, 3.511_588_4],
            [0.243_414_738, -1.155_465_75, 2.185_617_94, -0.372_868_226, 3.052_560_32],
        ],
        // adamw
        [
            [0.989, -1.988, 3.006_999_98, -0.489_5, 3.986],
            [0.893_619_095, -1.885_823_48, 2.925_703_52, -0.481_501_269, 3.861_475_54],
            [0.515_653_963, -1.467_983_36, 2.516_346_02, -0.437_160_914, 3.331_764_2],
            [0.210_176_404, -1.036_206_34, 2.062_189_82, -0.388_015_905, 2.736_542_99],
        ],
        // sgd
        [
            [0.961_351_578, -1.976_711_56, 2.997_040_72, -0.490_519, 3.916_123_89],
            [0.053_460_119_9, -1.114_297_9, 2.568_616_68, -0.476_911_885, 1.070_909_48],
            [-0.044_751_556_5, 0.077_403_650_8, 0.242_019_201, -0.198_629_163, 0.259_759_623],
            [-0.005_088_253_98, -0.010_679_599_4, -0.044_310_824_7, -0.055_549_346_8, 0.029_656_082_9],
        ],
        // sgd_nesterov
        [
            [0.926_567_998, -1.955_751_95, 2.994_377_37, -0.481_986_099, 3.840_635_38],
            [0.012_152_742_9, -1.047_267_52, 2.509_989_12, -0.460_941_721, 0.917_791_861],
            [-0.006_667_252_98, 0.087_011_156_7, 0.271_548_833, -0.207_075_885, 0.137_431_064],
            [-0.020_266_198_6, -0.025_717_135_5, -0.033_913_262_5, -0.044_359_260_3, 0.036_406_170_8],
        ],
        // rmsprop
        [
            [0.900_000_003, -1.9, 2.900_000_03, -0.400_000_011, 3.9],
            [0.562_294_413, -1.569_850_76, 2.424_068_5, -0.394_194_922, 3.516_742_79],
            [0.156_698_068, -0.936_348_609, 1.832_807_11, -0.372_715_137, 2.766_316],
            [0.009_232_530_58, -0.572_928_572, 1.408_303_78, -0.268_212_542, 2.199_098_11],
        ],
        // adagrad
        [
            [0.9, -1.9, 2.9, -0.4, 3.9],
            [0.566_832_411, -1.573_238_78, 2.425_986_14, -0.395_345_885, 3.520_894_16],
            [0.176_931_834, -0.979_848_516, 1.868_680_93, -0.375_311_543, 2.819_379_73],
            [0.034_050_423_5, -0.663_544_66, 1.503_478_19, -0.285_939_335, 2.342_312_9],
        ],
        // nadam
        [
            [0.989_435_482, -1.989_435_48, 2.989_435_48, -0.489_435_482, 3.989_435_48],
            [0.921_258_957, -1.928_658_18, 2.911_542_48, -0.482_133_35, 3.921_463_81],
            [0.593_963_787, -1.583_172_9, 2.591_336_57, -0.447_643_04, 3.547_684_13],
            [0.286_348_539, -1.204_182_7, 2.209_476_5, -0.373_251_781, 3.095_134_59],
        ],
        // nadam_dec
        [
            [0.988_435_482, -1.987_435_48, 3.007_564_49, -0.488_935_482, 3.985_435_48],
            [0.911_862_457, -1.910_196_42, 2.921_125_8, -0.481_792_845, 3.882_256_04],
            [0.560_946_277, -1.504_538, 2.525_638_72, -0.453_621_685, 3.368_007_23],
            [0.250_450_772, -1.083_873_35, 2.077_011_87, -0.386_359_048, 2.779_371_79],
        ],
        // radam
        [
            [0.961_351_578, -1.976_711_56, 2.997_040_72, -0.490_519, 3.916_123_89],
            [0.841_942_7, -1.864_823_8, 2.972_595_48, -0.482_970_823, 3.566_654_56],
            [0.801_029_413, -1.824_978_32, 2.935_432_73, -0.477_158_871, 3.524_413_98],
            [0.716_743_995, -1.740_902_56, 2.856_281_36, -0.465_099_747, 3.434_326_64],
        ],
        // radam_dec
        [
            [0.961_351_578, -1.976_711_56, 2.997_040_72, -0.490_519, 3.916_123_89],
            [0.837_888_485, -1.855_657_26, 2.957_903_52, -0.480_709_813, 3.549_242],
            [0.765_240_502, -1.744_514_58, 2.809_131_72, -0.459_020_491, 3.368_845_35],
            [0.648_507_146, -1.581_029_74, 2.604_270_46, -0.431_076_37, 3.119_113_76],
        ],
        // lion
        [
            [0.989, -1.988, 3.007, -0.489_5, 3.986],
            [0.890_493_682, -1.880_538_56, 2.910_244_72, -0.494_972_341, 3.860_628_32],
            [0.463_261_91, -1.414_467_54, 2.403_778_54, -0.455_933_247, 3.316_878_79],
            [-0.047_286_381_7, -0.857_505_765, 1.798_543_96, -0.355_522_628, 2.667_090_06],
        ],
    ];
    let examples = OptimizerConfig::examples();
    assert_eq!(examples.len(), expected.len());
    for (config, expected) in examples.into_iter().zip(expected) {
        let (mut optimizer, w) = start(config);
        for (found, expected) in descend(&mut optimizer, &w, 1..=100).iter().zip(expected) {
            let squares = |f: &dyn Fn(usize) -> f64| (0..5).map(|i| f(i).powi(2)).sum::<f64>();
            let off = squares(&|i| f64::from(found[i]) - expected[i]);
            let error = (off / squares(&|i| expected[i])).sqrt();
            assert!(error < 1e-5, "{config:?}: {found:?}, not {expected:?}");
        }
    }
}

#[test]
fn a_restored_state_goes_on_bit_for_bit() {
    for config in OptimizerConfig::examples() {
        let (mut whole, w) = start(config);
        descend(&mut whole, &w, 1..=100);
        let (mut optimizer, resumed) = start(config);
        descend(&mut optimizer, &resumed, 1..=37);
        let (mut again, _) = start(config);
        again.restore(optimizer.state().clone()).unwrap();
        again.parameters = vec![resumed.clone()];
        descend(&mut again, &resumed, 38..=100);
        assert_eq!(resumed.values().unwrap(), w.values().unwrap(), "{config:?}");
        assert_eq!(again.state(), whole.state());
    }
}

#[test]
fn a_large_parameter_has_the_same_bits_on_one_thread_and_two() {
    let run = |config, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let values: Vec<f32> = (0..50_001).map(|i| (i as f32 * 0.37).sin()).collect();
            let w = Parameter::new("w", values.clone(), &[50_001], true).unwrap();
            let mut optimizer = Optimizer::new(config, vec![w.clone()]);
            for step in 0..5 {
                let mut gradient = w.lock();
                for (g, v) in gradient.values.iter_mut().zip(&values) {
                    *g = v * (step as f32 - 1.3);
                }
                gradient.is_set = true;
                drop(gradient);
                optimizer.step(0.01).unwrap();
            }
            w.values().unwrap()
        })
    };
    for config in OptimizerConfig::examples() {
        assert_eq!(run(config, 1), run(config, 2), "{config:?}");
    }
}

#[test]
fn biases_decay_only_where_asked() {
    for config in OptimizerConfig::examples() {
        let run = |decays, all| {
            let w = Parameter::new("w", vec![1.0, -2.0], &[2], decays).unwrap();
            let mut optimizer = Optimizer::new(config, vec![w.clone()]).with_decay_of_all(all);
            w.lock().is_set = true;
            optimizer.step(0.01).unwrap();
            w.values().unwrap()
        };
        // Where the gradient is 0, decay alone moves a weight.
        assert_eq!(run(false, false), [1.0, -2.0], "{config:?}");
        assert_eq!(run(false, true), run(true, false), "{config:?}");
        assert_ne!(run(true, false), [1.0, -2.0], "{config:?}");
    }
}

#[test]
fn a_parameter_without_a_gradient_waits() {
    // As in PyTorch, where its gradient is None: no decay, no momentum, and its first step is a
    // first step.
    for config in OptimizerConfig::examples() {
        let (mut whole, expected) = start(config);
        descend(&mut whole, &expected, 1..=1);
        let (mut optimizer, w) = start(config);
        for _ in 0..7 {
            optimizer.step(optimizer.rule.learning_rate()).unwrap();
        }
        descend(&mut optimizer, &w, 1..=1);
        assert_eq!(w.values().unwrap(), expected.values().unwrap(), "{config:?}");
        assert_eq!((optimizer.state().n_steps, &optimizer.state().counts[..]), (8, &[1][..]));
    }
}

#[test]
fn a_wrong_hyperparameter_is_named_with_its_path() {
    for (text, expected) in [
        (
            r#"{"adam": {"learning_rate": 0.0}}"#,
            "`optimizer.adam.learning_rate` is 0, but must be above 0",
        ),
        (
            r#"{"lion": {"learning_rate": 1e-4, "beta2": 1.0}}"#,
            "`optimizer.lion.beta2` is 1, but must be at least 0 and below 1",
        ),
        (
            r#"{"sgd": {"learning_rate": 0.1, "nesterov": true}}"#,
            "`optimizer.sgd.momentum` is 0, but must be above 0 and below 1 where `nesterov` is \
             true",
        ),
        (
            r#"{"adagrad": {"learning_rate": 0.1, "weight_decay": -1.0}}"#,
            "`optimizer.adagrad.weight_decay` is -1, but must be 0 or above",
        ),
    ] {
        let config: OptimizerConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.check().unwrap_err().to_string(), expected);
    }
    for config in OptimizerConfig::examples() {
        config.check().unwrap();
    }
}
