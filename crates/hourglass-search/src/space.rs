//! All parameters of a search and the conditions between them, checked as a whole.
//!
//! It knows what may be chosen, not how: that is the samplers' work.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Distribution, Error, Parameter, Result};

/// The values of a trial by the names of its parameters; only those whose condition holds.
pub type Params = BTreeMap<String, Value>;

/// A checked set of parameters.
///
/// ```
/// use hourglass_search::{Distribution, Parameter, SearchSpace};
/// let space = SearchSpace::new([
///     ("optimizer", Distribution::categorical(["adam", "sgd"]).into()),
///     ("momentum", Parameter::from(Distribution::float(0.0, 0.99)).when("optimizer", ["sgd"])),
/// ])?;
/// assert_eq!(space.len(), 2);
/// # Ok::<(), hourglass_search::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Parameter>", into = "BTreeMap<String, Parameter>")]
pub struct SearchSpace {
    parameters: BTreeMap<String, Parameter>,
    /// Every parent stands before its children; names in order otherwise.
    order: Vec<String>,
}

impl SearchSpace {
    /// Checks ranges and conditions.
    ///
    /// # Errors
    /// [`Error::Parameter`], [`Error::UnknownParent`], [`Error::ParentNotCategorical`],
    /// [`Error::UnknownChoice`], [`Error::Cycle`], [`Error::EmptySpace`].
    pub fn new<N: Into<String>>(
        parameters: impl IntoIterator<Item = (N, Parameter)>,
    ) -> Result<Self> {
        let mut checked = BTreeMap::new();
        for (name, Parameter { distribution, condition }) in parameters {
            let parameter = name.into();
            let distribution = distribution
                .checked()
                .map_err(|problem| Error::Parameter { parameter: parameter.clone(), problem })?;
            checked.insert(parameter, Parameter { distribution, condition });
        }
        if checked.is_empty() {
            return Err(Error::EmptySpace);
        }
        for (name, parameter) in &checked {
            check_condition(name, parameter, &checked)?;
        }
        let order = parents_first(&checked)?;
        Ok(SearchSpace { parameters: checked, order })
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.parameters.len()
    }

    /// Whether there is no parameter; a checked space always has one.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// All parameters, parents before their children, names in order otherwise.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        self.order.iter().map(|name| (name.as_str(), &self.parameters[name]))
    }

    /// The distribution of a parameter.
    pub fn distribution(&self, name: &str) -> Option<&Distribution> {
        self.parameters.get(name).map(|parameter| &parameter.distribution)
    }

    /// Builds the values of a trial: `choose` is asked for the internal number of every parameter
    /// whose condition holds under the values chosen before it.
    pub fn fill(&self, mut choose: impl FnMut(&str, &Distribution) -> f64) -> Params {
        let mut params = Params::new();
        for (name, parameter) in self.iter() {
            if holds(parameter, &params) {
                let internal = choose(name, &parameter.distribution);
                params.insert(name.to_owned(), parameter.distribution.value(internal));
            }
        }
        params
    }

    /// Checks values that someone gave for some of the parameters.
    ///
    /// # Errors
    /// [`Error::Value`] for an unknown parameter or a value outside its range.
    pub fn check(&self, given: &Params) -> Result<()> {
        for (name, value) in given {
            let refuse = |reason: String| Error::Value {
                parameter: name.clone(),
                value: value.to_string(),
                reason,
            };
            let Some(parameter) = self.parameters.get(name) else {
                let known: Vec<&str> = self.iter().map(|(name, _)| name).collect();
                return Err(refuse(format!("the parameters are {}", known.join(", "))));
            };
            if parameter.distribution.internal(value).is_none() {
                return Err(refuse(format!("it is {}", parameter.distribution)));
            }
        }
        Ok(())
    }
}

impl TryFrom<BTreeMap<String, Parameter>> for SearchSpace {
    type Error = Error;

    fn try_from(parameters: BTreeMap<String, Parameter>) -> Result<Self> {
        SearchSpace::new(parameters)
    }
}

impl From<SearchSpace> for BTreeMap<String, Parameter> {
    fn from(space: SearchSpace) -> Self {
        space.parameters
    }
}

/// Whether the condition of a parameter holds under the values chosen so far.
fn holds(parameter: &Parameter, params: &Params) -> bool {
    parameter.condition.as_ref().is_none_or(|condition| {
        params.get(&condition.parent).is_some_and(|value| condition.choices.contains(value))
    })
}

