//! NumPy's array formats: npy, and npz, which is a zip archive of them. It knows nothing of
//! samples; `numpy.rs` does.
//!
//! # Source
//! The npy format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. The
//! zip format: PKWARE's APPNOTE.TXT 6.3.10; stored and deflated members are read, archives beyond 4
//! GiB are not.

use std::io::Read;
use std::path::Path;

use flate2::Crc;
use flate2::read::DeflateDecoder;

use crate::error::Error;

/// An array, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub shape: Vec<usize>,
    pub values: Values,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    Bytes(Vec<u8>),
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

/// Reads an array; `name` is the member of an npz archive.
///
/// # Errors
/// [`Error::Numpy`] with what is wrong.
pub(crate) fn read(bytes: &[u8], name: Option<&str>, path: &Path) -> Result<Array, Error> {
    let fail =
        |problem: String| Error::Numpy { path: path.to_path_buf(), problem, hint: hint(bytes) };
    if !bytes.starts_with(b"PK") {
        return match name {
            Some(name) => Err(fail(format!("it is no npz archive, so it has no array `{name}`"))),
            None => array(bytes).map_err(fail),
        };
    }
    let members = members(bytes).map_err(fail)?;
    let list = || {
        let names = members.iter().map(|member| format!("`{}`", member.array()));
        names.collect::<Vec<_>>().join(", ")
    };
    let member = match (name, members.as_slice()) {
        (None, [only]) => only,
        (None, _) => return Err(fail(format!("it holds {}: name one in `array`", list()))),
        (Some(name), _) => match members.iter().find(|member| member.array() == name) {
            Some(member) => member,
            None => return Err(fail(format!("it holds no array `{name}`, but {}", list()))),
        },
    };
    array(&member.content(bytes).map_err(fail)?).map_err(fail)
}

fn hint(bytes: &[u8]) -> &'static str {
    match bytes.starts_with(b"PK") {
        true => "write it anew with `numpy.savez`",
        false => "write it anew with `numpy.save`",
    }
}

fn array(bytes: &[u8]) -> Result<Array, String> {
    let header_start = match bytes.get(..8) {
        Some([0x93, b'N', b'U', b'M', b'P', b'Y', 1, _]) => 10,
        Some([0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _]) => 12,
        _ => return Err("it does not start as an npy file".into()),
    };
    let short = || "it is truncated".to_owned();
    let length = match bytes.get(8..header_start).ok_or_else(short)? {
        &[a, b] => usize::from(u16::from_le_bytes([a, b])),
        long => long.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte)),
    };
    let data_start = header_start + length;
    let header = bytes.get(header_start..data_start).ok_or_else(short)?;
    let header = String::from_utf8_lossy(header);
    let kind = between(&header, "'descr':", "'", "'").ok_or("its header names no type")?;
    let columns_first = header.contains("'fortran_order': True");
    let shape = between(&header, "'shape':", "(", ")").ok_or("its header names no shape")?;
    let shape: Result<Vec<usize>, _> =
        shape.split(',').map(str::trim).filter(|size| !size.is_empty()).map(str::parse).collect();
    let shape = shape.map_err(|_| "its shape is no list of sizes".to_owned())?;
    let n_values = shape.iter().try_fold(1_usize, |total, &size| total.checked_mul(size));
    let n_values = n_values.ok_or("its shape is impossibly large")?;
    let data = &bytes[data_start..];
    let values = values(data, kind, n_values)?;
    let array = Array { shape, values };
    Ok(if columns_first { array.row_by_row() } else { array })
}

fn between<'t>(text: &'t str, key: &str, open: &str, close: &str) -> Option<&'t str> {
    let rest = &text[text.find(key)? + key.len()..];
    let rest = &rest[rest.find(open)? + open.len()..];
    rest.find(close).map(|end| &rest[..end])
}

