//! Keys of stages: BLAKE3 over the canonical JSON of everything that decides what a stage makes.
//!
//! Threads, names and what only the report shows are not among it.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The content hash of a stage's inputs, as 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// The key of any JSON value; the order of its keys does not matter.
    pub fn of(value: &Value) -> Key {
        Key(blake3::hash(canonical(value).as_bytes()).to_hex().to_string())
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits, for names that people read.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

/// Everything that decides what a stage makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Name of the stage, such as `train`.
    pub stage: String,
    /// Counted up where the code of the stage starts to make something else.
    pub version: u32,
    /// The tables of the file that the stage reads, by name.
    pub tables: BTreeMap<String, Value>,
    /// Keys of the stages that it reads.
    pub reads: BTreeMap<String, Key>,
    /// Hash of the source data, in the stage that reads it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<String>,
    /// Seed of the repeat, in stages that draw random numbers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seed: Option<u64>,
}

impl Inputs {
    /// The key of these inputs.
    pub fn key(&self) -> Key {
        Key::of(&to_value(self))
    }

    /// What differs from `old`, one line each, such as `train.epochs 30 -> 5`.
    pub fn changes_since(&self, old: &Inputs) -> Vec<String> {
        let mut changes = Vec::new();
        if self.version != old.version {
            changes.push(format!("code version {} -> {}", old.version, self.version));
        }
        let (before, now) = (leaves(&to_value(&old.tables)), leaves(&to_value(&self.tables)));
        let mut paths: Vec<&String> = before.keys().chain(now.keys()).collect();
        paths.sort();
        paths.dedup();
        for path in paths {
            let show = |value: Option<&String>| value.cloned().unwrap_or("nothing".to_owned());
            let (was, is) = (before.get(path), now.get(path));
            if was != is {
                changes.push(format!("{path} {} -> {}", show(was), show(is)));
            }
        }
        if self.seed != old.seed {
            changes.push("another seed".to_owned());
        }
        if self.data != old.data {
            changes.push("other source data".to_owned());
        }
        for (stage, key) in &self.reads {
            if old.reads.get(stage) != Some(key) {
                changes.push(format!("stage {stage} makes something else"));
            }
        }
        changes
    }
}

/// JSON of a value with `f32` numbers as people write them: `0.001`, not `0.0010000000474974513`.
pub(crate) fn to_value<T: Serialize>(value: &T) -> Value {
    let text = serde_json::to_string(value).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Text of a value with the keys of every table in order and no blanks.
fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(&mut text, value);
    text
}

fn write_canonical(text: &mut String, value: &Value) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            text.push('{');
            for (index, (key, inner)) in sorted.into_iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                write_canonical(text, &Value::String(key.clone()));
                text.push(':');
                write_canonical(text, inner);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, inner) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                write_canonical(text, inner);
            }
            text.push(']');
        }
        // Writing to a String can't fail.
        leaf => drop(write!(text, "{leaf}")),
    }
}

/// Every leaf of a value under its dotted path.
pub(crate) fn leaves(value: &Value) -> BTreeMap<String, String> {
    fn walk(path: String, value: &Value, found: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, inner) in map {
                    let dot = if path.is_empty() { "" } else { "." };
                    walk(format!("{path}{dot}{key}"), inner, found);
                }
            }
            leaf => drop(found.insert(path, canonical(leaf))),
        }
    }
    let mut found = BTreeMap::new();
    walk(String::new(), value, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn train(epochs: u32, seed: u64) -> Inputs {
        Inputs {
            stage: "train".to_owned(),
            version: 1,
            tables: BTreeMap::from([("train".to_owned(), json!({"epochs": epochs, "rate": 0.5}))]),
            reads: BTreeMap::from([("preprocess".to_owned(), Key::of(&json!(1)))]),
            data: None,
            seed: Some(seed),
        }
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let one: Value = serde_json::from_str(r#"{"b": [1, {"d": 2, "c": 3}], "a": "x"}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"a": "x", "b": [1, {"c": 3, "d": 2}]}"#).unwrap();
        assert_eq!(canonical(&one), r#"{"a":"x","b":[1,{"c":3,"d":2}]}"#);
        assert_eq!(Key::of(&one), Key::of(&two));
    }

    #[test]
    fn keys_stay_the_same_from_one_version_to_the_next() {
        expect!["e022"].assert_eq(&train(30, 42).key().as_str()[..4]);
    }

    #[test]
    fn changes_name_the_path_and_both_values() {
        assert_eq!(train(5, 42).changes_since(&train(30, 42)), ["train.epochs 30 -> 5"]);
        assert_eq!(train(5, 42).changes_since(&train(5, 7)), ["another seed"]);
        assert_ne!(train(5, 42).key(), train(30, 42).key());
    }

    #[test]
    fn f32_is_written_as_people_write_it() {
        assert_eq!(to_value(&0.001_f32).to_string(), "0.001");
    }
}
