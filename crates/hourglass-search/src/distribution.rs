//! What values a parameter can take: a float or an integer in a range, or one of some choices.
//!
//! Internally every value is one `f64`, as in Optuna's tables: the number itself, or the index of
//! the choice. It knows nothing of conditions between parameters (see [`crate::SearchSpace`]).

use std::fmt;

use serde_json::Value;

use crate::RangeProblem;

/// Integers up to here are exact in an `f64`.
const LARGEST_INT: i64 = 1 << 53;

/// How near to a whole number of steps a range has to be to count as one.
const STEP_TOLERANCE: f64 = 1e-8;

/// The values that one parameter can take.
///
/// ```
/// use hourglass_search::Distribution;
/// let rate = Distribution::float(1e-4, 1e-1).log();
/// assert_eq!(rate.value(1e-2), serde_json::json!(1e-2));
/// let activation = Distribution::categorical(["relu", "gelu"]);
/// assert_eq!(activation.value(1.0), "gelu");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// A number from `low` to `high`, both included.
    Float {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
        /// Whether all orders of magnitude are equally likely; needs `low > 0`.
        log: bool,
        /// Only `low`, `low + step`, `low + 2 step`, ...; not together with `log`.
        step: Option<f64>,
    },
    /// A whole number from `low` to `high`, both included.
    Int {
        /// Lower end.
        low: i64,
        /// Upper end.
        high: i64,
        /// Whether all orders of magnitude are equally likely; needs `low >= 1` and `step = 1`.
        log: bool,
        /// Only every `step`-th number.
        step: i64,
    },
    /// One of some values, which may be whole tables.
    Categorical {
        /// The choices, all different.
        choices: Vec<Value>,
    },
}

impl Distribution {
    /// Any number from `low` to `high`.
    pub fn float(low: f64, high: f64) -> Self {
        Distribution::Float { low, high, log: false, step: None }
    }

    /// Any whole number from `low` to `high`.
    pub fn int(low: i64, high: i64) -> Self {
        Distribution::Int { low, high, log: false, step: 1 }
    }

    /// One of `choices`.
    pub fn categorical<V: Into<Value>>(choices: impl IntoIterator<Item = V>) -> Self {
        Distribution::Categorical { choices: choices.into_iter().map(Into::into).collect() }
    }

    /// The same range on a logarithmic scale. Categorical distributions stay as they are.
    pub fn log(mut self) -> Self {
        if let Distribution::Float { log, .. } | Distribution::Int { log, .. } = &mut self {
            *log = true;
        }
        self
    }

    /// The same range in steps. Integers take the whole part; categorical ones stay as they are.
    pub fn step(mut self, size: f64) -> Self {
        match &mut self {
            Distribution::Float { step, .. } => *step = Some(size),
            Distribution::Int { step, .. } => *step = size as i64,
            Distribution::Categorical { .. } => {}
        }
        self
    }

    /// The distribution with its upper end on the last step, or what is wrong with it.
    ///
    /// # Errors
    /// [`RangeProblem`]: empty or infinite range, logarithm of zero, bad step, no choices.
    pub fn checked(self) -> Result<Self, RangeProblem> {
        match self {
            Distribution::Float { low, high, log, step } => checked_float(low, high, log, step),
            Distribution::Int { low, high, log, step } => checked_int(low, high, log, step),
            Distribution::Categorical { choices } => checked_choices(choices),
        }
    }

    /// What the internal number means: a number, or the choice at that index.
    pub fn value(&self, internal: f64) -> Value {
        match self {
            Distribution::Float { .. } => Value::from(internal),
            Distribution::Int { .. } => Value::from(internal.round() as i64),
            Distribution::Categorical { choices } => {
                choices.get(internal as usize).cloned().unwrap_or(Value::Null)
            }
        }
    }

    /// The internal number of a value, or none if the distribution can't take it.
    pub fn internal(&self, value: &Value) -> Option<f64> {
        let number = match self {
            Distribution::Categorical { choices } => {
                return choices.iter().position(|choice| choice == value).map(|at| at as f64);
            }
            _ => value.as_f64()?,
        };
        self.contains(number).then_some(number)
    }

