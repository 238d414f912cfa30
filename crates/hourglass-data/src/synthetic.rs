//! Samples drawn from a seed. They are for tests and benchmarks: what is found on them says nothing
//! about real data.

use hourglass_core::linalg::matmul;
use hourglass_core::{Matrix, Rng, SampleShape, Seed, Targets};
use rand::RngExt;

use crate::config::{Blobs, LatentFactors, SyntheticSource};
use crate::table::{Features, Origin, Provenance, Table};

/// Distance of the class centres from the origin, in standard deviations of a class. The classes
/// overlap somewhat in a latent space of 8 dimensions.
const CENTRE_SCALE: f32 = 1.5;

/// Draws a table; the same source and seed give the same bits.
pub(crate) fn load(source: &SyntheticSource, seed: Seed) -> (Table, Provenance) {
    let seed = seed.child("synthetic");
    let (kind, features, n_classes) = match source {
        SyntheticSource::LatentFactors(c) => {
            ("latent_factors", latent_factors(c, seed), c.n_classes)
        }
        SyntheticSource::Blobs(c) => ("blobs", blobs(c, seed), c.n_classes),
    };
    let (n_samples, n_features) = features.dim();
    let provenance = Provenance {
        dataset: kind.into(),
        origin: Origin::Synthetic,
        fallback: None,
        sentence: format!(
            "{n_samples} synthetic rows ({kind}) with {n_features} features and {n_classes} \
             classes, drawn from the seed"
        ),
        files: Vec::new(),
        licence: None,
        citation: None,
    };
    let table = Table {
        features: Features::Floats(features),
        targets: Targets::Classes {
            ids: (0..n_samples).map(|row| class(row, n_classes) as u32).collect(),
            names: (0..n_classes).map(|class| class.to_string()).collect(),
        },
        shape: SampleShape::Vector { len: n_features },
        feature_names: (0..n_features).map(|i| format!("x{i}")).collect(),
    };
    (table, provenance)
}

/// Classes take turns, so that all are equally frequent and any part holds them all.
fn class(row: usize, n_classes: usize) -> usize {
    row % n_classes
}

fn latent_factors(c: &LatentFactors, seed: Seed) -> Matrix {
    let mut centres = normals((c.n_classes, c.latent_dim), seed.child("centres"));
    centres *= CENTRE_SCALE;
    let mut latent = normals((c.n_samples, c.latent_dim), seed.child("latent"));
    for (row, mut z) in latent.rows_mut().into_iter().enumerate() {
        z += &centres.row(class(row, c.n_classes));
    }
    // Each product is divided by the root of its inner length and the spread of what goes in, so
    // that every feature has a variance of about 1.
    let spread = (1.0 + CENTRE_SCALE * CENTRE_SCALE).sqrt();
    let mut features = if c.nonlinear {
        let n_hidden = 4 * c.latent_dim;
        let mut mix = normals((c.latent_dim, n_hidden), seed.child("mix"));
        mix /= (c.latent_dim as f32).sqrt();
        let hidden = matmul(latent.view(), mix.view()).mapv_into(f32::tanh);
        let mut decode = normals((n_hidden, c.n_features), seed.child("decode"));
        // 0.8 is about the root mean square of tanh(1.8 n) for a normal n.
        decode /= 0.8 * (n_hidden as f32).sqrt();
        matmul(hidden.view(), decode.view())
    } else {
        let mut decode = normals((c.latent_dim, c.n_features), seed.child("decode"));
        decode /= spread * (c.latent_dim as f32).sqrt();
        matmul(latent.view(), decode.view())
    };
    add_normals(&mut features, c.noise, seed.child("noise"));
    features
}

fn blobs(c: &Blobs, seed: Seed) -> Matrix {
    let centres = normals((c.n_classes, c.n_features), seed.child("centres"));
    let mut features = Matrix::zeros((c.n_samples, c.n_features));
    for (row, mut x) in features.rows_mut().into_iter().enumerate() {
        x.assign(&centres.row(class(row, c.n_classes)));
    }
    add_normals(&mut features, c.spread, seed.child("noise"));
    features
}

fn normals(shape: (usize, usize), seed: Seed) -> Matrix {
    let mut matrix = Matrix::zeros(shape);
    add_normals(&mut matrix, 1.0, seed);
    matrix
}

