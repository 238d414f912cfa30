//! CSV files. The lines are counted and their fields compared before polars reads them, because
//! polars fills short lines silently and names no line. It does not interpret columns: `frame.rs`
//! does.

use std::io::Cursor;
use std::path::Path;

use polars::prelude::{
    CsvParseOptions, CsvReadOptions, DataFrame, NullValues, PlSmallStr, SerReader,
};

use crate::config::CsvSource;
use crate::content::Content;
use crate::error::Error;

/// A parsed CSV file with the line of each row.
pub(crate) struct Csv {
    pub frame: DataFrame,
    /// Line of each row in the file, from 1.
    pub lines: Vec<usize>,
}

/// Parses the content of a CSV file.
///
/// # Errors
/// [`Error::Csv`] with the line, [`Error::Empty`] without rows, [`Error::Table`] where polars
/// refuses what the scan let pass.
pub(crate) fn parse(content: Content, path: &Path, source: &CsvSource) -> Result<Csv, Error> {
    let bytes = content.bytes;
    check_text(&bytes, path)?;
    // A byte order mark would become part of the first column's name.
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    // The check of the configuration made sure that the delimiter is one byte.
    let records = scan(text, source.delimiter as u8, path)?;
    let has_header = usize::from(source.has_header);
    if records.len() <= has_header {
        return Err(Error::Empty {
            what: format!("`{}`", path.display()),
            missing: "row",
            hint: "is the file whole, and is `has_header` right?",
        });
    }
    let lines: Vec<usize> = records.iter().skip(has_header).map(|record| record.line).collect();
    let codes = source.missing.iter().map(|code| PlSmallStr::from_str(code)).collect();
    let options = CsvReadOptions::default()
        .with_has_header(source.has_header)
        .with_infer_schema_length(None)
        .with_parse_options(
            CsvParseOptions::default()
                .with_separator(source.delimiter as u8)
                .with_null_values(Some(NullValues::AllColumns(codes))),
        );
    let blank_lines = text.iter().filter(|&&byte| byte == b'\n').count() >= records.len();
    let read =
        |text: &[u8]| options.clone().into_reader_with_file_handle(Cursor::new(text)).finish();
    // polars reads a blank line as a row of missing values.
    let frame = if blank_lines { read(&without_blanks(text, &records)) } else { read(text) };
    let frame = frame.map_err(|source| Error::Table {
        path: path.to_path_buf(),
        format: "CSV",
        source: Box::new(source),
    })?;
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

fn check_text(bytes: &[u8], path: &Path) -> Result<(), Error> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(_) if !bytes.contains(&0) => return Ok(()),
        Ok(_) => bytes.iter().take_while(|&&byte| byte != 0).count(),
        Err(error) => error.valid_up_to(),
    };
    Err(Error::Csv {
        path: path.to_path_buf(),
        line: 1 + bytes[..valid].iter().filter(|&&byte| byte == b'\n').count(),
        problem: format!("byte 0x{:02x} is no UTF-8 text", bytes[valid]),
        hint: "is it a CSV file? if it is in another encoding, convert it to UTF-8".into(),
    })
}

/// One record: where it stands in the bytes (its end of line included) and on which line it starts.
struct Record {
    start: usize,
    end: usize,
    line: usize,
}

/// Finds the records and checks that all have as many fields as the first.
fn scan(text: &[u8], delimiter: u8, path: &Path) -> Result<Vec<Record>, Error> {
    let fail = |line, problem, hint: &str| {
        Err(Error::Csv { path: path.to_path_buf(), line, problem, hint: hint.into() })
    };
    let mut records: Vec<Record> = Vec::new();
    let mut expected = None;
    let (mut line, mut position) = (1, 0);
    while position < text.len() {
        let start = position;
        let first_line = line;
        let mut n_fields = 1;
        let mut quoted_since = None;
        let mut field_start = position;
        while position < text.len() {
            let byte = text[position];
            match quoted_since {
                // A doubled quote closes and opens again, which comes to the same.
                Some(_) if byte == b'"' => quoted_since = None,
                Some(_) => line += usize::from(byte == b'\n'),
                None if byte == b'\n' => break,
                None if byte == delimiter => {
                    n_fields += 1;
                    field_start = position + 1;
                }
                // A quote inside an unquoted field is an ordinary character.
                None if byte == b'"' && (text[field_start] == b'"') => quoted_since = Some(line),
                None => {}
            }
            position += 1;
        }
        if let Some(line) = quoted_since {
            return fail(line, "a quote is opened and never closed".into(), "close it");
        }
        let blank = text[start..position].trim_ascii().is_empty() && delimiter != b'\t';
        position = (position + 1).min(text.len());
        line += 1;
        if blank {
            continue;
        }
        let expected = *expected.get_or_insert(n_fields);
        if n_fields != expected {
            let first = records.first().map_or(1, |record| record.line);
            return fail(
                first_line,
                format!("{n_fields} fields where line {first} has {expected}"),
                "is the line damaged, a quote missing, or the `delimiter` another?",
            );
        }
        records.push(Record { start, end: position, line: first_line });
    }
    Ok(records)
}

fn without_blanks(text: &[u8], records: &[Record]) -> Vec<u8> {
    records.iter().flat_map(|record| &text[record.start..record.end]).copied().collect()
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
        ] {
            let error = read(text, true).err().unwrap().to_string();
            assert!(error.contains(said) && error.contains("hint: "), "{error}");
        }
    }
}