fn values(data: &[u8], kind: &str, n_values: usize) -> Result<Values, String> {
    let unknown = || format!("its values are of type `{kind}`, which is not read");
    let big = kind.starts_with('>');
    let (letter, size) = (kind.get(1..2).ok_or_else(unknown)?, kind.get(2..).unwrap_or_default());
    let size: usize = size.parse().map_err(|_| unknown())?;
    let width = if letter == "U" { 4 * size } else { size };
    let expected = n_values.checked_mul(width).ok_or("its shape is impossibly large")?;
    if data.len() != expected {
        let what = if data.len() < expected { "it is truncated" } else { "it is too long" };
        return Err(format!(
            "{what}: {expected} bytes of values are promised, {} there",
            data.len()
        ));
    }
    let ordered = |chunk: &[u8]| -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        if big {
            bytes[..chunk.len()].reverse();
        }
        bytes
    };
    let numbers = |read: fn([u8; 8]) -> f64| {
        Values::Numbers(data.chunks_exact(width).map(|chunk| read(ordered(chunk))).collect())
    };
    Ok(match (letter, size) {
        ("u", 1) => Values::Bytes(data.to_vec()),
        ("b", 1) => Values::Bytes(data.iter().map(|&byte| u8::from(byte != 0)).collect()),
        ("i", 1) => numbers(|b| f64::from(b[0] as i8)),
        ("u", 2 | 4 | 8) => numbers(|b| u64::from_le_bytes(b) as f64),
        ("i", 2) => numbers(|b| f64::from(i16::from_le_bytes([b[0], b[1]]))),
        ("i", 4) => numbers(|b| f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        ("i", 8) => numbers(|b| i64::from_le_bytes(b) as f64),
        ("f", 4) => numbers(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        ("f", 8) => numbers(f64::from_le_bytes),
        ("U", _) if width > 0 => {
            let text = |chunk: &[u8]| {
                let codes = chunk.chunks_exact(4).map(|code| {
                    let code = ordered(code);
                    u32::from_le_bytes([code[0], code[1], code[2], code[3]])
                });
                codes.take_while(|&code| code != 0).filter_map(char::from_u32).collect()
            };
            Values::Texts(data.chunks_exact(width).map(text).collect())
        }
        _ => return Err(unknown()),
    })
}

impl Array {
    /// The same array where the first index ran fastest.
    fn row_by_row(self) -> Array {
        let Array { shape, values } = self;
        let n = shape.iter().product::<usize>();
        // Where the value at a position, row by row, stands column by column.
        let source = |mut position: usize| {
            let mut at = 0;
            for axis in (0..shape.len()).rev() {
                let index = position % shape[axis];
                position /= shape[axis];
                at += index * shape[..axis].iter().product::<usize>();
            }
            at
        };
        let values = match values {
            Values::Bytes(v) => Values::Bytes((0..n).map(|i| v[source(i)]).collect()),
            Values::Numbers(v) => Values::Numbers((0..n).map(|i| v[source(i)]).collect()),
            Values::Texts(v) => Values::Texts((0..n).map(|i| v[source(i)].clone()).collect()),
        };
        Array { shape, values }
    }
}

/// A file in a zip archive.
struct Member {
    name: String,
    method: u16,
    crc: u32,
    packed: usize,
    unpacked: usize,
    header: usize,
}

fn number(bytes: &[u8], at: usize, width: usize) -> Result<usize, String> {
    let field = bytes.get(at..at + width).ok_or("the archive is truncated")?;
    Ok(field.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte)))
}

/// The members of an archive, from the directory at its end.
fn members(bytes: &[u8]) -> Result<Vec<Member>, String> {
    const END: [u8; 4] = *b"PK\x05\x06";
    const ENTRY: [u8; 4] = *b"PK\x01\x02";
    let end = bytes.windows(4).rposition(|window| window == END);
    let end = end.ok_or("the archive is truncated: its directory is missing")?;
    let (n_members, mut at) = (number(bytes, end + 10, 2)?, number(bytes, end + 16, 4)?);
    let mut members = Vec::with_capacity(n_members);
    for _ in 0..n_members {
        if bytes.get(at..at + 4) != Some(&ENTRY) {
            return Err("the directory of the archive is damaged".into());
        }
        let field = |offset, width| number(bytes, at + offset, width);
        let (n_name, n_extra, n_comment) = (field(28, 2)?, field(30, 2)?, field(32, 2)?);
        let name = bytes.get(at + 46..at + 46 + n_name).ok_or("the archive is truncated")?;
        members.push(Member {
            name: String::from_utf8_lossy(name).into_owned(),
            method: field(10, 2)? as u16,
            crc: field(16, 4)? as u32,
            packed: field(20, 4)?,
            unpacked: field(24, 4)?,
            header: field(42, 4)?,
        });
        at += 46 + n_name + n_extra + n_comment;
    }
    Ok(members)
}

impl Member {
    /// Name of the array, without `.npy`.
    fn array(&self) -> &str {
        self.name.strip_suffix(".npy").unwrap_or(&self.name)
    }

