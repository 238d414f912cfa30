//! What can go wrong around a study.

use std::path::PathBuf;

/// Why a sweep can't begin, go on or be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline file is wrong, or a run of it failed.
    #[error(transparent)]
    Pipeline(#[from] hourglass_pipeline::Error),
    /// The store or the study.
    #[error(transparent)]
    Search(#[from] hourglass_search::Error),
    /// A schedule.
    #[error(transparent)]
    Schedule(#[from] hourglass_schedule::Error),
    /// The page.
    #[error(transparent)]
    Report(#[from] hourglass_report::ReportError),
    /// Data that is written.
    #[error(transparent)]
    Data(#[from] hourglass_data::Error),
    /// The file has no `[search]`.
    #[error(
        "`{}` has no `[search]`, so there is nothing to sweep\n\
         hint: add `[search]` with `trials` and `[search.space]`", path.display()
    )]
    NoSearch {
        /// The file.
        path: PathBuf,
    },
    /// A study without our pipeline file.
    #[error(
        "study `{study}` holds no pipeline file\n\
         hint: studies that `sweep run` began hold one; start with that"
    )]
    NoFile {
        /// The study.
        study: String,
    },
    /// There is no study at all.
    #[error("{store} holds no study yet\nhint: begin one with `sweep run FILE`")]
    NoStudy {
        /// The store.
        store: String,
    },
    /// Every trial failed.
    #[error(
        "all {n_trials} trials failed; the last one: {reason}\nhint: `sweep show` lists them all"
    )]
    AllFailed {
        /// How many.
        n_trials: usize,
        /// Why the last one failed.
        reason: String,
    },
    /// A study with several objectives has no single best trial.
    #[error(
        "study `{study}` has several objectives and no single best trial\n\
         hint: name one of its front with `--trial`: {}",
        listed(front)
    )]
    SeveralObjectives {
        /// The study.
        study: String,
        /// Numbers of the front.
        front: Vec<u64>,
    },
    /// A trial without values can't be the best.
    #[error("trial {number} of study `{study}` {reason}")]
    NotComplete {
        /// The study.
        study: String,
        /// The number.
        number: u64,
        /// Why not.
        reason: &'static str,
    },
    /// A worker ended with an error that the next one would have, too.
    #[error("worker `{worker}` ended with exit code {code}: {said}")]
    Worker {
        /// Its name.
        worker: String,
        /// Its exit code.
        code: i32,
        /// What it said last.
        said: String,
    },
    /// Workers die again and again without finishing a trial.
    #[error("{n_deaths} workers died without finishing a trial; the last one: {reason}")]
    Deaths {
        /// How many.
        n_deaths: usize,
        /// How the last one died.
        reason: String,
    },
    /// A worker can't be started.
    #[error("cannot start a worker")]
    Start {
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, such as `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Two files of a folder have one name.
    #[error(
        "`{}` and `{}` are both named `{name}`\n\
         hint: a schedule is known by the name of its pipeline; give one of them another", first.display(), second.display()
    )]
    SameName {
        /// The name.
        name: String,
        /// The first file.
        first: PathBuf,
        /// The second.
        second: PathBuf,
    },
    /// A file or folder without a schedule.
    #[error("`{}` has no `[schedule]`\nhint: add one, such as `cron = \"0 2 * * *\"`", path.display())]
    NoSchedule {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A cron line that another scheduler can't be told.
    #[error(
        "{format} can't say the cron line `{line}`: {reason}\nhint: use `schedule run` instead"
    )]
    CannotEmit {
        /// The other scheduler.
        format: &'static str,
        /// The line.
        line: String,
        /// Why not.
        reason: &'static str,
    },
    /// A cluster needs a store that its nodes can reach.
    #[error(
        "workers on {engine} can't share `{store}`\n\
         hint: name a PostgreSQL store with `--store postgres://...` or HOURGLASS_STORE"
    )]
    LocalStore {
        /// The cluster.
        engine: &'static str,
        /// The store.
        store: String,
    },
    /// A firing panicked.
    #[error("it panicked: {said}")]
    Panic {
        /// What it had to say.
        said: String,
    },
    /// Ctrl-C or SIGTERM; what is finished is kept.
    #[error("interrupted\nhint: the same command goes on from here")]
    Interrupted,
}

impl Error {
    /// Whether it was asked to stop, in whichever crate that was noticed.
    pub fn is_interrupt(&self) -> bool {
        match self {
            Error::Interrupted => true,
            Error::Pipeline(error) => error.is_interrupt(),
            _ => false,
        }
    }

    /// Whether the file or the arguments are wrong, rather than the run.
    pub fn is_mistake(&self) -> bool {
        match self {
            Error::Pipeline(error) => error.is_mistake(),
            Error::Search(error) => matches!(
                error,
                hourglass_search::Error::Address { .. }
                    | hourglass_search::Error::UnknownStudy { .. }
                    | hourglass_search::Error::UnknownTrial { .. }
            ),
            Error::NoSearch { .. }
            | Error::NoStudy { .. }
            | Error::NoSchedule { .. }
            | Error::SameName { .. }
            | Error::SeveralObjectives { .. }
            | Error::CannotEmit { .. }
            | Error::LocalStore { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn io(action: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Error::Io { action, path: path.to_owned(), source }
    }
}

fn listed(numbers: &[u64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    numbers.join(", ")
}
