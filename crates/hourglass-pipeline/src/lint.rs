//! Compares a parsed file with the JSON schema of [`crate::Pipeline`], so that all unknown keys,
//! missing keys, wrong types and numbers out of range are said at once, each with its position.
//!
//! The schema comes from the same types that serde reads, and serde has the last word: what a
//! schema can't say (or this file doesn't read) is found when the types are made.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::Problem;

/// Finds what the schema forbids in `table`.
pub(crate) fn lint(schema: &Value, table: &Spanned<DeTable<'_>>) -> Vec<Problem> {
    let mut linter = Linter { root: schema, problems: Vec::new() };
    linter.table("", schema, table.get_ref(), table.span());
    linter.problems
}

struct Linter<'s> {
    root: &'s Value,
    problems: Vec<Problem>,
}

/// The alternatives of an externally tagged enum: words, and tables with one key.
#[derive(Default)]
struct Variants<'s> {
    words: Vec<&'s str>,
    tables: Vec<(&'s str, &'s Value)>,
}

impl<'s> Linter<'s> {
    fn value(
        &mut self,
        path: &str,
        node: &'s Value,
        value: &Spanned<DeValue<'_>>,
        key_span: Range<usize>,
    ) {
        let node = self.resolve(node);
        if let Some(variants) = self.variants(node) {
            return self.variant(path, &variants, value, key_span);
        }
        if node.get("oneOf").or(node.get("anyOf")).is_some() {
            return;
        }
        if let Some(expected) = wrong_type(node, value.get_ref()) {
            let found = value.get_ref().type_str();
            self.problems.push(
                Problem::new(value.span(), format!("`{path}` has the wrong type"))
                    .label(format!("expected {expected}, found {found}")),
            );
            return;
        }
        match value.get_ref() {
            // A `[table]` header may be far from its keys, so its key is what is pointed at.
            DeValue::Table(inner) => self.table(path, node, inner, key_span),
            DeValue::Array(inner) => {
                if let Some(items) = node.get("items").filter(|items| items.is_object()) {
                    for (index, item) in inner.iter().enumerate() {
                        self.value(&format!("{path}[{index}]"), items, item, item.span());
                    }
                }
            }
            _ => self.bounds(path, node, value),
        }
    }

    fn table(&mut self, path: &str, node: &'s Value, table: &DeTable<'_>, place: Range<usize>) {
        let node = self.resolve(node);
        let Some(properties) = node.get("properties").and_then(Value::as_object) else {
            if let Some(values) = node.get("additionalProperties").filter(|node| node.is_object()) {
                for (key, value) in table {
                    self.value(&join(path, key.get_ref()), values, value, key.span());
                }
            }
            return;
        };
        let closed = node.get("additionalProperties") == Some(&Value::Bool(false));
        for (key, value) in table {
            match properties.get(key.get_ref().as_ref()) {
                Some(property) => {
                    self.value(&join(path, key.get_ref()), property, value, key.span());
                }
                None if closed => {
                    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                    let help = self.suggestion(path, key.get_ref(), &known);
                    self.problems.push(
                        Problem::new(key.span(), format!("unknown key `{}`", key.get_ref()))
                            .label(format!("not a key of {}", name_of(path)))
                            .help(help),
                    );
                }
                None => {}
            }
        }
        for required in node.get("required").and_then(Value::as_array).into_iter().flatten() {
            let Some(required) = required.as_str() else { continue };
            if !table.contains_key(required) {
                self.problems.push(
                    Problem::new(place.clone(), format!("missing key `{required}`"))
                        .label(format!("{} needs `{required}`", name_of(path))),
                );
            }
        }
    }

    fn variant(
        &mut self,
        path: &str,
        variants: &Variants<'s>,
        value: &Spanned<DeValue<'_>>,
        key_span: Range<usize>,
    ) {
        let names: Vec<&str> =
            variants.words.iter().copied().chain(variants.tables.iter().map(|(n, _)| *n)).collect();
        match value.get_ref() {
            DeValue::String(word) if variants.words.contains(&word.as_ref()) => {}
            DeValue::String(word) => {
                let problem =
                    Problem::new(value.span(), format!("unknown value `{word}` of `{path}`"));
                self.problems.push(if names.contains(&word.as_ref()) {
                    problem.label("a table is needed").help(format!("write `{{ {word} = {{}} }}`"))
                } else {
                    problem.help(nearest_or_all(word, &names))
                });
            }
            DeValue::Table(table) if table.len() == 1 => {
                for (key, inner) in table {
                    let name: &str = key.get_ref();
                    match variants.tables.iter().find(|(known, _)| *known == name) {
                        Some((_, node)) => self.value(&join(path, name), node, inner, key.span()),
                        None => self.problems.push(
                            Problem::new(key.span(), format!("unknown key `{name}`"))
                                .label(format!("not a kind of `{path}`"))
                                .help(if variants.words.contains(&name) {
                                    format!("write `\"{name}\"`, without a table")
                                } else {
                                    nearest_or_all(name, &names)
                                }),
                        ),
                    }
                }
            }
            DeValue::Table(table) => {
                // The last key is the one that is too many; with none there is only the header.
                let place = table.keys().map(Spanned::span).max_by_key(|span| span.start);
                self.problems.push(
                    Problem::new(
                        place.unwrap_or(key_span),
                        format!("`{path}` needs exactly one kind, found {}", table.len()),
                    )
                    .help(one_of(&names)),
                );
            }
            other => self.problems.push(
                Problem::new(value.span(), format!("`{path}` has the wrong type"))
                    .label(format!("found {}", other.type_str()))
                    .help(one_of(&names)),
            ),
        }
    }