    fn content(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        if [self.packed, self.unpacked, self.header].contains(&(u32::MAX as usize)) {
            return Err("archives beyond 4 GiB are not read".into());
        }
        let n_name = number(bytes, self.header + 26, 2)?;
        let start = self.header + 30 + n_name + number(bytes, self.header + 28, 2)?;
        let packed = bytes.get(start..start + self.packed).ok_or("the archive is truncated")?;
        let content = match self.method {
            0 => packed.to_vec(),
            8 => {
                let mut content = Vec::new();
                // One byte more than promised is enough to notice that there are more.
                DeflateDecoder::new(packed)
                    .take(self.unpacked as u64 + 1)
                    .read_to_end(&mut content)
                    .map_err(|error| format!("`{}` doesn't unpack: {error}", self.name))?;
                content
            }
            method => return Err(format!("`{}` is packed by method {method}", self.name)),
        };
        let mut crc = Crc::new();
        crc.update(&content);
        match content.len() == self.unpacked && crc.sum() == self.crc {
            true => Ok(content),
            false => Err(format!("`{}` is damaged: its checksum differs", self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An npy file as numpy writes it.
    fn npy(kind: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header =
            format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}");
        while !(header.len() + 11).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    }

    fn read(bytes: &[u8], name: Option<&str>) -> Result<Array, String> {
        super::read(bytes, name, Path::new("a.npz")).map_err(|error| error.to_string())
    }

    #[test]
    fn arrays_come_back() {
        let le = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        for (bytes, shape, values) in [
            (
                npy("<f4", "False", "(2, 2)", &le(&[1.0, 2.0, 3.0, 4.5])),
                vec![2, 2],
                Values::Numbers(vec![1.0, 2.0, 3.0, 4.5]),
            ),
            (
                npy("<f4", "True", "(2, 2)", &le(&[1.0, 2.0, 3.0, 4.5])),
                vec![2, 2],
                Values::Numbers(vec![1.0, 3.0, 2.0, 4.5]),
            ),
            (npy("|u1", "False", "(3,)", &[7, 8, 9]), vec![3], Values::Bytes(vec![7, 8, 9])),
            (
                npy(">i2", "False", "(2,)", &[0xff, 0xfe, 1, 0]),
                vec![2],
                Values::Numbers(vec![-2.0, 256.0]),
            ),
            (
                npy("<U2", "False", "(1,)", &[b'a', 0, 0, 0, 0, 0, 0, 0]),
                vec![1],
                Values::Texts(vec!["a".into()]),
            ),
        ] {
            assert_eq!(read(&bytes, None), Ok(Array { shape, values }));
        }
    }

    #[test]
    fn damage_is_named() {
        let whole = npy("<f8", "False", "(2,)", &[0; 16]);
        for (bytes, name, said) in [
            (whole[..whole.len() - 3].to_vec(), None, "truncated: 16 bytes of values are promised"),
            (b"a,b\n".to_vec(), None, "it does not start as an npy file"),
            (npy("|O", "False", "(1,)", &[0]), None, "type `|O`, which is not read"),
            (npy("<c16", "False", "(1,)", &[0; 16]), None, "type `<c16`, which is not read"),
            (whole, Some("x"), "it is no npz archive, so it has no array `x`"),
            (b"PK\x03\x04junk".to_vec(), None, "its directory is missing"),
        ] {
            let error = read(&bytes, name).unwrap_err();
            assert!(error.contains(said) && error.contains("`a.npz`"), "{error}");
        }
    }

    #[test]
    fn archives_of_numpy_are_read() {
        // import numpy as np
        // np.savez_compressed("numpy.npz", x=np.arange(4, dtype="u1"), y=np.array([0.5]))
        let bytes = include_bytes!("../tests/numpy.npz");
        let x = read(bytes, Some("x")).unwrap();
        assert_eq!(x, Array { shape: vec![4], values: Values::Bytes(vec![0, 1, 2, 3]) });
        let y = read(bytes, Some("y")).unwrap();
        assert_eq!(y.values, Values::Numbers(vec![0.5]));
        let error = read(bytes, Some("z")).unwrap_err();
        assert!(error.contains("it holds no array `z`, but `x`, `y`"), "{error}");
        assert!(read(bytes, None).unwrap_err().contains("name one in `array`"));
        let mut damaged = bytes.to_vec();
        damaged[70] ^= 0x55;
        assert!(read(&damaged, Some("x")).is_err());
    }
}
