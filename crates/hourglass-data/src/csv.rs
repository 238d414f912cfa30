//! CSV files. The lines are counted and their fields compared before polars reads them, because
//! polars fills short lines silently and names no line. It does not interpret columns: `frame.rs`
//! does.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use polars::prelude::{
    Column, CsvParseOptions, CsvReadOptions, DataFrame, DataType, PlSmallStr, Schema, SerReader,
};

use crate::config::CsvSource;
use crate::content::Content;
use crate::error::Error;

/// A parsed CSV file with the line of each row. All columns are text.
pub(crate) struct Csv {
    pub frame: DataFrame,
    /// Line of each row in the file, from 1.
    pub lines: Vec<usize>,
}

/// Parses the content of a CSV file.
///
/// # Errors
/// [`Error::Csv`] with the line, [`Error::Empty`] without rows, [`Error::DuplicateColumn`],
/// [`Error::Table`] where polars refuses what the scan let pass.
pub(crate) fn parse(content: Content, path: &Path, source: &CsvSource) -> Result<Csv, Error> {
    let layout = Layout::new(source);
    let text = decode(content.bytes, path, source)?;
    let text = layout.even(&text);
    let (mut records, _) = layout.scan(&text, path, &mut Position::start(source), true)?;
    let names = layout.names(&text, &mut records, path)?;
    if records.is_empty() {
        return Err(Error::Empty {
            what: format!("`{}`", path.display()),
            missing: "row",
            hint: "is the file whole, and is `has_header` right?",
        });
    }
    layout.frame(&text, &records, &names, path)
}

/// Puts targets that lie in a file of their own beside the columns of a table.
///
/// # Errors
/// [`Error::Csv`] where the file holds more or fewer lines than the table rows.
pub(crate) fn add_targets(
    csv: &mut Csv,
    content: Content,
    path: &Path,
    source: &CsvSource,
) -> Result<(), Error> {
    let text = decode(content.bytes, path, source)?;
    let text = String::from_utf8_lossy(&text);
    let targets: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if targets.len() != csv.lines.len() {
        let (line, n_targets, n_rows) = (targets.len(), targets.len(), csv.lines.len());
        let problem = format!("it holds {n_targets} targets for {n_rows} rows");
        let hint = "the two files must be of the same part of the same data set".into();
        return Err(Error::Csv { path: path.to_path_buf(), line, problem, hint });
    }
    let column = Column::new(PlSmallStr::from_str(&source.target), targets);
    csv.frame.with_column(column).map_err(|source| refused(path, source))?;
    Ok(())
}

fn refused(path: &Path, source: polars::error::PolarsError) -> Error {
    Error::Table { path: path.to_path_buf(), format: "CSV", source: Box::new(source) }
}

/// The text as UTF-8, without a byte order mark.
fn decode(bytes: Vec<u8>, path: &Path, source: &CsvSource) -> Result<Vec<u8>, Error> {
    let encoding = encoding_rs::Encoding::for_label(source.encoding.as_bytes())
        .expect("the check of the configuration looked it up");
    if encoding != encoding_rs::UTF_8 {
        let (text, _, damaged) = encoding.decode(&bytes);
        if !damaged {
            return Ok(text.into_owned().into_bytes());
        }
        let good = text.split('\u{fffd}').next().unwrap_or_default();
        return Err(Error::Csv {
            path: path.to_path_buf(),
            line: 1 + good.matches('\n').count(),
            problem: format!("a character is no {} text", encoding.name()),
            hint: "is `encoding` right?".into(),
        });
    }
    check_text(&bytes, path)?;
    // A byte order mark would become part of the first column's name.
    match bytes.strip_prefix("\u{feff}".as_bytes()) {
        Some(text) => Ok(text.to_vec()),
        None => Ok(bytes),
    }
}

pub(crate) fn check_text(bytes: &[u8], path: &Path) -> Result<(), Error> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(_) if !bytes.contains(&0) => return Ok(()),
        Ok(_) => bytes.iter().take_while(|&&byte| byte != 0).count(),
        Err(error) => error.valid_up_to(),
    };
    Err(Error::Csv {
        path: path.to_path_buf(),
        line: 1 + bytes[..valid].iter().filter(|&&byte| byte == b'\n').count(),
        problem: format!("byte 0x{:02x} is no UTF-8 text", bytes[valid]),
        hint: "is it a CSV file? if it is in another encoding, name it in `encoding`".into(),
    })
}

/// How the lines of a file are cut into fields.
pub(crate) struct Layout<'a> {
    source: &'a CsvSource,
    delimiter: u8,
}

