//! Convolutions against composed operations, finite differences and PyTorch.

use candle_core::{Device, Var};
use rand::RngExt;

use super::*;
use crate::{backward, keep_winners_of_maps};

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = Seed::new(seed).rng();
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random::<f32>() - 0.5).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Windows with odd sizes, strides that leave pixels out, kernels smaller than strides, and signals.
fn windows() -> Vec<(Window, [usize; 2])> {
    vec![
        (Window::square(3, 2, 1), [7, 9]),
        (Window::square(4, 2, 1), [10, 7]),
        (Window::square(2, 3, 0), [8, 11]),
        (Window::square(5, 1, 2), [6, 5]),
        (Window::square(1, 1, 0), [3, 4]),
        (Window { kernel: [3, 2], stride: [2, 2], padding: [1, 0] }, [9, 6]),
        (Window::along(5, 3, 2), [1, 17]),
    ]
}

/// Output and all gradients of the sum of squares of an output.
fn pass(
    x: &Tensor,
    parameters: &[Parameter],
    f: impl Fn(&Tensor) -> Result<Tensor>,
) -> Vec<Vec<f32>> {
    parameters.iter().for_each(Parameter::clear_gradient);
    let x = Var::from_tensor(x).unwrap();
    let output = f(&x).unwrap();
    let loss = output.sqr().unwrap().sum_all().unwrap();
    backward(&loss, parameters).unwrap();
    let mut results = vec![flat(&output)];
    results.extend(parameters.iter().map(|p| p.gradient().unwrap()));
    // The same loss once more for the gradient of the input, which `backward` does not hand out.
    let grads = f(&x).unwrap().sqr().unwrap().sum_all().unwrap().backward().unwrap();
    results.push(flat(grads.get(&x).unwrap()));
    results
}

fn assert_close(found: &[Vec<f32>], expected: &[Vec<f32>], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        let scale = expected.iter().fold(1.0_f32, |a, b| a.max(b.abs()));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5 * scale, "{what}: {found} {expected}");
        }
    }
}

fn convolution(window: Window, channels: (usize, usize), activation: Activation) -> Conv2d {
    let layer =
        Conv2d::new("c", channels, window, activation, Init::HeNormal, Seed::new(1)).unwrap();
    layer.bias().unwrap().set_values(&flat(&random(&[channels.1], 2))).unwrap();
    layer
}

fn transposed(
    window: Window,
    channels: (usize, usize),
    output_padding: [usize; 2],
    activation: Activation,
) -> ConvTranspose2d {
    let (init, seed) = (Init::HeNormal, Seed::new(1));
    let layer = ConvTranspose2d::new("t", channels, window, output_padding, activation, init, seed)
        .unwrap();
    layer.bias().unwrap().set_values(&flat(&random(&[channels.1], 2))).unwrap();
    layer
}

/// The composed way goes through candle's convolution, whose gradients are right.
#[test]
fn fused_and_composed_agree_with_their_gradients() {
    for (window, size) in windows() {
        for (channels, n_images) in [((1, 5), 3), ((3, 2), 20)] {
            let layer = convolution(window, channels, Activation::Tanh);
            let x = random(&[n_images, channels.0, size[0], size[1]], 3);
            let fused = pass(&x, &layer.parameters(), |x| layer.forward(x));
            let stage =
                Stage::new(layer.0.clone(), Direction::Shrink, [0, 0], (channels.0, size)).unwrap();
            let composed = pass(&x, &layer.parameters(), |x| stage.composed(x));
            assert_close(&fused, &composed, &format!("{window:?} {channels:?}"));
        }
    }
}

#[test]
fn transposed_fused_and_composed_agree_with_their_gradients() {
    for (window, large) in windows() {
        let small = window.positions(large).unwrap();
        let least = window.covered(small, [0, 0]).unwrap();
        let extra = [large[0] - least[0], large[1] - least[1]];
        for (channels, n_images) in [((5, 1), 3), ((2, 3), 20)] {
            let layer = transposed(window, channels, extra, Activation::Softplus);
            let x = random(&[n_images, channels.0, small[0], small[1]], 3);
            let fused = pass(&x, &layer.parameters(), |x| layer.forward(x));
            let side = (channels.0, small);
            let stage = Stage::new(layer.layer.clone(), Direction::Enlarge, extra, side).unwrap();
            let composed = pass(&x, &layer.parameters(), |x| stage.composed(x));
            assert_close(&fused, &composed, &format!("{window:?} {channels:?}"));
        }
    }
}

