//! The reference page of the pipeline file, written from the JSON schema, so that it says what the
//! code says. Whatever it lacks is to be written at the field or the variant it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::config::Pipeline;
use crate::schema;

/// Tables of the file in the order in which they are read; others follow by name.
const ORDER: [&str; 11] = [
    "name",
    "seed",
    "repeats",
    "threads",
    "data",
    "split",
    "preprocess",
    "model",
    "train",
    "features",
    "downstream",
];

const HEAD: &str = "# Reference of the pipeline file

Written by `cargo xtask reference` from the schema that also checks the files
(`schemas/pipeline.json`): change the documentation in the code, not this page. `cargo xtask
pipeline schema` prints the schema for editors; `cargo xtask pipeline check FILE` checks a file.

A name in backticks is written as it stands. Where there is a choice, as in `model` or
`train.optimizer`, one of the names is written: as a string if it has no keys (`schedule =
\"constant\"`), and as a table otherwise (`[model.k_sparse]`, or `optimizer = { adam = {
learning_rate = 1e-3 } }`).
";

/// The page, with a line break at the end.
pub fn reference() -> String {
    Page::new(schema::of::<Pipeline>()).write()
}

type Object = Map<String, Value>;

struct Page {
    definitions: BTreeMap<String, Object>,
    /// How many places refer to each definition.
    n_uses: BTreeMap<String, usize>,
    root: Object,
    /// Heading of each definition that is written.
    headings: BTreeMap<String, String>,
    written: BTreeSet<String>,
    text: String,
}

impl Page {
    fn new(schema: Value) -> Self {
        let Value::Object(mut root) = schema else { unreachable!("a schema is an object") };
        let definitions: BTreeMap<String, Object> = match root.remove("definitions") {
            Some(Value::Object(definitions)) => {
                definitions.into_iter().map(|(name, value)| (name, object(value))).collect()
            }
            _ => BTreeMap::new(),
        };
        let mut n_uses = BTreeMap::new();
        count_uses(&Value::Object(root.clone()), &mut n_uses);
        for definition in definitions.values() {
            count_uses(&Value::Object(definition.clone()), &mut n_uses);
        }
        Page {
            definitions,
            n_uses,
            root,
            headings: BTreeMap::new(),
            written: BTreeSet::new(),
            text: HEAD.to_owned(),
        }
    }

    fn write(mut self) -> String {
        let root = self.root.clone();
        self.name_definitions("", &root);
        self.text += "\n## The file\n\n";
        self.keys(&root);
        for (key, value) in in_order(&root) {
            if let Some(name) = self.definition_of(&value) {
                self.section(&name, &key, 2);
            }
        }
        // What several places refer to follows once, by name.
        self.text += "\n## Shared choices\n";
        loop {
            let waiting = self.headings.keys().find(|name| !self.written.contains(*name)).cloned();
            let Some(name) = waiting else { break };
            self.section(&name, "", 3);
        }
        self.text
    }

    /// Gives every definition that is reached its heading: its path where one place alone refers
    /// to it, its name otherwise.
    fn name_definitions(&mut self, path: &str, schema: &Object) {
        for (key, value) in children(schema) {
            let path = match (path, key.as_str()) {
                (path, "") => path.to_owned(),
                ("", key) => key.to_owned(),
                (path, key) => format!("{path}.{key}"),
            };
            let Some(name) = self.definition_of(&value) else {
                if let Value::Object(inner) = &value {
                    let inner = inner.clone();
                    self.name_definitions(&path, &inner);
                }
                continue;
            };
            if self.headings.contains_key(&name) {
                continue;
            }
            let is_shared = self.n_uses.get(&name).is_some_and(|&n| n > 1);
            let heading = if is_shared { plain_name(&name) } else { format!("`{path}`") };
            let inside = if is_shared { plain_name(&name) } else { path };
            self.headings.insert(name.clone(), heading);
            let definition = self.definitions.get(&name).cloned().unwrap_or_default();
            self.name_definitions(&inside, &definition);
        }
    }

    /// A definition with all that it alone refers to.
    fn section(&mut self, name: &str, path: &str, level: usize) {
        if !self.written.insert(name.to_owned()) {
            return;
        }
        let definition = self.definitions.get(name).cloned().unwrap_or_default();
        let heading = self.headings.get(name).cloned().unwrap_or_else(|| format!("`{path}`"));
        self.text += &format!("\n{} {heading}\n\n", "#".repeat(level));
        self.text += &prose(&definition);
        self.body(&definition);
        for (key, value) in children(&definition) {
            let is_own = |name: &String| self.n_uses.get(name) == Some(&1);
            if let Some(name) = self.definition_of(&value).filter(is_own) {
                self.section(&name, &key, (level + 1).min(4));
            }
        }
    }

