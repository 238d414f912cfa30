//! Workers as processes of this machine: starts as many as asked, follows the study, and notices
//! when a worker dies.
//!
//! A worker that is killed loses its trial to the queue; one that dies of its trial (no memory, a
//! broken stack) makes that trial a failed one, with the reason, so that the study goes on. Workers
//! stop by themselves when their standard input ends, so that none outlives this process.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hourglass_core::Interrupt;
use hourglass_search::store::Lease;
use hourglass_search::{FrozenTrial, Outcome, TrialState, best_trial, pareto_front};

use crate::{Error, Result, Sweep};

/// Time between two looks at the processes.
const LOOK: Duration = Duration::from_millis(20);

/// Time between two looks at the study.
const STATUS: Duration = Duration::from_millis(500);

/// Lines of a worker that are kept, to say what its last words were.
const KEPT_LINES: usize = 20;

/// Deaths in a row, for each worker, after which something other than a trial must be wrong.
const MOST_DEATHS: usize = 3;

/// The exit code of a worker that was asked to stop.
const INTERRUPTED: i32 = 130;

/// Workers of one study on this machine.
pub struct Crew<'a> {
    /// The sweep.
    pub sweep: &'a Sweep,
    /// How many work at once.
    pub n_workers: usize,
    /// Makes the command of a worker from its name. It must stop when its standard input ends.
    pub command: &'a dyn Fn(&str) -> Command,
    /// Who may stop them all.
    pub interrupt: &'a Interrupt,
    /// Who is shown how the study stands, twice a second.
    pub watch: &'a dyn Fn(&Status),
}

/// Why a crew ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrewEnd {
    /// The budget is spent.
    Done,
    /// Someone asked the study to stop.
    Stopped,
}

/// How a study stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Name of the study.
    pub study: String,
    /// Trials after which none is made.
    pub limit: u64,
    /// Finished, pruned, failed, running and waiting trials.
    pub n_complete: usize,
    /// Trials that were ended early.
    pub n_pruned: usize,
    /// Trials without values.
    pub n_failed: usize,
    /// Trials that wait for a worker.
    pub n_queued: usize,
    /// Number and values of the best trial, where there is one objective.
    pub best: Option<(u64, Vec<f64>)>,
    /// Trials on the Pareto front, where there are several objectives.
    pub n_front: usize,
    /// Trials that run.
    pub running: Vec<StatusTrial>,
    /// Finished trials with their values or the reason, in the order of their numbers.
    pub finished: Vec<(u64, TrialState, Vec<f64>, Option<String>)>,
    /// Seconds until the last trial, as the trials so far went.
    pub seconds_left: Option<f64>,
}

/// A trial that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusTrial {
    /// Its number.
    pub number: u64,
    /// Who works on it.
    pub worker: String,
    /// Which attempt it is.
    pub attempt: u32,
    /// Last epoch that was reported, with its loss on validation.
    pub last: Option<(i64, f64)>,
    /// Its values, by path.
    pub params: Vec<(String, String)>,
}

/// A worker's process.
struct Hand {
    name: String,
    child: Child,
    /// Held open: the worker stops when it is closed.
    stdin: Option<ChildStdin>,
    said: Arc<Mutex<VecDeque<String>>>,
    listener: Option<JoinHandle<()>>,
}