#[test]
fn values_agree_with_pytorch() {
    // w = torch.arange(12.).reshape(2, 1, 3, 2) / 10 - .5; b = torch.tensor([.1, -.2])
    // x = torch.arange(20.).reshape(1, 1, 4, 5) / 7
    // F.conv2d(x, w, b, stride=2, padding=1).flatten()
    // F.conv_transpose2d(x, w.reshape(1, 2, 3, 2), b, stride=2, padding=1,
    //                    output_padding=1)[0, :, 5, :].flatten()
    let window = Window { kernel: [3, 2], stride: [2, 2], padding: [1, 1] };
    let torch: Vec<f32> = (0..12).map(|i| i as f32 / 10.0 - 0.5).collect();
    let x: Vec<f32> = (0..20).map(|i| i as f32 / 7.0).collect();
    let x = Tensor::from_vec(x, (1, 1, 4, 5), &Device::Cpu).unwrap();
    // (channel of the other side, row, column) to channels last; one of the sides has one channel.
    let layer = convolution(window, (1, 2), Activation::Linear);
    layer.weight().set_values(&torch).unwrap();
    layer.bias().unwrap().set_values(&[0.1, -0.2]).unwrap();
    assert_close(&[flat(&layer.forward(&x).unwrap())], &[CONV.to_vec()], "convolution");
    let layer = transposed(window, (1, 2), [1, 1], Activation::Linear);
    let last: Vec<f32> = (0..12).map(|i| torch[i % 2 * 6 + i / 2]).collect();
    layer.weight().set_values(&last).unwrap();
    layer.bias().unwrap().set_values(&[0.1, -0.2]).unwrap();
    let output = layer.forward(&x).unwrap();
    assert_eq!(output.dims(), [1, 2, 8, 9]);
    let row = output.narrow(2, 5, 1).unwrap();
    assert_close(&[flat(&row)], &[TRANSPOSED.to_vec()], "transposed convolution");
}

const CONV: [f32; 12] = [
    0.1,
    -0.085_714_28,
    -0.257_142_87,
    -0.471_428_57,
    -1.771_428_6,
    -2.2,
    0.228_571_46,
    0.985_714_3,
    1.5,
    1.8,
    3.842_857_4,
    4.442_857_3,
];
const TRANSPOSED: [f32; 18] = [
    -0.757_142_84,
    -1.2,
    -0.814_285_76,
    -1.285_714_3,
    -0.871_428_55,
    -1.371_428_5,
    -0.928_571_46,
    -1.457_142_7,
    -0.985_714_2,
    1.085_714_3,
    0.814_285_76,
    1.2,
    0.900_000_04,
    1.314_285_8,
    0.985_714_26,
    1.428_571_3,
    1.071_428_5,
    1.542_857_2,
];

#[test]
fn a_stack_is_its_layers_one_by_one() {
    let window = Window::square(3, 2, 1);
    let layers = [
        convolution(window, (2, 6), Activation::Relu),
        convolution(Window::square(3, 1, 1), (6, 5), Activation::Silu),
        convolution(window, (5, 4), Activation::Tanh),
    ];
    let back = transposed(window, (4, 3), [1, 0], Activation::Sigmoid);
    let stack = layers.iter().fold(ConvStack::default(), ConvStack::then).then_transposed(&back);
    let x = random(&[19, 2, 9, 11], 5);
    let parameters = stack.parameters();
    assert_eq!(parameters.len(), 8);
    assert_eq!(stack.output_shape(2, [9, 11]).unwrap(), [3, 6, 5]);
    let one_by_one = pass(&x, &parameters, |x| {
        let maps = layers.iter().try_fold(x.clone(), |maps, layer| layer.forward(&maps))?;
        back.forward(&maps)
    });
    let stacked = pass(&x, &parameters, |x| stack.forward(x));
    assert_close(&stacked, &one_by_one, "stack");
    let flat_pass = pass(&x, &parameters, |x| stack.forward_flat(&x.flatten_from(1)?, [9, 11]));
    assert_eq!(flat_pass, stacked);
    assert!(stack.forward(&random(&[1, 3, 9, 11], 1)).is_err());
    assert!(stack.forward_flat(&random(&[1, 199], 1), [9, 11]).is_err());
}

