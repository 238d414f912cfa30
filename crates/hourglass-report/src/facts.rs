//! The data set and the model as lists of facts, the same in every rendering.

use crate::model::{DataSummary, ModelSummary};
use crate::words;

/// A name and what it is.
type Fact = (String, String);

fn fact(name: &str, value: impl Into<String>) -> Fact {
    (name.into(), value.into())
}

fn count(name: &str, count: usize) -> Fact {
    fact(name, words::grouped(count as u64))
}

impl ModelSummary {
    pub(crate) fn facts(&self) -> Vec<Fact> {
        vec![
            fact("Kind", words::spaced(&self.kind)),
            fact("Layers", &*self.description),
            count("Trained numbers", self.n_parameters),
            count("Latent width", self.latent_dim),
            count("Feature width", self.feature_width),
            fact("Training", &*self.optimiser),
        ]
    }
}

impl DataSummary {
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let mut facts = vec![
            fact("Data set", &*self.dataset),
            count("Training rows", self.rows.n_train),
            count("Validation rows", self.rows.n_validation),
            count("Test rows", self.rows.n_test),
            count("Features", self.n_features),
        ];
        if !self.classes.is_empty() {
            facts.push(count("Classes", self.classes.len()));
        }
        facts.extend(self.licence.iter().map(|text| fact("Licence", &**text)));
        facts.extend(self.citation.iter().map(|text| fact("Citation", &**text)));
        facts
    }
}
