//! From the text of a pipeline file and its overrides to a checked [`Pipeline`], or to all that is
//! wrong with it.
//!
//! Nothing but the file is read: whether the data exist is found when the pipeline runs.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::Pipeline;
use crate::error::Error;
use crate::lint;
use crate::overrides;
use crate::problem::{FileError, Problem, Source};
use crate::schema;
use crate::space;

/// The schema of pipeline files; a sweep reads hundreds of them.
static SCHEMA: LazyLock<Value> = LazyLock::new(schema::of::<Pipeline>);

/// Reads and checks a pipeline file with its `--set` overrides.
///
/// # Errors
/// If the file can't be read, or with every mistake found in it.
pub fn load(path: &Path, overrides: &[String]) -> Result<Pipeline, Error> {
    let text = fs::read_to_string(path)
        .map_err(|source| Error::ReadFile { path: path.to_owned(), source })?;
    Ok(parse(&text, &path.display().to_string(), overrides)?)
}

/// The same for a text; `origin` is what the messages call it.
///
/// # Errors
/// With every mistake found.
pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<Pipeline, FileError> {
    let given = Text { text, origin, overrides: overrides.to_vec() };
    parse_as(&given, &SCHEMA, |pipeline: &Pipeline| {
        let breaches = pipeline.check();
        match &pipeline.search {
            Some(search) if breaches.is_empty() => space::check(&given, &SCHEMA, search),
            _ => breaches,
        }
    })
}

/// A pipeline file as it was given.
#[derive(Clone, Debug)]
pub struct Text<'a> {
    /// What stands in it.
    pub text: &'a str,
    /// What messages call it.
    pub origin: &'a str,
    /// What is laid over it, in order.
    pub overrides: Vec<String>,
}

impl Text<'_> {
    /// The same file with more laid over it.
    pub(crate) fn with(&self, more: Vec<String>) -> Self {
        let overrides = self.overrides.iter().cloned().chain(more).collect();
        Text { overrides, ..self.clone() }
    }

    /// The checked file, but for the corners of its space.
    pub(crate) fn read(&self) -> Result<Pipeline, FileError> {
        parse_as(self, &SCHEMA, Pipeline::check)
    }
}

/// A rule that a typed file breaks: the dotted path to blame, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) path: String,
    pub(crate) message: String,
}

