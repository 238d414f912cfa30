//! Mistakes in a pipeline file or an override: each is answered before any work, at its place, with
//! the way out and exit code 2.

use crate::place::{Place, Said};

const GOOD: &str = r#"name = "x"
seed = 1
[data.builtin]
dataset = "iris"
[model.k_sparse]
latent_dim = 8
k = 2
[train]
epochs = 2
optimizer = { adam = { learning_rate = 1e-3 } }
[downstream]
models = [{ knn = {} }]
"#;

/// The answer to a file; nothing may have been written.
#[track_caller]
fn check(text: &str, more: &[&str], expected: &[&str]) {
    let place = Place::with_pipeline(text);
    for command in ["check", "run"] {
        let mut args = vec!["pipeline", command, "pipeline.toml"];
        args.extend(more);
        let said = place.run(&args);
        assert_refused(&said, expected);
        assert!(!place.path("runs").exists());
    }
}

#[track_caller]
fn assert_refused(said: &Said, expected: &[&str]) {
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert_eq!(said.stdout, "");
    for text in expected {
        assert!(said.stderr.contains(text), "no {text:?} in:\n{}", said.stderr);
    }
    assert!(!said.stderr.contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn the_good_file_is_good() {
    let place = Place::with_pipeline(GOOD);
    assert_eq!(place.run(&["pipeline", "check", "pipeline.toml"]).code, Some(0));
}

#[test]
fn a_misspelt_key_has_its_place_and_the_nearest_key() {
    let text = GOOD.replace("epochs = 2", "epocs = 2");
    check(&text, &[], &["pipeline.toml:9:1", "epocs", "`epochs`"]);
    let text = GOOD.replace("[model.k_sparse]", "[model.k_spars]");
    check(&text, &[], &["pipeline.toml:5:", "k_spars", "`k_sparse`"]);
    let text = GOOD.replace("[train]", "[trian]");
    check(&text, &[], &["pipeline.toml:8:", "trian", "`train`"]);
}

#[test]
fn a_wrong_type_has_its_place() {
    let text = GOOD.replace("epochs = 2", "epochs = \"two\"");
    check(&text, &[], &["pipeline.toml:9:", "epochs", "string"]);
    let text = GOOD.replace("latent_dim = 8", "latent_dim = 8.5");
    check(&text, &[], &["pipeline.toml:6:", "latent_dim"]);
}

#[test]
fn broken_toml_has_its_place() {
    check(&GOOD.replace("seed = 1", "seed = "), &[], &["pipeline.toml:2:"]);
}

#[test]
fn all_mistakes_are_said_at_once() {
    let text = GOOD.replace("epochs = 2", "epocs = 2").replace("k = 2", "kk = 2");
    check(&text, &[], &["epocs", "`epochs`", "kk", "`k`"]);
}

#[test]
fn a_missing_key_is_named() {
    check(&GOOD.replace("epochs = 2\n", ""), &[], &["epochs"]);
}

#[test]
fn rules_across_fields_are_checked_before_any_work() {
    check(&GOOD.replace("k = 2", "k = 20"), &[], &["pipeline.toml:7:", "`k`", "20"]);
    check(&GOOD.replace("epochs = 2", "epochs = 0"), &[], &["pipeline.toml:9:", "epochs"]);
    check(
        &GOOD.replace("[data.builtin]", "[data.catalog]\nname = \"mnits\"\n[data.builtin]"),
        &[],
        &["names 2 sources"],
    );
    let text =
        GOOD.replace("[data.builtin]\ndataset = \"iris\"", "[data.catalog]\nname = \"mnits\"");
    check(&text, &[], &["mnits", "`mnist`"]);
}

#[test]
fn overrides_are_checked_like_the_file() {
    check(GOOD, &["--set", "train.epocs=5"], &["--set", "epocs", "`epochs`"]);
    check(GOOD, &["--set", "train.epochs=many"], &["--set", "epochs"]);
    check(GOOD, &["--set", "train.epochs"], &["--set"]);
}

#[test]
fn a_missing_pipeline_file_is_named() {
    let said = Place::new().run(&["pipeline", "run", "nowhere.toml"]);
    assert_refused(&said, &["error: cannot read the pipeline file `nowhere.toml`", "No such file"]);
}
