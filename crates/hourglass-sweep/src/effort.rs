//! Where the time of a crew went: into training and judging, beside it, or into waiting at the end.

use std::collections::BTreeMap;
use std::fmt;

use hourglass_schedule::Timestamp;
use hourglass_search::FrozenTrial;

use crate::summary::seconds;

/// What a crew did in its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Trials that finished.
    pub n_trials: usize,
    /// Workers at once.
    pub n_workers: usize,
    /// Seconds from the start of the crew to its end.
    pub seconds: f64,
    /// Seconds of all workers in training and judging.
    pub work_seconds: f64,
    /// Seconds of all workers between their last trial and the last of all, where none was left.
    pub waiting_seconds: f64,
}

impl Effort {
    /// What `n_workers` did between two times.
    pub(crate) fn of(
        trials: &[FrozenTrial],
        n_workers: usize,
        began: Timestamp,
        ended: Timestamp,
    ) -> Effort {
        let own: Vec<(&FrozenTrial, Timestamp)> = trials
            .iter()
            .filter_map(|trial| Some((trial, trial.finished.filter(|time| *time >= began)?)))
            .collect();
        let mut last: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for (trial, finished) in &own {
            let worker = trial.holder.as_ref().map_or("", |holder| holder.worker.as_str());
            let latest = last.entry(worker).or_insert(*finished);
            *latest = (*latest).max(*finished);
        }
        let mut last: Vec<Timestamp> = last.into_values().collect();
        last.sort_unstable_by(|a, b| b.cmp(a));
        let end = last.first().copied().unwrap_or(ended);
        // A worker that died waited for nothing: another one took its place.
        let waits = last.iter().take(n_workers);
        let waits = waits.map(|time| end.duration_since(*time).as_secs_f64());
        Effort {
            n_trials: own.len(),
            n_workers,
            seconds: ended.duration_since(began).as_secs_f64(),
            work_seconds: own.iter().filter_map(|(trial, _)| seconds(trial)).sum(),
            waiting_seconds: waits.sum(),
        }
    }

    /// Trials a minute.
    pub fn trials_per_minute(&self) -> f64 {
        60.0 * self.n_trials as f64 / self.seconds
    }

    /// Seconds of all workers that went neither into a trial nor into waiting for the last one:
    /// starting, preparing rows, reading and writing the study.
    pub fn beside_seconds(&self) -> f64 {
        let all = self.seconds * self.n_workers as f64;
        (all - self.work_seconds - self.waiting_seconds).max(0.0)
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |seconds: f64| 100.0 * seconds / (self.seconds * self.n_workers as f64);
        write!(
            f,
            "{} trials in {:.1} s, {:.1} a minute; of the workers' time {:.1} % was training and \
             judging, {:.1} % beside it, {:.1} % waiting for the last trial",
            self.n_trials,
            self.seconds,
            self.trials_per_minute(),
            percent(self.work_seconds),
            percent(self.beside_seconds()),
            percent(self.waiting_seconds),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hourglass_search::{Holder, TrialState};

    use super::*;
    use crate::worker::WORK_SECONDS;

    fn trial(worker: &str, finished: f64, work: f64) -> FrozenTrial {
        let time = |seconds: f64| Timestamp::UNIX_EPOCH + Duration::from_secs_f64(seconds);
        FrozenTrial {
            id: 1,
            number: 0,
            state: TrialState::Complete,
            values: vec![1.0],
            params: BTreeMap::new(),
            intermediate: BTreeMap::new(),
            user_attributes: [(WORK_SECONDS.to_owned(), work.into())].into(),
            system_attributes: BTreeMap::new(),
            started: Some(time(finished - work)),
            finished: Some(time(finished)),
            holder: Some(Holder {
                worker: worker.to_owned(),
                attempt: 1,
                losses: 0,
                lease_until: None,
                heartbeat: time(finished),
            }),
        }
    }

    #[test]
    fn every_second_is_counted_once() {
        // The first trial is of an earlier run.
        let trials = [trial("a", 50.0, 9.0), trial("a", 104.0, 3.5), trial("b", 110.0, 9.5)];
        let time = |seconds| Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
        let effort = Effort::of(&trials, 2, time(100), time(110));
        assert_eq!(effort.n_trials, 2);
        assert_eq!((effort.work_seconds, effort.waiting_seconds), (13.0, 6.0));
        assert_eq!((effort.beside_seconds(), effort.trials_per_minute()), (1.0, 12.0));
        assert_eq!(
            effort.to_string(),
            "2 trials in 10.0 s, 12.0 a minute; of the workers' time 65.0 % was training and \
             judging, 5.0 % beside it, 30.0 % waiting for the last trial"
        );
        // One died of its trial and was replaced.
        let trials = [trial("a", 104.0, 3.5), trial("b", 110.0, 5.5)];
        assert_eq!(Effort::of(&trials, 1, time(100), time(110)).waiting_seconds, 0.0);
        let nothing = Effort::of(&trials, 2, time(200), time(210));
        assert_eq!((nothing.n_trials, nothing.waiting_seconds), (0, 0.0));
    }
}
