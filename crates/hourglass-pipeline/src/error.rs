//! What can go wrong while a pipeline runs.

use std::io;
use std::path::{Path, PathBuf};

use hourglass_core::Task;
use hourglass_downstream::Metric;

use crate::problem::FileError;

/// Why a pipeline could not be read or did not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline file does not exist or can't be read.
    #[error("cannot read the pipeline file `{}`", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The pipeline file or an override is wrong.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{}`{}", path.display(), hint_of(source))]
    Io {
        /// What was tried, such as `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A stored artifact does not have the form that this version writes.
    #[error("`{}` is not what this version of hourglass wrote\nhint: run with `--force`", path.display())]
    Artifact {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: serde_json::Error,
    },
    /// The data can't be had or can't be used.
    #[error(transparent)]
    Data(#[from] hourglass_data::Error),
    /// The model can't be built.
    #[error(transparent)]
    Model(#[from] hourglass_models::Error),
    /// Training failed.
    #[error("{}{}", .0, way_on(.0))]
    Train(#[from] hourglass_train::Error),
    /// Features can't be made.
    #[error(transparent)]
    Features(#[from] hourglass_features::Error),
    /// A classifier or a statistic failed.
    #[error("{stage} failed: {source}")]
    Downstream {
        /// The stage that was at work.
        stage: String,
        /// What went wrong.
        source: hourglass_downstream::Error,
    },
    /// The report can't be written or read.
    #[error(transparent)]
    Report(#[from] hourglass_report::ReportError),
    /// The target is not what the metric is about.
    #[error(
        "the target is {}, but `downstream.metric` is `{metric}`\n\
         hint: delete `metric`, or name one of {}", target_words(*.task), metrics_of(*.task)
    )]
    Metric {
        /// What the data ask for.
        task: Task,
        /// The metric of the file.
        metric: &'static str,
    },
    /// A folder holds no pipeline.
    #[error(
        "no pipeline file in `{}`\nhint: a suite is a folder of pipeline files, `*.toml`", path.display()
    )]
    NoPipelines {
        /// The folder.
        path: PathBuf,
    },
    /// The variants of a suite can't be read.
    #[error(
        "`{}` is no list of overrides by name\n\
         hint: a line is `name = [\"train.epochs=5\"]`", path.display()
    )]
    Variants {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: toml::de::Error,
    },
    /// A run that has no results.
    #[error(
        "there are no results in `{}`: {why}\n\
         hint: `doctor examine` says how far it came and what to try", path.display()
    )]
    Unfinished {
        /// The run directory.
        path: PathBuf,
        /// What is known of its end.
        why: String,
    },
    /// Validation rows of one fold are test rows of another.
    #[error(
        "`{command}` can't choose under cross-validation, where every row is a test row in turn\n\
         hint: leave `split.folds` out of the file while choosing"
    )]
    Folds {
        /// The command.
        command: &'static str,
    },
    /// A key can't be changed as asked.
    #[error(
        "`--key {key}`: {problem}\n\
         hint: write `KEY` to go back to its default, or `KEY=VALUE`"
    )]
    Key {
        /// What was asked.
        key: String,
        /// Why not.
        problem: String,
    },
    /// The name of a file of the clinic says no finding.
    #[error(
        "`{}` is named after no finding\n\
         hint: `doctor explain` lists them; a file is `<finding>.toml`, `<finding>-<what>.toml` or \
         `*.healthy.toml`", path.display()
    )]
    ClinicName {
        /// The file.
        path: PathBuf,
    },
    /// There is no run to show.
    #[error("there is no run at `{}`\nhint: run a pipeline first, or name a run directory", path.display())]
    NoRun {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A repeat that a run doesn't have.
    #[error("no repeat {repeat} in `{}`: it has {n_repeats}, counted from 1", path.display())]
    NoRepeat {
        /// Directory of the run.
        path: PathBuf,
        /// The repeat that was asked for, counted from 1.
        repeat: usize,
        /// Repeats of the run.
        n_repeats: usize,
    },
    /// Whoever watched a trial ended it early; its training is dropped.
    #[error("ended after epoch {epoch} by whoever watched it")]
    Ended {
        /// Epochs done.
        epoch: usize,
    },
    /// The run was asked to stop; what is finished is kept.
    #[error("interrupted in `{stage}`\nhint: the same command goes on from here")]
    Interrupted {
        /// The stage that was at work.
        stage: String,
    },
}

impl Error {
    /// What a classifier said; that it was asked to stop is no failure.
    pub(crate) fn downstream(stage: &str, source: hourglass_downstream::Error) -> Self {
        let stage = stage.to_owned();
        match source {
            hourglass_downstream::Error::Interrupted => Error::Interrupted { stage },
            source => Error::Downstream { stage, source },
        }
    }

    /// Whether Ctrl-C is behind it, in whichever crate it was noticed.
    pub fn is_interrupt(&self) -> bool {
        matches!(
            self,
            Error::Interrupted { .. }
                | Error::Data(hourglass_data::Error::Interrupted { .. })
                | Error::Train(hourglass_train::Error::Interrupted { .. })
        )
    }

    /// Whether the file or the arguments are wrong, rather than the run.
    pub fn is_mistake(&self) -> bool {
        matches!(
            self,
            Error::ReadFile { .. }
                | Error::File(_)
                | Error::NoRun { .. }
                | Error::NoRepeat { .. }
                | Error::Unfinished { .. }
                | Error::Folds { .. }
                | Error::ClinicName { .. }
                | Error::Key { .. }
                | Error::NoPipelines { .. }
                | Error::Train(hourglass_train::Error::Config { .. })
                | Error::Variants { .. }
        )
    }
}

fn target_words(task: Task) -> &'static str {
    match task {
        Task::Classification => "a class",
        Task::Regression => "a number",
    }
}

fn metrics_of(task: Task) -> String {
    let fitting = Metric::ALL.iter().filter(|metric| metric.task() == task);
    fitting.map(|metric| format!("`{}`", metric.name())).collect::<Vec<_>>().join(", ")
}

/// What to do after an interrupted training, whose state is saved.
fn way_on(error: &hourglass_train::Error) -> &'static str {
    match error {
        hourglass_train::Error::Interrupted { .. } => "\nhint: the same command goes on from here",
        _ => "",
    }
}

/// What helps against an error of the system.
fn hint_of(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "\nhint: the disk is full; free some space, or name another folder with `--runs-dir`"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "\nhint: the folder can't be written to; name another one with `--runs-dir`"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "\nhint: a file is in the way of a folder; name another one with `--runs-dir`"
        }
        _ => "",
    }
}

/// Adds to an error of the system what was tried, and on which path.
pub(crate) trait Doing<T> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action, path: path.to_owned(), source })
    }
}
