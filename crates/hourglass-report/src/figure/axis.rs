//! An axis: which round numbers to mark and where they lie. It draws no line.

use crate::words;

/// Maps values to positions, on a plain or a logarithmic scale.
pub(super) struct Axis {
    low: f64,
    high: f64,
    is_log: bool,
    from: f64,
    to: f64,
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis that holds all finite values and ends at round numbers; `None` without any.
    ///
    /// The lowest value lies at position `from`, the highest at `to`. With `is_log`, values that
    /// are not above zero are left out.
    pub(super) fn new(
        values: impl Iterator<Item = f64>,
        is_log: bool,
        (from, to): (f64, f64),
        n_ticks: usize,
    ) -> Option<Self> {
        let usable = values.filter(|v| v.is_finite() && (!is_log || *v > 0.0));
        let (low, high) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return None;
        }
        if is_log {
            Some(Self::log(low, high, from, to))
        } else {
            Self::plain(low, high, from, to, n_ticks)
        }
    }

    fn plain(low: f64, high: f64, from: f64, to: f64, n_ticks: usize) -> Option<Self> {
        let span = if high > low { high - low } else { low.abs().max(1.0) * 0.1 };
        let step = round_step(span / n_ticks.max(1) as f64);
        let (first, last) =
            ((low / step).floor(), (high / step).ceil().max((low / step).floor() + 1.0));
        let count = last - first;
        if !count.is_finite() || count > 1000.0 {
            return None;
        }
        let ticks: Vec<f64> = (0..=count as usize).map(|i| (first + i as f64) * step).collect();
        Some(Axis { low: first * step, high: last * step, is_log: false, from, to, ticks })
    }

    fn log(low: f64, high: f64, from: f64, to: f64) -> Self {
        let steps = |power: i32| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power));
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let all: Vec<f64> = (first..=last).flat_map(steps).collect();
        let low = all.iter().copied().rfind(|tick| *tick <= low).unwrap_or(low);
        let high = all.iter().copied().find(|tick| *tick >= high).unwrap_or(high);
        let high = if high > low { high } else { low * 2.0 };
        let mut ticks: Vec<f64> =
            all.into_iter().filter(|tick| (low..=high).contains(tick)).collect();
        if ticks.len() > 8 {
            let is_power = |tick: &f64| (tick.log10() - tick.log10().round()).abs() < 1e-9;
            ticks.retain(is_power);
        }
        Axis { low, high, is_log: true, from, to, ticks }
    }

    /// Where a value lies.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share * (self.to - self.from)
    }

    /// Position and label of each tick.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let decimals = if self.is_log {
            None
        } else {
            let step = (self.high - self.low) / (self.ticks.len() - 1).max(1) as f64;
            Some((-step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize)
        };
        let label = |tick: f64| match decimals {
            Some(decimals) => words::number(tick, decimals),
            None => plain_digits(tick),
        };
        self.ticks.iter().map(|&tick| (self.at(tick), label(tick))).collect()
    }
}

/// The next of 1, 2, 5, 10, ... times a power of ten that is not below the step.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0].into_iter().find(|digit| digit * power >= step * 0.999);
    digit.unwrap_or(10.0) * power
}

/// A power of ten times 1, 2 or 5 without trailing zeros.
fn plain_digits(tick: f64) -> String {
    let power = tick.log10().floor();
    if (-4.0..6.0).contains(&power) {
        words::number(tick, (-power).max(0.0) as usize)
    } else {
        format!("{tick:.0e}").replace('-', "−")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], is_log: bool) -> Vec<String> {
        let axis = Axis::new(values.iter().copied(), is_log, (0.0, 100.0), 4).unwrap();
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_hold_the_values() {
        for (values, is_log, expected) in [
            (&[0.3, 7.4][..], false, "0 2 4 6 8"),
            (&[-2.0, 6.1], false, "−5 0 5 10"),
            (&[0.011, 0.019], false, "0.010 0.012 0.014 0.016 0.018 0.020"),
            (&[5.0, 5.0], false, "5.0 5.2"),
            (&[0.004, 0.3], true, "0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5"),
            (&[1e-3, 9e3], true, "0.001 0.01 0.1 1 10 100 1000 10000"),
            (&[-1.0, f64::NAN, 3.0], true, "2 5"),
        ] {
            assert_eq!(labels(values, is_log).join(" "), expected, "{values:?}");
        }
    }

    #[test]
    fn nothing_finite_has_no_axis() {
        assert!(Axis::new([f64::NAN].into_iter(), false, (0.0, 1.0), 4).is_none());
        assert!(Axis::new([0.0].into_iter(), true, (0.0, 1.0), 4).is_none());
    }

    #[test]
    fn values_lie_between_the_ends() {
        let axis = Axis::new([1.0, 100.0].into_iter(), true, (50.0, 0.0), 4).unwrap();
        assert_eq!(axis.at(1.0), 50.0);
        assert!((axis.at(10.0) - 25.0).abs() < 1e-9);
    }
}
