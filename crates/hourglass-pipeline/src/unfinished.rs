//! The run directory of a run that isn't finished: the file with every default, and where its
//! telemetry lies. It is begun before training, and says what went wrong where the run fails; a
//! process that is killed leaves it as it was begun. A finished run replaces it.

use std::fs;
use std::path::{Path, PathBuf};

use hourglass_doctor::NotFinite;
use serde::{Deserialize, Serialize};

use crate::cache::{Cache, read_json, write_json};
use crate::config::Pipeline;
use crate::error::{Doing, Error};
use crate::plan::{Kind, Plan};
use crate::run_folder::{
    MANIFEST_FILE, REPORT_FILE, RESOLVED_FILE, copy_files, first_manifest, repeat_name,
};

const UNFINISHED_FILE: &str = "unfinished.json";
const TELEMETRY_FILE: &str = "telemetry.jsonl";

/// How far a run came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    /// For each repeat, where its training is when it is done, and where while it is at work.
    bundles: Vec<[PathBuf; 2]>,
    /// What went wrong, and at which stage; `None` where the process ended without a word.
    pub(crate) failure: Option<Failure>,
}

/// What a run failed of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The stage, such as `train, repeat 1`.
    pub(crate) stage: String,
    /// What it said.
    pub(crate) error: String,
    /// Where a number stopped being finite, if that is what it was.
    pub(crate) not_finite: Option<Broken>,
}

/// The first number that wasn't finite: epoch, counted from 1, and the tensor it was found in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Broken {
    epoch: usize,
    place: String,
}

impl Unfinished {
    /// Half a sentence: why there are no results.
    pub(crate) fn why(&self) -> String {
        match &self.failure {
            Some(Failure { stage, error, .. }) => {
                let first = error.lines().next().unwrap_or_default();
                format!("the run failed in `{stage}`: {first}")
            }
            None => "the run did not finish".to_owned(),
        }
    }

    /// Where a number stopped being finite, if the run failed of that.
    pub(crate) fn not_finite(self) -> Option<NotFinite> {
        let Broken { epoch, place } = self.failure?.not_finite?;
        Some(NotFinite { epoch, place: Some(place) })
    }
}

impl Failure {
    /// What the failure of a stage was.
    pub(crate) fn of(stage: String, error: &Error) -> Failure {
        let not_finite = match error {
            Error::Train(hourglass_train::Error::NotFinite { epoch, place, .. }) => {
                Some(Broken { epoch: *epoch, place: place.clone() })
            }
            _ => None,
        };
        Failure { stage, error: error.to_string(), not_finite }
    }
}

/// What a run directory says of a run that isn't finished; `None` for any other folder.
pub(crate) fn read(folder: &Path) -> Option<Unfinished> {
    read_json(&folder.join(UNFINISHED_FILE)).ok()
}

/// Begins a run directory, unless a finished one is there.
pub(crate) fn begin(
    folder: &Path,
    pipeline: &Pipeline,
    plan: &Plan,
    cache: &Cache,
    base: &Path,
) -> Result<(), Error> {
    if folder.join(REPORT_FILE).exists() {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).doing("remove", folder)?;
    }
    fs::create_dir_all(folder).doing("create", folder)?;
    let path = folder.join(RESOLVED_FILE);
    fs::write(&path, pipeline.resolved()).doing("write", &path)?;
    write_json(&folder.join(MANIFEST_FILE), &first_manifest(base))?;
    let trained = (0..pipeline.n_runs()).filter_map(|run| plan.stage(Kind::Train, Some(run)));
    let whole = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let bundles = trained.map(|stage| cache.places(&stage.inputs).map(whole)).collect();
    write_json(&folder.join(UNFINISHED_FILE), &Unfinished { bundles, failure: None })
}

/// Notes in a directory that was begun what the run failed of, and brings there what is trained:
/// the cache may lose it.
pub(crate) fn fail(folder: &Path, failure: Failure) -> Result<(), Error> {
    let Some(mut unfinished) = read(folder) else { return Ok(()) };
    for (run, [done, at_work]) in unfinished.bundles.iter().enumerate() {
        let target = folder.join(repeat_name(run));
        if done.exists() {
            copy_files(done, &target)?;
        } else if at_work.join(TELEMETRY_FILE).exists() {
            fs::create_dir_all(&target).doing("create", &target)?;
            let (from, to) = (at_work.join(TELEMETRY_FILE), target.join(TELEMETRY_FILE));
            fs::copy(&from, &to).doing("copy to", &to)?;
        }
    }
    unfinished.failure = Some(failure);
    write_json(&folder.join(UNFINISHED_FILE), &unfinished)
}

/// Removes a directory that was begun and holds nothing worth a look.
pub(crate) fn drop_begun(folder: &Path) -> Result<(), Error> {
    if read(folder).is_some() {
        fs::remove_dir_all(folder).doing("remove", folder)?;
    }
    Ok(())
}

/// Where a repeat's bundle or its telemetry lies, whether the run is finished or not.
pub(crate) fn bundle(folder: &Path, run: usize) -> PathBuf {
    let here = folder.join(repeat_name(run));
    if here.exists() {
        return here;
    }
    let places = read(folder).and_then(|unfinished| unfinished.bundles.get(run).cloned());
    places.and_then(|places| places.into_iter().find(|place| place.exists())).unwrap_or(here)
}