    /// The keys of a table, or the names of a choice.
    fn body(&mut self, schema: &Object) {
        let variants = list(schema, "oneOf").or_else(|| list(schema, "anyOf"));
        match variants {
            Some(variants) => self.choices(&variants),
            None if schema.contains_key("properties") => self.keys(schema),
            None => {
                let names = schema.get("enum").and_then(Value::as_array);
                for name in names.into_iter().flatten().filter_map(Value::as_str) {
                    self.text += &format!("- `{name}`\n");
                }
            }
        }
    }

    fn choices(&mut self, variants: &[Object]) {
        for variant in variants {
            let meaning = one_line(variant);
            if let Some(name) = variant.get("const").and_then(Value::as_str) {
                self.text += &format!("- `{name}`: {meaning}\n");
                continue;
            }
            if let Some(names) = variant.get("enum").and_then(Value::as_array) {
                for name in names.iter().filter_map(Value::as_str) {
                    self.text += &format!("- `{name}`\n");
                }
                continue;
            }
            let Some((key, value)) = children(variant).into_iter().next() else { continue };
            let kind = self.kind(&value);
            match self.definition_of(&value) {
                Some(_) => self.text += &format!("- `{key}` ({kind}): {meaning}\n"),
                None => {
                    self.text += &format!("- `{key}`: {meaning}\n");
                    let inner = object(value);
                    for (key, value) in children(&inner) {
                        let required = is_required(&inner, &key);
                        let inner = object(value.clone());
                        self.text += &format!(
                            "  - `{key}` ({}, {}): {}\n",
                            self.kind(&value),
                            default_of(&inner, required),
                            one_line(&inner)
                        );
                    }
                }
            }
        }
    }

    fn keys(&mut self, schema: &Object) {
        self.text += "| key | type | default | meaning |\n| :-- | :-- | :-- | :-- |\n";
        let entries =
            if schema.contains_key("$schema") { in_order(schema) } else { properties(schema) };
        for (key, value) in entries {
            let kind = self.kind(&value);
            let inner = object(value);
            let default = default_of(&inner, is_required(schema, &key));
            let meaning = one_line(&inner).replace('|', "\\|");
            self.text += &format!("| `{key}` | {kind} | {default} | {meaning} |\n");
        }
    }

    /// What a value is, with a link where it has a section.
    fn kind(&self, value: &Value) -> String {
        if let Some(name) = self.definition_of(value) {
            let heading = self.headings.get(&name).cloned().unwrap_or_else(|| plain_name(&name));
            return format!("[{}](#{})", heading.replace('`', ""), anchor(&heading));
        }
        let schema = object(value.clone());
        let kinds: Vec<String> = match schema.get("type") {
            Some(Value::String(kind)) => vec![kind.clone()],
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        let word = |kind: &str| match kind {
            "number" => "number".to_owned(),
            "integer" => "whole number".to_owned(),
            "boolean" => "`true` or `false`".to_owned(),
            "array" => match schema.get("items") {
                Some(items) => format!("list of {}", self.kind(items)),
                None => "list".to_owned(),
            },
            "object" => "table".to_owned(),
            other => other.to_owned(),
        };
        let kinds: Vec<String> =
            kinds.iter().filter(|kind| *kind != "null").map(|kind| word(kind)).collect();
        if kinds.is_empty() { "any".to_owned() } else { kinds.join(" or ") }
    }

    /// The definition that a value refers to, be it in a list or optional.
    fn definition_of(&self, value: &Value) -> Option<String> {
        let reference = |value: &Value| {
            let name = value.get("$ref")?.as_str()?.rsplit('/').next()?;
            self.definitions.contains_key(name).then(|| name.to_owned())
        };
        reference(value)
            .or_else(|| reference(value.get("items")?))
            .or_else(|| value.get("allOf")?.as_array()?.iter().find_map(reference))
            .or_else(|| value.get("anyOf")?.as_array()?.iter().find_map(reference))
    }
}

fn count_uses(value: &Value, n_uses: &mut BTreeMap<String, usize>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner.as_str().and_then(|path| path.rsplit('/').next()) {
                    Some(name) if key == "$ref" => *n_uses.entry(name.to_owned()).or_default() += 1,
                    _ => count_uses(inner, n_uses),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| count_uses(item, n_uses)),
        _ => {}
    }
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(map) => map,
        _ => Object::new(),
    }
}

