//! What a trained model's own loss says of samples, part by part. It trains nothing.

use hourglass_core::{MatrixView, Seed};
use hourglass_models::{Autoencoder, Context};
use hourglass_nn::{Loss, rows_of};
use ndarray::Axis;

use crate::Result;

/// The mean loss of samples by part, in the batches in which a model was trained, and the single
/// numbers that the model knows of them. The total comes first; nothing but the reconstruction
/// where that is all there is.
///
/// # Shapes
/// - `rows`: `(n_rows, n_features)`, clean
///
/// # Errors
/// If the width of the rows is not that of the model.
pub fn mean_losses(
    model: &dyn Autoencoder,
    rows: MatrixView<'_>,
    loss: &Loss,
    batch_size: usize,
    seed: Seed,
) -> Result<Vec<(String, f64)>> {
    let mut sums: Vec<(String, f64)> = Vec::new();
    for (i, batch) in rows.axis_chunks_iter(Axis(0), batch_size).enumerate() {
        let input = rows_of(batch)?;
        let context = Context::evaluate(seed.nth(i as u64));
        let parts = model.loss(&input, &input, loss, &context)?;
        let total = (!parts.others.is_empty()).then_some(("total", &parts.total));
        let mut values = Vec::new();
        for (name, part) in total.into_iter().chain(parts.named()) {
            let value = part.to_scalar::<f32>().map_err(hourglass_nn::Error::from)?;
            values.push((name, f64::from(value)));
        }
        for fact in &parts.facts {
            if let [value] = fact.values[..] {
                values.push((fact.name, f64::from(value)));
            }
        }
        if sums.is_empty() {
            sums = values.iter().map(|(name, _)| ((*name).to_owned(), 0.0)).collect();
        }
        for ((_, sum), (_, value)) in sums.iter_mut().zip(values) {
            *sum += value * batch.nrows() as f64;
        }
    }
    sums.iter_mut().for_each(|(_, sum)| *sum /= rows.nrows() as f64);
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Matrix, SampleShape};
    use hourglass_models::{ModelConfig, build};
    use rand::RngExt;

    use super::*;

    #[test]
    fn parts_sum_to_the_total_over_all_batches() {
        let mut rng = Seed::new(3).rng();
        let rows = Matrix::from_shape_simple_fn((23, 10), || rng.random::<f32>());
        let shape = SampleShape::Vector { len: 10 };
        for config in ModelConfig::examples_for(&shape) {
            let model = build(&config, &shape, Seed::new(4)).unwrap();
            let losses = |batch_size| {
                let (loss, seed) = (Loss::Mse, Seed::new(1));
                mean_losses(model.as_ref(), rows.view(), &loss, batch_size, seed).unwrap()
            };
            let found = losses(8);
            assert_eq!(found, losses(8), "{}", config.kind());
            if found[0].0 == "total" {
                let facts = ["perplexity"];
                let parts = found[1..].iter().filter(|(name, _)| !facts.contains(&name.as_str()));
                let sum: f64 = parts.map(|(_, value)| value).sum();
                assert!((sum - found[0].1).abs() < 1e-5 * sum.abs(), "{}", config.kind());
            } else {
                assert_eq!(found[0].0, "reconstruction", "{}", config.kind());
            }
        }
    }
}
