//! A pipeline file and its study in a store. Everything that a worker needs lies in the study, so
//! that one who joins from elsewhere needs its name and the store alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hourglass_core::Seed;
use hourglass_pipeline::{Key, Objective, Pipeline, SearchConfig, Text};
use hourglass_search::store::Scope;
use hourglass_search::{Params, Store, Study, StudyConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Error, Result};

/// System attribute with the pipeline file.
const FILE: &str = "hourglass:file";

/// System attribute with the number of trials at which no new one is made.
const LIMIT: &str = "hourglass:limit";

/// System attribute with the second since 1970 after which no trial is begun.
const UNTIL: &str = "hourglass:until";

/// A pipeline file as it was given, in the form in which the study holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// Its text.
    pub text: String,
    /// Its path as it was given.
    pub path: PathBuf,
    /// Overrides laid over it.
    pub overrides: Vec<String>,
    /// Folder that paths in it are relative to, from the root of the file system.
    pub base: PathBuf,
}

/// How far a study goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Trials in all after which none is made.
    pub limit: u64,
    /// Minutes from now after which none is begun.
    pub minutes: Option<f64>,
}

/// A study over a pipeline file.
#[derive(Clone)]
pub struct Sweep {
    /// The study.
    pub study: Study,
    /// The file.
    pub file: File,
    /// The file, read and checked.
    pub pipeline: Pipeline,
    search: SearchConfig,
}

impl File {
    /// Reads a file from disk; its mistakes are found by [`File::pipeline`].
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(path: &Path, overrides: &[String]) -> Result<File> {
        let text = std::fs::read_to_string(path).map_err(|source| {
            hourglass_pipeline::Error::ReadFile { path: path.to_owned(), source }
        })?;
        let base = path.parent().filter(|base| !base.as_os_str().is_empty());
        let base = base.unwrap_or(Path::new("."));
        let base = base.canonicalize().map_err(|source| Error::io("find", base, source))?;
        Ok(File { text, path: path.to_owned(), overrides: overrides.to_vec(), base })
    }

    /// The checked pipeline.
    ///
    /// # Errors
    /// With every mistake found.
    pub fn pipeline(&self) -> Result<Pipeline> {
        let origin = self.path.display().to_string();
        let parsed = hourglass_pipeline::parse(&self.text, &origin, &self.overrides);
        Ok(parsed.map_err(hourglass_pipeline::Error::File)?)
    }

    /// The file with a trial's values laid over it, and one trial's number of repeats.
    ///
    /// # Errors
    /// With every mistake that the values bring.
    pub fn trial(&self, params: &Params) -> Result<Pipeline> {
        let origin = self.path.display().to_string();
        let text = Text { text: &self.text, origin: &origin, overrides: self.overrides.clone() };
        let trial = hourglass_pipeline::trial_pipeline(&text, params);
        Ok(trial.map_err(hourglass_pipeline::Error::File)?)
    }
}

impl Sweep {
    /// Begins the study of a file, or goes on with it. `fingerprint` is the hash of its data, and
    /// `higher_score_is_better` what its downstream metric says.
    ///
    /// The study is named by the pipeline's name and by everything that decides what a trial
    /// measures, so that an edited file begins another one.
    ///
    /// # Errors
    /// If the file is wrong or has no `[search]`; what the store says.
    pub fn begin(
        store: Arc<dyn Store>,
        file: File,
        fingerprint: &str,
        higher_score_is_better: bool,
        lease: Option<Duration>,
    ) -> Result<Sweep> {
        let pipeline = file.pipeline()?;
        let Some(search) = pipeline.search.clone() else {
            return Err(Error::NoSearch { path: file.path });
        };
        let space = search.search_space()?;
        let mut config = StudyConfig::new(&study_name(&pipeline, &search, fingerprint), space);
        let direction = |objective: &Objective| objective.direction(higher_score_is_better);
        config.directions = search.objectives().iter().map(direction).collect();
        config.sampler = search.sampler.clone();
        config.pruner = search.pruner.clone();
        config.seed = Seed::new(pipeline.seed).child("search");
        config.lease = lease.unwrap_or(config.lease);
        let study = Study::create_or_load(store, config)?;
        let attribute = |scope, key: &str, value: &Value| {
            study.store().set_study_attribute(study.id(), scope, key, value)
        };
        attribute(Scope::System, FILE, &json!(file))?;
        let figures: Vec<&str> = search.objectives().iter().map(|o| o.figure.as_str()).collect();
        attribute(Scope::User, "pipeline", &json!(pipeline.name))?;
        attribute(Scope::User, "objectives", &json!(figures))?;
        Ok(Sweep { study, file, pipeline, search })
    }