/// Where the scan of a text stands in its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// Line that comes next, from 1.
    pub line: usize,
    /// Lines at the start that are still to be passed over.
    skip: usize,
    /// Fields of each record, and the line that said so.
    expected: Option<(usize, usize)>,
}

impl Position {
    pub(crate) fn start(source: &CsvSource) -> Self {
        Position { line: 1, skip: source.skip_lines, expected: None }
    }
}

/// One record: where it stands in the bytes (its end of line included) and on which line it starts.
pub(crate) struct Record {
    pub start: usize,
    pub end: usize,
    pub line: usize,
}

impl<'a> Layout<'a> {
    pub(crate) fn new(source: &'a CsvSource) -> Self {
        // A blank stands for any number of blanks and tabs, which `even` makes one tab.
        let delimiter = if source.delimiter == ' ' { '\t' } else { source.delimiter };
        // The check of the configuration made sure that the delimiter is one byte.
        Layout { source, delimiter: delimiter as u8 }
    }

    /// The text with one delimiter between two fields. Lines stay lines.
    pub(crate) fn even<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if self.source.delimiter != ' ' {
            return Cow::Borrowed(text);
        }
        let mut even = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let (mut quoted, mut gap) = (false, false);
            for &byte in line.trim_ascii() {
                quoted ^= byte == b'"';
                gap = !quoted && matches!(byte, b' ' | b'\t');
                match gap {
                    true if even.last() == Some(&b'\t') => {}
                    true => even.push(b'\t'),
                    false => even.push(byte),
                }
            }
            debug_assert!(!gap, "the line was trimmed");
            if line.ends_with(b"\n") {
                even.push(b'\n');
            }
        }
        Cow::Owned(even)
    }

    /// Finds the records, checks that all have as many fields as the first, and says where the last
    /// ends. `position` is moved there, so that the next piece of the same file goes on from it;
    /// a record that the end of the text cuts belongs to that piece, unless this `is_last`.
    pub(crate) fn scan(
        &self,
        text: &[u8],
        path: &Path,
        position: &mut Position,
        is_last: bool,
    ) -> Result<(Vec<Record>, usize), Error> {
        let fail = |line, problem, hint: &str| {
            Err(Error::Csv { path: path.to_path_buf(), line, problem, hint: hint.into() })
        };
        let delimiter = self.delimiter;
        let comment = self.source.comment.as_ref().map(String::as_bytes);
        let mut records: Vec<Record> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let start = at;
            let first_line = position.line;
            let ends = |at: usize| is_last || at < text.len();
            if position.skip > 0 || comment.is_some_and(|comment| text[at..].starts_with(comment)) {
                at += text[at..].iter().position(|&byte| byte == b'\n').unwrap_or(text.len() - at);
                if !ends(at) {
                    return Ok((records, start));
                }
                position.skip = position.skip.saturating_sub(1);
                at = (at + 1).min(text.len());
                position.line += 1;
                continue;
            }
            let mut n_fields = 1;
            let mut quoted_since = None;
            let mut field_start = at;
            while at < text.len() {
                let byte = text[at];
                match quoted_since {
                    // A doubled quote closes and opens again, which comes to the same.
                    Some(_) if byte == b'"' => quoted_since = None,
                    Some(_) => position.line += usize::from(byte == b'\n'),
                    None if byte == b'\n' => break,
                    None if byte == delimiter => {
                        n_fields += 1;
                        field_start = at + 1;
                    }
                    // A quote inside an unquoted field is an ordinary character.
                    None if byte == b'"' && text[field_start] == b'"' => {
                        quoted_since = Some(position.line);
                    }
                    None => {}
                }
                at += 1;
            }
            if !ends(at) {
                position.line = first_line;
                return Ok((records, start));
            }
            if let Some(line) = quoted_since {
                return fail(line, "a quote is opened and never closed".into(), "close it");
            }
            let line = text[start..at].trim_ascii_end();
            let blank = line.is_empty() && (n_fields == 1 || delimiter != b'\t');
            at = (at + 1).min(text.len());
            position.line += 1;
            if blank {
                continue;
            }
            let (expected, said) = *position.expected.get_or_insert((n_fields, first_line));
            if n_fields != expected {
                return fail(
                    first_line,
                    format!("{n_fields} fields where line {said} has {expected}"),
                    "is the line damaged, a quote missing, or the `delimiter` another?",
                );
            }
            records.push(Record { start, end: at, line: first_line });
        }
        Ok((records, at))
    }

    /// Names of the columns; takes the header off the records where there is one.
    pub(crate) fn names(
        &self,
        text: &[u8],
        records: &mut Vec<Record>,
        path: &Path,
    ) -> Result<Vec<String>, Error> {
        let Some(first) = records.first() else { return Ok(Vec::new()) };
        let fields = self.fields(&text[first.start..first.end]);
        if !self.source.has_header {
            let given = &self.source.columns;
            if given.is_empty() {
                return Ok((1..=fields.len()).map(|i| format!("column_{i}")).collect());
            }
            if given.len() != fields.len() {
                let (n_names, n_fields) = (given.len(), fields.len());
                return Err(Error::Csv {
                    path: path.to_path_buf(),
                    line: first.line,
                    problem: format!("{n_fields} fields where `columns` names {n_names}"),
                    hint: "name every column, or is the `delimiter` another?".into(),
                });
            }
            return unique(given.clone(), path);
        }
        records.remove(0);
        unique(fields, path)
    }

    /// The fields of a record, without quotes.
    fn fields(&self, record: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(record.trim_ascii_end());
        let mut fields = vec![String::new()];
        let mut characters = text.chars().peekable();
        let mut quoted = false;
        while let Some(character) = characters.next() {
            let field = fields.last_mut().expect("there is one from the start");
            match character {
                '"' if quoted && characters.peek() == Some(&'"') => {
                    characters.next();
                    field.push('"');
                }
                '"' if quoted || field.is_empty() => quoted = !quoted,
                _ if !quoted && character == char::from(self.delimiter) => {
                    fields.push(String::new());
                }
                _ => field.push(character),
            }
        }
        fields.into_iter().map(|field| field.trim().to_owned()).collect()
    }

    /// Has polars read the records, every column as text.
    pub(crate) fn frame(
        &self,
        text: &[u8],
        records: &[Record],
        names: &[String],
        path: &Path,
    ) -> Result<Csv, Error> {
        let lines: Vec<usize> = records.iter().map(|record| record.line).collect();
        let schema: Schema =
            names.iter().map(|name| (PlSmallStr::from_str(name), DataType::String)).collect();
        let options = CsvReadOptions::default()
            .with_has_header(false)
            .with_schema(Some(Arc::new(schema)))
            .with_parse_options(CsvParseOptions::default().with_separator(self.delimiter));
        // polars reads a blank line as a row of missing values, and would read comments.
        let gapless = records.windows(2).all(|pair| pair[0].end == pair[1].start);
        let rows: Cow<'_, [u8]> = match (records.first(), records.last()) {
            (Some(first), Some(last)) if gapless => Cow::Borrowed(&text[first.start..last.end]),
            _ => {
                let pieces = records.iter().flat_map(|record| &text[record.start..record.end]);
                Cow::Owned(pieces.copied().collect())
            }
        };
        let frame = options
            .into_reader_with_file_handle(Cursor::new(rows))
            .finish()
            .map_err(|source| refused(path, source))?;
        if frame.height() != lines.len() {
            let problem = format!("polars reads {} rows, not {}", frame.height(), lines.len());
            return Err(Error::Csv {
                path: path.to_path_buf(),
                line: lines[0],
                problem,
                hint: "are all quotes closed?".into(),
            });
        }
        Ok(Csv { frame, lines })
    }
}

