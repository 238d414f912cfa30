//! Rows that stand for all where a pass can't keep them.

use std::collections::HashMap;

use hourglass_core::Targets;

use super::mix;
use crate::column::Column;
use crate::error::Error;
use crate::frame::Labels;

/// Training rows that are sampled, and the values that the sample may hold.
const SAMPLE_ROWS: usize = 100_000;
const SAMPLE_VALUES: usize = 16 << 20;

/// Training rows drawn evenly: those whose random number is among the smallest. It doesn't depend
/// on how the rows are cut into batches.
#[derive(Default)]
pub(super) struct Sample {
    pub columns: Vec<Column>,
    labels: Vec<Label>,
    keys: Vec<u64>,
    /// Rows of a larger key are no longer taken.
    largest: Option<u64>,
}

#[derive(Clone)]
pub(super) enum Label {
    Class(String),
    Value(f32),
}

impl Sample {
    fn most(&self) -> usize {
        SAMPLE_ROWS.min(SAMPLE_VALUES / self.columns.len().max(1)).max(1)
    }

    pub fn add(
        &mut self,
        columns: &[&Column],
        labels: &Labels,
        train: &[usize],
        first_row: usize,
        seed: u64,
    ) -> Result<(), Error> {
        let key = |row: usize| mix(seed, (first_row + row) as u64);
        let taken: Vec<usize> = train
            .iter()
            .copied()
            .filter(|&row| self.largest.is_none_or(|largest| key(row) <= largest))
            .collect();
        self.keys.extend(taken.iter().map(|&row| key(row)));
        self.labels.extend(taken.iter().map(|&row| match labels {
            Labels::Values(values) => Label::Value(values[row]),
            labels => Label::Class(labels.class(row)),
        }));
        let picked = columns.iter().map(|column| column.select(&taken));
        if self.columns.is_empty() {
            self.columns = picked.collect();
        } else {
            for (own, more) in self.columns.iter_mut().zip(picked) {
                own.append(&more)?;
            }
        }
        if self.keys.len() > 2 * self.most() {
            self.prune();
        }
        Ok(())
    }

    /// Keeps the rows with the smallest keys, in the order of the file.
    pub fn prune(&mut self) {
        let most = self.most();
        if self.keys.len() <= most {
            return;
        }
        let mut keys = self.keys.clone();
        let (_, largest, _) = keys.select_nth_unstable(most - 1);
        let largest = *largest;
        let kept: Vec<usize> =
            (0..self.keys.len()).filter(|&at| self.keys[at] <= largest).collect();
        self.columns = self.columns.iter().map(|column| column.select(&kept)).collect();
        self.labels = kept.iter().map(|&at| self.labels[at].clone()).collect();
        self.keys = kept.iter().map(|&at| self.keys[at]).collect();
        self.largest = Some(largest);
    }

    pub fn targets(&self, classes: &[String]) -> Targets {
        let known: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let ids = self.labels.iter().filter_map(|label| match label {
            Label::Class(name) => Some(known[name.as_str()]),
            Label::Value(_) => None,
        });
        let values = self.labels.iter().filter_map(|label| match label {
            Label::Value(value) => Some(*value),
            Label::Class(_) => None,
        });
        match classes.is_empty() {
            true => Targets::Values(values.collect()),
            false => Targets::Classes { ids: ids.collect(), names: classes.to_vec() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::BATCH_ROWS;
    use super::*;
    use crate::preprocess::ExactMoments;

    #[test]
    fn means_are_of_all_rows_and_the_sample_is_even() {
        let mut sample = Sample::default();
        let mut moments = [ExactMoments::default()];
        let n_rows = 3 * SAMPLE_ROWS;
        let labels = Labels::Values(vec![0.0; BATCH_ROWS]);
        for first in (0..n_rows).step_by(BATCH_ROWS) {
            let n = BATCH_ROWS.min(n_rows - first);
            let column = Column::Numbers((first..first + n).map(|i| i as f64).collect());
            let rows: Vec<usize> = (0..n).collect();
            ExactMoments::add_all(&mut moments, &[&column], &rows);
            sample.add(&[&column], &labels, &rows, first, 9).unwrap();
        }
        sample.prune();
        assert_eq!(sample.keys.len(), SAMPLE_ROWS);
        let Column::Numbers(values) = &sample.columns[0] else { unreachable!() };
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean / (n_rows as f64 / 2.0) - 1.0).abs() < 0.01, "{mean}");
        assert!(values.is_sorted());
        assert!((moments[0].mean - (n_rows - 1) as f64 / 2.0).abs() < 1e-6);
    }
}
