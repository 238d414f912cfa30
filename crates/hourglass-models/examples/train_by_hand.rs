//! Takes a model from the zoo and trains it with a loop of one's own.
//!
//! `cargo run --release -p hourglass-models --example train_by_hand`

use hourglass_core::{Matrix, SampleShape, Seed};
use hourglass_models::{Context, ModelConfig, Result, Undercomplete, build};
use hourglass_nn::{Loss, Optimizer, OptimizerConfig, backward, rows_of, to_matrix};

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<()> {
    let rows = Matrix::from_shape_fn((256, 10), |(row, column)| {
        ((row % 16) as f32 * 0.4 + column as f32 * 0.7).sin()
    });
    let config = ModelConfig::Undercomplete(Undercomplete::new(3, None));
    let seed = Seed::new(1);
    let model = build(&config, &SampleShape::Vector { len: 10 }, seed.child("model"))?;
    let mut optimizer = Optimizer::new(OptimizerConfig::adam(0.01), model.parameters().to_vec());

    let batch = rows_of(rows.view())?;
    let n_epochs = 300;
    for epoch in 0..n_epochs {
        let context = Context::train(epoch as f64, n_epochs, seed.child("step").nth(epoch as u64));
        let loss = model.loss(&batch, &batch, &Loss::Mse, &context)?;
        backward(&loss.total, model.parameters())?;
        optimizer.step(0.01)?;
        if epoch % 100 == 0 || epoch + 1 == n_epochs {
            println!("epoch {:>3}: {:.5}", epoch + 1, loss.reconstruction.to_scalar::<f32>()?);
        }
    }

    let new = Matrix::from_shape_fn((2, 10), |(row, column)| {
        ((row + 3) as f32 * 0.4 + column as f32 * 0.7).sin()
    });
    println!("{:.3}", to_matrix(&model.encode(&rows_of(new.view())?)?)?);
    Ok(())
}