#[test]
fn bits_do_not_depend_on_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let x = random(&[67, 3, 14, 13], 7);
            let down = convolution(Window::square(4, 2, 1), (3, 8), Activation::Relu);
            let up = transposed(Window::square(4, 2, 1), (8, 3), [0, 1], Activation::Sigmoid);
            let parameters = [down.parameters(), up.parameters()].concat();
            pass(&x, &parameters, |x| up.forward(&down.forward(x)?))
        })
    };
    assert_eq!(run(1), run(2));
}

#[test]
fn activations_that_follow_the_layer_and_no_bias() {
    let window = Window::square(3, 1, 1);
    let layer = convolution(window, (2, 3), Activation::Gelu).without_bias();
    assert_eq!(layer.parameters().len(), 1);
    let linear = Conv2d(Layer { activation: Activation::Linear, ..layer.0.clone() });
    let x = random(&[2, 2, 5, 6], 4);
    let after = Activation::Gelu.forward(&linear.forward(&x).unwrap()).unwrap();
    assert_eq!(flat(&layer.forward(&x).unwrap()), flat(&after));
}

#[test]
fn inputs_that_do_not_fit_are_errors() {
    let layer = convolution(Window::square(5, 1, 0), (2, 3), Activation::Relu);
    let error = layer.forward(&random(&[1, 2, 4, 9], 1)).unwrap_err().to_string();
    assert_eq!(
        error,
        "`c.weight` takes 2 channels of maps with room for 5 x 5, but its input is [2, 4, 9]"
    );
    assert!(layer.forward(&random(&[1, 3, 9, 9], 1)).is_err());
    assert!(layer.forward(&random(&[2, 9], 1)).is_err());
    let seed = Seed::new(1);
    let window = Window::square(3, 2, 1);
    let (linear, init) = (Activation::Linear, Init::Zeros);
    let too_much = ConvTranspose2d::new("t", (1, 1), window, [2, 0], linear, init, seed);
    let error = too_much.unwrap_err().to_string();
    assert_eq!(error, "`output_padding` is 2, but must be less than stride");
}

/// The winners of maps in one operation against three, for one and several channels on either side,
/// more than one layer of images in a chunk, and with and without a rectifier before the choice.
#[test]
fn winners_in_one_operation_and_in_three_agree_with_their_gradients() {
    let windows = [
        (Window::square(3, 1, 1), Window::square(5, 1, 2)),
        (Window::square(4, 2, 1), Window { kernel: [3, 2], stride: [2, 2], padding: [1, 0] }),
    ];
    for (window, back) in windows {
        for (n_in, lifetime) in [(1, Some(0.4)), (3, None)] {
            for activation in [Activation::Linear, Activation::Relu] {
                let encoder = convolution(window, (n_in, 7), activation);
                let decoder = transposed(back, (7, n_in), [0, 0], Activation::Sigmoid);
                let parameters = [encoder.parameters(), decoder.parameters()].concat();
                let x = random(&[20, n_in, 8, 7], 3);
                let one = pass(&x, &parameters, |x| {
                    reconstruct_from_winners(&encoder, &decoder, x, lifetime)
                });
                let three = pass(&x, &parameters, |x| {
                    decoder.forward(&keep_winners_of_maps(&encoder.forward(x)?, lifetime)?)
                });
                assert!(three[1].iter().any(|&gradient| gradient != 0.0));
                assert_close(
                    &one,
                    &three,
                    &format!("{window:?} {n_in} {lifetime:?} {activation:?}"),
                );
            }
        }
    }
}

/// Bits don't depend on threads, and a NaN is not hidden.
#[test]
fn winners_are_the_same_on_any_number_of_threads() {
    let encoder = convolution(Window::square(3, 1, 1), (2, 9), Activation::Linear);
    let decoder = transposed(Window::square(5, 1, 2), (9, 2), [0, 0], Activation::Linear);
    let parameters = [encoder.parameters(), decoder.parameters()].concat();
    let x = random(&[37, 2, 9, 8], 5);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            pass(&x, &parameters, |x| reconstruct_from_winners(&encoder, &decoder, x, Some(0.3)))
        })
    };
    assert_eq!(on(1), on(2));
    let mut values = flat(&x);
    values[0] = f32::NAN;
    let x = Tensor::from_vec(values, x.shape(), &Device::Cpu).unwrap();
    let output = reconstruct_from_winners(&encoder, &decoder, &x, Some(0.3)).unwrap();
    assert!(flat(&output).iter().any(|value| value.is_nan()));
}
