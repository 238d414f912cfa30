//! The stage cache: one folder per stage and key, complete or not there at all.
//!
//! ```text
//! runs/cache/<stage>/<key>/          artifacts and entry.json (inputs, seconds, hashes of files)
//! runs/cache/<stage>/<key>.partial/  where a stage writes; renamed when complete
//! runs/cache/locks/<stage>-<key>     held by the run that writes; empty, and left in place
//! ```
//!
//! It does not know what stages do. Matrices are not kept: preparing them anew takes 0.2 to 0.7 s,
//! less than writing and reading half a gigabyte.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hourglass_core::{Interrupt, Progress};
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Error};
use crate::key::{Inputs, Key};

/// How often a waiting run looks whether the other one is done.
const POLL: Duration = Duration::from_millis(100);

const ENTRY_FILE: &str = "entry.json";

/// The cache of one runs folder.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// What the cache knows about a complete entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What the key was made of.
    pub inputs: Inputs,
    /// How long the stage took when it ran.
    pub seconds: f64,
    /// Largest memory of the process until then, where the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// Hash of every file.
    files: BTreeMap<String, String>,
    /// Where the entry lies.
    #[serde(skip)]
    pub dir: PathBuf,
}

/// What [`Cache::claim`] gives.
#[derive(Debug)]
pub enum Claim {
    /// Somebody has already made it.
    Ready(Entry),
    /// The caller makes it.
    Mine(Slot),
}

/// The right to make one entry; other runs wait until it is dropped.
#[derive(Debug)]
pub struct Slot {
    inputs: Inputs,
    target: PathBuf,
    partial: PathBuf,
    _lock: Lock,
}

/// A lock on a file, held until dropped or until the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Cache {
    /// The cache in `runs_dir`; nothing is created yet.
    pub fn new(runs_dir: &Path) -> Self {
        Cache { root: runs_dir.join("cache") }
    }

    /// The entry of these inputs, if it is complete and its files are as they were written.
    pub fn find(&self, inputs: &Inputs) -> Option<Entry> {
        let entry = self.read(&self.folder(inputs))?;
        let intact = entry.inputs == *inputs
            && entry.files.iter().all(|(name, hash)| {
                hash_of(&entry.dir.join(name)).is_ok_and(|found| found == *hash)
            });
        intact.then_some(entry)
    }

    /// Where the entry of these inputs lies once it is complete, and where a stage writes it.
    pub(crate) fn places(&self, inputs: &Inputs) -> [PathBuf; 2] {
        let target = self.folder(inputs);
        let partial = target.with_extension("partial");
        [target, partial]
    }

    /// Finds the entry, or takes the right to make it; waits for another run that is at it.
    ///
    /// # Errors
    /// If the cache folder can't be written to, or if the wait is interrupted.
    pub fn claim(
        &self,
        inputs: &Inputs,
        force: bool,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Claim, Error> {
        if !force && let Some(entry) = self.find(inputs) {
            return Ok(Claim::Ready(entry));
        }
        let name = format!("{}-{}", inputs.stage, inputs.key().as_str());
        let waiting = format!("another run is at `{}`; waiting for it", inputs.stage);
        let (lock, waited) = self.lock(&name, &waiting, progress, interrupt)?;
        if (!force || waited)
            && let Some(entry) = self.find(inputs)
        {
            return Ok(Claim::Ready(entry));
        }
        let target = self.folder(inputs);
        let partial = target.with_extension("partial");
        if force && partial.exists() {
            fs::remove_dir_all(&partial).doing("remove", &partial)?;
        }
        fs::create_dir_all(&partial).doing("create", &partial)?;
        Ok(Claim::Mine(Slot { inputs: inputs.clone(), target, partial, _lock: lock }))
    }

    /// Takes the lock `name`, and says `waiting` once if another run holds it. Also returns
    /// whether there was a wait.
    ///
    /// # Errors
    /// If the lock can't be created, or if the wait is interrupted.
    pub fn lock(
        &self,
        name: &str,
        waiting: &str,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<(Lock, bool), Error> {
        let folder = self.root.join("locks");
        fs::create_dir_all(&folder).doing("create", &folder)?;
        let path = folder.join(name);
        let file = File::create(&path).doing("create", &path)?;
        let mut waited = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok((Lock(file), waited)),
                Err(TryLockError::Error(source)) => {
                    return Err(Error::Io { action: "lock", path, source });
                }
                Err(TryLockError::WouldBlock) => {
                    if !waited {
                        progress.say(waiting);
                        waited = true;
                    }
                    if interrupt.is_raised() {
                        return Err(Error::Interrupted { stage: name.to_owned() });
                    }
                    std::thread::sleep(POLL);
                }
            }
        }
    }

    /// The complete entry of the same stage that differs least from `inputs`, with what differs.
    pub fn nearest(&self, inputs: &Inputs) -> Option<Vec<String>> {
        let folder = self.root.join(&inputs.stage);
        let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
        let entries = entries.filter_map(|item| self.read(&item.path()));
        let changes = entries.map(|entry| inputs.changes_since(&entry.inputs));
        changes
            .filter(|changes| !changes.is_empty())
            .min_by_key(|changes| (changes.len(), changes.clone()))
    }

    fn folder(&self, inputs: &Inputs) -> PathBuf {
        self.root.join(&inputs.stage).join(inputs.key().as_str())
    }

    fn read(&self, dir: &Path) -> Option<Entry> {
        if dir.extension().is_some() {
            return None;
        }
        let text = fs::read_to_string(dir.join(ENTRY_FILE)).ok()?;
        let entry: Entry = serde_json::from_str(&text).ok()?;
        Some(Entry { dir: dir.to_owned(), ..entry })
    }
}