fn parse_as<T: DeserializeOwned>(
    given: &Text<'_>,
    schema: &Value,
    check: impl Fn(&T) -> Vec<Breach>,
) -> Result<T, FileError> {
    let Text { text, origin, overrides } = given;
    let mut source = Source::default();
    source.push(origin, text);
    let override_texts = overrides::texts(&mut source, overrides);

    let (mut table, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<Problem> = errors
        .into_iter()
        .map(|error| Problem::new(error.span().unwrap_or(0..0), error.message()))
        .collect();
    problems.extend(overrides::merge_all(table.get_mut(), &override_texts));
    if !problems.is_empty() {
        // The rest would be about what the parser made of broken text.
        return Err(source.render(problems));
    }
    problems.extend(lint::lint(schema, &table));
    if !problems.is_empty() {
        return Err(source.render(problems));
    }
    let typed = T::deserialize(toml::Deserializer::from(table.clone())).map_err(|error| {
        source.render(vec![with_hint(error.span().unwrap_or(0..0), error.message().trim())])
    })?;
    let breaches = check(&typed);
    if breaches.is_empty() {
        return Ok(typed);
    }
    let problems = breaches
        .iter()
        .map(|breach| with_hint(place_of(table.get_ref(), &breach.path), &breach.message));
    Err(source.render(problems.collect()))
}

/// A problem whose message ends with a line `hint: ...`, where it has one.
fn with_hint(span: Range<usize>, message: &str) -> Problem {
    match message.split_once("\nhint: ") {
        Some((title, hint)) => Problem::new(span, title).help(hint),
        None => Problem::new(span, message),
    }
}

/// Where the value of a dotted path stands, or the last of its tables that does.
fn place_of(root: &DeTable<'_>, path: &str) -> Range<usize> {
    let mut place = 0..0;
    let (mut table, mut rest) = (Some(root), path);
    while !rest.is_empty() {
        // A key of the space is a path itself, and stands in the table with its dots.
        let (name, below) = match table.and_then(|table| table.get_key_value(rest)) {
            Some(_) => (rest, ""),
            None => rest.split_once('.').unwrap_or((rest, "")),
        };
        let Some((key, value)) = table.and_then(|table| table.get_key_value(name)) else {
            return place;
        };
        place = whole(key, value);
        (table, rest) = (value.get_ref().as_table(), below);
    }
    place
}

/// Key and value, or the key alone where the value is a table with a header of its own.
fn whole(key: &Spanned<toml::de::DeString<'_>>, value: &Spanned<DeValue<'_>>) -> Range<usize> {
    let (key, end) = (key.span(), value.span().end);
    if value.get_ref().is_table() || end < key.start { key } else { key.start..end }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use expect_test::{Expect, expect};
    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Small {
        #[expect(dead_code, reason = "read by serde alone")]
        name: String,
        model: Kind,
        #[serde(default)]
        train: Train,
        #[serde(default)]
        more: BTreeMap<String, f32>,
    }

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Train {
        #[schemars(range(min = 1))]
        epochs: u32,
        batch_size: Option<u32>,
        shuffle: bool,
        rates: Vec<f32>,
        loss: Loss,
    }

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Loss {
        #[default]
        Mse,
        /// With a table.
        Huber { delta: f32 },
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum Kind {
        Mlp(Width),
        KSparse(Width),
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Width {
        latent_dim: u32,
    }

    const GOOD: &str = "name = \"x\"\n[model.k_sparse]\nlatent_dim = 3\n[train]\nepochs = 2\n";

    fn read(text: &str, overrides: &[&str]) -> Result<Small, FileError> {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        let given = Text { text, origin: "p.toml", overrides };
        parse_as(&given, &schema::of::<Small>(), |file: &Small| {
            let (Kind::Mlp(width) | Kind::KSparse(width)) = &file.model;
            let too_wide = width.latent_dim > 100;
            let message = format!("`latent_dim` is {}\nhint: take less", width.latent_dim);
            let breach = |path: &str| Breach { path: path.to_owned(), message: message.clone() };
            if too_wide { vec![breach("model.k_sparse.latent_dim")] } else { Vec::new() }
        })
    }

    fn check(text: &str, overrides: &[&str], expected: Expect) {
        expected.assert_eq(&read(text, overrides).unwrap_err().to_string());
    }

    #[test]
    fn a_good_file_and_its_overrides() {
        let file = read(
            GOOD,
            &["train.epochs=7", "train.loss={huber={delta=0.5}}", "train.rates=[1, 2.5]", "name=y"],
        )
        .unwrap();
        assert_eq!((file.train.epochs, file.train.rates), (7, vec![1.0, 2.5]));
        assert!(matches!(file.train.loss, Loss::Huber { delta } if delta == 0.5));
        assert!(!file.train.shuffle && file.train.batch_size.is_none() && file.more.is_empty());
        let file = read(GOOD, &["model = { mlp = { latent_dim = 9 } }", "more.a=1"]).unwrap();
        assert!(matches!(file.model, Kind::Mlp(Width { latent_dim: 9 })));
        assert_eq!(file.more["a"], 1.0);
    }

    #[test]
    fn several_mistakes_at_once() {
        check(
            "[model.k_sparse]\nlatent = 3\n\n[train]\nepoch = 2\nshuffle = \"yes\"\nbatch_size = 1.5\n",
            &[],
            expect![[r#"
                error: missing key `name`
                 --> p.toml:1:1
                  |
                1 | [model.k_sparse]
                  | ^ the pipeline file needs `name`

                error: missing key `latent_dim`
                 --> p.toml:1:8
                  |
                1 | [model.k_sparse]
                  |        ^^^^^^^^ `model.k_sparse` needs `latent_dim`

                error: unknown key `latent`
                 --> p.toml:2:1
                  |
                2 | latent = 3
                  | ^^^^^^ not a key of `model.k_sparse`
                  |
                  = help: expected one of `latent_dim`

                error: unknown key `epoch`
                 --> p.toml:5:1
                  |
                5 | epoch = 2
                  | ^^^^^ not a key of `train`
                  |
                  = help: did you mean `epochs`?

                error: `train.shuffle` has the wrong type
                 --> p.toml:6:11
                  |
                6 | shuffle = "yes"
                  |           ^^^^^ expected boolean, found string

                error: `train.batch_size` has the wrong type
                 --> p.toml:7:14
                  |
                7 | batch_size = 1.5
                  |              ^^^ expected integer, found float"#]],
        );
    }

    #[test]
    fn syntax() {
        check(
            "name =\n[train\n",
            &[],
            expect![[r#"
            error: string values must be quoted, expected literal string
             --> p.toml:1:7
              |
            1 | name =
              |       ^

            error: unclosed table, expected `]`
             --> p.toml:2:7
              |
            2 | [train
              |       ^"#]],
        );
    }

    #[test]
    fn kinds() {
        let text = "name = \"x\"\n[model.k_spars]\nlatent_dim = 3\n[train]\nloss = \"huber\"\n";
        check(
            text,
            &[],
            expect![[r#"
            error: unknown key `k_spars`
             --> p.toml:2:8
              |
            2 | [model.k_spars]
              |        ^^^^^^^ not a kind of `model`
              |
              = help: did you mean `k_sparse`?

            error: unknown value `huber` of `train.loss`
             --> p.toml:5:8
              |
            5 | loss = "huber"
              |        ^^^^^^^ a table is needed
              |
              = help: write `{ huber = {} }`"#]],
        );
        check(
            &GOOD.replace("epochs = 2", "loss = \"mea\""),
            &[],
            expect![[r#"
            error: unknown value `mea` of `train.loss`
             --> p.toml:5:8
              |
            5 | loss = "mea"
              |        ^^^^^
              |
              = help: expected one of `mse`, `huber`"#]],
        );
        check(
            GOOD,
            &["model.mlp.latent_dim=2"],
            expect![[r#"
            error: `model` needs exactly one kind, found 2
             --> --set:1:7
              |
            1 | model.mlp.latent_dim=2
              |       ^^^
              |
              = help: expected one of `mlp`, `k_sparse`"#]],
        );
    }

    #[test]
    fn ranges_and_values() {
        check(
            &GOOD.replace("= 2", "= 0"),
            &[],
            expect![[r#"
            error: `train.epochs` is out of range
             --> p.toml:5:10
              |
            5 | epochs = 0
              |          ^ must be at least 1"#]],
        );
        check(
            GOOD,
            &["train.batch_size=5000000000"],
            expect![[r#"
            error: invalid value: integer `5000000000`, expected u32
             --> --set:1:18
              |
            1 | train.batch_size=5000000000
              |                  ^^^^^^^^^^"#]],
        );
    }

    #[test]
    fn overrides_have_positions() {
        check(
            GOOD,
            &["train.epochs=3", "train.epoc=5"],
            expect![[r#"
            error: unknown key `epoc`
             --> --set:1:7
              |
            1 | train.epoc=5
              |       ^^^^ not a key of `train`
              |
              = help: did you mean `epochs`?"#]],
        );
        check(
            GOOD,
            &["train.epochs=many"],
            expect![[r#"
            error: `train.epochs` has the wrong type
             --> --set:1:14
              |
            1 | train.epochs='many'
              |              ^^^^^^ expected integer, found string"#]],
        );
        check(
            GOOD,
            &["train.epochs"],
            expect![[r#"
            error: key with no value, expected `=`
             --> --set:1:13
              |
            1 | train.epochs
              |             ^ in this override
              |
              = help: write `--set key=VALUE`, such as `--set train.epochs=5`"#]],
        );
    }

    #[test]
    fn sections() {
        check(
            &format!("epochs = 3\n{GOOD}\n[search]\ntrials = 5\n"),
            &[],
            expect![[r#"
            error: unknown key `epochs`
             --> p.toml:1:1
              |
            1 | epochs = 3
              | ^^^^^^ not a key of the pipeline file
              |
              = help: `epochs` is a key of `[train]`

            error: unknown key `search`
             --> p.toml:8:2
              |
            8 | [search]
              |  ^^^^^^ not a key of the pipeline file
              |
              = help: expected one of `model`, `more`, `name`, `train`"#]],
        );
    }

    #[test]
    fn rules() {
        check(
            &GOOD.replace("= 3", "= 300"),
            &[],
            expect![[r#"
            error: `latent_dim` is 300
             --> p.toml:3:1
              |
            3 | latent_dim = 300
              | ^^^^^^^^^^^^^^^^
              |
              = help: take less"#]],
        );
    }
}
