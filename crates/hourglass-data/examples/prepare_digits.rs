//! Loads a data set that comes with the program and prepares it.
//!
//! `cargo run --release -p hourglass-data --example prepare_digits`

use std::path::Path;

use hourglass_core::{Interrupt, Part, Seed, Silent};
use hourglass_data::{
    Builtin, BuiltinSource, DataConfig, Error, Locations, Numeric, Prepared, PreprocessConfig,
    SplitConfig, load, prepare,
};

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<(), Error> {
    let builtin = Some(BuiltinSource { dataset: Builtin::Digits });
    let config = DataConfig { builtin, ..DataConfig::default() };
    let locations = Locations::usual(None, true);
    let seed = Seed::new(42);
    let loaded = load(&config, Path::new("."), &locations, seed, &Silent, &Interrupt::new())?;
    println!("{}", loaded.provenance.sentence);

    let numeric = Numeric::MinMax { range: [0.0, 1.0] };
    let preprocess = PreprocessConfig { numeric, ..PreprocessConfig::default() };
    let split = SplitConfig::default();
    let Prepared { samples, preprocessor, .. } = prepare(&loaded, &split, &preprocess, seed, 0)?;
    for part in [Part::Train, Part::Validation, Part::Test] {
        println!("{part:?}: {} rows", samples.part(part).nrows());
    }
    println!("scaled to {:?}", preprocessor.output_range());
    Ok(())
}
