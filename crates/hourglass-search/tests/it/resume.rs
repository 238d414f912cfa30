//! The same seed gives the same trials, bit for bit, and a study that was stopped anywhere goes on
//! as if it had not been.

use std::sync::Arc;
use std::time::Duration;

use hourglass_core::Seed;
use hourglass_search::{
    Ask, Distribution, FrozenTrial, MemoryStore, Outcome, Parameter, Params, PrunerConfig,
    SamplerConfig, SearchSpace, SqliteStore, Store, Study, StudyConfig, Trial, TrialState, pruner,
};

const TRIALS: u64 = 26;
const EPOCHS: i64 = 9;

fn space() -> SearchSpace {
    SearchSpace::new([
        ("depth", Distribution::int(1, 5).into()),
        ("kind", Distribution::categorical(["flat", "deep"]).into()),
        ("noise", Parameter::from(Distribution::float(0.0, 0.5)).when("kind", ["deep"])),
        ("rate", Distribution::float(1e-4, 1.0).log().into()),
        ("width", Distribution::int(8, 256).log().into()),
    ])
    .unwrap()
}

fn config(sampler: SamplerConfig) -> StudyConfig {
    let pruner = PrunerConfig::Median(pruner::Median { startup_trials: 3, ..Default::default() });
    let seed = Seed::new(11);
    StudyConfig { sampler, pruner, seed, ..StudyConfig::new("resumed", space()) }
}

/// How good parameters are after some epochs.
fn loss(params: &Params, epoch: i64) -> f64 {
    let number = |name: &str| params.get(name).and_then(|value| value.as_f64()).unwrap_or(0.3);
    let rate = (number("rate").log10() + 2.0).abs();
    let depth = (number("depth") - 3.0).abs();
    rate + depth + number("noise") + (number("width").log2() - 5.0).abs() + 4.0 / epoch as f64
}

/// Works on a trial from where an earlier attempt came to; stops dead after some reports.
fn train(trial: &mut Trial, mut reports_left: Option<u32>) -> bool {
    if trial.number() % 7 == 5 {
        trial.tell(&Outcome::Failed("it diverged".into())).unwrap();
        return true;
    }
    let from = trial.claimed().last_report().map_or(1, |(step, _)| step);
    for epoch in from..=EPOCHS {
        if reports_left == Some(0) {
            return false;
        }
        reports_left = reports_left.map(|left| left - 1);
        trial.report(epoch, loss(trial.params(), epoch)).unwrap();
        if trial.should_prune().unwrap() {
            trial.tell(&Outcome::Pruned).unwrap();
            return true;
        }
    }
    let value = loss(trial.params(), EPOCHS);
    trial.tell(&value.into()).unwrap();
    true
}

/// Works until the study is done, or dies at a report of a trial.
fn run(store: Arc<dyn Store>, sampler: &SamplerConfig, die: Option<(u64, u32)>) {
    let study = Study::create_or_load(store, config(sampler.clone())).unwrap();
    // The worker before this one had the same name and is gone.
    study.requeue_worker("only").unwrap();
    while let Ask::Trial(mut trial) = study.ask("only", Some(TRIALS)).unwrap() {
        let reports = die.filter(|(number, _)| *number == trial.number()).map(|(_, at)| at);
        if !train(&mut trial, reports) {
            return;
        }
    }
}

/// What has to be equal: everything but times, keys and attempts.
fn essence(store: &Arc<dyn Store>) -> Vec<String> {
    let study = Study::load(store.clone(), "resumed").unwrap();
    let essence = |trial: &FrozenTrial| {
        let bits: Vec<u64> = trial.values.iter().map(|value| value.to_bits()).collect();
        let params: Vec<(&String, u64)> =
            trial.params.iter().map(|(name, param)| (name, param.internal.to_bits())).collect();
        format!("{} {:?} {bits:?} {params:?} {:?}", trial.number, trial.state, trial.intermediate)
    };
    study.trials().unwrap().iter().map(essence).collect()
}

#[test]
fn the_same_seed_gives_the_same_trials_in_every_store() {
    for sampler in SamplerConfig::examples() {
        let folder = tempfile::tempdir().unwrap();
        let stores = [
            MemoryStore::shared(),
            MemoryStore::shared(),
            SqliteStore::open(&folder.path().join("studies.db")).unwrap(),
        ];
        let runs = stores.map(|store| {
            run(store.clone(), &sampler, None);
            essence(&store)
        });
        assert_eq!(runs[0], runs[1], "{}", sampler.name());
        assert_eq!(runs[0], runs[2], "{}", sampler.name());
        assert_eq!(runs[0].len() as u64, TRIALS);
    }
}

#[test]
fn another_seed_gives_other_trials() {
    for sampler in SamplerConfig::examples() {
        let [one, two] = [1, 2].map(|seed| {
            let config = StudyConfig { seed: Seed::new(seed), ..config(sampler.clone()) };
            let study = Study::create(MemoryStore::shared(), config).unwrap();
            let Ask::Trial(trial) = study.ask("w", None).unwrap() else { panic!() };
            trial.params().clone()
        });
        assert_eq!(one == two, sampler.name() == "grid", "{}", sampler.name());
    }
}

#[test]
fn a_study_that_was_stopped_anywhere_goes_on_as_if_it_had_not_been() {
    for sampler in SamplerConfig::examples() {
        let whole = MemoryStore::shared();
        run(whole.clone(), &sampler, None);
        let expect = essence(&whole);
        for number in 0..TRIALS {
            let reports = (number % 4) as u32;
            let store = MemoryStore::shared();
            run(store.clone(), &sampler, Some((number, reports)));
            run(store.clone(), &sampler, None);
            assert_eq!(essence(&store), expect, "{} at {number}", sampler.name());
        }
    }
}

#[test]
fn a_trial_that_panics_fails_and_the_study_goes_on() {
    let study = Study::create(
        MemoryStore::shared(),
        StudyConfig { lease: Duration::from_secs(5), ..config(SamplerConfig::default()) },
    )
    .unwrap();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    study
        .optimize(4, |trial| match trial.number() {
            1 => panic!("index {} is out of range", 7),
            2 => Err("it diverged".into()),
            _ => Ok(1.0.into()),
        })
        .unwrap();
    std::panic::set_hook(hook);
    let trials = study.trials().unwrap();
    assert_eq!(trials[1].reason(), Some("it panicked: index 7 is out of range"));
    assert_eq!(trials[2].reason(), Some("it diverged"));
    assert_eq!(trials[3].state, TrialState::Complete);
}
