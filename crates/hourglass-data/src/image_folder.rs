//! A folder of PNG and JPEG images, one folder a class. Images are made grey or kept in colour, and
//! resized where asked; nothing else is done to them.

use std::path::{Path, PathBuf};

use hourglass_core::{Interrupt, SampleShape, Targets};
use image::imageops::FilterType;
use ndarray::{Array2, Axis};

use crate::config::ImageFolderSource;
use crate::content;
use crate::error::Error;
use crate::numpy::feature_names;
use crate::read::file_provenance;
use crate::table::{Features, Loaded, SourceFile, Table};

/// The image files of a source, those of training first, in the order of their names.
///
/// # Errors
/// [`Error::Io`], [`Error::Empty`] for a folder without classes or images.
pub(crate) fn files(source: &ImageFolderSource) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for folder in [Some(&source.path), source.test_path.as_ref()].into_iter().flatten() {
        let before = files.len();
        for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
            files.extend(entries(&class)?.into_iter().filter(|path| is_image(path)));
        }
        if files.len() == before {
            return Err(Error::Empty {
                what: format!("`{}`", folder.display()),
                missing: "image in a folder of a class",
                hint: "it must hold one folder a class, with PNG or JPEG files",
            });
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
    let paths: Result<Vec<PathBuf>, _> =
        read.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(Error::io("read", folder))?;
    // The order in which a folder lists its files differs from one machine to the next.
    paths.sort_unstable();
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg"))
}

/// Reads the images.
///
/// # Errors
/// [`Error::Image`] for a file that is no image or of another size, [`Error::Io`],
/// [`Error::Interrupted`].
pub(crate) fn load(
    source: &ImageFolderSource,
    files: &[PathBuf],
    interrupt: &Interrupt,
) -> Result<Loaded, Error> {
    // One of the two folders may lie in the other.
    let is_test = |file: &PathBuf| {
        let class = file.parent().and_then(Path::parent);
        source.test_path.as_deref() == class && class != Some(source.path.as_path())
    };
    let class_of = |file: &Path| {
        let folder = file.parent().and_then(Path::file_name).unwrap_or_default();
        folder.to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = files.iter().map(|file| class_of(file)).collect();
    names.sort_unstable();
    names.dedup();
    let mut reader = Reader { source, size: source.size, records: Vec::new() };
    let mut table = |files: Vec<&PathBuf>| {
        let mut pixels: Vec<u8> = Vec::new();
        let mut ids = Vec::with_capacity(files.len());
        for &file in &files {
            if interrupt.is_raised() {
                return Err(Error::Interrupted { what: "reading images".into() });
            }
            pixels.extend(reader.read(file)?);
            let class = names.binary_search(&class_of(file));
            ids.push(class.expect("the names are those of these files") as u32);
        }
        let [height, width] = reader.size.unwrap_or_default().map(|side| side as usize);
        let channels = if source.colour { 3 } else { 1 };
        let shape = SampleShape::Image { channels, height, width };
        let pixels = Array2::from_shape_vec((files.len(), shape.n_features()), pixels)
            .expect("every image has the same size");
        Ok(Table {
            features: Features::Bytes(pixels),
            targets: Targets::Classes { ids, names: names.clone() },
            feature_names: feature_names(&shape),
            shape,
        })
    };
    let (test, train): (Vec<&PathBuf>, Vec<&PathBuf>) =
        files.iter().partition(|file| is_test(file));
    let train = table(train)?;
    let test = if test.is_empty() { None } else { Some(table(test)?) };
    let provenance = file_provenance(&source.path, &train, test.as_ref(), reader.records);
    Ok(Loaded { train, test, provenance })
}

struct Reader<'a> {
    source: &'a ImageFolderSource,
    /// Height and width of all images: as asked for, or those of the first.
    size: Option<[u32; 2]>,
    records: Vec<SourceFile>,
}

