//! Weight initialisers, drawn from our own seeded generator.

use hourglass_core::Seed;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Activation;

/// How the weights of a layer are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Init {
    /// Uniform with variance `2 / (fan_in + fan_out)`: Glorot and Bengio, AISTATS 2010.
    GlorotUniform,
    /// Normal with variance `2 / (fan_in + fan_out)`: Glorot and Bengio, AISTATS 2010.
    GlorotNormal,
    /// Uniform with variance `2 / fan_in`: He, Zhang, Ren, Sun, arXiv:1502.01852.
    HeUniform,
    /// Normal with variance `2 / fan_in`: He, Zhang, Ren, Sun, arXiv:1502.01852.
    HeNormal,
    /// Uniform with variance `1 / fan_in`: LeCun, Bottou, Orr, Müller, "Efficient BackProp", 1998.
    LecunUniform,
    /// Normal with variance `1 / fan_in`: LeCun, Bottou, Orr, Müller, "Efficient BackProp", 1998.
    LecunNormal,
    /// Orthonormal rows or columns, whichever are fewer: Saxe, McClelland, Ganguli,
    /// arXiv:1312.6120. Gain 1, whatever the activation.
    Orthogonal,
    /// All 0, for layers that shall start as nothing, such as the last one of a residual branch.
    Zeros,
}

impl Init {
    /// Every initialiser, for tests and the reference page.
    pub const ALL: [Init; 8] = [
        Init::GlorotUniform,
        Init::GlorotNormal,
        Init::HeUniform,
        Init::HeNormal,
        Init::LecunUniform,
        Init::LecunNormal,
        Init::Orthogonal,
        Init::Zeros,
    ];

    /// What suits an activation: He for the ReLU family, LeCun for SELU, Glorot otherwise.
    pub fn for_activation(activation: Activation) -> Self {
        match activation {
            Activation::Relu
            | Activation::LeakyRelu
            | Activation::Elu
            | Activation::Gelu
            | Activation::Silu => Init::HeUniform,
            Activation::Selu => Init::LecunNormal,
            Activation::Linear | Activation::Sigmoid | Activation::Tanh | Activation::Softplus => {
                Init::GlorotUniform
            }
        }
    }

    /// `fan_in * fan_out` weights, as a matrix `(fan_out, fan_in)`.
    pub fn draw(self, fan_in: usize, fan_out: usize, seed: Seed) -> Vec<f32> {
        self.draw_matrix([fan_out, fan_in], (fan_in, fan_out), seed)
    }

    /// The weights of a matrix, row-major, for a layer with these fans `(fan_in, fan_out)`: the
    /// numbers of values that meet in one output, and that one input reaches.
    ///
    /// # Shapes
    /// - `shape`: rows and columns; a convolution's kernel counts as `(channels, channels * area)`
    pub fn draw_matrix(self, shape: [usize; 2], fans: (usize, usize), seed: Seed) -> Vec<f32> {
        let (fan_in, both) = (fans.0 as f32, (fans.0 + fans.1) as f32);
        let mut rng = seed.rng();
        let mut weights = vec![0.0; shape[0] * shape[1]];
        let mut uniform = |variance: f32| {
            let bound = (3.0 * variance).sqrt();
            weights.iter_mut().for_each(|weight| *weight = rng.random_range(-bound..bound));
        };
        match self {
            Init::GlorotUniform => uniform(2.0 / both),
            Init::HeUniform => uniform(2.0 / fan_in),
            Init::LecunUniform => uniform(1.0 / fan_in),
            Init::GlorotNormal => fill_normal(&mut weights, (2.0 / both).sqrt(), &mut rng),
            Init::HeNormal => fill_normal(&mut weights, (2.0 / fan_in).sqrt(), &mut rng),
            Init::LecunNormal => fill_normal(&mut weights, (1.0 / fan_in).sqrt(), &mut rng),
            Init::Orthogonal => return orthogonal(shape, &mut rng),
            Init::Zeros => {}
        }
        weights
    }

    /// The weights of a convolution whose output a pixel shuffle rearranges: the `factor * factor`
    /// kernels that fill one block of pixels start equal, so that no checkerboard is there at
    /// first.
    ///
    /// # Shapes
    /// - `shape`: `(n_channels * factor^2, n_columns)`
    ///
    /// # Source
    /// Aitken et al., "Checkerboard artifact free sub-pixel convolution", arXiv:1707.02937 (ICNR).
    pub fn draw_icnr(
        self,
        shape: [usize; 2],
        fans: (usize, usize),
        factor: usize,
        seed: Seed,
    ) -> Vec<f32> {
        let area = factor * factor;
        let one_each = self.draw_matrix([shape[0] / area, shape[1]], fans, seed);
        one_each.chunks(shape[1]).flat_map(|kernel| kernel.repeat(area)).collect()
    }
}

