//! Bytes of files: gzip or plain, told apart by their first two bytes, hashed and verified.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::catalog::Checksum;
use crate::error::Error;
use crate::table::SourceFile;

/// First bytes of a gzip member (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The uncompressed content of a file, and what to say of it.
pub(crate) struct Content {
    pub bytes: Vec<u8>,
    pub file: SourceFile,
}

/// Reads a file, decompresses it where it is gzip, and compares its checksum where one is known.
///
/// # Errors
/// [`Error::Io`], [`Error::EmptyFile`], [`Error::Gzip`], [`Error::Checksum`].
pub(crate) fn read(path: &Path, checksum: Option<&Checksum>) -> Result<Content, Error> {
    let raw = std::fs::read(path).map_err(Error::io("read", path))?;
    if raw.is_empty() {
        return Err(Error::EmptyFile { path: path.to_path_buf() });
    }
    if let Some(Checksum::Gzip(expected)) = checksum {
        verify(path, "SHA-256 of the gzip file", expected, &sha256(&raw))?;
    }
    let bytes = if is_gzip(&raw) { decompress(&raw, path)? } else { raw };
    let found = sha256(&bytes);
    if let Some(Checksum::Content(expected)) = checksum {
        verify(path, "SHA-256 of the uncompressed content", expected, &found)?;
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let file =
        SourceFile { name: name.unwrap_or_default(), bytes: bytes.len() as u64, sha256: found };
    Ok(Content { bytes, file })
}

/// Hashes a file as it lies on the disk, piece by piece, for formats that are not read whole.
pub(crate) fn fingerprint(path: &Path) -> Result<SourceFile, Error> {
    let mut file = crate::parquet::open(path)?;
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n_read = file.read(&mut buffer).map_err(Error::io("read", path))?;
        if n_read == 0 {
            break;
        }
        bytes += n_read as u64;
        hasher.update(&buffer[..n_read]);
    }
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(SourceFile { name: name.unwrap_or_default(), bytes, sha256 })
}

/// Whether bytes start as a gzip file does.
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&GZIP_MAGIC)
}

fn decompress(raw: &[u8], path: &Path) -> Result<Vec<u8>, Error> {
    // A gzip file ends with its uncompressed length; a wrong guess costs a reallocation only.
    let guess = raw.last_chunk::<4>().map_or(0, |tail| u32::from_le_bytes(*tail) as usize);
    let mut bytes = Vec::with_capacity(guess.min(raw.len() * 64));
    MultiGzDecoder::new(raw)
        .read_to_end(&mut bytes)
        .map_err(|source| Error::Gzip { path: path.to_path_buf(), source })?;
    Ok(bytes)
}

fn verify(path: &Path, kind: &'static str, expected: &str, found: &str) -> Result<(), Error> {
    if expected.eq_ignore_ascii_case(found) {
        return Ok(());
    }
    let (expected, found) = (expected.to_owned(), found.to_owned());
    Err(Error::Checksum { path: path.to_path_buf(), kind, expected, found })
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf abc | sha256sum`
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn plain_and_gzip_give_the_same_content() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [("plain", b"abc".to_vec()), ("packed.gz", gzip(b"abc"))] {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let content = read(&path, Some(&Checksum::Content(ABC.into()))).unwrap();
            assert_eq!(content.bytes, b"abc");
            let file = SourceFile { name: name.into(), bytes: 3, sha256: ABC.into() };
            assert_eq!(content.file, file);
        }
    }

    #[test]
    fn damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let packed = gzip(&[7; 5000]);
        let mut flipped = packed.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0xff;
        for (bytes, said) in [
            (vec![], "is empty"),
            (packed[..packed.len() - 9].to_vec(), "damaged or truncated gzip"),
            (flipped, "damaged or truncated gzip"),
            (b"abd".to_vec(), "SHA-256 of the uncompressed content should be `ba7816bf"),
        ] {
            let path = dir.path().join("file");
            std::fs::write(&path, bytes).unwrap();
            let error = read(&path, Some(&Checksum::Content(ABC.into()))).err().unwrap();
            assert!(error.to_string().contains(said), "{error}");
            assert!(error.to_string().contains("hint: delete it"), "{error}");
        }
        let error = read(&dir.path().join("absent"), None).err().unwrap().to_string();
        assert!(error.contains("cannot read") && error.contains("absent"), "{error}");
    }

    #[test]
    fn a_checksum_of_the_gzip_file_is_compared_with_the_gzip_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.gz");
        let packed = gzip(b"abc");
        std::fs::write(&path, &packed).unwrap();
        read(&path, Some(&Checksum::Gzip(sha256(&packed)))).unwrap();
        let error = read(&path, Some(&Checksum::Gzip(ABC.into()))).err().unwrap();
        assert!(error.to_string().contains("SHA-256 of the gzip file"), "{error}");
    }
}
