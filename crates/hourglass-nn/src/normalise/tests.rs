//! Normalisations against composed operations, finite differences and PyTorch.

use candle_core::{Device, Tensor, Var};
use hourglass_core::Seed;
use rand::RngExt;

use super::*;
use crate::{Error, backward};

fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = Seed::new(seed).rng();
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|_| 3.0 * rng.random::<f32>() - 1.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Output and all gradients of the sum of `output^2 * coefficients`.
fn pass(
    x: &Tensor,
    parameters: &[Parameter],
    f: impl Fn(&Tensor) -> Result<Tensor>,
) -> Vec<Vec<f32>> {
    let x = Var::from_tensor(x).unwrap();
    let output = f(&x).unwrap();
    let coefficients = random(output.dims(), 99);
    let loss = (output.sqr().unwrap() * coefficients).unwrap().sum_all().unwrap();
    parameters.iter().for_each(Parameter::clear_gradient);
    let gradient = loss.backward().unwrap();
    let grad_input = flat(gradient.get(&x).unwrap());
    parameters.iter().for_each(Parameter::clear_gradient);
    backward(&loss, parameters).unwrap();
    let gradients = parameters.iter().map(|parameter| parameter.gradient().unwrap());
    [flat(&output), grad_input].into_iter().chain(gradients).collect()
}

fn assert_close(found: &[Vec<f32>], expected: &[Vec<f32>], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let scale = expected.iter().fold(1.0_f32, |a, b| a.max(b.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5 * scale, "{what} {i}: {found} {expected}");
        }
    }
}

#[test]
fn batch_norm_agrees_with_composed_operations() {
    for shape in [&[9, 5][..], &[6, 3, 5, 7], &[1, 4, 3, 2], &[700, 33]] {
        for is_training in [true, false] {
            let x = random(shape, 1);
            let run = |fused: bool| {
                let norm = BatchNorm::new("n", shape[1]).unwrap();
                norm.parameters()[0].set_values(&flat(&random(&[shape[1]], 2))).unwrap();
                norm.parameters()[1].set_values(&flat(&random(&[shape[1]], 3))).unwrap();
                // Away from the start, so that running statistics matter.
                norm.buffers()[0].set_values(&flat(&random(&[shape[1]], 4))).unwrap();
                let mut results = pass(&x, &norm.parameters(), |x| {
                    if fused { norm.forward(x, is_training) } else { norm.composed(x, is_training) }
                });
                results.extend(norm.buffers().iter().map(|buffer| buffer.values().unwrap()));
                results
            };
            assert_close(&run(true), &run(false), &format!("{shape:?} {is_training}"));
        }
    }
}

#[test]
fn batch_norm_agrees_with_pytorch() {
    // n = torch.nn.BatchNorm1d(2); n.weight.data = torch.tensor([2., -1]); n.bias.data =
    // torch.tensor([.5, 1]); x = torch.tensor([[1., 2], [4, -1], [-2, 0]], requires_grad=True)
    // y = n(x); (y ** 3).sum().backward()
    // y, x.grad, n.weight.grad, n.bias.grad, n.running_mean, n.running_var, n.eval()(x)
    let norm = BatchNorm::new("n", 2).unwrap();
    norm.parameters()[0].set_values(&[2.0, -1.0]).unwrap();
    norm.parameters()[1].set_values(&[0.5, 1.0]).unwrap();
    let x = Tensor::new(&[[1.0_f32, 2.0], [4.0, -1.0], [-2.0, 0.0]], &Device::Cpu).unwrap();
    let x = Var::from_tensor(&x).unwrap();
    let output = norm.forward(&x, true).unwrap();
    let loss = (output.sqr().unwrap() * &output).unwrap().sum_all().unwrap();
    let grads = loss.backward().unwrap();
    let running = norm.buffers().map(|buffer| buffer.values().unwrap());
    let gradients = norm.parameters().map(|parameter| parameter.gradient().unwrap());
    let found = [
        flat(&output),
        flat(grads.get(&x).unwrap()),
        gradients[0].clone(),
        gradients[1].clone(),
        running[0].clone(),
        running[1].clone(),
        flat(&norm.forward(&x, false).unwrap()),
    ];
    assert_close(&found, &BATCH.map(<[f32]>::to_vec), "PyTorch");
}

const BATCH: [&[f32]; 7] = [
    &[0.5, -0.336_301_9, 2.949_487_7, 2.069_041_7, -1.949_487_7, 1.267_260_4],
    &[-9.797_935, -0.662_659_1, 4.898_976_3, -1.325_411_9, 4.898_956, 1.988_071_7],
    &[17.999_966, -14.563_705],
    &[38.249_94, 17.999_947],
    &[0.1, 0.033_333_3],
    &[1.8, 1.133_333_3],
    &[1.841_637_1, -0.847_353_5, 6.313_760_8, 1.970_643_3, -2.630_486_5, 1.031_311],
];

#[test]
fn a_single_value_is_an_error_in_training_only() {
    let norm = BatchNorm::new("bottleneck", 3).unwrap();
    let x = random(&[1, 3], 1);
    let error = norm.forward(&x, true).unwrap_err();
    assert!(matches!(error, Error::SingleValue { .. }));
    assert!(error.to_string().contains("\nhint: "), "{error}");
    assert_eq!(norm.buffers()[1].values().unwrap(), [1.0; 3]);
    assert!(norm.forward(&x, false).is_ok());
    assert!(norm.forward(&random(&[2, 4], 1), true).is_err());
}

#[test]
fn layer_norm_agrees_with_composed_operations() {
    for shape in [[5, 7], [1, 2], [40, 1000]] {
        let norm = LayerNorm::new("n", shape[1]).unwrap();
        norm.parameters()[0].set_values(&flat(&random(&[shape[1]], 2))).unwrap();
        norm.parameters()[1].set_values(&flat(&random(&[shape[1]], 3))).unwrap();
        let x = random(&shape, 1);
        let fused = pass(&x, &norm.parameters(), |x| norm.forward(x));
        let composed = pass(&x, &norm.parameters(), |x| norm.composed(x));
        assert_close(&fused, &composed, &format!("{shape:?}"));
    }
    assert!(LayerNorm::new("n", 3).unwrap().forward(&random(&[2, 4], 1)).is_err());
}

#[test]
fn bits_do_not_depend_on_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let batch = BatchNorm::new("b", 33).unwrap();
            let layer = LayerNorm::new("l", 33).unwrap();
            let parameters = [batch.parameters(), layer.parameters()].concat();
            pass(&random(&[1500, 33], 1), &parameters, |x| layer.forward(&batch.forward(x, true)?))
        })
    };
    assert_eq!(run(1), run(2));
}
