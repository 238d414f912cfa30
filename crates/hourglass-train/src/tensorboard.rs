//! Event files for TensorBoard, scalars only: records of length, data and masked CRC-32C, each
//! holding one `Event` in the protocol-buffer encoding. No other kind of summary is written.
//!
//! # Source
//! The layout is that of TensorFlow's `RecordWriter` (tensorflow/core/lib/io/record_writer.h), the
//! messages are those of `event.proto` and `summary.proto`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{EpochTelemetry, Error, Result};

/// Added to a rotated checksum, so that the checksum of data that holds checksums is no multiple.
const MASK: u32 = 0xa282_ead8;

/// The reversed polynomial of CRC-32C (Castagnoli).
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Appends scalars to an event file of its own.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: PathBuf,
}

impl EventWriter {
    /// Creates a new event file in a folder, which is created too. Where training resumes, `from`
    /// is the step from which TensorBoard shall forget what earlier files say.
    ///
    /// # Errors
    /// [`Error::Telemetry`].
    pub fn create(folder: &Path, from: Option<u64>) -> Result<Self> {
        let wrong = |source| Error::Telemetry { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(wrong)?;
        let seconds = since_epoch() as u64;
        // Files are read in the order of their names; the number tells apart two of one second.
        let path = (0..)
            .map(|n| folder.join(format!("events.out.tfevents.{seconds:010}.{n:03}.hourglass")))
            .find(|path| !path.exists())
            .expect("the numbers do not end");
        let file = File::create_new(&path).map_err(wrong)?;
        let mut writer = EventWriter { file, path };
        writer.event(0, |event| bytes(event, 3, b"brain.Event:2"))?;
        if let Some(step) = from {
            // SessionLog { status: START }
            writer.event(step, |event| bytes(event, 7, &[0x08, 1]))?;
        }
        Ok(writer)
    }

    /// Writes the values of a step.
    ///
    /// # Errors
    /// [`Error::Telemetry`].
    pub fn scalars<'a>(
        &mut self,
        step: u64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut entry = Vec::new();
            bytes(&mut entry, 1, tag.as_bytes());
            entry.push((2 << 3) | 5);
            entry.extend((value as f32).to_le_bytes());
            bytes(&mut summary, 1, &entry);
        }
        self.event(step, |event| bytes(event, 5, &summary))
    }

    /// Writes what an epoch measured.
    pub(crate) fn epoch(&mut self, line: &EpochTelemetry) -> Result<()> {
        let mut values = vec![
            ("loss/train".to_owned(), line.train_loss),
            ("loss/validation".to_owned(), line.validation_loss),
            ("learning_rate".to_owned(), line.learning_rate),
            ("gradient_norm".to_owned(), line.gradient_norm),
            ("latent/effective_rank".to_owned(), line.latent.effective_rank),
        ];
        for (name, value) in &line.validation_parts {
            values.push((format!("validation_part/{name}"), *value));
        }
        for parameter in &line.parameters {
            let name = &parameter.name;
            values.push((format!("weight_norm/{name}"), parameter.weight_norm));
            values.extend(parameter.update_ratio.map(|r| (format!("update_ratio/{name}"), r)));
        }
        for layer in &line.layers {
            values.push((format!("always_zero_share/{}", layer.name), layer.always_zero_share));
        }
        self.scalars(line.step, values.iter().map(|(tag, value)| (tag.as_str(), *value)))
    }

    fn event(&mut self, step: u64, what: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let mut event = vec![(1 << 3) | 1];
        event.extend(since_epoch().to_le_bytes());
        event.push(2 << 3);
        varint(&mut event, step);
        what(&mut event);
        self.file
            .write_all(&record(&event))
            .map_err(|source| Error::Telemetry { path: self.path.clone(), source })
    }
}

fn since_epoch() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |passed| passed.as_secs_f64())
}

/// A record: length, its checksum, data, its checksum.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_checksum(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_checksum(data).to_le_bytes());
    record
}

fn masked_checksum(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(MASK)
}

fn crc32c(data: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL * (crc & 1)))
    };
    !data.iter().fold(!0, step)
}

/// A field of bytes: key, length, bytes.
fn bytes(to: &mut Vec<u8>, field: u8, content: &[u8]) {
    to.push((field << 3) | 2);
    varint(to, content.len() as u64);
    to.extend(content);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        // RFC 3720, appendix B.4, and the check value of CRC-32C.
        for (data, expected) in [
            (vec![0; 32], 0x8a91_36aa),
            (vec![0xff; 32], 0x62a8_ab43),
            ((0..32).collect(), 0x46dd_794e),
            (b"123456789".to_vec(), 0xe306_9283),
        ] {
            assert_eq!(crc32c(&data), expected);
        }
    }

    /// Reads a file back: step, and tag with value or the version.
    fn read(path: &Path) -> Vec<(u64, Vec<(String, f32)>)> {
        let content = std::fs::read(path).unwrap();
        let mut rest = &content[..];
        let mut events = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let checksum = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            assert_eq!(checksum(8), masked_checksum(&rest[..8]));
            let data = &rest[12..12 + length];
            assert_eq!(checksum(12 + length), masked_checksum(data));
            events.push(event(data));
            rest = &rest[16 + length..];
        }
        events
    }

    fn event(mut data: &[u8]) -> (u64, Vec<(String, f32)>) {
        let (mut step, mut values) = (0, Vec::new());
        while let Some((&key, after)) = data.split_first() {
            data = after;
            match key {
                0x09 => data = &data[8..],
                0x10 => step = take_varint(&mut data),
                0x1a | 0x3a => {
                    let length = take_varint(&mut data) as usize;
                    values.push((format!("{:?}", &data[..length]), 0.0));
                    data = &data[length..];
                }
                0x2a => {
                    let length = take_varint(&mut data) as usize;
                    let (mut summary, after) = data.split_at(length);
                    data = after;
                    while let Some((0x0a, entry)) = summary.split_first() {
                        summary = entry;
                        let length = take_varint(&mut summary) as usize;
                        let (entry, after) = summary.split_at(length);
                        summary = after;
                        assert_eq!(entry[0], 0x0a);
                        let n = entry[1] as usize;
                        let tag = String::from_utf8(entry[2..2 + n].to_vec()).unwrap();
                        assert_eq!(entry[2 + n], 0x15);
                        let value = entry[3 + n..7 + n].try_into().unwrap();
                        values.push((tag, f32::from_le_bytes(value)));
                    }
                }
                other => panic!("unknown field {other:#x}"),
            }
        }
        (step, values)
    }

    fn take_varint(data: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = data[0];
            *data = &data[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("events");
        let mut writer = EventWriter::create(&folder, None).unwrap();
        writer.scalars(1, [("loss/train", 0.5), ("loss/validation", 0.75)]).unwrap();
        writer.scalars(300, [("learning_rate", 1e-3)]).unwrap();
        let scalar = |tag: &str, value: f32| (tag.to_owned(), value);
        let events = read(&writer.path);
        assert_eq!(events.len(), 3);
        assert_eq!(events[0].1[0].0, format!("{:?}", b"brain.Event:2"));
        let losses = vec![scalar("loss/train", 0.5), scalar("loss/validation", 0.75)];
        assert_eq!(events[1], (1, losses));
        assert_eq!(events[2], (300, vec![scalar("learning_rate", 1e-3)]));
        let resumed = EventWriter::create(&folder, Some(7)).unwrap();
        assert_ne!(resumed.path, writer.path);
        assert_eq!(read(&resumed.path)[1], (7, vec![("[8, 1]".to_owned(), 0.0)]));
    }
}