fn check_condition(
    name: &str,
    parameter: &Parameter,
    all: &BTreeMap<String, Parameter>,
) -> Result<()> {
    let Some(condition) = &parameter.condition else { return Ok(()) };
    let (parameter, parent) = (name.to_owned(), condition.parent.clone());
    let Some(found) = all.get(&parent) else {
        let nearest = nearest(&parent, all.keys().filter(|other| *other != name));
        return Err(Error::UnknownParent { parameter, parent, nearest });
    };
    let Distribution::Categorical { choices } = &found.distribution else {
        return Err(Error::ParentNotCategorical { parameter, parent });
    };
    match condition.choices.iter().find(|value| !choices.contains(value)) {
        None => Ok(()),
        Some(value) => {
            let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
            let (value, choices) = (value.to_string(), choices.join(", "));
            Err(Error::UnknownChoice { parameter, parent, value, choices })
        }
    }
}

/// Names so that every parent stands before its children.
fn parents_first(parameters: &BTreeMap<String, Parameter>) -> Result<Vec<String>> {
    let mut order: Vec<String> = Vec::with_capacity(parameters.len());
    while order.len() < parameters.len() {
        let before = order.len();
        for (name, parameter) in parameters {
            let ready = parameter
                .condition
                .as_ref()
                .is_none_or(|condition| order.contains(&condition.parent));
            if ready && !order.contains(name) {
                order.push(name.clone());
            }
        }
        if order.len() == before {
            return Err(Error::Cycle { ring: ring(parameters, &order) });
        }
    }
    Ok(order)
}

/// Follows parents from a parameter that is not in `done` until one comes again.
fn ring(parameters: &BTreeMap<String, Parameter>, done: &[String]) -> Vec<String> {
    let mut path: Vec<String> = Vec::new();
    let mut next = parameters.keys().find(|name| !done.contains(name)).cloned();
    while let Some(name) = next {
        if let Some(start) = path.iter().position(|seen| *seen == name) {
            path.push(name);
            return path.split_off(start);
        }
        let condition = parameters.get(&name).and_then(|parameter| parameter.condition.as_ref());
        next = condition.map(|condition| condition.parent.clone());
        path.push(name);
    }
    path
}

/// The name that shares the longest beginning with `wanted`, if it shares half of it.
fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a String>) -> Option<String> {
    let shared = |name: &str| wanted.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
    let best = names.max_by_key(|name| shared(name))?;
    (2 * shared(best) >= wanted.chars().count()).then(|| best.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn categorical(choices: &[&str]) -> Parameter {
        Distribution::categorical(choices.to_vec()).into()
    }

    fn message(parameters: &[(&str, Parameter)]) -> String {
        SearchSpace::new(parameters.to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn conditions_are_checked() {
        let rate: Parameter = Distribution::float(0.0, 1.0).into();
        let kind = categorical(&["adam", "sgd"]);
        let under = |parent: &str, choice: &str| rate.clone().when(parent, [choice]);
        let unknown = message(&[("optimizer", kind.clone()), ("m", under("optimiser", "sgd"))]);
        assert!(unknown.contains("did you mean `optimizer`?"), "{unknown}");
        let number = message(&[("r", rate.clone()), ("m", under("r", "sgd"))]);
        assert!(number.contains("not categorical"), "{number}");
        let choice = message(&[("optimizer", kind), ("m", under("optimizer", "sdg"))]);
        assert!(choice.contains(r#"hint: the choices are "adam", "sgd""#), "{choice}");
        let a = categorical(&["x"]).when("b", ["x"]);
        let b = categorical(&["x"]).when("a", ["x"]);
        assert!(message(&[("a", a), ("b", b)]).contains("a -> b -> a"));
        let own = categorical(&["x"]).when("a", ["x"]);
        assert!(message(&[("a", own)]).contains("a -> a"));
        assert!(message(&[]).contains("no parameter"));
    }

    #[test]
    fn only_parameters_whose_condition_holds_are_filled() {
        let space = SearchSpace::new([
            ("a.layers", Parameter::from(Distribution::int(1, 3)).when("kind", ["deep"])),
            ("kind", categorical(&["flat", "deep"])),
            ("z", Parameter::from(Distribution::float(0.0, 1.0)).when("kind", ["flat"])),
        ])
        .unwrap();
        let flat = space.fill(|_, _| 0.0);
        assert_eq!(flat.keys().collect::<Vec<_>>(), ["kind", "z"]);
        let deep = space.fill(|_, _| 1.0);
        assert_eq!(deep.keys().collect::<Vec<_>>(), ["a.layers", "kind"]);
    }

    #[test]
    fn given_values_are_checked() {
        let space = SearchSpace::new([("x", Distribution::int(0, 5).into())]).unwrap();
        let check = |name: &str, value: Value| space.check(&Params::from([(name.into(), value)]));
        assert!(check("x", 5.into()).is_ok());
        assert!(check("x", 6.into()).unwrap_err().to_string().contains("int 0 to 5"));
        assert!(check("y", 5.into()).unwrap_err().to_string().contains("the parameters are x"));
    }
}
