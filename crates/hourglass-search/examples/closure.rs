//! A search with a closure as objective: conditional parameters, early stopping, and a SQLite file
//! that another run (or Optuna Dashboard) can open.
//!
//!     cargo run --release --package hourglass-search --example closure [FILE]

use hourglass_search::{
    Address, Distribution, Outcome, Parameter, PrunerConfig, SearchSpace, Study, StudyConfig, open,
    pruner,
};

fn main() -> Result<(), hourglass_search::Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "memory".into());
    let space = SearchSpace::new([
        ("rate", Distribution::float(1e-5, 1.0).log().into()),
        ("optimizer", Distribution::categorical(["adam", "sgd"]).into()),
        ("momentum", Parameter::from(Distribution::float(0.0, 0.99)).when("optimizer", ["sgd"])),
    ])?;
    let pruner = PrunerConfig::Median(pruner::Median::default());
    let config = StudyConfig { pruner, ..StudyConfig::new("closure", space) };
    let study = Study::create_or_load(open(&address.parse::<Address>()?)?, config)?;
    study.optimize(60, |trial| {
        // The best rate is 1e-3; momentum helps, but Adam is better still.
        let rate = (trial.float("rate")?.log10() + 3.0).abs();
        let floor = match trial.text("optimizer")? {
            "adam" => 0.1,
            _ => 0.3 - 0.1 * trial.float("momentum")?,
        };
        let mut loss = 0.0;
        for epoch in 1..=10 {
            loss = floor + rate + 1.0 / f64::from(epoch);
            trial.report(i64::from(epoch), loss)?;
            if trial.should_prune()? {
                return Ok(Outcome::Pruned);
            }
        }
        Ok(loss.into())
    })?;
    let best = study.best_trial()?;
    let parameters = study.params_of(&best);
    #[expect(clippy::print_stdout, reason = "an example speaks to a person")]
    {
        println!("trial {} of {}: {:.3}", best.number, study.trials()?.len(), best.values[0]);
        println!("{parameters:?}");
    }
    Ok(())
}