    /// Joins a study by its name.
    ///
    /// # Errors
    /// If there is none of that name, or if it holds no file of ours; what the store says.
    pub fn join(store: Arc<dyn Store>, name: &str) -> Result<Sweep> {
        let study = Study::load(store, name)?;
        let record = study.record()?;
        let no_file = || Error::NoFile { study: name.to_owned() };
        let file = record.system_attributes.get(FILE).ok_or_else(no_file)?;
        let file: File = serde_json::from_value(file.clone()).map_err(|_| no_file())?;
        let pipeline = file.pipeline()?;
        let search = pipeline.search.clone().ok_or_else(no_file)?;
        Ok(Sweep { study, file, pipeline, search })
    }

    /// Joins the study named, or the latest that holds a pipeline file.
    ///
    /// # Errors
    /// As [`Sweep::join`]; [`Error::NoStudy`] where there is none.
    pub fn join_or_latest(store: Arc<dyn Store>, name: Option<&str>) -> Result<Sweep> {
        if let Some(name) = name {
            return Sweep::join(store, name);
        }
        let studies = store.studies()?;
        let latest = studies.iter().rev().find(|s| s.system_attributes.contains_key(FILE));
        match latest {
            Some(latest) => Sweep::join(Arc::clone(&store), &latest.name),
            None => Err(Error::NoStudy { store: store.name() }),
        }
    }

    /// What is searched, and how.
    pub fn search(&self) -> &SearchConfig {
        &self.search
    }

    /// Says how far the study goes on, for every worker, and lifts an earlier stop.
    ///
    /// # Errors
    /// What the store says.
    pub fn set_budget(&self, budget: Budget) -> Result<()> {
        let until = match budget.minutes {
            Some(minutes) => json!(now_seconds() + minutes * 60.0),
            None => Value::Null,
        };
        let (store, id) = (self.study.store(), self.study.id());
        store.set_study_attribute(id, Scope::System, LIMIT, &json!(budget.limit))?;
        store.set_study_attribute(id, Scope::System, UNTIL, &until)?;
        Ok(self.study.set_stop(false)?)
    }

    /// The number of trials at which no new one is made, and whether it is too late to begin any.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) fn bounds(&self) -> Result<(u64, bool), hourglass_search::Error> {
        let attributes = self.study.record()?.system_attributes;
        let limit = attributes.get(LIMIT).and_then(Value::as_u64).unwrap_or(self.search.trials);
        let until = attributes.get(UNTIL).and_then(Value::as_f64);
        Ok((limit, until.is_some_and(|until| now_seconds() >= until)))
    }

    /// The sign that intermediate losses get, so that they lie on the objective's side: a pruner
    /// compares them in the direction of the study.
    pub(crate) fn loss_sign(&self) -> f64 {
        self.study.config().directions[0].loss(1.0)
    }
}

fn now_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The pipeline's name and eight digits of everything that decides what trials measure and which
/// are made.
fn study_name(pipeline: &Pipeline, search: &SearchConfig, fingerprint: &str) -> String {
    let mut decisive = pipeline.clone();
    (decisive.schedule, decisive.threads, decisive.repeats) = (None, None, search.repeats);
    // How long it goes on decides nothing.
    decisive.search = Some(SearchConfig { trials: 1, minutes: None, ..search.clone() });
    let key = Key::of(&json!({ "file": decisive, "data": fingerprint }));
    format!("{}-{}", pipeline.name, key.short())
}
