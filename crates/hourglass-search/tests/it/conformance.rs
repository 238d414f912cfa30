//! What every store has to do, whichever it is.

use std::collections::BTreeMap;
use std::time::Duration;

use hourglass_search::schedule::{FireState, Schedule};
use hourglass_search::store::{Lost, Scope};
use hourglass_search::{
    Ask, Direction, Distribution, Error, FrozenTrial, Outcome, Parameter, Params, REASON,
    SearchSpace, Study, StudyConfig, Trial, TrialState,
};
use serde_json::{Value, json};

use crate::fixture::{Fixture, config, each};

const MINUTE: Duration = Duration::from_secs(60);

fn create(fixture: &Fixture, name: &str) -> Study {
    Study::create(fixture.store.clone(), config(name)).unwrap()
}

fn ask(study: &Study, worker: &str) -> Trial {
    match study.ask(worker, None).unwrap() {
        Ask::Trial(trial) => *trial,
        _ => panic!("no trial"),
    }
}

fn trial(study: &Study, number: u64) -> FrozenTrial {
    study.trials().unwrap().remove(number as usize)
}

#[test]
fn a_study_is_made_once_and_found_by_its_name() {
    each(|fixture| {
        let study = create(fixture, "first");
        let again = Study::create(fixture.store.clone(), config("first"));
        assert!(matches!(again, Err(Error::StudyExists { .. })), "{}", fixture.kind);
        let loaded = Study::load(fixture.store.clone(), "first").unwrap();
        assert_eq!(loaded.config(), study.config());
        let Err(error) = Study::load(fixture.store.clone(), "frist") else { panic!() };
        assert!(error.to_string().contains("the studies there are: first"), "{error}");
        create(fixture, "second");
        let names: Vec<String> =
            fixture.store.studies().unwrap().into_iter().map(|study| study.name).collect();
        assert_eq!(names, ["first", "second"]);
        fixture.store.delete_study(study.id()).unwrap();
        assert!(matches!(
            fixture.store.study("first"),
            Err(Error::UnknownStudy { known, .. }) if known == ["second"]
        ));
    });
}

#[test]
fn a_study_is_carried_on_only_if_its_trials_fit() {
    each(|fixture| {
        let study = create(fixture, "s");
        ask(&study, "w").tell(&1.0.into()).unwrap();
        let with = |parameter: Parameter, directions: Vec<Direction>| {
            let space = SearchSpace::new([("x", parameter)]).unwrap();
            let config = StudyConfig { directions, ..StudyConfig::new("s", space) };
            Study::create_or_load(fixture.store.clone(), config)
        };
        let wider: Parameter = Distribution::float(-1.0, 2.0).into();
        let minimize = vec![Direction::Minimize];
        assert_eq!(with(wider.clone(), minimize.clone()).unwrap().trials().unwrap().len(), 1);
        let Err(error) = with(Distribution::int(0, 1).into(), minimize) else { panic!() };
        assert!(error.to_string().contains("`x` as float 0 to 1, but it is int 0 to 1"), "{error}");
        let Err(error) = with(wider, vec![Direction::Maximize]) else { panic!() };
        assert!(matches!(error, Error::OtherDirections { .. }), "{error}");
    });
}

