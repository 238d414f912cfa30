//! `--set a.b=VALUE`: values from the command line laid over the parsed file.
//!
//! An override is TOML like the file; a value that is not TOML is taken as a bare string. Nothing
//! is checked here: the checks run over file and overrides together.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Problem, Source};

/// The override as TOML text, such that its positions are those of what the person typed.
///
/// A value that is not TOML becomes a literal string; the quotes then stand in the text shown.
fn as_toml(text: &str) -> String {
    if DeTable::parse(text).is_ok() {
        return text.to_owned();
    }
    match text.split_once('=') {
        Some((key, value)) if is_bare(value.trim()) => format!("{key}='{}'", value.trim()),
        _ => text.to_owned(),
    }
}

/// Whether a value is a word that a person would expect to be a string.
fn is_bare(value: &str) -> bool {
    !value.is_empty()
        && !value.starts_with(['"', '\'', '[', '{'])
        && !value.contains(['\'', '\n', '\r'])
}

/// Appends every override to `source`, and returns the texts that [`merge_all`] parses: each is
/// preceded by as many blanks as bring its positions to those of the source.
pub(crate) fn texts(source: &mut Source, overrides: &[String]) -> Vec<String> {
    overrides
        .iter()
        .map(|text| {
            let text = as_toml(text);
            let start = source.push("--set", &text);
            format!("{}{text}", " ".repeat(start))
        })
        .collect()
}

/// Lays the overrides over the table, in order; a later one wins.
pub(crate) fn merge_all<'a>(table: &mut DeTable<'a>, texts: &'a [String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for text in texts {
        match DeTable::parse(text) {
            Ok(given) => merge(table, given.into_inner()),
            Err(error) => {
                let start = text.len() - text.trim_start().len();
                let span = error.span().unwrap_or(start..text.len());
                problems.push(
                    Problem::new(span, error.message())
                        .label("in this override")
                        .help("write `--set key=VALUE`, such as `--set train.epochs=5`"),
                );
            }
        }
    }
    problems
}

fn merge<'a>(table: &mut DeTable<'a>, given: DeTable<'a>) {
    for (key, value) in given {
        // The path to a value is written as tables of one key; a table written as `{ ... }` is a
        // value and replaces the old one.
        let is_path = matches!(value.get_ref(), DeValue::Table(inner) if is_dotted(&key, inner));
        if is_path
            && let Some(DeValue::Table(old)) =
                table.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut)
        {
            if let DeValue::Table(new) = value.into_inner() {
                merge(old, new);
            }
            continue;
        }
        table.remove(key.get_ref().as_ref());
        table.insert(key, value);
    }
}

/// Whether the table came from the dots of a key: its first key stands after its own name, at once.
fn is_dotted(key: &Spanned<toml::de::DeString<'_>>, inner: &DeTable<'_>) -> bool {
    inner.len() == 1 && inner.keys().all(|next| next.span().start == key.span().end + 1)
}
