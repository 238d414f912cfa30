//! The rows of a file on disk, batch by batch, as polars frames. What they mean is no matter of
//! this file.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use polars::prelude::{DataFrame, ParquetReader, SerReader};

use super::TableOnDisk;
use crate::config::{CsvSource, TableFile};
use crate::content::is_gzip;
use crate::csv::{self, Csv, Layout, Position};
use crate::error::Error;
use crate::frame::Source;
use crate::parquet::{open, refused};

/// Rows of a batch.
pub(super) const BATCH_ROWS: usize = 65_536;

/// Bytes of decoded Parquet columns that are held at a time.
const MOST_BYTES: usize = 256 << 20;

/// Bytes of text that are read at a time.
const BLOCK_BYTES: usize = 16 << 20;

/// Frames of at most [`BATCH_ROWS`] rows, in the order of the file.
pub(super) struct Reader<'a> {
    frames: Frames<'a>,
    path: &'a Path,
    waiting: VecDeque<(DataFrame, Option<Vec<usize>>)>,
    /// Rows that were given out.
    before: usize,
}

enum Frames<'a> {
    Parquet(ParquetSlices<'a>),
    Csv(Box<CsvBlocks<'a>>),
}

impl<'a> Reader<'a> {
    /// From the first row on.
    ///
    /// # Errors
    /// [`Error::Io`] where the file can't be opened, and those of its format.
    pub fn new(source: &'a TableOnDisk) -> Result<Self, Error> {
        let frames = match source {
            TableOnDisk::Csv(csv) => Frames::Csv(Box::new(CsvBlocks::new(csv)?)),
            TableOnDisk::Parquet(file) => Frames::Parquet(ParquetSlices::new(file)?),
        };
        Ok(Reader { frames, path: source.path(), waiting: VecDeque::new(), before: 0 })
    }

    /// The next rows; `None` behind the last.
    pub fn next(&mut self) -> Result<Option<Source<'a>>, Error> {
        while self.waiting.is_empty() {
            let next = match &mut self.frames {
                Frames::Parquet(slices) => slices.next()?.map(|frame| (frame, None)),
                Frames::Csv(blocks) => blocks.next()?.map(|csv| (csv.frame, Some(csv.lines))),
            };
            let Some((frame, lines)) = next else { return Ok(None) };
            for start in (0..frame.height()).step_by(BATCH_ROWS) {
                let end = frame.height().min(start + BATCH_ROWS);
                let lines = lines.as_ref().map(|lines| lines[start..end].to_vec());
                self.waiting.push_back((frame.slice(start as i64, end - start), lines));
            }
        }
        let Some((frame, lines)) = self.waiting.pop_front() else { return Ok(None) };
        let before = self.before;
        self.before += frame.height();
        Ok(Some(Source { frame, path: self.path, lines, before }))
    }
}

/// Pieces of a Parquet file: row groups, or slices of those that are too large.
struct ParquetSlices<'a> {
    path: &'a Path,
    plan: VecDeque<(usize, usize)>,
}

impl<'a> ParquetSlices<'a> {
    fn new(file: &'a TableFile) -> Result<Self, Error> {
        let path = file.path.as_path();
        let mut reader = ParquetReader::new(open(path)?);
        let metadata = reader.get_metadata().map_err(|source| refused(path, "Parquet", source))?;
        let n_columns = metadata.schema().columns().len().max(1);
        let most_rows = (MOST_BYTES / (8 * n_columns)).max(1);
        let mut plan = VecDeque::new();
        let mut offset = 0;
        for group in &metadata.row_groups {
            let end = offset + group.num_rows();
            while offset < end {
                let n_rows = most_rows.min(end - offset);
                plan.push_back((offset, n_rows));
                offset += n_rows;
            }
        }
        Ok(ParquetSlices { path, plan })
    }

    fn next(&mut self) -> Result<Option<DataFrame>, Error> {
        let Some(slice) = self.plan.pop_front() else { return Ok(None) };
        let reader = ParquetReader::new(open(self.path)?).with_slice(Some(slice));
        let frame = reader.finish().map_err(|source| refused(self.path, "Parquet", source))?;
        Ok(Some(frame))
    }
}

/// Blocks of a CSV file, each of whole records.
struct CsvBlocks<'a> {
    source: &'a CsvSource,
    file: Box<dyn Read + 'a>,
    /// What was read and not yet cut into records.
    text: Vec<u8>,
    position: Position,
    names: Option<Vec<String>>,
    done: bool,
}

impl<'a> CsvBlocks<'a> {
    fn new(source: &'a CsvSource) -> Result<Self, Error> {
        let path = source.path.as_path();
        let mut head = [0; 2];
        let n_read = open(path)?.read(&mut head).map_err(Error::io("read", path))?;
        let file = BufReader::with_capacity(1 << 20, open(path)?);
        let file: Box<dyn Read> = match is_gzip(&head[..n_read]) {
            true => Box::new(MultiGzDecoder::new(file)),
            false => Box::new(file),
        };
        let position = Position::start(source);
        Ok(CsvBlocks { source, file, text: Vec::new(), position, names: None, done: false })
    }

    fn next(&mut self) -> Result<Option<Csv>, Error> {
        let path = self.source.path.as_path();
        let layout = Layout::new(self.source);
        while !self.done {
            let before = self.text.len();
            let mut block = self.file.by_ref().take(BLOCK_BYTES as u64);
            block.read_to_end(&mut self.text).map_err(Error::io("read", path))?;
            self.done = self.text.len() == before;
            let bom = "\u{feff}".as_bytes();
            if before == 0 && self.names.is_none() && self.text.starts_with(bom) {
                self.text.drain(..bom.len());
            }
            let last_line =
                self.text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let cut = if self.done { self.text.len() } else { last_line };
            let whole = &self.text[..cut];
            csv::check_text(whole, path).map_err(|error| shift(error, self.position.line - 1))?;
            let even = layout.even(whole);
            // Evened text has other places than the text that is kept; it ends with its lines.
            let is_last = self.done || matches!(even, Cow::Owned(_));
            let (mut records, end) = layout.scan(&even, path, &mut self.position, is_last)?;
            let used = if is_last { cut } else { end };
            if self.names.is_none() && !records.is_empty() {
                self.names = Some(layout.names(&even, &mut records, path)?);
            }
            let csv = match &self.names {
                Some(names) if !records.is_empty() => {
                    Some(layout.frame(&even, &records, names, path)?)
                }
                _ => None,
            };
            drop(even);
            self.text.drain(..used);
            if csv.is_some() {
                return Ok(csv);
            }
        }
        Ok(None)
    }
}

/// An error in a block, with the line in the file.
fn shift(error: Error, by: usize) -> Error {
    match error {
        Error::Csv { path, line, problem, hint } => {
            Error::Csv { path, line: line + by, problem, hint }
        }
        other => other,
    }
}