    fn bounds(&mut self, path: &str, node: &Value, value: &Spanned<DeValue<'_>>) {
        let number = match value.get_ref() {
            DeValue::Integer(digits) => {
                let digits = digits.as_str().parse::<i64>().ok();
                digits.map(|number| number as f64)
            }
            DeValue::Float(digits) => digits.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let Some(number) = number else { return };
        type Breaks = fn(f64, f64) -> bool;
        let rules: [(&str, &str, Breaks); 4] = [
            ("minimum", "at least", |number, bound| number < bound),
            ("maximum", "at most", |number, bound| number > bound),
            ("exclusiveMinimum", "above", |number, bound| number <= bound),
            ("exclusiveMaximum", "below", |number, bound| number >= bound),
        ];
        for (keyword, words, breaks) in rules {
            let Some(bound) = node.get(keyword).and_then(Value::as_f64) else { continue };
            if breaks(number, bound) {
                self.problems.push(
                    Problem::new(value.span(), format!("`{path}` is out of range"))
                        .label(format!("must be {words} {bound}")),
                );
            }
        }
    }

    /// Follows `$ref`, an `allOf` of one, and `null` alternatives to what is meant.
    fn resolve(&self, mut node: &'s Value) -> &'s Value {
        loop {
            if let Some(target) = node.get("$ref").and_then(Value::as_str) {
                match self.root.pointer(target.trim_start_matches('#')) {
                    Some(next) => node = next,
                    None => return node,
                }
                continue;
            }
            let single = ["allOf", "anyOf", "oneOf"].into_iter().find_map(|keyword| {
                let all = node.get(keyword)?.as_array()?;
                let mut real = all.iter().filter(|alternative| !is_null(alternative));
                let first = real.next()?;
                let inner = real.next().is_none().then_some(first)?;
                // A tagged enum of one variant stays as it is: its table has a required key.
                let tagged = keyword == "oneOf" && all.len() == 1;
                (!tagged).then_some(inner)
            });
            match single {
                Some(next) => node = next,
                None => return node,
            }
        }
    }

    fn variants(&self, node: &'s Value) -> Option<Variants<'s>> {
        let mut variants = Variants::default();
        if let Some(words) = node.get("enum").and_then(Value::as_array) {
            variants.words = words.iter().map(Value::as_str).collect::<Option<_>>()?;
            return Some(variants);
        }
        let alternatives = node.get("oneOf").or(node.get("anyOf"))?.as_array()?;
        for alternative in alternatives.iter().filter(|alternative| !is_null(alternative)) {
            if let Some(word) = alternative.get("const") {
                variants.words.push(word.as_str()?);
            } else if let Some(words) = alternative.get("enum").and_then(Value::as_array) {
                for word in words {
                    variants.words.push(word.as_str()?);
                }
            } else {
                let required = alternative.get("required")?.as_array()?;
                let properties = alternative.get("properties")?.as_object()?;
                let [name] = required.as_slice() else { return None };
                let (name, inner) = properties.get_key_value(name.as_str()?)?;
                if properties.len() != 1 {
                    return None;
                }
                variants.tables.push((name, inner));
            }
        }
        Some(variants)
    }

    /// The nearest of the known keys, or the table to which the key belongs, or all known keys.
    fn suggestion(&self, path: &str, key: &str, known: &[&str]) -> String {
        if let Some(near) = nearest(key, known) {
            return format!("did you mean `{near}`?");
        }
        for (section, node) in self.root["properties"].as_object().into_iter().flatten() {
            let inner = self.resolve(node).get("properties").and_then(Value::as_object);
            if section != path && inner.is_some_and(|inner| inner.contains_key(key)) {
                return format!("`{key}` is a key of `[{section}]`");
            }
        }
        one_of(known)
    }
}

fn is_null(node: &Value) -> bool {
    node.get("type").and_then(Value::as_str) == Some("null")
}

/// The type that was expected, where `value` has another.
fn wrong_type(node: &Value, value: &DeValue<'_>) -> Option<String> {
    let expected: Vec<&str> = match node.get("type")? {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => return None,
    };
    let fits = expected.iter().any(|name| match *name {
        "string" => value.is_str(),
        "integer" => value.is_integer(),
        "number" => value.is_integer() || value.is_float(),
        "boolean" => value.is_bool(),
        "array" => value.is_array(),
        "object" => value.is_table(),
        _ => true,
    });
    let words = expected.iter().map(|name| if *name == "object" { "table" } else { name });
    (!fits).then(|| words.collect::<Vec<_>>().join(" or "))
}

/// The known name that was probably meant: at most a third of its letters are wrong.
pub(crate) fn nearest<'n>(given: &str, known: &[&'n str]) -> Option<&'n str> {
    let distance = |name: &str| strsim::damerau_levenshtein(given, name);
    let best = known.iter().copied().min_by_key(|name| (distance(name), *name))?;
    (distance(best) <= (best.chars().count().max(3) / 3)).then_some(best)
}

fn nearest_or_all(given: &str, known: &[&str]) -> String {
    match nearest(given, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => one_of(known),
    }
}

fn one_of(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("expected one of {}", quoted.join(", "))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn name_of(path: &str) -> String {
    if path.is_empty() { "the pipeline file".to_owned() } else { format!("`{path}`") }
}