fn list(schema: &Object, key: &str) -> Option<Vec<Object>> {
    Some(schema.get(key)?.as_array()?.iter().cloned().map(object).collect())
}

/// The keys of a table, by name.
fn properties(schema: &Object) -> Vec<(String, Value)> {
    let Some(Value::Object(properties)) = schema.get("properties") else { return Vec::new() };
    let mut entries: Vec<_> = properties.clone().into_iter().collect();
    // What must be written comes first.
    entries.sort_by_key(|(key, _)| (!is_required(schema, key), key.clone()));
    entries
}

fn in_order(schema: &Object) -> Vec<(String, Value)> {
    let mut entries = properties(schema);
    let place = |key: &str| ORDER.iter().position(|name| *name == key).unwrap_or(ORDER.len());
    entries.sort_by_key(|(key, _)| (place(key), key.clone()));
    entries
}

/// The keys of a table and the names of a choice, with what stands behind each.
fn children(schema: &Object) -> Vec<(String, Value)> {
    let mut found =
        if schema.contains_key("$schema") { in_order(schema) } else { properties(schema) };
    for key in ["oneOf", "anyOf"] {
        for variant in list(schema, key).unwrap_or_default() {
            found.extend(properties(&variant));
        }
    }
    found
}

fn is_required(schema: &Object, key: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.into_iter().flatten().any(|name| name == key)
}

fn default_of(schema: &Object, required: bool) -> String {
    match schema.get("default") {
        _ if required => "required".to_owned(),
        Some(Value::Null) | None => "none".to_owned(),
        Some(Value::Object(map)) if map.len() > 2 => "see there".to_owned(),
        Some(default) => format!("`{}`", short(default)),
    }
}

/// JSON as it was written: a number that was stored as `f32` without the digits of its `f64`.
fn short(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let inside: Vec<String> =
                map.iter().map(|(key, value)| format!("{key} = {}", short(value))).collect();
            format!("{{ {} }}", inside.join(", "))
        }
        Value::Number(number) => match number.as_f64() {
            Some(double) if number.is_f64() && f64::from(double as f32) == double => {
                format!("{:?}", double as f32)
            }
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// The description without its headings, tables and programs, which are for readers of the code.
fn prose(schema: &Object) -> String {
    let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let mut in_program = false;
    let mut text = String::new();
    for line in description.lines() {
        if line.starts_with("```") {
            in_program = !in_program;
        } else if let Some(heading) = line.strip_prefix("# ") {
            text += &format!("**{heading}:** ");
        } else if !in_program && !line.starts_with('|') {
            text += line;
            text.push('\n');
        }
    }
    let text = text.replace("[`", "`").replace("`]", "`");
    if text.trim().is_empty() { String::new() } else { format!("{}\n\n", text.trim()) }
}

fn one_line(schema: &Object) -> String {
    prose(schema).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `KSparse` as `k sparse`, without the word for configurations.
fn plain_name(name: &str) -> String {
    let mut words = String::new();
    for letter in name.strip_suffix("Config").unwrap_or(name).chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_in_the_repository_is_current() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference.md"));
        let written = std::fs::read_to_string(path).unwrap();
        assert!(written == reference(), "run `cargo xtask reference`");
    }

    #[test]
    fn every_member_of_every_family_is_there_with_its_paper() {
        let page = reference();
        for expected in [
            "`train.optimizer`",
            "| `learning_rate` | number | required | Learning rate; above 0. |",
            "arXiv:1412.6980",
            "### `model.winner_take_all`",
            "`reduce_on_plateau`",
            "- `relu`:",
        ] {
            assert!(page.contains(expected), "{expected}");
        }
        for config in hourglass_models::ModelConfig::examples() {
            assert!(page.contains(&format!("`{}`", config.kind())), "{}", config.kind());
        }
        // Every link has its heading.
        let anchors: BTreeSet<String> = page
            .lines()
            .filter_map(|line| line.trim_start_matches('#').strip_prefix(' '))
            .map(anchor)
            .collect();
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(anchors.contains(link), "{link}");
        }
    }

    #[test]
    fn headings_and_programs_of_the_code_are_left_out() {
        let description = "What.\n\n# Source\nA paper.\n\n```\nlet x = 1;\n```\n| a | b |";
        let schema = object(serde_json::json!({ "description": description }));
        assert_eq!(one_line(&schema), "What. **Source:** A paper.");
    }
}
