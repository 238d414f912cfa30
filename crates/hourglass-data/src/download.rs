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
/// A file lands as `NAME/FILE.gz`, or without `.gz` where its publisher has it plain, in
/// `locations.download_dir`. An interrupted download leaves a `.part` file, from which the next one
/// goes on.
///
/// # Errors
/// [`Error::NotHere`] when `locations.offline` is set, [`Error::Download`] when every mirror
/// failed, [`Error::Io`] when the file can't be written, [`Error::Interrupted`].
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
    if entry.mirrors.is_empty() {
        return Err(not_here(entry, &entry.files[missing], locations));
    }
    let folder = locations.download_dir.join(entry.folder());
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
        let stored = file.stored();
        let path = self.folder.join(&stored);
        let part_path = self.folder.join(format!("{stored}.part"));
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
                let url = file.address(mirror);
                match self.try_mirror(&url, file, &mut part, &part_path) {
                    Ok(()) => {
                        part.sync_all().map_err(Error::io("write", &part_path))?;
                        std::fs::rename(&part_path, &path).map_err(Error::io("create", &path))?;
                        return Ok(path);
                    }
                    Err(Refusal::Fatal(error)) => return Err(error),
                    Err(Refusal::Mirror(reason)) => {
                        tracing::info!(url, reason, "a mirror did not give the file");
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    use hourglass_core::Silent;

    use super::*;
    use crate::catalog::{Checksum, find};
    use crate::config::{Builtin, BuiltinSource, OfflineConfig};
    use crate::content::gzip;
    use crate::frame::Reading;
    use crate::resolve::settle_catalog;

    /// What a mirror of the test does with a request for bytes from `start` on.
    #[derive(Clone, Copy)]
    enum Behaviour {
        /// Sends the file, from the byte asked for on.
        Serve,
        /// Sends the whole file whatever is asked for.
        IgnoreRange,
        /// Sends half of what it announces, then hangs up.
        Truncate,
        /// Sends bytes of another file.
        Lie,
        NotFound,
        /// Takes the request and never answers.
        Hang,
    }

    /// A mirror on this machine; the requests are kept as `FILE from BYTE`.
    struct Mirror {
        url: String,
        requests: Arc<Mutex<Vec<String>>>,
    }

    impl Mirror {
        fn start(behaviour: Behaviour, file: Vec<u8>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let requests = Arc::new(Mutex::new(Vec::new()));
            let kept = Arc::clone(&requests);
            std::thread::spawn(move || {
                let mut open = Vec::new();
                for stream in listener.incoming().flatten() {
                    if let Some(hanging) = answer(stream, behaviour, &file, &kept) {
                        open.push(hanging);
                    }
                }
            });
            Mirror { url, requests }
        }

        fn requests(&self) -> Vec<String> {
            self.requests.lock().unwrap().clone()
        }
    }

    fn answer(
        mut stream: TcpStream,
        behaviour: Behaviour,
        file: &[u8],
        kept: &Mutex<Vec<String>>,
    ) -> Option<TcpStream> {
        let (mut path, mut start) = (String::new(), 0);
        for line in BufReader::new(&stream).lines() {
            let line = line.ok()?;
            if let Some(rest) = line.strip_prefix("GET /") {
                path = rest.split(' ').next()?.to_owned();
            }
            if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
                start = range.trim_end_matches('-').parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        kept.lock().unwrap().push(format!("{path} from {start}"));
        let lie = gzip(b"something else");
        let (status, body) = match behaviour {
            Behaviour::Hang => return Some(stream),
            Behaviour::NotFound => ("404 Not Found", &b"no"[..]),
            Behaviour::Lie => ("200 OK", &lie[..]),
            Behaviour::IgnoreRange => ("200 OK", file),
            Behaviour::Serve | Behaviour::Truncate if start == 0 => ("200 OK", file),
            _ if start >= file.len() => ("416 Range Not Satisfiable", &b""[..]),
            _ => ("206 Partial Content", &file[start..]),
        };
        let range = format!("content-range: bytes {start}-{}/{}\r\n", file.len(), file.len());
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{}\r\n",
            body.len(),
            if status.starts_with("206") { range.as_str() } else { "" },
        );
        let sent = match behaviour {
            Behaviour::Truncate => &body[..body.len() / 2],
            _ => body,
        };
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(sent).ok()?;
        None
    }

    /// SHA-256 as `content` computes it.
    fn sha256(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), bytes).unwrap();
        content::read(&dir.path().join("x"), None).unwrap().file.sha256
    }

    fn payload() -> Vec<u8> {
        // Noise, so that gzip doesn't shrink it to nothing.
        (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    struct Case {
        dir: tempfile::TempDir,
        entry: Entry,
        packed: Vec<u8>,
    }

    impl Case {
        fn new() -> Self {
            let mut entry = find("mnist").unwrap();
            entry.name = "tiny".into();
            entry.files.truncate(1);
            entry.files[0].name = "numbers".into();
            entry.files[0].sha256 = Some(sha256(&payload()));
            entry.mirrors.clear();
            Case { dir: tempfile::tempdir().unwrap(), entry, packed: gzip(&payload()) }
        }

        fn mirror(&mut self, behaviour: Behaviour) -> Mirror {
            let mirror = Mirror::start(behaviour, self.packed.clone());
            self.entry.mirrors.push(mirror.url.clone());
            mirror
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join("tiny").join(name)
        }

        fn leave_part(&self, bytes: &[u8]) {
            std::fs::create_dir_all(self.dir.path().join("tiny")).unwrap();
            std::fs::write(self.path("numbers.gz.part"), bytes).unwrap();
        }

        fn run(&self) -> Result<Vec<PathBuf>, Error> {
            self.run_with(&Interrupt::new())
        }

        fn run_with(&self, interrupt: &Interrupt) -> Result<Vec<PathBuf>, Error> {
            let patience = Patience {
                response: Duration::from_millis(300),
                read: Duration::from_millis(300),
                ..Patience::USUAL
            };
            let locations = Locations {
                data_dirs: Vec::new(),
                download_dir: self.dir.path().to_path_buf(),
                offline: false,
            };
            Ok(obtain(&self.entry, &locations, patience, &Silent, interrupt)?.files)
        }

        /// The file is whole under its final name, and nothing else is left.
        fn assert_whole(&self) {
            let path = self.path("numbers.gz");
            assert_eq!(self.run().unwrap(), std::slice::from_ref(&path));
            assert_eq!(content::read(&path, None).unwrap().bytes, payload());
            assert!(!self.path("numbers.gz.part").exists());
        }
    }

    #[test]
    fn a_file_is_fetched_once() {
        let mut case = Case::new();
        let mirror = case.mirror(Behaviour::Serve);
        case.assert_whole();
        case.assert_whole();
        assert_eq!(mirror.requests(), ["numbers.gz from 0"]);
    }

    #[test]
    fn the_next_mirror_helps_where_one_fails() {
        for behaviour in [Behaviour::NotFound, Behaviour::Lie, Behaviour::Hang, Behaviour::Truncate]
        {
            let mut case = Case::new();
            let first = case.mirror(behaviour);
            let second = case.mirror(Behaviour::Serve);
            case.assert_whole();
            assert_eq!(first.requests(), ["numbers.gz from 0"]);
            let start = match behaviour {
                Behaviour::Truncate => case.packed.len() / 2,
                _ => 0,
            };
            assert_eq!(second.requests(), [format!("numbers.gz from {start}")]);
        }
    }

    #[test]
    fn a_partial_file_is_continued() {
        let mut case = Case::new();
        let mirror = case.mirror(Behaviour::Serve);
        case.leave_part(&case.packed[..1000]);
        case.assert_whole();
        assert_eq!(mirror.requests(), ["numbers.gz from 1000"]);
    }

    #[test]
    fn a_mirror_without_ranges_sends_everything_again() {
        let mut case = Case::new();
        case.mirror(Behaviour::IgnoreRange);
        case.leave_part(&case.packed[..1000]);
        case.assert_whole();
    }

    #[test]
    fn a_partial_file_of_something_else_is_started_anew() {
        for part in [vec![1; 1000], vec![1; 1_000_000]] {
            let mut case = Case::new();
            let mirror = case.mirror(Behaviour::Serve);
            case.leave_part(&part);
            case.assert_whole();
            assert_eq!(mirror.requests().last().unwrap(), "numbers.gz from 0");
        }
    }

    #[test]
    fn a_whole_partial_file_is_enough() {
        let mut case = Case::new();
        case.mirror(Behaviour::Serve);
        case.leave_part(&case.packed);
        case.assert_whole();
    }

    #[test]
    fn a_mirror_that_keeps_breaking_off_is_asked_again_while_it_sends_something() {
        let mut case = Case::new();
        let mirror = case.mirror(Behaviour::Truncate);
        let error = case.run().unwrap_err().to_string();
        assert!(error.contains("breaks off after") || error.contains("stops after"), "{error}");
        assert_eq!(mirror.requests().len(), ROUNDS);
        assert!(case.path("numbers.gz.part").exists() && !case.path("numbers.gz").exists());
        case.mirror(Behaviour::Serve);
        case.assert_whole();
    }

    #[test]
    fn failure_names_every_mirror() {
        let mut case = Case::new();
        case.mirror(Behaviour::NotFound);
        case.mirror(Behaviour::Lie);
        case.mirror(Behaviour::Hang);
        // Nobody listens on this port any more.
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        case.entry.mirrors.push(format!("http://{closed}"));
        let started = Instant::now();
        let error = case.run().unwrap_err().to_string();
        assert!(started.elapsed() < Duration::from_secs(5));
        let expected = sha256(&payload());
        for said in [
            "`numbers` of `tiny` could not be downloaded",
            "answers 404 Not Found",
            &format!(
                "sends another file: SHA-256 of the uncompressed content should be `{expected}"
            ),
            "timeout",
            "refused",
            "hint: fetch it by other means and put it into `",
        ] {
            assert!(error.contains(said), "{said}: {error}");
        }
        assert!(!case.path("numbers.gz").exists() && !case.path("numbers.gz.part").exists());
    }

    #[test]
    fn a_checksum_of_the_gzip_file_is_enough() {
        let mut case = Case::new();
        let file = &mut case.entry.files[0];
        file.sha256 = None;
        let packed_sum = sha256_of_packed(&case.packed);
        file.gzip_sha256 = Some(packed_sum.clone());
        assert_eq!(file.checksum(), Some(Checksum::Gzip(packed_sum)));
        case.mirror(Behaviour::Lie);
        case.mirror(Behaviour::Serve);
        case.assert_whole();
    }

    fn sha256_of_packed(packed: &[u8]) -> String {
        use sha2::{Digest, Sha256};
        Sha256::digest(packed).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn an_interrupt_leaves_only_the_partial_file() {
        let mut case = Case::new();
        case.mirror(Behaviour::Serve);
        let interrupt = Interrupt::new();
        interrupt.raise();
        let error = case.run_with(&interrupt).unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        assert!(!case.path("numbers.gz").exists());
        case.assert_whole();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let mut case = Case::new();
        case.mirror(Behaviour::Serve);
        std::fs::write(case.dir.path().join("tiny"), b"in the way").unwrap();
        let error = case.run().unwrap_err().to_string();
        assert!(error.contains("cannot create `") && error.contains("hint: "), "{error}");
    }

    #[test]
    fn two_downloads_at_once_end_in_one_file() {
        let mut case = Case::new();
        let mirror = case.mirror(Behaviour::Serve);
        std::thread::scope(|scope| {
            let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| case.run().unwrap())).collect();
            runs.into_iter().for_each(|run| assert_eq!(run.join().unwrap().len(), 1));
        });
        assert_eq!(mirror.requests().len(), 1);
        case.assert_whole();
    }

    #[test]
    fn the_offline_data_is_taken_where_no_mirror_helps() {
        let mut case = Case::new();
        case.mirror(Behaviour::NotFound);
        let offline = OfflineConfig { builtin: Some(BuiltinSource { dataset: Builtin::Digits }) };
        let obtain = |_: &Entry| case.run().map(Found::local);
        let resolved =
            settle_catalog(case.entry.clone(), Reading::default(), Some(&offline), obtain).unwrap();
        let reason = resolved.fallback().unwrap();
        assert!(reason.contains("answers 404") && !reason.contains("hint"), "{reason}");
        let error =
            settle_catalog(case.entry.clone(), Reading::default(), None, obtain).unwrap_err();
        assert!(matches!(error, Error::Download { .. }), "{error}");
    }
}
