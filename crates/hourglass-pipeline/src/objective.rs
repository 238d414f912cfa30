//! What a sweep optimises: figures of the report that are not measured on test rows.
//!
//! Values come from [`crate::trial`]; this file names them and says which way each is better.

use hourglass_search::Direction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a trial measures, by the path of the figure in `report.json` where it is one, with the
/// way in which it is better where that is plain.
const FIGURES: [(&str, Option<Direction>); 11] = [
    // Of the first feature set with trained features under the first classifier.
    ("downstream_validation", Some(Direction::Maximize)),
    ("reconstruction_validation", Some(Direction::Minimize)),
    ("reconstruction.errors.autoencoder.train", Some(Direction::Minimize)),
    ("reconstruction.errors.autoencoder.validation", Some(Direction::Minimize)),
    ("training.best_epoch", None),
    ("training.epochs.train_loss", Some(Direction::Minimize)),
    ("training.epochs.validation_loss", Some(Direction::Minimize)),
    ("model.n_parameters", Some(Direction::Minimize)),
    ("model.latent_dim", Some(Direction::Minimize)),
    ("model.feature_width", Some(Direction::Minimize)),
    // Not in the report, since it depends on the machine.
    ("seconds", Some(Direction::Minimize)),
];

/// Tables of the report whose figures are measured on test rows.
const ON_TEST: [&str; 6] =
    ["results", "per_class", "confusion", "verdict", "latent_map", "calibration"];

/// Something to make large or small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Name of the figure.
    pub figure: String,
    /// Which way it is better. Default: as the figure says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
}

/// One objective or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Objectives(Vec<Objective>);

impl JsonSchema for Objectives {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Objectives".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

/// How objectives stand in a file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    Name(String),
    One(Objective),
    Several(Vec<NameOrTable>),
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum NameOrTable {
    Name(String),
    Table(Objective),
}

impl From<NameOrTable> for Objective {
    fn from(written: NameOrTable) -> Self {
        match written {
            NameOrTable::Name(figure) => Objective { figure, direction: None },
            NameOrTable::Table(objective) => objective,
        }
    }
}

impl From<Written> for Objectives {
    fn from(written: Written) -> Self {
        Objectives(match written {
            Written::Name(figure) => vec![Objective { figure, direction: None }],
            Written::One(objective) => vec![objective],
            Written::Several(all) => all.into_iter().map(Objective::from).collect(),
        })
    }
}

impl From<Objectives> for Written {
    fn from(objectives: Objectives) -> Self {
        let short = |objective: Objective| match objective.direction {
            None => NameOrTable::Name(objective.figure),
            Some(_) => NameOrTable::Table(objective),
        };
        let mut all: Vec<NameOrTable> = objectives.0.into_iter().map(short).collect();
        match all.pop() {
            Some(NameOrTable::Name(name)) if all.is_empty() => Written::Name(name),
            Some(NameOrTable::Table(one)) if all.is_empty() => Written::One(one),
            Some(last) => {
                all.push(last);
                Written::Several(all)
            }
            None => Written::Several(all),
        }
    }
}

impl Default for Objectives {
    fn default() -> Self {
        Objectives(vec![Objective { figure: FIGURES[0].0.to_owned(), direction: None }])
    }
}

impl Objective {
    /// Which way it is better. A downstream score goes the way of its metric; a figure that
    /// doesn't say is to be small.
    pub fn direction(&self, higher_score_is_better: bool) -> Direction {
        let of_figure = match self.figure.as_str() {
            "downstream_validation" if !higher_score_is_better => Some(Direction::Minimize),
            figure => known(figure).and_then(|(_, direction)| *direction),
        };
        self.direction.or(of_figure).unwrap_or(Direction::Minimize)
    }
}

impl Objectives {
    /// All of them, in order.
    pub fn list(&self) -> &[Objective] {
        &self.0
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.0.is_empty() {
            return Err(
                "`objective` is empty\nhint: leave it out for `downstream_validation`".into()
            );
        }
        for (index, objective) in self.0.iter().enumerate() {
            let name = objective.figure.as_str();
            if self.0[..index].iter().any(|other| other.figure == name) {
                return Err(format!("`objective` names `{name}` twice"));
            }
            match known(name) {
                Some((_, None)) if objective.direction.is_none() => {
                    return Err(format!(
                        "`{name}` needs a direction\n\
                         hint: write `{{ figure = \"{name}\", direction = \"minimize\" }}`"
                    ));
                }
                Some(_) => {}
                None if is_on_test(name) => {
                    return Err(format!(
                        "`{name}` is measured on test rows, which a sweep may not choose on\n\
                         hint: use `downstream_validation`; the winner is read on test at the end"
                    ));
                }
                None => return Err(format!("there is no figure `{name}`\nhint: {}", hint(name))),
            }
        }
        Ok(())
    }
}

fn known(name: &str) -> Option<&'static (&'static str, Option<Direction>)> {
    FIGURES.iter().find(|(figure, _)| *figure == name)
}

fn is_on_test(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    ON_TEST.contains(&first) || name.split('.').any(|part| part.contains("test"))
}

fn hint(name: &str) -> String {
    let names = FIGURES.map(|(figure, _)| figure);
    match crate::lint::nearest(name, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it is one of {}", names.map(|name| format!("`{name}`")).join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Objectives {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn written_short_and_long() {
        for text in [
            r#""downstream_validation""#,
            r#"{"figure":"training.best_epoch","direction":"maximize"}"#,
            r#"["downstream_validation",{"figure":"seconds","direction":"minimize"}]"#,
        ] {
            let objectives = read(text);
            assert_eq!(objectives.check(), Ok(()), "{text}");
            assert_eq!(serde_json::to_string(&objectives).unwrap(), text);
        }
        assert_eq!(Objectives::default(), read(r#""downstream_validation""#));
        let two = read(r#"["downstream_validation", "model.latent_dim"]"#);
        let directions =
            |higher| two.list().iter().map(|o| o.direction(higher)).collect::<Vec<_>>();
        assert_eq!(directions(true), [Direction::Maximize, Direction::Minimize]);
        assert_eq!(directions(false), [Direction::Minimize, Direction::Minimize]);
    }

    #[test]
    fn what_can_not_be_optimised_says_why() {
        for (text, expected) in [
            (r#""results.autoencoder.mean""#, "measured on test rows"),
            (r#""reconstruction.errors.autoencoder.test""#, "measured on test rows"),
            (r#""downstream_validaton""#, "did you mean `downstream_validation`?"),
            (r#""training.best_epoch""#, "needs a direction"),
            (r#"["seconds", "seconds"]"#, "names `seconds` twice"),
            ("[]", "is empty"),
        ] {
            let message = read(text).check().unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