/// Names that stand once each.
fn unique(names: Vec<String>, path: &Path) -> Result<Vec<String>, Error> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (second, name) in names.iter().enumerate() {
        if let Some(first) = seen.insert(name, second) {
            return Err(Error::DuplicateColumn {
                path: path.to_path_buf(),
                column: name.clone(),
                first: first + 1,
                second: second + 1,
            });
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::SourceFile;

    fn source(has_header: bool) -> CsvSource {
        let text = format!("path = 'x'\ntarget = 'y'\nhas_header = {has_header}");
        toml::from_str(&text).unwrap()
    }

    fn read(text: &[u8], has_header: bool) -> Result<Csv, Error> {
        let file = SourceFile { name: "x".into(), bytes: 0, sha256: String::new() };
        let content = Content { bytes: text.to_vec(), file };
        parse(content, Path::new("x.csv"), &source(has_header))
    }

    #[test]
    fn rows_know_their_lines() {
        for (text, has_header, lines) in [
            ("a,b\n1,2\n3,4\n", true, vec![2, 3]),
            ("a,b\r\n1,2\r\n3,4", true, vec![2, 3]),
            ("1,2\n3,4\n", false, vec![1, 2]),
            ("\u{feff}a,b\n1,2\n", true, vec![2]),
            ("a,b\n\n1,2\n\n\n3,4\n\n", true, vec![3, 6]),
            ("a,b\n1,\"x\ny\"\n3,4\n", true, vec![2, 4]),
            ("a,b\n1,\"x\"\"y\"\n3,\"p,q\"\n", true, vec![2, 3]),
        ] {
            let csv = read(text.as_bytes(), has_header).unwrap();
            assert_eq!(csv.lines, lines, "{text:?}");
            assert_eq!(csv.frame.shape(), (lines.len(), 2), "{text:?}");
        }
        let csv = read("\u{feff}a,b\n1,2\n".as_bytes(), true).unwrap();
        assert_eq!(csv.frame.get_column_names(), ["a", "b"]);
    }

    #[test]
    fn damage_is_named_with_its_line() {
        for (text, said) in [
            (&b"a,b\n1,2\n3\n"[..], "`x.csv`, line 3: 1 fields where line 1 has 2"),
            (b"a,b\n\n1,2,3\n", "line 3: 3 fields where line 1 has 2"),
            (b"a,b\n1,\"2\n3,4\n", "line 2: a quote is opened and never closed"),
            (b"a,b\n1,\xff\n", "line 2: byte 0xff is no UTF-8 text"),
            (b"a,b\n1,2\n\0\0\0", "line 3: byte 0x00 is no UTF-8 text"),
            (b"a,b\n", "`x.csv` has no row"),
            (b"\n\n", "`x.csv` has no row"),
            (b"a,b,a\n1,2,3\n", "`x.csv`: columns 1 and 3 are both called `a`"),
        ] {
            let error = read(text, true).err().unwrap().to_string();
            assert!(error.contains(said) && error.contains("hint: "), "{error}");
        }
    }

    #[test]
    fn layouts_differ() {
        let named = |keys: &str| -> CsvSource {
            toml::from_str(&format!("path = 'x'\ntarget = 'y'\nhas_header = false\n{keys}"))
                .unwrap()
        };
        for (text, keys, lines, first) in [
            (&b"  1  2\t3 \n\n 4 5 6\n"[..], "delimiter = ' '", vec![1, 3], "1"),
            (b"a \"b  c\" d\n", "delimiter = ' '", vec![1], "a"),
            (b"|note\n1,2,3\n|4\n5,6,7\n", "comment = '|'", vec![2, 4], "1"),
            (b"note, x\n1;2;3\n", "skip_lines = 1\ndelimiter = ';'", vec![2], "1"),
            (b"\xe9,2,3\n", "encoding = 'latin1'", vec![1], "\u{e9}"),
            (b"\xff\xfe1\0,\x002\0,\x003\0\n\0", "encoding = 'utf-16le'", vec![1], "1"),
        ] {
            let file = SourceFile { name: "x".into(), bytes: 0, sha256: String::new() };
            let content = Content { bytes: text.to_vec(), file };
            let csv = parse(content, Path::new("x.csv"), &named(keys)).unwrap();
            assert_eq!((csv.lines, csv.frame.width()), (lines, 3), "{keys}");
            let column = csv.frame.column("column_1").unwrap().as_materialized_series().clone();
            assert_eq!(column.str().unwrap().get(0), Some(first), "{keys}");
        }
    }

    #[test]
    fn columns_may_be_named_and_targets_lie_apart() {
        let keys = "path = 'x'\ntarget = 'y'\nhas_header = false\ncolumns = ['p', 'q']";
        let source: CsvSource = toml::from_str(keys).unwrap();
        let content = |text: &[u8]| {
            let file = SourceFile { name: "x".into(), bytes: 0, sha256: String::new() };
            Content { bytes: text.to_vec(), file }
        };
        let path = Path::new("x.csv");
        let mut csv = parse(content(b"1,2\n3,4\n"), path, &source).unwrap();
        add_targets(&mut csv, content(b"-1\n1\n"), Path::new("x.labels"), &source).unwrap();
        assert_eq!(csv.frame.get_column_names(), ["p", "q", "y"]);
        let error = add_targets(&mut csv, content(b"-1\n"), Path::new("x.labels"), &source);
        assert!(error.unwrap_err().to_string().contains("it holds 1 targets for 2 rows"));
        let error = parse(content(b"1,2,3\n"), path, &source).err().unwrap().to_string();
        assert!(error.contains("line 1: 3 fields where `columns` names 2"), "{error}");
    }
}
