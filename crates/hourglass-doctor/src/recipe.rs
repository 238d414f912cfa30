//! How a file trains, as far as a cure changes it: longer, or with another rate. It trains nothing.

/// Largest rate that a cure asks of an optimiser that scales each step by the gradient's own size:
/// ten times the default of Kingma and Ba, ICLR 2015.
const ADAPTIVE_MOST: f64 = 1e-2;

/// The same of gradient descent; Goodfellow, Bengio and Courville, Deep Learning, 2016, section
/// 11.4, search up to 0.1.
const DESCENT_MOST: f64 = 0.1;

/// How a file trains.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recipe {
    /// Key of the optimiser, such as `adam`.
    pub optimizer: String,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Epochs at most.
    pub epochs: usize,
}

impl Recipe {
    /// The key of the rate.
    pub(crate) fn rate_key(&self) -> String {
        format!("train.optimizer.{}.learning_rate", self.optimizer)
    }

    /// A rate that suits most nets: the default of Adam, and of gradient descent a hundredth.
    pub(crate) fn usual_rate(&self) -> f64 {
        if self.optimizer == "sgd" { 1e-2 } else { 1e-3 }
    }

    /// The rate times a factor, but not above what may be asked for; `None` where it is there
    /// already.
    pub(crate) fn faster(&self, factor: f64) -> Option<(String, String)> {
        let most = if self.optimizer == "sgd" { DESCENT_MOST } else { ADAPTIVE_MOST };
        let rate = (self.learning_rate * factor).min(most);
        (rate > 1.5 * self.learning_rate).then(|| (self.rate_key(), typed(rate)))
    }

    /// So many times the epochs.
    pub(crate) fn longer(&self, factor: usize) -> (String, String) {
        ("train.epochs".to_owned(), (factor * self.epochs).to_string())
    }
}

/// A rate or a weight as a person would type it.
pub(crate) fn typed(value: f64) -> String {
    // Three digits are more than anybody tunes to.
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    format!("{rounded:e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_grow_up_to_what_may_be_asked_for() {
        let recipe = |optimizer: &str, learning_rate| Recipe {
            optimizer: optimizer.into(),
            learning_rate,
            epochs: 15,
        };
        let key = "train.optimizer.adam.learning_rate".to_owned();
        assert_eq!(recipe("adam", 3e-4).faster(10.0), Some((key.clone(), "3e-3".into())));
        assert_eq!(recipe("adam", 3e-3).faster(10.0), Some((key, "1e-2".into())));
        assert_eq!(recipe("adam", 8e-3).faster(10.0), None);
        assert_eq!(recipe("sgd", 8e-3).faster(10.0).unwrap().1, "8e-2");
        assert_eq!(recipe("sgd", 8e-3).longer(4), ("train.epochs".into(), "60".into()));
        assert_eq!(typed(2e-3_f64 * 32.0_f64.sqrt()), "1.13e-2");
    }
}