    /// Whether an internal number lies in the range and on a step.
    pub fn contains(&self, internal: f64) -> bool {
        match self {
            Distribution::Float { low, high, step, .. } => {
                let on_step = step.is_none_or(|step| {
                    let steps = (internal - low) / step;
                    (steps - steps.round()).abs() < STEP_TOLERANCE
                });
                (*low..=*high).contains(&internal) && on_step
            }
            Distribution::Int { low, high, step, .. } => {
                internal.fract() == 0.0
                    && (*low as f64..=*high as f64).contains(&internal)
                    && (internal as i64 - low) % step == 0
            }
            Distribution::Categorical { choices } => {
                internal.fract() == 0.0 && (0.0..choices.len() as f64).contains(&internal)
            }
        }
    }

    /// How many different values there are; none for a continuous range.
    pub fn count(&self) -> Option<u64> {
        match self {
            Distribution::Float { low, high, .. } if low == high => Some(1),
            Distribution::Float { step: None, .. } => None,
            Distribution::Float { low, high, step: Some(step), .. } => {
                Some(whole_steps(*low, *high, *step) as u64 + 1)
            }
            Distribution::Int { low, high, step, .. } => Some(((high - low) / step) as u64 + 1),
            Distribution::Categorical { choices } => Some(choices.len() as u64),
        }
    }

    /// The value at a place of the unit interval, so that a uniform place gives every value (or,
    /// with `log`, every order of magnitude) the same chance.
    pub fn from_unit(&self, place: f64) -> f64 {
        let place = place.clamp(0.0, 1.0);
        match (self, self.count()) {
            (Distribution::Int { log: true, .. }, _) | (_, None) => {
                let (low, high) = self.continuous_range();
                self.from_continuous(low + place * (high - low))
            }
            (_, Some(count)) => self.nth(((place * count as f64) as u64).min(count - 1)),
        }
    }

    /// The `index`-th of a countable distribution's values, in order.
    pub fn nth(&self, index: u64) -> f64 {
        match self {
            Distribution::Float { low, high, step, .. } => {
                on_step(*low, *high, step.unwrap_or(0.0), index as f64)
            }
            Distribution::Int { low, step, .. } => (low + step * index as i64) as f64,
            Distribution::Categorical { .. } => index as f64,
        }
    }

    /// The range in which densities are estimated: logarithms where the scale is logarithmic, and
    /// half a step more at both ends where there are steps, so that each value has an equal share.
    /// Categorical: `0` to the number of choices.
    pub fn continuous_range(&self) -> (f64, f64) {
        match self {
            Distribution::Float { low, high, log: true, .. } => (low.ln(), high.ln()),
            Distribution::Float { low, high, step, .. } => {
                let half = step.unwrap_or(0.0) / 2.0;
                (low - half, high + half)
            }
            Distribution::Int { low, high, log: true, .. } => {
                ((*low as f64 - 0.5).ln(), (*high as f64 + 0.5).ln())
            }
            Distribution::Int { low, high, step, .. } => {
                let half = *step as f64 / 2.0;
                (*low as f64 - half, *high as f64 + half)
            }
            Distribution::Categorical { choices } => (0.0, choices.len() as f64),
        }
    }

    /// An internal number in the coordinates of [`Distribution::continuous_range`].
    pub fn to_continuous(&self, internal: f64) -> f64 {
        if self.is_log() { internal.ln() } else { internal }
    }

    /// The nearest allowed internal number.
    pub fn from_continuous(&self, place: f64) -> f64 {
        let number = if self.is_log() { place.exp() } else { place };
        match self {
            Distribution::Float { low, high, step: None, .. } => number.clamp(*low, *high),
            Distribution::Float { low, high, step: Some(step), .. } => {
                let steps = ((number - low) / step).round().max(0.0);
                on_step(*low, *high, *step, steps.min(whole_steps(*low, *high, *step)))
            }
            Distribution::Int { low, high, step, .. } => {
                let steps = ((number - *low as f64) / *step as f64).round();
                (*low as f64 + steps * *step as f64).clamp(*low as f64, *high as f64)
            }
            Distribution::Categorical { choices } => {
                number.floor().clamp(0.0, choices.len() as f64 - 1.0)
            }
        }
    }