impl Slot {
    /// The folder to write to. It may hold what an interrupted run left there.
    pub fn dir(&self) -> &Path {
        &self.partial
    }

    /// The key of what is made here.
    pub fn key(&self) -> Key {
        self.inputs.key()
    }

    /// Removes what an interrupted run left.
    ///
    /// # Errors
    /// If the folder can't be emptied.
    pub fn clear(&self) -> Result<(), Error> {
        fs::remove_dir_all(&self.partial).doing("remove", &self.partial)?;
        fs::create_dir_all(&self.partial).doing("create", &self.partial)
    }

    /// Seals the entry and renames it to its place; from now on every run sees it.
    ///
    /// # Errors
    /// If a file can't be read back or written, or the folder can't be renamed.
    pub fn finish(self, seconds: f64) -> Result<Entry, Error> {
        let mut files = BTreeMap::new();
        hash_files(&self.partial, &self.partial, &mut files)?;
        files.remove(ENTRY_FILE);
        let entry = Entry {
            inputs: self.inputs.clone(),
            seconds,
            peak_rss_bytes: crate::memory::peak_rss_bytes(),
            files,
            dir: self.target.clone(),
        };
        write_json(&self.partial.join(ENTRY_FILE), &entry)?;
        replace_dir(&self.partial, &self.target)?;
        Ok(entry)
    }
}

/// Renames `new` to `target`, and what was there out of the way first: a folder can't be renamed
/// over a full one. A crash between the two renames leaves no entry, never a mixed one.
pub(crate) fn replace_dir(new: &Path, target: &Path) -> Result<(), Error> {
    let old = target.with_extension("old");
    if old.exists() {
        fs::remove_dir_all(&old).doing("remove", &old)?;
    }
    if target.exists() {
        fs::rename(target, &old).doing("rename", target)?;
    }
    fs::rename(new, target).doing("rename", new)?;
    if old.exists() {
        fs::remove_dir_all(&old).doing("remove", &old)?;
    }
    Ok(())
}

/// Writes a value as JSON with line breaks.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|source| Error::Artifact { path: path.to_owned(), source })?;
    text.push('\n');
    fs::write(path, text).doing("write", path)
}

/// Reads what [`write_json`] wrote.
pub(crate) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Error> {
    let text = fs::read_to_string(path).doing("read", path)?;
    serde_json::from_str(&text).map_err(|source| Error::Artifact { path: path.to_owned(), source })
}