/// A matrix with orthonormal rows, or columns if there are fewer of them.
///
/// Gram-Schmidt over normal vectors, each projected twice, in `f64`: "twice is enough", Giraud,
/// Langou, Rozložník, 2005. Its result is uniform over all such matrices, as its triangular factor
/// has a positive diagonal (Mezzadri, arXiv:math-ph/0609050).
fn orthogonal([n_rows, n_columns]: [usize; 2], rng: &mut hourglass_core::Rng) -> Vec<f32> {
    let (n_vectors, len) = (n_rows.min(n_columns), n_rows.max(n_columns));
    let mut drawn = vec![0.0_f32; n_vectors * len];
    fill_normal(&mut drawn, 1.0, rng);
    let mut vectors: Vec<f64> = drawn.iter().map(|&value| f64::from(value)).collect();
    for i in 0..n_vectors {
        let (before, rest) = vectors.split_at_mut(i * len);
        let vector = &mut rest[..len];
        for _ in 0..2 {
            for other in before.chunks(len) {
                let product = dot_f64(vector, other);
                vector.iter_mut().zip(other).for_each(|(value, other)| *value -= product * other);
            }
        }
        let norm = dot_f64(vector, vector).sqrt();
        vector.iter_mut().for_each(|value| *value /= norm);
    }
    let at = |row: usize, column: usize| {
        let (vector, entry) = if n_rows <= n_columns { (row, column) } else { (column, row) };
        vectors[vector * len + entry] as f32
    };
    (0..n_rows).flat_map(|row| (0..n_columns).map(move |column| at(row, column))).collect()
}

/// Sum of products in eight lanes, in a fixed order.
fn dot_f64(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let ((a_chunks, a_rest), (b_chunks, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f64>() + rest
}

/// Fills a slice with normal numbers of mean 0.
///
/// # Source
/// Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958; both numbers of a
/// pair are used, so the sequence depends on nothing but the generator.
pub(crate) fn fill_normal(values: &mut [f32], std: f32, rng: &mut hourglass_core::Rng) {
    for pair in values.chunks_mut(2) {
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let radius = std * (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
        let (sin, cos) = (std::f32::consts::TAU * rng.random::<f32>()).sin_cos();
        pair[0] = radius * cos;
        if let Some(second) = pair.get_mut(1) {
            *second = radius * sin;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_variance_are_those_of_the_papers() {
        let (fan_in, fan_out) = (300, 200);
        let table = [
            (Init::GlorotUniform, 2.0 / 500.0),
            (Init::GlorotNormal, 2.0 / 500.0),
            (Init::HeUniform, 2.0 / 300.0),
            (Init::HeNormal, 2.0 / 300.0),
            (Init::LecunUniform, 1.0 / 300.0),
            (Init::LecunNormal, 1.0 / 300.0),
        ];
        for (init, expected) in table {
            let weights = init.draw(fan_in, fan_out, Seed::new(3));
            assert_eq!(weights, init.draw(fan_in, fan_out, Seed::new(3)));
            let n = weights.len() as f64;
            let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / n;
            let variance = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / n;
            assert!(mean.abs() < 1e-3, "{init:?}: mean {mean}");
            assert!((variance / expected - 1.0).abs() < 0.02, "{init:?}: variance {variance}");
        }
    }
    #[test]
    fn orthogonal_vectors_are_orthonormal_whichever_way_they_lie() {
        for [n_rows, n_columns] in [[5, 9], [9, 5], [6, 6], [1, 3], [70, 64]] {
            let weights = Init::Orthogonal.draw_matrix([n_rows, n_columns], (1, 1), Seed::new(1));
            let matrix = ndarray::ArrayView2::from_shape((n_rows, n_columns), &weights).unwrap();
            let matrix = if n_rows <= n_columns { matrix } else { matrix.reversed_axes() };
            let product = matrix.dot(&matrix.t());
            for ((i, j), value) in product.indexed_iter() {
                let expected = f32::from(u8::from(i == j));
                assert!((value - expected).abs() < 1e-6, "{n_rows}x{n_columns} {i} {j}: {value}");
            }
        }
    }

    #[test]
    fn icnr_repeats_each_kernel() {
        let weights = Init::HeNormal.draw_icnr([2 * 9, 4], (4, 2), 3, Seed::new(2));
        let kernels = Init::HeNormal.draw_matrix([2, 4], (4, 2), Seed::new(2));
        for (i, kernel) in weights.chunks(4).enumerate() {
            assert_eq!(kernel, &kernels[i / 9 * 4..][..4]);
        }
        assert!(Init::Zeros.draw(3, 2, Seed::new(1)).iter().all(|&weight| weight == 0.0));
    }
}
