//! The JSON schema of the pipeline file, from which editors complete and [`crate::lint`] checks.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::config::Pipeline;

/// The schema of [`Pipeline`] as draft-07 (what TOML editors read), with a line break at the end.
pub fn pipeline_schema() -> String {
    let mut text = format!("{:#}", sorted(of::<Pipeline>()));
    text.push('\n');
    text
}

/// The schema of a type.
pub(crate) fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<T>().to_value()
}

/// The same value with the keys of every table in order, whatever features serde_json has.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(
                entries.into_iter().map(|(key, inner)| (key, sorted(inner))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        leaf => leaf,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    #[test]
    fn the_schema_in_the_repository_is_current() {
        let written = fs::read_to_string(root().join("schemas/pipeline.json")).unwrap();
        assert!(written == pipeline_schema(), "run `cargo xtask schema`");
    }

    #[test]
    fn every_pipeline_in_the_repository_is_fine_and_its_resolved_form_says_the_same() {
        let files = ["pipelines", "pipelines/zoo"].map(|folder| fs::read_dir(root().join(folder)));
        for file in files.into_iter().flat_map(Result::unwrap) {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let pipeline = crate::load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
            let again = crate::parse(&pipeline.resolved(), "resolved", &[]).unwrap();
            assert_eq!(pipeline, again, "{}", path.display());
        }
    }
}
