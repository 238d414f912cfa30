//! Schedulers on one store, with a clock that the tests move.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use hourglass_core::Silent;
use hourglass_search::{ManualClock, MemoryStore};

use super::*;

const FILE: &str = r#"
name = "night"
seed = 1
data.builtin.dataset = "iris"
preprocess.numeric = "standard"
model.undercomplete = { latent_dim = 2 }
train = { epochs = 1, optimizer = { adam = { learning_rate = 1e-2 } } }
downstream = { compare = ["raw", "autoencoder"], models = [{ knn = {} }] }
[search]
trials = 2
[search.space]
"model.undercomplete.latent_dim" = { int = [1, 3] }
[schedule]
cron = "30 2 * * *"
timezone = "Europe/Berlin"
"#;

/// A schedule in a folder, a clock, and everything that was fired.
struct Night {
    folder: tempfile::TempDir,
    clock: ManualClock,
    store: Arc<dyn Store>,
    fired: Mutex<Vec<String>>,
}

impl Night {
    fn new(start: &str, more: &str) -> Night {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("night.toml"), format!("{FILE}{more}\n")).unwrap();
        let clock = ManualClock::new(start.parse().unwrap());
        let store = MemoryStore::with_clock(clock.clone());
        Night { folder, clock, store, fired: Mutex::default() }
    }

    fn timetable(&self) -> Timetable {
        Timetable::read(self.folder.path()).unwrap()
    }

    /// A pass of a scheduler of that name, which finds everything as the store has it.
    fn tick(&self, name: &str) -> Vec<Fired> {
        let fire = |file: &TimetableFile, due: Timestamp, _: &Interrupt| {
            self.fired.lock().unwrap().push(file.schedule.local(due));
            Ok("fine".to_owned())
        };
        self.timetable().tick(&self.runner(name, &fire), &Interrupt::new()).unwrap()
    }

    fn runner<'a>(
        &'a self,
        name: &str,
        fire: &'a (dyn Fn(&TimetableFile, Timestamp, &Interrupt) -> Result<String> + Sync),
    ) -> Runner<'a> {
        Runner {
            store: Arc::clone(&self.store),
            clock: &self.clock,
            name: name.to_owned(),
            lease: Duration::from_secs(60),
            fire,
            progress: &Silent,
        }
    }

    fn fired(&self) -> Vec<String> {
        self.fired.lock().unwrap().clone()
    }

    fn pass(&self, minutes: u64) {
        self.clock.advance(Duration::from_secs(60 * minutes));
    }
}

#[test]
fn several_schedulers_fire_each_time_once_through_both_changes_of_the_clock() {
    for (start, expected) in [
        (
            "2026-03-28T00:00:00Z",
            ["2026-03-28 02:30:00 CET", "2026-03-29 03:00:00 CEST", "2026-03-30 02:30:00 CEST"],
        ),
        (
            "2026-10-24T00:00:00Z",
            ["2026-10-24 02:30:00 CEST", "2026-10-25 02:30:00 CEST", "2026-10-26 02:30:00 CET"],
        ),
    ] {
        let night = Night::new(start, "");
        for _ in 0..(3 * 24 * 12) {
            for name in ["a", "b", "c"] {
                night.tick(name);
            }
            night.pass(5);
        }
        assert_eq!(night.fired(), expected);
    }
}

#[test]
fn many_threads_fire_each_time_once() {
    let night = Night::new("2026-01-01T00:00:00Z", "misfire = \"all\"\noverlap = \"allow\"");
    night.tick("first");
    night.pass(60 * 24 * 20);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let night = &night;
            scope.spawn(move || night.tick(&format!("scheduler {number}")));
        }
    });
    let mut fired = night.fired();
    assert_eq!(fired.len(), 20);
    fired.sort();
    fired.dedup();
    assert_eq!(fired.len(), 20);
}

#[test]
fn missed_times_are_left_out_made_up_for_once_or_all() {
    for (misfire, expected) in [
        ("skip", vec![]),
        ("once", vec!["2026-01-04 02:30:00 CET"]),
        (
            "all",
            vec!["2026-01-02 02:30:00 CET", "2026-01-03 02:30:00 CET", "2026-01-04 02:30:00 CET"],
        ),
    ] {
        let night = Night::new("2026-01-01T12:00:00Z", &format!("misfire = \"{misfire}\""));
        night.tick("before");
        night.pass(60 * 24 * 3);
        // The restarted scheduler finds in the store what was dealt with.
        night.tick("after");
        night.tick("after once more");
        assert_eq!(night.fired(), expected, "{misfire}");
    }
}