impl Crew<'_> {
    /// Works until the budget is spent.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; [`Error::Worker`] where one ends with an error that every other
    /// would have, too; [`Error::Deaths`]; what the store says.
    pub fn run(&self) -> Result<CrewEnd> {
        let mut hands = Vec::new();
        for _ in 0..self.n_workers {
            hands.push(self.start(hands.len())?);
        }
        let ended = self.follow(&mut hands);
        // Whatever happened, nobody stays behind.
        for hand in &mut hands {
            hand.stdin = None;
        }
        for hand in &mut hands {
            hand.wait();
        }
        ended
    }

    fn follow(&self, hands: &mut Vec<Hand>) -> Result<CrewEnd> {
        let mut n_started = hands.len();
        let mut memory_kills = memory_kills();
        let mut last_look = Instant::now();
        let (mut n_deaths, mut n_finished) = (0, 0);
        while !hands.is_empty() {
            if self.interrupt.is_raised() {
                return Err(Error::Interrupted);
            }
            std::thread::sleep(LOOK);
            let mut index = 0;
            while index < hands.len() {
                let over = hands[index].child.try_wait();
                let Some(status) = over.map_err(|source| Error::Start { source })? else {
                    index += 1;
                    continue;
                };
                let mut hand = hands.remove(index);
                let said = hand.last_words();
                match status.code() {
                    Some(0) => {}
                    Some(INTERRUPTED) => return Err(Error::Interrupted),
                    Some(code) if code != ABORTED => {
                        return Err(Error::Worker { worker: hand.name, code, said });
                    }
                    _ => {
                        let now = self::memory_kills();
                        let reason = death(status, &said, now > memory_kills);
                        memory_kills = now;
                        self.bury(&hand.name, &reason)?;
                        n_deaths += 1;
                        if n_deaths > MOST_DEATHS * self.n_workers {
                            let reason = reason.text;
                            return Err(Error::Deaths { n_deaths, reason });
                        }
                        hands.push(self.start(n_started)?);
                        n_started += 1;
                    }
                }
            }
            if last_look.elapsed() >= STATUS {
                last_look = Instant::now();
                // A store that is away for a while is the workers' to wait for.
                if let Ok(status) = Status::of(self.sweep, self.n_workers) {
                    let finished = status.finished.len();
                    if finished > n_finished {
                        (n_deaths, n_finished) = (0, finished);
                    }
                    (self.watch)(&status);
                }
            }
        }
        if let Ok(status) = Status::of(self.sweep, self.n_workers) {
            (self.watch)(&status);
        }
        Ok(if self.sweep.study.stop_requested()? { CrewEnd::Stopped } else { CrewEnd::Done })
    }

    fn start(&self, index: usize) -> Result<Hand> {
        let name = format!("{}-{}-{}", host(), std::process::id(), index + 1);
        let mut child = (self.command)(&name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Start { source })?;
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let listener = child.stderr.take().map(|stderr| {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                let lines = BufReader::new(stderr).lines().map_while(std::result::Result::ok);
                for line in lines.filter(|line| !is_backtrace(line)) {
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    if said.len() == KEPT_LINES {
                        said.pop_front();
                    }
                    said.push_back(line);
                }
            })
        });
        let stdin = child.stdin.take();
        Ok(Hand { name, child, stdin, said, listener })
    }

    /// Deals with the trial of a worker that died: back to the queue, or failed where the trial was
    /// the reason.
    fn bury(&self, worker: &str, death: &Death) -> Result<()> {
        let study = &self.sweep.study;
        if !death.is_the_trials {
            study.requeue_worker(worker)?;
            return Ok(());
        }
        for trial in study.trials()? {
            let Some(holder) = trial.holder.filter(|holder| holder.worker == worker) else {
                continue;
            };
            if trial.state != TrialState::Running {
                continue;
            }
            let lease = Lease {
                study: study.id(),
                trial: trial.id,
                number: trial.number,
                worker: holder.worker,
                attempt: holder.attempt,
                duration: study.config().lease,
            };
            study.store().finish(&lease, &Outcome::Failed(death.text.clone()))?;
        }
        Ok(())
    }
}

impl Hand {
    fn wait(&mut self) {
        // An error here would hide the one that ended the crew.
        drop(self.child.wait());
        if let Some(listener) = self.listener.take() {
            drop(listener.join());
        }
    }

    /// What it said last, on one line.
    fn last_words(&mut self) -> String {
        self.wait();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let last =
            said.iter().rev().find(|line| line.starts_with("error") || line.contains("memory"));
        let last = last.or(said.back());
        let text = last.map_or("it said nothing", |line| line.as_str());
        text.trim_start_matches("error: ").to_owned()
    }
}

/// Whether a line belongs to a backtrace, which would push what was said before it out of the lines
/// that are kept.
fn is_backtrace(line: &str) -> bool {
    line.starts_with(' ')
        || line.starts_with("stack backtrace:")
        || line.starts_with("note: Some details are omitted")
}