/// Adds `scale` times a standard normal to every value.
fn add_normals(matrix: &mut Matrix, scale: f32, seed: Seed) {
    if scale == 0.0 {
        return;
    }
    let mut rng = seed.rng();
    let mut waiting = None;
    for value in matrix {
        let normal = waiting.take().unwrap_or_else(|| {
            let [first, second] = normal_pair(&mut rng);
            waiting = Some(second);
            first
        });
        *value += scale * normal;
    }
}

/// Two independent standard normals.
///
/// # Source
/// G. Marsaglia, T. A. Bray: A convenient method for generating normal variables, 1964,
/// doi:10.1137/1006063.
fn normal_pair(rng: &mut Rng) -> [f32; 2] {
    loop {
        let [u, v] = [2.0 * rng.random::<f32>() - 1.0, 2.0 * rng.random::<f32>() - 1.0];
        let square = u * u + v * v;
        if square > 0.0 && square < 1.0 {
            let factor = (-2.0 * square.ln() / square).sqrt();
            return [u * factor, v * factor];
        }
    }
}

#[cfg(test)]
mod tests {
    use hourglass_core::ColumnMoments;

    use super::*;

    fn factors(noise: f32, nonlinear: bool) -> LatentFactors {
        LatentFactors {
            n_samples: 3000,
            n_features: 40,
            n_classes: 3,
            latent_dim: 8,
            noise,
            nonlinear,
        }
    }

    fn matrix(source: SyntheticSource, seed: u64) -> Matrix {
        load(&source, Seed::new(seed)).0.features.to_matrix()
    }

    #[test]
    fn the_same_seed_gives_the_same_bits() {
        let source = SyntheticSource::LatentFactors(factors(0.1, true));
        assert_eq!(matrix(source.clone(), 1), matrix(source.clone(), 1));
        assert_ne!(matrix(source.clone(), 1), matrix(source, 2));
    }

    #[test]
    fn normals_are_normal() {
        let draws = normals((100_000, 1), Seed::new(3));
        let moments = ColumnMoments::of(draws.view());
        assert!(moments.mean[0].abs() < 0.01, "{}", moments.mean[0]);
        assert!((moments.std[0] - 1.0).abs() < 0.01, "{}", moments.std[0]);
        // P(|n| > 1.96) = 0.05
        let beyond = draws.iter().filter(|n| n.abs() > 1.96).count();
        assert!((4700..5300).contains(&beyond), "{beyond}");
    }

    #[test]
    fn features_have_about_unit_variance() {
        for nonlinear in [false, true] {
            let features = matrix(SyntheticSource::LatentFactors(factors(0.0, nonlinear)), 5);
            let std = ColumnMoments::of(features.view()).std;
            let mean = std.iter().sum::<f64>() / 40.0;
            assert!((0.7..1.3).contains(&mean), "{nonlinear}: {mean}");
        }
    }

    #[test]
    fn linear_factors_without_noise_lie_on_a_plane() {
        let features = matrix(SyntheticSource::LatentFactors(factors(0.0, false)), 5);
        // Any 9 of the columns are linearly dependent: Gram-Schmidt leaves nothing of the ninth.
        let mut basis: Vec<ndarray::Array1<f32>> = Vec::new();
        for i in 0..9 {
            let mut column = features.column(i).to_owned();
            let before = column.dot(&column).sqrt();
            // Twice, for the digits that the first pass loses.
            for direction in basis.iter().chain(&basis) {
                let along = direction.dot(&column);
                column.scaled_add(-along, direction);
            }
            let rest = column.dot(&column).sqrt();
            assert_eq!(i == 8, rest < 1e-3 * before, "column {i}: {rest} of {before}");
            basis.push(column / rest);
        }
    }

    #[test]
    fn blobs_stand_around_their_centres() {
        let source = Blobs { n_samples: 4000, n_features: 5, n_classes: 2, spread: 0.5 };
        let features = matrix(SyntheticSource::Blobs(source), 1);
        let first = features.slice(ndarray::s![..;2, ..]).to_owned();
        let std = ColumnMoments::of(first.view()).std;
        assert!(std.iter().all(|std| (std - 0.5).abs() < 0.03), "{std:?}");
    }
}
