//! Fetching a data set of the catalogue: several mirrors, time-outs, resumption, checksum, and a
//! rename at the very end, so that a file under its final name is always whole. It decides nothing
//! about fallbacks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hourglass_core::{Interrupt, Progress};
use ureq::http::StatusCode;

use crate::catalog::{DataFile, Entry};
use crate::config::Locations;
use crate::content;
use crate::error::Error;
use crate::resolve::{Found, find_files, not_here};

/// Times that all mirrors are tried while each time at least one of them sends something.
const ROUNDS: usize = 3;

/// How long to wait for what. Short, because whoever has no network should learn it soon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub resolve: Duration,
    pub connect: Duration,
    pub response: Duration,
    pub read: Duration,
    /// For all mirrors together, as long as none has sent a byte.
    pub silence: Duration,
}

impl Patience {
    pub(crate) const USUAL: Patience = Patience {
        resolve: Duration::from_secs(2),
        connect: Duration::from_secs(4),
        response: Duration::from_secs(8),
        read: Duration::from_secs(15),
        silence: Duration::from_secs(12),
    };
}

/// Downloads the files of a data set that aren't here yet, and gives the paths of all.
///
/// A file lands as `NAME/FILE.gz` in `locations.download_dir`. An interrupted download leaves a
/// `.part` file, from which the next one goes on.
///
/// # Errors
/// [`Error::NotHere`] when `locations.offline` is set, [`Error::Download`] when every mirror failed,
/// [`Error::Io`] when the file can't be written, [`Error::Interrupted`].
pub fn download(
    entry: &Entry,
    locations: &Locations,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Vec<PathBuf>, Error> {
    Ok(obtain(entry, locations, Patience::USUAL, progress, interrupt)?.files)
}

/// Finds the files of a data set, downloading what isn't here.
pub(crate) fn obtain(
    entry: &Entry,
    locations: &Locations,
    patience: Patience,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Found, Error> {
    let found = find_files(entry, locations);
    let Some(missing) = found.iter().position(Option::is_none) else {
        return Ok(Found::local(found.into_iter().flatten().collect()));
    };
    if locations.offline {
        return Err(not_here(entry, &entry.files[missing], locations));
    }
    let folder = locations.download_dir.join(&entry.name);
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let fetcher =
        Fetcher { entry, folder: &folder, agent: agent(patience), patience, progress, interrupt };
    let files = entry.files.iter().zip(found).map(|(file, found)| match found {
        Some(path) => Ok(path),
        None => fetcher.fetch(file),
    });
    Ok(Found::downloaded(files.collect::<Result<_, Error>>()?))
}

fn agent(patience: Patience) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("hourglass/", env!("CARGO_PKG_VERSION")))
        // The files are gzip as they are; a server must not pack them a second time.
        .accept_encoding("identity")
        .timeout_resolve(Some(patience.resolve))
        .timeout_connect(Some(patience.connect))
        .timeout_recv_response(Some(patience.response))
        .timeout_per_read(Some(patience.read))
        .build()
        .new_agent()
}

struct Fetcher<'a> {
    entry: &'a Entry,
    folder: &'a Path,
    agent: ureq::Agent,
    patience: Patience,
    progress: &'a dyn Progress,
    interrupt: &'a Interrupt,
}

/// Why a mirror didn't give the file.
enum Refusal {
    /// Its own fault, in words: the next mirror may do better.
    Mirror(String),
    /// Ours: no mirror can help.
    Fatal(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Fatal(error)
    }
}