    /// Whether the scale is logarithmic.
    pub fn is_log(&self) -> bool {
        matches!(self, Distribution::Float { log: true, .. } | Distribution::Int { log: true, .. })
    }

    /// Whether trials of `self` and `other` can belong to one study: the same kind, scale and
    /// choices. Ranges may differ.
    pub fn compatible(&self, other: &Distribution) -> bool {
        match (self, other) {
            (Distribution::Float { log, .. }, Distribution::Float { log: other, .. })
            | (Distribution::Int { log, .. }, Distribution::Int { log: other, .. }) => log == other,
            (Distribution::Categorical { .. }, Distribution::Categorical { .. }) => {
                self.flat() == other.flat()
            }
            _ => false,
        }
    }

    /// The same distribution with lists and tables among its choices written as JSON text, since
    /// other programs that read the store expect plain values.
    pub fn flat(&self) -> Distribution {
        match self {
            Distribution::Categorical { choices } => {
                let flat = |choice: &Value| match choice {
                    Value::Array(_) | Value::Object(_) => Value::String(choice.to_string()),
                    plain => plain.clone(),
                };
                Distribution::Categorical { choices: choices.iter().map(flat).collect() }
            }
            other => other.clone(),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = if self.is_log() { ", log" } else { "" };
        match self {
            Distribution::Float { low, high, step, .. } => {
                write!(f, "float {low} to {high}{log}")?;
                step.map_or(Ok(()), |step| write!(f, ", step {step}"))
            }
            Distribution::Int { low, high, step, .. } => {
                write!(f, "int {low} to {high}{log}")?;
                if *step == 1 { Ok(()) } else { write!(f, ", step {step}") }
            }
            Distribution::Categorical { choices } => {
                let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
                write!(f, "one of {}", choices.join(", "))
            }
        }
    }
}

fn checked_float(
    low: f64,
    high: f64,
    log: bool,
    step: Option<f64>,
) -> Result<Distribution, RangeProblem> {
    if !(high - low).is_finite() {
        return Err(RangeProblem::NotFinite { low: low.to_string(), high: high.to_string() });
    }
    if low > high {
        return Err(RangeProblem::Empty { low: low.to_string(), high: high.to_string() });
    }
    if log && low <= 0.0 {
        return Err(RangeProblem::LogOfZero { low: low.to_string() });
    }
    let Some(size) = step else { return Ok(Distribution::Float { low, high, log, step }) };
    if log {
        return Err(RangeProblem::LogWithStep);
    }
    if !(size > 0.0 && size.is_finite()) {
        return Err(RangeProblem::Step { step: size.to_string(), whole: false });
    }
    let exact = (high - low) / size;
    let whole = (exact + STEP_TOLERANCE).floor();
    let fits = (exact - whole).abs() < STEP_TOLERANCE;
    let high = if fits { high } else { on_step(low, high, size, whole) };
    Ok(Distribution::Float { low, high, log, step })
}

fn checked_int(low: i64, high: i64, log: bool, step: i64) -> Result<Distribution, RangeProblem> {
    if low > high {
        return Err(RangeProblem::Empty { low: low.to_string(), high: high.to_string() });
    }
    if low < -LARGEST_INT || high > LARGEST_INT {
        return Err(RangeProblem::TooLarge { low: low.to_string(), high: high.to_string() });
    }
    if log && low < 1 {
        return Err(RangeProblem::LogOfZero { low: low.to_string() });
    }
    if step < 1 {
        return Err(RangeProblem::Step { step: step.to_string(), whole: true });
    }
    if log && step != 1 {
        return Err(RangeProblem::LogWithStep);
    }
    Ok(Distribution::Int { low, high: low + (high - low) / step * step, log, step })
}

fn checked_choices(choices: Vec<Value>) -> Result<Distribution, RangeProblem> {
    if choices.is_empty() {
        return Err(RangeProblem::NoChoices);
    }
    for (at, choice) in choices.iter().enumerate() {
        if choices[..at].contains(choice) {
            return Err(RangeProblem::SameChoice { choice: choice.to_string() });
        }
    }
    Ok(Distribution::Categorical { choices })
}

/// Whole steps between the ends.
fn whole_steps(low: f64, high: f64, step: f64) -> f64 {
    ((high - low) / step + STEP_TOLERANCE).floor()
}

/// The number `steps` steps above `low`, rounded to 12 digits so that 3 x 0.1 is 0.3.
fn on_step(low: f64, high: f64, step: f64, steps: f64) -> f64 {
    let exact = low + steps * step;
    let rounded = format!("{exact:.11e}").parse().unwrap_or(exact);
    f64::clamp(rounded, low, high)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problems_are_found() {
        let check = |distribution: Distribution, expect: &str| {
            let message = distribution.checked().unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        check(Distribution::float(2.0, 1.0), "empty");
        check(Distribution::float(0.0, f64::INFINITY), "finite");
        check(Distribution::float(0.0, f64::NAN), "finite");
        check(Distribution::float(0.0, 1.0).log(), "can't begin at 0");
        check(Distribution::float(0.1, 1.0).log().step(0.1), "no step");
        check(Distribution::float(0.0, 1.0).step(0.0), "positive");
        check(Distribution::int(5, 4), "empty");
        check(Distribution::int(0, 4).log(), "can't begin at 0");
        check(Distribution::int(0, 4).step(0.0), "positive and whole");
        check(Distribution::int(1, 4).step(2.0).log(), "no step");
        check(Distribution::int(0, i64::MAX), "2^53");
        check(Distribution::categorical::<&str>([]), "no choices");
        check(Distribution::categorical(["a", "b", "a"]), "twice");
    }

    #[test]
    fn the_upper_end_lies_on_a_step() {
        assert_eq!(
            Distribution::float(0.0, 1.0).step(0.3).checked(),
            Ok(Distribution::float(0.0, 0.9).step(0.3))
        );
        assert_eq!(
            Distribution::int(1, 10).step(4.0).checked(),
            Ok(Distribution::int(1, 9).step(4.0))
        );
        assert_eq!(Distribution::float(0.0, 0.3).step(0.1).from_unit(1.0), 0.3);
    }

    #[test]
    fn every_value_has_an_equal_share_of_the_unit_interval() {
        let table = json!({"adam": {}});
        for distribution in [
            Distribution::int(-3, 6).step(3.0),
            Distribution::float(0.5, 2.0).step(0.5),
            Distribution::categorical([json!("a"), json!(null), json!(2), table]),
        ] {
            let mut counts = [0; 4];
            for place in 0..400 {
                let internal = distribution.from_unit((place as f64 + 0.5) / 400.0);
                let index = (0..4).find(|at| distribution.nth(*at) == internal).unwrap();
                counts[index as usize] += 1;
                assert!(distribution.contains(internal));
                assert_eq!(distribution.internal(&distribution.value(internal)), Some(internal));
            }
            assert_eq!(counts, [100; 4], "{distribution}");
        }
    }

    #[test]
    fn continuous_coordinates_lead_back() {
        for distribution in [
            Distribution::float(-1.0, 4.0),
            Distribution::float(1e-5, 10.0).log(),
            Distribution::float(0.0, 1.0).step(0.1),
            Distribution::int(1, 1000).log(),
            Distribution::int(-7, 7).step(2.0),
            Distribution::categorical([1, 5, 9]),
        ] {
            let (low, high) = distribution.continuous_range();
            for place in [0.0, 0.1, 0.37, 0.9, 1.0] {
                let internal = distribution.from_unit(place);
                let continuous = distribution.to_continuous(internal);
                assert!((low..=high).contains(&continuous), "{distribution}: {internal}");
                let back = distribution.from_continuous(continuous);
                assert!((back - internal).abs() < 1e-9, "{distribution}: {internal} {back}");
                assert!(distribution.contains(back), "{distribution}: {back}");
            }
        }
    }

    #[test]
    fn a_logarithmic_integer_can_take_both_ends() {
        let distribution = Distribution::int(1, 8).log();
        assert_eq!(distribution.from_unit(0.0), 1.0);
        assert_eq!(distribution.from_unit(1.0), 8.0);
    }
}