#[test]
fn a_firing_whose_scheduler_died_is_taken_up_after_its_lease() {
    let night = Night::new("2026-01-01T00:00:00Z", "");
    night.tick("first");
    night.pass(60 * 2);
    let stopped = |_: &TimetableFile, _: Timestamp, _: &Interrupt| Err(Error::Interrupted);
    let runner = night.runner("dies", &stopped);
    let error = night.timetable().tick(&runner, &Interrupt::new()).unwrap_err();
    assert!(error.is_interrupt());
    assert!(night.tick("second").is_empty(), "the lease still holds");
    night.pass(2);
    assert_eq!(night.tick("second").len(), 1);
    night.tick("third");
    assert_eq!(night.fired(), ["2026-01-01 02:30:00 CET"]);
}

#[test]
fn what_happens_to_a_time_while_the_last_firing_runs() {
    for (overlap, expected) in [
        ("forbid", vec!["skipped the last firing still ran"]),
        ("allow", vec!["done fine"]),
        ("queue", vec![]),
        ("replace", vec![]),
    ] {
        let night = Night::new("2026-01-01T00:00:00Z", &format!("overlap = \"{overlap}\""));
        night.tick("first");
        night.pass(60 * 24);
        let seen = Mutex::new(None);
        let fire = |_: &TimetableFile, _: Timestamp, _: &Interrupt| {
            if seen.lock().unwrap().is_some() {
                return Ok("later".to_owned());
            }
            // A day passes while it runs; its lease is renewed, as a thread would.
            night.pass(60 * 24);
            let due = "2026-01-01T01:30:00Z".parse().unwrap();
            let lease = Duration::from_secs(60);
            assert!(night.store.renew_fire("night", due, "slow", lease).unwrap());
            let other = night.tick("other");
            let words = other.iter().map(|fired| format!("{} {}", fired.state.name(), fired.note));
            *seen.lock().unwrap() = Some(words.collect::<Vec<_>>());
            Ok("slow".to_owned())
        };
        let runner = night.runner("slow", &fire);
        night.timetable().tick(&runner, &Interrupt::new()).unwrap();
        assert_eq!(seen.lock().unwrap().as_deref().unwrap(), expected, "{overlap}");
    }
}

#[test]
fn replace_stops_the_firing_that_runs() {
    let night = Night::new("2026-01-01T00:00:00Z", "overlap = \"replace\"");
    night.tick("first");
    night.pass(60 * 2);
    let n_runs = AtomicUsize::new(0);
    let fire = |_: &TimetableFile, _: Timestamp, stop: &Interrupt| {
        if n_runs.fetch_add(1, Ordering::SeqCst) == 0 {
            // The next time comes while it runs; another scheduler writes it down.
            night.store.record_fire("night", night.clock.now(), FireState::Waiting).unwrap();
            while !stop.is_raised() {
                std::thread::yield_now();
            }
            return Err(Error::Interrupted);
        }
        Ok("new".to_owned())
    };
    let mut runner = night.runner("only", &fire);
    runner.lease = Duration::from_millis(200);
    let fired = night.timetable().tick(&runner, &Interrupt::new()).unwrap();
    let notes: Vec<&str> = fired.iter().map(|fired| fired.note.as_str()).collect();
    assert_eq!(notes, ["stopped for the next firing", "new"]);
}

#[test]
fn a_suspended_schedule_rests_and_what_passed_meanwhile_is_not_due() {
    let night = Night::new("2026-01-01T00:00:00Z", "suspend = true");
    night.tick("a");
    night.pass(60 * 24 * 2);
    assert!(night.tick("a").is_empty());
    fs::write(night.folder.path().join("night.toml"), FILE).unwrap();
    assert!(night.tick("a").is_empty());
    night.pass(60 * 24);
    assert_eq!(night.tick("a").len(), 1);
}

#[test]
fn a_failed_firing_is_written_down_and_the_next_one_comes() {
    let night = Night::new("2026-01-01T00:00:00Z", "");
    night.tick("a");
    night.pass(60 * 24);
    let fails = |_: &TimetableFile, _: Timestamp, _: &Interrupt| {
        Err(Error::AllFailed { n_trials: 2, reason: "no".to_owned() })
    };
    let fired = night.timetable().tick(&night.runner("a", &fails), &Interrupt::new()).unwrap();
    assert_eq!(fired[0].state, FireState::Failed);
    assert!(fired[0].note.contains("all 2 trials failed"));
    night.pass(60 * 24);
    assert_eq!(night.tick("a").len(), 1);
}

#[test]
fn two_files_of_one_name_and_a_folder_without_schedules() {
    let night = Night::new("2026-01-01T00:00:00Z", "");
    fs::write(night.folder.path().join("other.toml"), FILE).unwrap();
    let error = Timetable::read(night.folder.path()).map(drop).unwrap_err();
    assert!(error.to_string().contains("are both named `night`"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = Timetable::read(empty.path()).map(drop).unwrap_err();
    assert!(matches!(error, Error::NoSchedule { .. }), "{error}");
}