/// How a worker died.
struct Death {
    text: String,
    /// Whether its trial killed it, so that it would kill the next worker, too.
    is_the_trials: bool,
}

/// Exit code of a process that ended itself where there are no signals.
#[cfg(windows)]
const ABORTED: i32 = -1_073_740_791;
#[cfg(not(windows))]
const ABORTED: i32 = 134;

fn death(status: ExitStatus, said: &str, memory_ran_out: bool) -> Death {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    const KILL: i32 = 9;
    if memory_ran_out || said.starts_with("memory allocation of") {
        return Death { text: format!("it ran out of memory: {said}"), is_the_trials: true };
    }
    match signal {
        Some(KILL) => Death { text: "it was killed".to_owned(), is_the_trials: false },
        Some(signal) => {
            Death { text: format!("it died of signal {signal}: {said}"), is_the_trials: true }
        }
        None => Death { text: format!("it aborted: {said}"), is_the_trials: true },
    }
}

/// How many processes the system has killed for want of memory, in this container or machine.
fn memory_kills() -> u64 {
    let read = |path: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
        line.trim().parse::<u64>().ok()
    };
    ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control", "/proc/vmstat"]
        .into_iter()
        .find_map(read)
        .unwrap_or(0)
}

/// Name of this machine, for the names of workers.
pub(crate) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    name.or_else(|| std::env::var("COMPUTERNAME").ok()).unwrap_or_else(|| "worker".to_owned())
}

impl Status {
    /// Reads how a study stands; `n_workers` is how many work on it, for the time that is left.
    ///
    /// # Errors
    /// What the store says.
    pub fn of(sweep: &Sweep, n_workers: usize) -> Result<Status> {
        let trials = sweep.study.trials()?;
        let (limit, _) = sweep.bounds()?;
        let directions = &sweep.study.config().directions;
        let count = |state| trials.iter().filter(|trial| trial.state == state).count();
        let best = match directions.as_slice() {
            [_] => best_trial(&trials, directions).map(|best| (best.number, best.values.clone())),
            _ => None,
        };
        let n_front =
            if directions.len() > 1 { pareto_front(&trials, directions).len() } else { 0 };
        let running = trials.iter().filter(|trial| trial.state == TrialState::Running);
        let finished = trials.iter().filter(|trial| trial.state.is_finished());
        let finished: Vec<_> = finished
            .map(|trial| {
                let reason = trial.reason().map(str::to_owned);
                (trial.number, trial.state, trial.values.clone(), reason)
            })
            .collect();
        let n_left = limit.saturating_sub(finished.len() as u64) as f64;
        let mean = mean_seconds(&trials);
        Ok(Status {
            study: sweep.study.name().to_owned(),
            limit,
            n_complete: count(TrialState::Complete),
            n_pruned: count(TrialState::Pruned),
            n_failed: count(TrialState::Failed),
            n_queued: count(TrialState::Queued),
            best,
            n_front,
            running: running.map(|trial| running_trial(sweep, trial)).collect(),
            finished,
            seconds_left: mean.map(|mean| mean * n_left / n_workers.max(1) as f64),
        })
    }
}

/// How long trials take that were brought to their end.
fn mean_seconds(trials: &[FrozenTrial]) -> Option<f64> {
    let seconds: Vec<f64> = trials.iter().filter_map(crate::summary::seconds).collect();
    if seconds.is_empty() { None } else { Some(seconds.iter().sum::<f64>() / seconds.len() as f64) }
}

fn running_trial(sweep: &Sweep, trial: &FrozenTrial) -> StatusTrial {
    let params = sweep.study.params_of(trial);
    StatusTrial {
        number: trial.number,
        worker: trial.holder.as_ref().map_or(String::new(), |holder| holder.worker.clone()),
        attempt: trial.holder.as_ref().map_or(1, |holder| holder.attempt),
        last: trial.last_report().map(|(step, value)| (step, value * sweep.loss_sign())),
        params: params.iter().map(|(path, value)| (path.clone(), value.to_string())).collect(),
    }
}