impl Fetcher<'_> {
    /// Fetches one file and gives its path.
    fn fetch(&self, file: &DataFile) -> Result<PathBuf, Error> {
        let path = self.folder.join(format!("{}.gz", file.name));
        let part_path = self.folder.join(format!("{}.gz.part", file.name));
        let mut part = self.open_alone(&part_path)?;
        if path.exists() {
            // Another process had the lock until now, and finished.
            return Ok(path);
        }
        let started = Instant::now();
        let mut attempts = Vec::new();
        for _ in 0..ROUNDS {
            attempts.clear();
            let before = length(&part, &part_path)?;
            for mirror in &self.entry.mirrors {
                let url = format!("{mirror}/{}.gz", file.name);
                match self.try_mirror(&url, file, &mut part, &part_path) {
                    Ok(()) => {
                        part.sync_all().map_err(Error::io("write", &part_path))?;
                        std::fs::rename(&part_path, &path).map_err(Error::io("create", &path))?;
                        return Ok(path);
                    }
                    Err(Refusal::Fatal(error)) => return Err(error),
                    Err(Refusal::Mirror(reason)) => {
                        tracing::warn!(url, reason, "a mirror did not give the file");
                        attempts.push(format!("`{url}` {reason}"));
                    }
                }
                let silent = length(&part, &part_path)? == before;
                if silent && started.elapsed() > self.patience.silence {
                    break;
                }
            }
            if length(&part, &part_path)? <= before {
                break;
            }
        }
        if length(&part, &part_path)? == 0 {
            std::fs::remove_file(&part_path).map_err(Error::io("delete", &part_path))?;
        }
        Err(Error::Download {
            dataset: self.entry.name.clone(),
            file: file.name.clone(),
            attempts: attempts.join("; "),
            folder: self.folder.display().to_string(),
        })
    }

    /// Opens the partial file and waits until no other process writes to it.
    fn open_alone(&self, path: &Path) -> Result<File, Error> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(Error::io("create", path))?;
        let mut waiting = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", path)(source)),
            }
            if !waiting {
                waiting = true;
                let name = &self.entry.name;
                self.progress
                    .say(&format!("another process is downloading {name}; waiting for it"));
            }
            self.stop_if_interrupted()?;
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Fetches from one mirror and verifies; goes on from what is there, and starts anew once where
    /// the joined pieces aren't the published file.
    fn try_mirror(
        &self,
        url: &str,
        file: &DataFile,
        part: &mut File,
        part_path: &Path,
    ) -> Result<(), Refusal> {
        loop {
            let have = length(part, part_path)?;
            self.get(url, part, part_path, have)?;
            let reason = match content::read(part_path, file.checksum().as_ref()) {
                Ok(_) => return Ok(()),
                Err(Error::Checksum { kind, expected, found, .. }) => {
                    format!("sends another file: {kind} should be `{expected}` but is `{found}`")
                }
                Err(Error::Gzip { source, .. }) => format!("sends a damaged file: {source}"),
                Err(Error::EmptyFile { .. }) => "sends an empty file".into(),
                Err(error) => return Err(error.into()),
            };
            part.set_len(0).map_err(Error::io("truncate", part_path))?;
            if have == 0 {
                return Err(Refusal::Mirror(reason));
            }
        }
    }

    /// Appends to the partial file what the mirror sends behind its first `have` bytes.
    fn get(&self, url: &str, part: &mut File, part_path: &Path, have: u64) -> Result<(), Refusal> {
        self.stop_if_interrupted()?;
        let failed = |error: ureq::Error| Refusal::Mirror(format!("failed: {error}"));
        let mut request = self.agent.get(url);
        if have > 0 {
            request = request.header("range", format!("bytes={have}-"));
        }
        let response = request.call().map_err(failed)?;
        let have = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if continues_at(&response, have) => have,
            // What is here is as long as the file, or longer: the checksum will tell.
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Ok(()),
            status => return Err(Refusal::Mirror(format!("answers {status}"))),
        };
        let write = || Error::io("write", part_path);
        part.set_len(have).map_err(write())?;
        part.seek(SeekFrom::Start(have)).map_err(write())?;
        let expected = response.body().content_length().map(|length| have + length);
        let name = url.rsplit('/').next().unwrap_or(url);
        self.progress.begin(&format!("downloading {} {name}", self.entry.name), expected);
        let received = self.receive(response.into_body().into_reader(), part, part_path, have);
        self.progress.end("");
        let received = received?;
        match expected {
            Some(expected) if received != expected => {
                Err(Refusal::Mirror(format!("stops after {received} of {expected} bytes")))
            }
            _ => Ok(()),
        }
    }

    /// Copies the body and gives the length of the partial file then.
    fn receive(
        &self,
        mut body: impl Read,
        part: &mut File,
        part_path: &Path,
        have: u64,
    ) -> Result<u64, Refusal> {
        let mut buffer = vec![0; 1 << 16];
        let mut received = have;
        loop {
            self.stop_if_interrupted()?;
            let n = body.read(&mut buffer).map_err(|error| {
                Refusal::Mirror(format!("breaks off after {received} bytes: {error}"))
            })?;
            if n == 0 {
                return Ok(received);
            }
            part.write_all(&buffer[..n]).map_err(Error::io("write", part_path))?;
            received += n as u64;
            self.progress.advance(received, "");
        }
    }

    fn stop_if_interrupted(&self) -> Result<(), Error> {
        match self.interrupt.is_raised() {
            false => Ok(()),
            true => Err(Error::Interrupted { what: format!("downloading {}", self.entry.name) }),
        }
    }
}

/// Whether a partial answer starts where ours ends.
fn continues_at(response: &ureq::http::Response<ureq::Body>, have: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

fn length(part: &File, path: &Path) -> Result<u64, Error> {
    Ok(part.metadata().map_err(Error::io("read", path))?.len())
}
