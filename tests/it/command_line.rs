//! Help, exit codes and outputs of the commands that run no pipeline.

use std::fs::OpenOptions;
use std::process::Stdio;

use serde_json::Value;

use crate::place::{Place, root};

#[test]
fn help_is_there_for_every_command() {
    let place = Place::new();
    for (args, expected) in [
        (&["--help"][..], "pipeline"),
        (&["pipeline", "--help"], "explain"),
        (&["pipeline", "run", "--help"], "--force"),
        (&["report", "show", "--help"], "--csv"),
        (&["data", "--help"], "download"),
    ] {
        let said = place.run(args);
        assert_eq!(said.code, Some(0), "{args:?}");
        assert!(said.stdout.contains(expected), "{args:?}: {}", said.stdout);
    }
}

#[test]
fn wrong_arguments_exit_with_2() {
    let place = Place::new();
    for (args, expected) in [
        (&["pipline"][..], "'pipeline'"),
        (&["pipeline", "runn"], "'run'"),
        (&["pipeline", "run"], "<FILE>"),
        (&["pipeline", "run", "x.toml", "--thread", "2"], "'--threads'"),
        (&["pipeline", "run", "x.toml", "--threads", "0"], "1 or more"),
        (&["pipeline", "run", "x.toml", "--csv", "--json"], "cannot be used with"),
        (&["data", "describe", "mnits"], "`mnist`"),
        (&["report", "show"], "run a pipeline first"),
    ] {
        let said = place.run(args);
        assert_eq!(said.code, Some(2), "{args:?}: {}", said.stderr);
        assert_eq!(said.stdout, "", "{args:?}");
        assert!(said.stderr.contains(expected), "{args:?}: {}", said.stderr);
    }
}

#[test]
fn the_catalogue_is_listed() {
    let place = Place::new();
    let text = place.run(&["data", "list"]).stdout;
    assert!(text.contains("mnist") && text.contains("fashion_mnist"), "{text}");
    let csv = place.run(&["data", "list", "--csv"]).stdout;
    assert_eq!(csv.lines().next(), Some("name,title,licence,here"));
    let json: Value = serde_json::from_str(&place.run(&["data", "list", "--json"]).stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), csv.lines().count() - 1);
}

#[test]
fn a_data_set_that_is_not_here_is_not_downloaded_offline() {
    let said = Place::new().run(&["data", "describe", "mnist", "--offline"]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.stderr.contains("`mnist` is not here"), "{said:#?}");
    assert!(said.stderr.contains("hint: "), "{said:#?}");
}

#[test]
fn every_pipeline_of_the_repository_is_fine() {
    let mut n_files = 0;
    for file in std::fs::read_dir(root().join("pipelines")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let said = Place::new().run(&["pipeline", "check", path.to_str().unwrap()]);
            assert_eq!(said.code, Some(0), "{}: {}", path.display(), said.stderr);
            n_files += 1;
        }
    }
    assert!(n_files >= 3);
}

#[test]
fn the_example_of_the_readme_is_fine() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, example) = readme.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let said = Place::with_pipeline(example).run(&["pipeline", "check", "pipeline.toml"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
}

#[test]
fn the_schema_in_the_repository_is_current() {
    let place = Place::new();
    let schema = place.run(&["pipeline", "schema"]).stdout;
    assert!(serde_json::from_str::<Value>(&schema).is_ok());
    let stored = std::fs::read_to_string(root().join("schemas/pipeline.json")).unwrap();
    assert!(schema == stored, "schemas/pipeline.json is out of date: run `cargo xtask schema`");
    place.run(&["pipeline", "schema", "--write", "schema.json"]);
    assert!(place.read("schema.json") == schema);
}

#[test]
fn a_range_test_gives_a_page_and_numbers() {
    let path = root().join("pipelines/digits.toml");
    let place = Place::new();
    let args = ["pipeline", "lr", path.to_str().unwrap(), "--steps", "60", "--json"];
    let said = place.run(&args);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    let [suggestion, lowest] = ["suggestion", "lowest_at"].map(|key| found[key].as_f64().unwrap());
    assert!(0.0 < suggestion && suggestion < lowest && lowest <= 10.0);
    assert!(found["points"].as_array().unwrap().len() <= 60);
    let page = place.read("runs/digits-lr.html");
    assert!(page.contains("<svg") && page.contains("suggestion"));
    assert_eq!(place.run(&args).stdout, said.stdout, "the same file, the same test");
    let wrong = place.run(&["pipeline", "lr", path.to_str().unwrap(), "--from", "0"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("`from` is 0, but must be above 0"), "{}", wrong.stderr);
}

#[test]
fn the_graph_is_drawn() {
    let path = root().join("pipelines/digits.toml");
    for (format, expected) in
        [("text", "downstream raw + knn"), ("mermaid", "flowchart"), ("dot", "digraph")]
    {
        let args = ["pipeline", "graph", path.to_str().unwrap(), "--format", format];
        let said = Place::new().run(&args);
        assert!(said.stdout.contains(expected), "{format}: {}", said.stdout);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_standard_output_is_an_error_and_a_closed_one_is_not() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let place = Place::new();
    let output =
        place.command(&["data", "list"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("No space left"), "{stderr}");

    let mut child = place.command(&["pipeline", "schema"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
