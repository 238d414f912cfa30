//! The IDX format of MNIST: a magic number, the sizes of the dimensions, and unsigned bytes.
//!
//! # Source
//! The format is described on the MNIST page, <http://yann.lecun.com/exdb/mnist/>. Only unsigned
//! bytes (type 0x08) are read; no data set of the catalogue uses another type.

use std::path::Path;

use hourglass_core::{SampleShape, Targets};
use ndarray::Array2;

use crate::content::Content;
use crate::error::Error;
use crate::table::{Features, Table};

/// Type code of unsigned bytes.
const UNSIGNED_BYTE: u8 = 0x08;

/// Images, one a row.
pub(crate) struct Images {
    pixels: Array2<u8>,
    height: usize,
    width: usize,
}

/// Reads images: three dimensions, `(n, height, width)`.
pub(crate) fn images(content: Content, path: &Path) -> Result<Images, Error> {
    let (sizes, pixels) = parse::<3>(content.bytes, path)?;
    let [n_images, height, width] = sizes;
    let pixels = Array2::from_shape_vec((n_images, height * width), pixels)
        .expect("the number of bytes was compared with the sizes");
    Ok(Images { pixels, height, width })
}

/// Reads labels: one dimension, `(n)`.
pub(crate) fn labels(content: Content, path: &Path) -> Result<Vec<u8>, Error> {
    let (_, labels) = parse::<1>(content.bytes, path)?;
    Ok(labels)
}

/// Puts images and labels together.
///
/// # Errors
/// [`Error::CountMismatch`], or [`Error::Idx`] where a label has no class.
pub(crate) fn table(
    images: (Images, &Path),
    labels: (Vec<u8>, &Path),
    class_of: &[Option<u32>; 256],
    names: &[String],
) -> Result<Table, Error> {
    let (images, images_path) = images;
    let (labels, labels_path) = labels;
    if images.pixels.nrows() != labels.len() {
        return Err(Error::CountMismatch {
            images: images_path.to_path_buf(),
            n_images: images.pixels.nrows(),
            labels: labels_path.to_path_buf(),
            n_labels: labels.len(),
        });
    }
    let ids: Result<Vec<u32>, Error> = labels
        .iter()
        .enumerate()
        .map(|(row, &label)| {
            class_of[usize::from(label)].ok_or_else(|| {
                let n_classes = names.len();
                let problem = format!("label {} is {label}, of {n_classes} classes", row + 1);
                Error::Idx { path: labels_path.to_path_buf(), problem }
            })
        })
        .collect();
    let Images { pixels, height, width } = images;
    let feature_names =
        (0..height * width).map(|i| format!("pixel_{}_{}", i / width, i % width)).collect();
    Ok(Table {
        features: Features::Bytes(pixels),
        targets: Targets::Classes { ids: ids?, names: names.to_vec() },
        shape: SampleShape::Image { channels: 1, height, width },
        feature_names,
    })
}

/// Checks the header and gives the sizes and the bytes behind it.
fn parse<const D: usize>(mut bytes: Vec<u8>, path: &Path) -> Result<([usize; D], Vec<u8>), Error> {
    let fail = |problem: String| Error::Idx { path: path.to_path_buf(), problem };
    let header = 4 + 4 * D;
    if bytes.len() < header {
        let found = bytes.len();
        return Err(fail(format!("its header takes {header} bytes but the file holds {found}")));
    }
    let expected = [0, 0, UNSIGNED_BYTE, D as u8];
    if bytes[..4] != expected {
        let found = &bytes[..4];
        return Err(fail(format!(
            "it should start with {expected:02x?} (unsigned bytes, {D} dimensions) but starts \
             with {found:02x?}"
        )));
    }
    let mut sizes = [0; D];
    for (size, field) in sizes.iter_mut().zip(bytes[4..header].as_chunks::<4>().0) {
        *size = u32::from_be_bytes(*field) as usize;
    }
    if let Some(dimension) = sizes.iter().position(|&size| size == 0) {
        return Err(fail(format!("its sizes are {sizes:?}: dimension {dimension} is empty")));
    }
    let total = sizes.iter().try_fold(1_usize, |total, &size| total.checked_mul(size));
    let total = total.ok_or_else(|| fail(format!("its sizes are {sizes:?}: impossibly many")))?;
    let found = bytes.len() - header;
    if found != total {
        let what = if found < total { "it is truncated" } else { "it is too long" };
        return Err(fail(format!(
            "{what}: sizes {sizes:?} ask for {total} bytes behind the header but {found} are there"
        )));
    }
    bytes.drain(..header);
    Ok((sizes, bytes))
}

/// Bytes of an IDX file, for tests.
#[cfg(test)]
pub(crate) fn encode(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, UNSIGNED_BYTE, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(data);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_bytes_come_back() {
        let (sizes, data) =
            parse::<3>(encode(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]), Path::new("x")).unwrap();
        assert_eq!((sizes, data), ([2, 1, 3], vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn damage_is_named_with_expected_and_found() {
        let mut wrong_type = encode(&[1, 1, 1], &[0]);
        wrong_type[2] = 0x0d;
        for (bytes, said) in [
            (vec![0, 0, 8], "its header takes 16 bytes but the file holds 3"),
            (
                wrong_type,
                "should start with [00, 00, 08, 03] (unsigned bytes, 3 dimensions) but starts \
                 with [00, 00, 0d, 03]",
            ),
            (encode(&[12], &[0; 12]), "starts with [00, 00, 08, 01]"),
            (
                encode(&[2, 2, 2], &[0; 7]),
                "truncated: sizes [2, 2, 2] ask for 8 bytes behind the header but 7 are there",
            ),
            (encode(&[2, 2, 2], &[0; 9]), "too long"),
            (encode(&[0, 2, 2], &[]), "dimension 0 is empty"),
            (encode(&[u32::MAX; 3], &[]), "impossibly many"),
        ] {
            let error = parse::<3>(bytes, Path::new("x-idx3")).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("`x-idx3`"), "{error}");
        }
    }

    #[test]
    fn images_and_labels_must_fit() {
        let images = || Images { pixels: Array2::zeros((2, 4)), height: 2, width: 2 };
        let names = ["a".to_owned(), "b".to_owned()];
        let mut class_of = [None; 256];
        class_of[0] = Some(0);
        class_of[1] = Some(1);
        let [i, l] = [Path::new("i"), Path::new("l")];
        let sound = table((images(), i), (vec![1, 0], l), &class_of, &names).unwrap();
        assert_eq!(sound.targets, Targets::Classes { ids: vec![1, 0], names: names.to_vec() });
        assert_eq!(sound.feature_names, ["pixel_0_0", "pixel_0_1", "pixel_1_0", "pixel_1_1"]);
        for (labels, said) in [
            (vec![1], "`i` holds 2 images but `l` holds 1 labels"),
            (vec![1, 7], "label 2 is 7, of 2 classes"),
        ] {
            let error = table((images(), i), (labels, l), &class_of, &names).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
