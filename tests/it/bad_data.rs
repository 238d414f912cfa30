//! Data that is not there, damaged, or nothing to learn from: each is named, with the way out and
//! exit code 1.

use std::fmt::Write;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::place::Place;

const REST: &str = r#"
[model.undercomplete]
latent_dim = 2
[train]
epochs = 1
batch_size = 4
optimizer = { adam = { learning_rate = 1e-3 } }
[downstream]
compare = ["raw", "autoencoder"]
models = [{ knn = { k = 1 } }]
"#;

fn place(data: &str) -> Place {
    Place::with_pipeline(&format!("name = \"x\"\nseed = 1\n{data}\n{REST}"))
}

#[track_caller]
fn check(place: &Place, expected: &[&str]) {
    let said = place.run(&["pipeline", "run", "pipeline.toml", "--offline"]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert_eq!(said.stdout, "");
    for text in expected.iter().chain(&["error: ", "hint: "]) {
        assert!(said.stderr.contains(text), "no {text:?} in:\n{}", said.stderr);
    }
    assert_eq!(said.stderr.matches("error: ").count(), 1, "{}", said.stderr);
    assert!(!place.path("runs/latest").exists());
}

const IDX: &str = "[data.idx]\ntrain_images = \"images\"\ntrain_labels = \"labels\"";

/// An IDX file of unsigned bytes.
fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Forty images of 2 x 2 in two classes, whole.
fn images() -> [Vec<u8>; 2] {
    let pixels: Vec<u8> = (0..160).map(|i: u32| (i * 37 % 251) as u8).collect();
    let labels: Vec<u8> = (0..40).map(|i| i % 2).collect();
    [idx(&[40, 2, 2], &pixels), idx(&[40], &labels)]
}

#[test]
fn sound_files_pass() {
    let [images, labels] = images();
    for (images, labels) in [(images.clone(), labels.clone()), (gzip(&images), gzip(&labels))] {
        let place = place(IDX);
        place.write("images", images);
        place.write("labels", labels);
        place.run_pipeline(&[]);
    }
}

#[test]
fn a_missing_file_is_named() {
    check(&place(IDX), &["images", "No such file", "paths in a pipeline file are relative"]);
    let csv = place("[data.csv]\npath = \"nowhere.csv\"\ntarget = \"y\"");
    check(&csv, &["nowhere.csv", "No such file"]);
}

#[test]
fn damaged_idx_is_named() {
    let [images, labels] = images();
    let packed = gzip(&images);
    let mut flipped = packed.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let mut no_idx = images.clone();
    no_idx[2] = 0x77;
    for (bytes, expected) in [
        (images[..100].to_vec(), "is not a sound IDX file"),
        (images[..3].to_vec(), "is not a sound IDX file"),
        (no_idx, "is not a sound IDX file"),
        (Vec::new(), "is empty"),
        (packed[..packed.len() - 10].to_vec(), "is a damaged or truncated gzip file"),
        (flipped, "is a damaged or truncated gzip file"),
    ] {
        let place = place(IDX);
        place.write("images", bytes);
        place.write("labels", &labels);
        check(&place, &["images` ", expected]);
    }
}

#[test]
fn images_and_labels_must_belong_together() {
    let place = place(IDX);
    place.write("images", &images()[0]);
    place.write("labels", idx(&[39], &[1; 39]));
    check(&place, &["40 images", "39 labels"]);
}

#[test]
fn a_catalogue_file_that_is_not_the_published_one_is_refused() {
    let place =
        place("[data.catalog]\nname = \"mnist\"\n[data.offline.builtin]\ndataset = \"iris\"");
    let [images, labels] = images();
    for part in ["train", "t10k"] {
        place.write(&format!("data/mnist/{part}-images-idx3-ubyte"), &images);
        place.write(&format!("data/mnist/{part}-labels-idx1-ubyte"), &labels);
    }
    check(&place, &["is not the published file", "SHA-256", "should be `", "but is `"]);
}

const CSV: &str = "[data.csv]\npath = \"table.csv\"\ntarget = \"y\"";

/// A table of two columns and a class, row by row.
fn table(n: usize, row: impl Fn(usize) -> [String; 3]) -> Place {
    let mut text = String::from("a,b,y\n");
    (0..n).for_each(|i| writeln!(text, "{}", row(i).join(",")).unwrap());
    let place = place(CSV);
    place.write("table.csv", text);
    place
}

fn wave(row: usize) -> String {
    format!("{}", (row * 7 % 13) as f32 / 13.0)
}

#[test]
fn a_sound_table_passes() {
    table(60, |i| [wave(i), wave(i + 3), (i % 2).to_string()]).run_pipeline(&[]);
}

#[test]
fn damaged_csv_is_named_with_its_line() {
    let ragged = place(CSV);
    ragged.write("table.csv", "a,b,y\n1,2,0\n3,4\n5,6,1,9\n");
    check(&ragged, &["table.csv", "line "]);
    let open_quote = place(CSV);
    open_quote.write("table.csv", "a,b,y\n1,2,0\n\"3,4,1\n5,6,0\n");
    check(&open_quote, &["table.csv"]);
    let no_target = place(CSV);
    no_target.write("table.csv", "a,b,z\n1,2,0\n");
    check(&no_target, &["has no column `y`"]);
    let empty = place(CSV);
    empty.write("table.csv", "");
    check(&empty, &["table.csv", "is empty"]);
}

#[test]
fn text_where_a_number_should_be_is_named() {
    let text = |i: usize| if i == 4 { "blue".to_owned() } else { wave(i) };
    let place = table(60, |i| [text(i), wave(i + 3), (i % 2).to_string()]);
    check(&place, &["line 6", "column `a` holds `blue`, which is no number"]);
}

#[test]
fn a_single_class_is_nothing_to_tell_apart() {
    let place = table(60, |i| [wave(i), wave(i + 3), "same".to_owned()]);
    check(&place, &["every row is of class `same`"]);
}

#[test]
fn fewer_rows_than_classes() {
    let place = place(IDX);
    place.write("images", idx(&[3, 2, 2], &(0..12).collect::<Vec<u8>>()));
    place.write("labels", idx(&[3], &[0, 4, 9]));
    check(&place, &["class"]);
    let place = table(12, |i| [wave(i), wave(i + 3), format!("id{i}")]);
    check(&place, &["class"]);
}

#[test]
fn all_constant_columns() {
    let place = table(60, |i| ["1".to_owned(), "2.5".to_owned(), (i % 2).to_string()]);
    check(&place, &["all 2 columns are constant"]);
}

#[test]
fn missing_and_infinite_values_are_placed() {
    let with = |value: &'static str| {
        table(60, move |i| {
            let b = if i == 9 { value.to_owned() } else { wave(i + 3) };
            [wave(i), b, (i % 2).to_string()]
        })
    };
    for missing in ["NaN", "", "?"] {
        check(&with(missing), &["row 10, column `b`: the value is missing", "preprocess.missing"]);
    }
    check(&with("inf"), &["row 10, column `b`: the value is infinite"]);
    let filled = with("NaN");
    filled.run_pipeline(&["--set", "preprocess.missing={ fill = \"mean\" }"]);
}