impl Reader<'_> {
    /// The pixels of an image, channel by channel.
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, Error> {
        let fail = |problem: String, hint| Error::Image { path: path.to_path_buf(), problem, hint };
        let content = content::read(path, None)?;
        let image = image::load_from_memory(&content.bytes).map_err(|error| {
            fail(format!("it can't be decoded: {error}"), "delete it, or mend it")
        })?;
        self.records.push(content.file);
        let found = [image.height(), image.width()];
        let [height, width] = *self.size.get_or_insert(found);
        let image = match (found == [height, width], self.source.size) {
            (true, _) => image,
            // Triangle is bilinear, over the whole footprint of a pixel where it shrinks.
            (false, Some(_)) => image.resize_exact(width, height, FilterType::Triangle),
            (false, None) => {
                let problem = format!(
                    "it is {} x {}, the first image {height} x {width}",
                    found[0], found[1]
                );
                return Err(fail(problem, "resize all images: `size = [HEIGHT, WIDTH]`"));
            }
        };
        if !self.source.colour {
            return Ok(image.to_luma8().into_raw());
        }
        let pixels =
            Array2::from_shape_vec(((height * width) as usize, 3), image.to_rgb8().into_raw())
                .expect("three values a pixel");
        Ok(pixels.axis_iter(Axis(1)).flat_map(|channel| channel.to_vec()).collect())
    }
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Seed, Silent};
    use image::{ImageFormat, Rgb, RgbImage};

    use super::*;
    use crate::config::{DataConfig, Locations};

    fn write(dir: &Path, name: &str, width: u32, height: u32, colour: [u8; 3]) {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(width, height, Rgb(colour))
            .save_with_format(path, ImageFormat::Png)
            .unwrap();
    }

    fn load(dir: &Path, keys: &str) -> Result<Loaded, Error> {
        let config: DataConfig = toml::from_str(&format!("[image_folder]\n{keys}")).unwrap();
        let locations = Locations::usual(None, true);
        crate::load(&config, dir, &locations, Seed::new(0), &Silent, &Interrupt::new())
    }

    #[test]
    fn classes_are_folders() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "train/dog/b.png", 3, 2, [255, 0, 0]);
        write(dir.path(), "train/dog/a.PNG", 3, 2, [0, 0, 255]);
        write(dir.path(), "train/cat/c.png", 3, 2, [10, 20, 30]);
        write(dir.path(), "test/dog/d.png", 3, 2, [7, 7, 7]);
        std::fs::write(dir.path().join("train/dog/notes.txt"), "x").unwrap();
        let loaded = load(dir.path(), "path = 'train'\ntest_path = 'test'\ncolour = true").unwrap();
        let names = ["cat", "dog"].map(String::from).to_vec();
        assert_eq!(loaded.train.targets, Targets::Classes { ids: vec![0, 1, 1], names });
        assert_eq!(loaded.train.shape, SampleShape::Image { channels: 3, height: 2, width: 3 });
        let Features::Bytes(pixels) = &loaded.train.features else { unreachable!() };
        assert_eq!(pixels.row(0).to_vec(), [vec![10; 6], vec![20; 6], vec![30; 6]].concat());
        assert_eq!(pixels.row(1)[17], 255, "a.PNG is blue");
        assert_eq!(loaded.test.unwrap().features, Features::Bytes(Array2::from_elem((1, 18), 7)));
    }

    #[test]
    fn images_become_grey_and_of_one_size() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "all/a/x.png", 4, 4, [200, 200, 200]);
        write(dir.path(), "all/b/y.png", 8, 6, [100, 100, 100]);
        let train = load(dir.path(), "path = 'all'\nsize = [2, 3]").unwrap().train;
        let Features::Bytes(pixels) = &train.features else { unreachable!() };
        assert_eq!(pixels.row(0).to_vec(), [200; 6]);
        assert_eq!(pixels.row(1).to_vec(), [100; 6]);
        let error = load(dir.path(), "path = 'all'").unwrap_err().to_string();
        assert!(
            error.contains("y.png`: it is 6 x 8, the first image 4 x 4\nhint: resize"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_image_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("all/a")).unwrap();
        let error = load(dir.path(), "path = 'all'").unwrap_err().to_string();
        assert!(error.contains("has no image in a folder of a class"), "{error}");
        std::fs::write(dir.path().join("all/a/x.png"), "text").unwrap();
        let error = load(dir.path(), "path = 'all'").unwrap_err().to_string();
        assert!(error.contains("x.png`: it can't be decoded"), "{error}");
        assert!(load(dir.path(), "path = 'none'").unwrap_err().to_string().contains("cannot read"));
    }
}