#[test]
fn a_trial_keeps_what_it_was_told() {
    each(|fixture| {
        let space = SearchSpace::new([
            ("depth", Distribution::int(1, 9).step(2.0).into()),
            ("optimizer", Distribution::categorical([json!({"adam": {}}), json!("sgd")]).into()),
            ("rate", Distribution::float(1e-4, 1.0).log().into()),
        ])
        .unwrap();
        let directions = vec![Direction::Minimize, Direction::Maximize];
        let config = StudyConfig { directions, ..StudyConfig::new("two", space) };
        let study = Study::create(fixture.store.clone(), config).unwrap();
        let mut first = ask(&study, "w");
        assert_eq!((first.number(), first.attempt()), (0, 1));
        first.report(1, 0.1).unwrap();
        first.report(2, f64::NAN).unwrap();
        first.report(3, f64::INFINITY).unwrap();
        first.report(1, 0.3).unwrap();
        first.set_user_attribute("note", json!({"a": [1, null]})).unwrap();
        first.set_user_attribute("note", "later").unwrap();
        first.set_system_attribute("checkpoint", "a/b").unwrap();
        let miscounted = first.tell(&1.0.into());
        assert!(matches!(miscounted, Err(Error::ValueCount { found: 1, expected: 2, .. })));
        first.tell(&vec![f64::NEG_INFINITY, 2.5].into()).unwrap();
        let stored = trial(&study, 0);
        assert_eq!(stored.state, TrialState::Complete);
        assert_eq!(stored.values, [f64::NEG_INFINITY, 2.5]);
        assert_eq!(study.params_of(&stored), *first.params());
        let optimizer = &first.params()["optimizer"];
        assert!(optimizer.is_object() || optimizer.is_string());
        assert_eq!(stored.intermediate[&1], 0.3);
        assert!(stored.intermediate[&2].is_nan());
        assert_eq!(stored.intermediate[&3], f64::INFINITY);
        assert_eq!(stored.user_attributes, BTreeMap::from([("note".into(), json!("later"))]));
        assert_eq!(stored.system_attributes["checkpoint"], json!("a/b"));
        assert_eq!(stored.started, stored.finished);
        assert_eq!(stored.started.unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(stored.holder.unwrap().lease_until, None);
    });
}

#[test]
fn trials_end_in_every_way() {
    each(|fixture| {
        let study = create(fixture, "s");
        ask(&study, "w").tell(&Outcome::Failed("out of memory".into())).unwrap();
        ask(&study, "w").tell(&f64::NAN.into()).unwrap();
        let mut pruned = ask(&study, "w");
        pruned.report(1, 0.5).unwrap();
        pruned.report(2, 0.25).unwrap();
        pruned.tell(&Outcome::Pruned).unwrap();
        let Err(error) = study.best_trial() else { panic!() };
        assert!(error.to_string().contains("2 failed, 1 were pruned"), "{error}");
        ask(&study, "w").tell(&3.0.into()).unwrap();
        ask(&study, "w").tell(&2.0.into()).unwrap();
        let trials = study.trials().unwrap();
        let states: Vec<TrialState> = trials.iter().map(|trial| trial.state).collect();
        use TrialState::{Complete, Failed, Pruned};
        assert_eq!(states, [Failed, Failed, Pruned, Complete, Complete]);
        assert_eq!(trials[0].reason(), Some("out of memory"));
        assert_eq!(trials[1].user_attributes[REASON], json!("the objective is not a number"));
        assert_eq!(trials[2].values, [0.25]);
        assert_eq!(study.best_trial().unwrap().number, 4);
        // An ended trial takes no more.
        let ended = pruned.tell(&1.0.into());
        assert!(matches!(ended, Err(Error::LeaseLost { number: 2, .. })), "{}", fixture.kind);
    });
}

#[test]
fn enqueued_values_are_tried_first_and_completed() {
    each(|fixture| {
        let space = SearchSpace::new([
            ("kind", Distribution::categorical([json!({"deep": 2}), json!("flat")]).into()),
            ("x", Distribution::float(0.0, 1.0).into()),
        ])
        .unwrap();
        let study = Study::create(fixture.store.clone(), StudyConfig::new("s", space)).unwrap();
        let given = |name: &str, value: Value| Params::from([(name.to_owned(), value)]);
        assert_eq!(study.enqueue(&given("x", json!(0.25))).unwrap(), 0);
        assert_eq!(study.enqueue(&given("kind", json!({"deep": 2}))).unwrap(), 1);
        assert!(study.enqueue(&given("x", json!(2.0))).is_err());
        assert!(study.enqueue(&given("y", json!(0.5))).is_err());
        let first = ask(&study, "w");
        assert_eq!((first.number(), first.float("x").unwrap()), (0, 0.25));
        assert!(first.params().contains_key("kind"));
        assert_eq!(ask(&study, "w").params()["kind"], json!({"deep": 2}));
        assert_eq!(ask(&study, "w").number(), 2);
    });
}

#[test]
fn a_released_trial_goes_on_elsewhere() {
    each(|fixture| {
        let study = create(fixture, "s");
        let mut first = ask(&study, "a");
        first.report(1, 0.5).unwrap();
        first.set_system_attribute("checkpoint", "epoch 1").unwrap();
        first.release().unwrap();
        assert!(matches!(first.heartbeat(), Err(Error::LeaseLost { .. })));
        assert_eq!(trial(&study, 0).state, TrialState::Queued);
        let second = ask(&study, "b");
        assert_eq!((second.number(), second.attempt()), (0, 2));
        assert_eq!(second.params(), first.params());
        assert_eq!(second.claimed().intermediate, BTreeMap::from([(1, 0.5)]));
        assert_eq!(second.claimed().system_attributes["checkpoint"], json!("epoch 1"));
        second.tell(&1.0.into()).unwrap();
        assert_eq!(study.trials().unwrap().len(), 1);
    });
}

#[test]
fn a_lost_worker_loses_its_trial_and_its_late_writes_are_refused() {
    each(|fixture| {
        let study = create(fixture, "s");
        let mut zombie = ask(&study, "zombie");
        fixture.clock.advance(MINUTE / 2);
        zombie.heartbeat().unwrap();
        fixture.clock.advance(MINUTE - Duration::from_secs(1));
        assert_eq!(study.requeue_expired().unwrap(), []);
        // A report is a sign of life, too.
        zombie.report(1, 0.5).unwrap();
        fixture.clock.advance(MINUTE);
        let second = ask(&study, "alive");
        assert_eq!((second.number(), second.attempt()), (0, 2));
        let lost = |result: Result<(), Error>| {
            let Err(error) = result else { panic!("{}", fixture.kind) };
            assert!(error.to_string().contains("worker `zombie` no longer holds trial 0"));
        };
        lost(zombie.tell(&0.0.into()));
        lost(zombie.report(2, 0.0));
        lost(zombie.heartbeat());
        lost(zombie.set_user_attribute("a", 1));
        lost(zombie.release());
        second.tell(&1.0.into()).unwrap();
        let stored = trial(&study, 0);
        assert_eq!((stored.values, stored.intermediate.len()), (vec![1.0], 1));
    });
}

#[test]
fn the_same_worker_name_does_not_make_a_zombie_welcome() {
    each(|fixture| {
        let study = create(fixture, "s");
        let zombie = ask(&study, "w");
        assert_eq!(study.requeue_worker("w").unwrap().len(), 1);
        let second = ask(&study, "w");
        assert!(matches!(zombie.tell(&0.0.into()), Err(Error::LeaseLost { .. })));
        second.tell(&1.0.into()).unwrap();
    });
}

#[test]
fn a_trial_that_loses_every_worker_fails() {
    each(|fixture| {
        let study = create(fixture, "s");
        ask(&study, "w").release().unwrap();
        for loss in 1..=3 {
            let attempt = ask(&study, "w");
            assert_eq!((attempt.number(), attempt.attempt()), (0, loss + 1));
            fixture.clock.advance(MINUTE);
            let requeued = study.requeue_expired().unwrap();
            assert_eq!(requeued.len(), 1, "{}", fixture.kind);
            assert_eq!((requeued[0].attempt, requeued[0].again), (loss + 1, loss < 3));
        }
        let stored = trial(&study, 0);
        assert_eq!(stored.state, TrialState::Failed);
        assert_eq!(stored.reason(), Some("its worker was lost 3 times"));
        assert_eq!(ask(&study, "w").number(), 1);
    });
}

#[test]
fn only_the_named_worker_is_taken_from() {
    each(|fixture| {
        let study = create(fixture, "s");
        let (_a, b) = (ask(&study, "a"), ask(&study, "b"));
        let requeued = fixture.store.requeue(study.id(), Lost::Worker("a"), 3).unwrap();
        assert_eq!(requeued.iter().map(|lost| lost.number).collect::<Vec<_>>(), [0]);
        b.tell(&1.0.into()).unwrap();
    });
}

#[test]
fn a_study_ends_waits_and_stops() {
    each(|fixture| {
        let study = create(fixture, "s");
        let only = ask(&study, "a");
        let next = |study: &Study| study.ask("b", Some(1)).unwrap();
        assert!(matches!(next(&study), Ask::Wait { running: 1 }), "{}", fixture.kind);
        fixture.clock.advance(MINUTE);
        let Ask::Trial(again) = next(&study) else { panic!("{}", fixture.kind) };
        assert!(matches!(only.tell(&0.0.into()), Err(Error::LeaseLost { .. })));
        again.tell(&0.0.into()).unwrap();
        assert!(matches!(next(&study), Ask::Done));
        study.set_stop(true).unwrap();
        assert!(study.stop_requested().unwrap());
        assert!(matches!(study.ask("b", None).unwrap(), Ask::Stopped));
        study.set_stop(false).unwrap();
        assert_eq!(ask(&study, "b").number(), 1);
    });
}

#[test]
fn the_front_of_several_objectives_is_found() {
    each(|fixture| {
        let directions = vec![Direction::Maximize, Direction::Minimize];
        let config = StudyConfig { directions, ..config("front") };
        let study = Study::create(fixture.store.clone(), config).unwrap();
        for values in [[0.9, 8.0], [0.8, 4.0], [0.8, 5.0], [0.7, 4.0], [0.95, 16.0]] {
            ask(&study, "w").tell(&values.to_vec().into()).unwrap();
        }
        ask(&study, "w").tell(&Outcome::Pruned).unwrap();
        let front = study.pareto_front().unwrap();
        assert_eq!(front.iter().map(|trial| trial.number).collect::<Vec<_>>(), [0, 1, 4]);
        assert!(matches!(study.best_trial(), Err(Error::SeveralObjectives { .. })));
    });
}

#[test]
fn attributes_of_a_study_are_set_and_removed() {
    each(|fixture| {
        let study = create(fixture, "s");
        let set = |value: Value| {
            fixture.store.set_study_attribute(study.id(), Scope::User, "owner", &value).unwrap();
            study.record().unwrap().user_attributes
        };
        assert_eq!(set(json!("ada"))["owner"], json!("ada"));
        assert_eq!(set(json!([1]))["owner"], json!([1]));
        assert!(set(Value::Null).is_empty());
    });
}

#[test]
fn a_failing_sampler_leaves_nothing_behind() {
    each(|fixture| {
        let study = create(fixture, "s");
        let request = hourglass_search::store::AskRequest {
            study: study.id(),
            worker: "w",
            lease: MINUTE,
            max_attempts: 3,
            limit: None,
            history: true,
        };
        let asked = fixture.store.ask(&request, &mut |_| Err(Error::EmptySpace));
        assert!(matches!(asked, Err(Error::EmptySpace)));
        assert_eq!(study.trials().unwrap(), [], "{}", fixture.kind);
        assert_eq!(ask(&study, "w").number(), 0);
    });
}

#[test]
fn every_due_time_fires_once_whoever_looks() {
    each(|fixture| {
        let store = &fixture.store;
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        let schedule = Schedule {
            name: "nightly".into(),
            spec: json!({"cron": "0 2 * * *"}),
            suspended: false,
            since: at("2026-01-01T00:00:00Z"),
        };
        store.put_schedule(&schedule).unwrap();
        let changed = Schedule { suspended: true, ..schedule };
        store.put_schedule(&changed).unwrap();
        assert_eq!(store.schedules().unwrap(), [changed]);
        let (due, later) = (at("2026-01-01T02:00:00Z"), at("2026-01-02T02:00:00Z"));
        let record = |due| store.record_fire("nightly", due, FireState::Waiting).unwrap();
        assert_eq!([record(due), record(due), record(later)], [true, false, true]);
        let claim = |worker| store.claim_fire("nightly", due, worker, MINUTE).unwrap();
        assert_eq!([claim("a"), claim("b")], [true, false]);
        fixture.clock.advance(MINUTE / 2);
        assert!(store.renew_fire("nightly", due, "a", MINUTE).unwrap());
        fixture.clock.advance(MINUTE / 2);
        assert!(!claim("b"), "{}", fixture.kind);
        fixture.clock.advance(MINUTE / 2);
        assert!(claim("b"));
        assert!(!store.renew_fire("nightly", due, "a", MINUTE).unwrap());
        let finish = |worker| {
            store.finish_fire("nightly", due, worker, FireState::Done, "50 trials").unwrap()
        };
        assert_eq!([finish("a"), finish("b"), finish("b")], [false, true, false]);
        let fires = store.fires("nightly").unwrap();
        let states: Vec<FireState> = fires.iter().map(|fire| fire.state).collect();
        assert_eq!(states, [FireState::Done, FireState::Waiting]);
        assert_eq!((fires[0].due_at, fires[0].note.as_str()), (due, "50 trials"));
        assert_eq!(fires[0].worker.as_deref(), Some("b"));
        assert!(store.fires("weekly").unwrap().is_empty());
    });
}
