//! Runs a finished run again, from nothing, and says which bytes differ: the report, the weights,
//! the bundle. What measures time and names the machine is left out.

use std::fs;
use std::path::{Path, PathBuf};

use hourglass_core::{Interrupt, Progress};
use hourglass_data::Locations;
use serde::Serialize;

use crate::error::{Doing, Error};
use crate::run::RunOptions;
use crate::run_folder;

/// Files that no two runs have alike.
const UNLIKE: [&str; 6] =
    ["entry.json", "telemetry.jsonl", "timings.json", "manifest.json", "report.html", "report.md"];

/// What running again found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Every file that was compared, in the order of their names.
    pub files: Vec<VerifiedFile>,
}

/// One file of the run directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedFile {
    /// Its path in the run directory.
    pub name: String,
    /// What was found.
    pub found: Found,
}

/// How a file of the second run compares with that of the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Every byte is the same.
    Same,
    /// They differ from this byte on, counted from 0; in a text file, on this line, counted from 1.
    Differs {
        /// First byte that differs.
        byte: usize,
        /// Its line, in a text file.
        line: Option<usize>,
        /// How many bytes differ, or are only in one of them.
        n_bytes: usize,
    },
    /// Only the first run has it.
    Missing,
    /// Only the second run has it.
    New,
}

impl Verification {
    /// Whether every byte is the same.
    pub fn is_same(&self) -> bool {
        self.files.iter().all(|file| file.found == Found::Same)
    }
}

/// Runs the pipelines of run directories again and compares, one after the other, all in one new
/// folder beside `place`: what several of them share is made once, as in a suite.
///
/// # Errors
/// Where there is no run, or running it again fails.
pub fn verify_runs(
    place: &Path,
    folders: &[PathBuf],
    locations: &Locations,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Vec<Verification>, Error> {
    let elsewhere = Elsewhere::beside(place)?;
    let one = |(index, folder): (usize, &PathBuf)| {
        if folders.len() > 1 {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            progress.say(&format!("{name}: {} of {}", index + 1, folders.len()));
        }
        verify(folder, &elsewhere.0, locations, progress, interrupt)
    };
    folders.iter().enumerate().map(one).collect()
}

/// Runs one again with its runs and its cache below `runs_dir`, and compares.
fn verify(
    folder: &Path,
    runs_dir: &Path,
    locations: &Locations,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Verification, Error> {
    run_folder::read(folder)?;
    let file = folder.join("pipeline.toml");
    let text = fs::read_to_string(&file).doing("read", &file)?;
    let pipeline = crate::parse(&text, &file.display().to_string(), &[])?;
    let options = RunOptions {
        base: run_folder::base(folder),
        locations: locations.clone(),
        runs_dir: runs_dir.to_owned(),
        force: false,
    };
    let again = crate::run(&pipeline, &options, progress, interrupt)?;
    let (mut names, mut new) = (Vec::new(), Vec::new());
    list(folder, folder, &mut names)?;
    list(&again.folder, &again.folder, &mut new)?;
    names.extend(new);
    names.sort();
    names.dedup();
    let verified = names.into_iter().map(|name| {
        let found = compare(&folder.join(&name), &again.folder.join(&name))?;
        Ok(VerifiedFile { name, found })
    });
    let files = verified.collect::<Result<_, Error>>()?;
    Ok(Verification { files })
}

/// A folder that is removed at the end, whatever happens.
struct Elsewhere(PathBuf);

impl Elsewhere {
    /// Beside the run directory, so that large files stay on one disk.
    fn beside(folder: &Path) -> Result<Elsewhere, Error> {
        // `latest` is a link; what it points to has the name.
        let real = folder.canonicalize().doing("find", folder)?;
        let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = real.with_file_name(format!(".verify-{name}"));
        if path.exists() {
            fs::remove_dir_all(&path).doing("remove", &path)?;
        }
        fs::create_dir_all(&path).doing("create", &path)?;
        Ok(Elsewhere(path))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // A folder that stays behind is only untidy, and the next call removes it.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Files below `dir` that two runs should have alike, relative to `root`.
fn list(root: &Path, dir: &Path, names: &mut Vec<String>) -> Result<(), Error> {
    for item in fs::read_dir(dir).doing("read", dir)? {
        let path = item.doing("read", dir)?.path();
        let last = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            list(root, &path, names)?;
        } else if !UNLIKE.contains(&last.as_str())
            && let Ok(name) = path.strip_prefix(root)
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn compare(first: &Path, second: &Path) -> Result<Found, Error> {
    match (first.exists(), second.exists()) {
        (true, false) => return Ok(Found::Missing),
        (false, _) => return Ok(Found::New),
        (true, true) => {}
    }
    let (a, b) = (fs::read(first).doing("read", first)?, fs::read(second).doing("read", second)?);
    if a == b {
        return Ok(Found::Same);
    }
    let unlike = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    let common = a.len().min(b.len());
    let byte = a.iter().zip(&b).position(|(a, b)| a != b).unwrap_or(common);
    let is_text = std::str::from_utf8(&a).is_ok();
    let line = is_text.then(|| 1 + a[..byte].iter().filter(|byte| **byte == b'\n').count());
    Ok(Found::Differs { byte, line, n_bytes: unlike + a.len().max(b.len()) - common })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (a, b) = (file("a", b"one\ntwo\n"), file("b", b"one\ntwX\n!"));
        assert_eq!(compare(&a, &a).unwrap(), Found::Same);
        let found = Found::Differs { byte: 6, line: Some(2), n_bytes: 2 };
        assert_eq!(compare(&a, &b).unwrap(), found);
        let gone = folder.path().join("gone");
        assert_eq!(compare(&a, &gone).unwrap(), Found::Missing);
        assert_eq!(compare(&gone, &a).unwrap(), Found::New);
        let binary = file("c", &[0xff, 0, 1]);
        let other = file("d", &[0xff, 0, 2]);
        assert_eq!(
            compare(&binary, &other).unwrap(),
            Found::Differs { byte: 2, line: None, n_bytes: 1 }
        );
    }
}
