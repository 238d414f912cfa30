//! Fits the preprocessing of a table larger than memory and passes over its rows in batches.
//!
//! `cargo run --release -p hourglass-data --example stream_table -- TABLE.parquet TARGET`

use std::path::PathBuf;
use std::time::Instant;

use hourglass_core::{Part, Seed};
use hourglass_data::{
    DataConfig, Error, Fill, Missing, Numeric, PreprocessConfig, SplitConfig, Stream, TableFile,
};

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(target)) = (arguments.next(), arguments.next()) else {
        println!("give the path of a Parquet file and the name of its target");
        return Ok(());
    };
    let parquet = TableFile {
        path: PathBuf::from(path),
        test_path: None,
        target,
        task: Default::default(),
        missing: Vec::new(),
        drop_columns: Vec::new(),
    };
    let config = DataConfig { parquet: Some(parquet), ..DataConfig::default() };
    let preprocess = PreprocessConfig {
        missing: Missing::Fill(Fill::Median),
        numeric: Numeric::Standard,
        ..PreprocessConfig::default()
    };
    let started = Instant::now();
    let base = std::path::Path::new("");
    let fitted =
        Stream::open(&config, base, &SplitConfig::default(), Seed::new(42))?.fit(&preprocess)?;
    println!("fitted in {:.1} s", started.elapsed().as_secs_f64());
    for part in [Part::Train, Part::Test] {
        let started = Instant::now();
        let (mut n_rows, mut n_batches, mut sum) = (0, 0, 0.0_f64);
        for batch in fitted.batches(part)? {
            let batch = batch?;
            n_rows += batch.features.nrows();
            n_batches += 1;
            sum += batch.features.iter().map(|&value| f64::from(value)).sum::<f64>();
        }
        let (seconds, mean) = (started.elapsed().as_secs_f64(), sum / n_rows.max(1) as f64);
        println!("{part:?}: {n_rows} rows, {n_batches} batches, {seconds:.1} s, row sum {mean:.6}");
    }
    Ok(())
}
