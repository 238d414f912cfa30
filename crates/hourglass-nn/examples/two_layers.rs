//! An autoencoder of two layers, put together from the pieces alone, trained on an array.
//!
//! `cargo run --release -p hourglass-nn --example two_layers`

use hourglass_core::{Matrix, Seed};
use hourglass_nn::{
    Activation, Dense, Init, Loss, Optimizer, OptimizerConfig, Result, Schedule, ScheduleConfig,
    Select, WeightOrder, backward, clip_by_norm, rows_of, to_matrix,
};

const N_STEPS: usize = 400;

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<()> {
    let rows = Matrix::from_shape_fn((200, 8), |(row, column)| {
        ((row % 20) as f32 * 0.3 + column as f32).cos()
    });
    let (init, seed) = (Init::GlorotUniform, Seed::new(1));
    let encoder = Dense::new("encoder", (8, 3), WeightOrder::OutIn, Activation::Tanh, init, seed)?;
    let decoder =
        Dense::new("decoder", (3, 8), WeightOrder::InOut, Activation::Linear, init, seed)?;
    let parameters: Vec<_> = [&encoder, &decoder]
        .into_iter()
        .flat_map(|layer| [layer.weight().clone(), layer.bias().clone()])
        .collect();

    let schedule = Schedule::new(ScheduleConfig::cosine(), 0.02, 1, N_STEPS);
    let mut optimizer = Optimizer::new(OptimizerConfig::adam(0.02), parameters.clone());
    let batch = rows_of(rows.view())?;
    for step in 0..N_STEPS {
        let latent = encoder.forward(&batch, Select::All)?;
        let loss = Loss::Mse.mean(&decoder.forward(&latent, Select::All)?, &batch)?;
        backward(&loss, &parameters)?;
        clip_by_norm(&parameters, 1.0);
        optimizer.step(schedule.rate(step as u64))?;
        if step % 100 == 0 || step + 1 == N_STEPS {
            println!("step {:>3}: {:.5}", step + 1, loss.to_scalar::<f32>()?);
        }
    }

    let new = Matrix::from_shape_fn((2, 8), |(row, column)| (row as f32 + column as f32).cos());
    println!("{:.3}", to_matrix(&encoder.forward(&rows_of(new.view())?, Select::All)?)?);
    Ok(())
}