fn hash_files(root: &Path, dir: &Path, files: &mut BTreeMap<String, String>) -> Result<(), Error> {
    for item in fs::read_dir(dir).doing("read", dir)? {
        let path = item.doing("read", dir)?.path();
        if path.is_dir() {
            hash_files(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.insert(name.to_string_lossy().into_owned(), hash_of(&path)?);
        }
    }
    Ok(())
}

fn hash_of(path: &Path) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path).doing("open", path)?;
    hasher.update_reader(file).doing("read", path)?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use hourglass_core::Silent;

    use super::*;

    fn inputs(stage: &str) -> Inputs {
        Inputs {
            stage: stage.to_owned(),
            version: 1,
            tables: BTreeMap::new(),
            reads: BTreeMap::new(),
            data: None,
            seed: Some(1),
        }
    }

    fn claim(cache: &Cache, inputs: &Inputs, force: bool) -> Claim {
        cache.claim(inputs, force, &Silent, &Interrupt::new()).unwrap()
    }

    fn make(cache: &Cache, inputs: &Inputs, text: &str, force: bool) -> Entry {
        let Claim::Mine(slot) = claim(cache, inputs, force) else { panic!("already there") };
        fs::create_dir_all(slot.dir().join("sub")).unwrap();
        fs::write(slot.dir().join("sub/a.txt"), text).unwrap();
        slot.finish(1.5).unwrap()
    }

    #[test]
    fn an_entry_is_seen_only_when_finished() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, inputs) = (Cache::new(folder.path()), inputs("train"));
        let Claim::Mine(slot) = claim(&cache, &inputs, false) else { panic!() };
        fs::write(slot.dir().join("half"), "written").unwrap();
        assert!(cache.find(&inputs).is_none());
        drop(slot);
        assert!(cache.find(&inputs).is_none());
        let Claim::Mine(slot) = claim(&cache, &inputs, false) else { panic!() };
        assert!(slot.dir().join("half").exists(), "what was left is there to go on from");
        slot.finish(0.0).unwrap();
        assert!(matches!(claim(&cache, &inputs, false), Claim::Ready(_)));
    }

    #[test]
    fn a_damaged_entry_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, inputs) = (Cache::new(folder.path()), inputs("train"));
        let entry = make(&cache, &inputs, "good", false);
        assert_eq!(cache.find(&inputs).unwrap().seconds, 1.5);
        fs::write(entry.dir.join("sub/a.txt"), "evil").unwrap();
        assert!(cache.find(&inputs).is_none());
        make(&cache, &inputs, "good", false);
        assert!(cache.find(&inputs).is_some());
        fs::write(entry.dir.join(ENTRY_FILE), "{").unwrap();
        assert!(cache.find(&inputs).is_none());
    }

    #[test]
    fn force_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, inputs) = (Cache::new(folder.path()), inputs("train"));
        make(&cache, &inputs, "one", false);
        let entry = make(&cache, &inputs, "two", true);
        assert_eq!(fs::read_to_string(entry.dir.join("sub/a.txt")).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path().join("cache/train")).unwrap().count(), 1);
    }

    #[test]
    fn a_second_run_waits_and_is_served() {
        struct Said(Mutex<Vec<String>>);
        impl Progress for Said {
            fn begin(&self, _: &str, _: Option<u64>) {}
            fn advance(&self, _: u64, _: &str) {}
            fn end(&self, _: &str) {}
            fn say(&self, line: &str) {
                self.0.lock().unwrap().push(line.to_owned());
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let (cache, inputs) = (Cache::new(folder.path()), inputs("train"));
        let Claim::Mine(slot) = claim(&cache, &inputs, false) else { panic!() };
        let said = Said(Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                // Even a forced run takes what the other has just made.
                cache.claim(&inputs, true, &said, &Interrupt::new()).unwrap()
            });
            while said.0.lock().unwrap().is_empty() {
                std::thread::yield_now();
            }
            slot.finish(0.0).unwrap();
            assert!(matches!(second.join().unwrap(), Claim::Ready(_)));
        });
        assert_eq!(*said.0.lock().unwrap(), ["another run is at `train`; waiting for it"]);
    }

    #[test]
    fn nearest_says_what_changed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let mut inputs = inputs("train");
        assert_eq!(cache.nearest(&inputs), None);
        inputs.tables.insert("train".to_owned(), serde_json::json!({"epochs": 30}));
        make(&cache, &inputs, "one", false);
        inputs.tables.insert("train".to_owned(), serde_json::json!({"epochs": 5}));
        assert_eq!(cache.nearest(&inputs).unwrap(), ["train.epochs 30 -> 5"]);
    }
}
