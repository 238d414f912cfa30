//! A category: which of its levels are kept, and the numbers that they become.

use std::collections::BTreeMap;

use hourglass_core::{Seed, Targets};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::column::{Levels, MISSING_LEVEL};
use crate::preprocess::config::{Categorical, ColumnPlan, Fill};
use crate::preprocess::number::FittedNumber;

/// The level that a missing value becomes, where it isn't filled.
pub(crate) const MISSING: &str = "(missing)";
/// The level that rare ones are merged into.
pub(crate) const RARE: &str = "(rare)";

/// Most columns that one category may become: more of them are an identifier or a free text.
const MOST_LEVELS: usize = 4096;

/// What was learnt of a category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FittedCategory {
    /// The levels that are told apart.
    pub slots: Vec<String>,
    /// Levels that are merged into the slot `(rare)`.
    pub rare: Vec<String>,
    /// Slot of a missing value, where it has one.
    pub missing: Option<usize>,
    pub encoding: Encoding,
}

/// How a slot becomes numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Encoding {
    /// A 1 in the column of the slot.
    OneHot,
    /// One number a slot in each of the columns.
    Numbers {
        columns: Vec<NumberColumn>,
        /// Whether the slot can be told from the number.
        invertible: bool,
    },
}

/// One number a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NumberColumn {
    /// What is put behind the name of the column: the class that a target column speaks of.
    pub suffix: String,
    pub of_slot: Vec<f64>,
    pub unseen: f64,
    pub number: FittedNumber,
}

/// Numbers of the training rows that differ from what their slots say: `(n_columns, n_train)`,
/// scaled.
pub(crate) type OutOfFold = Vec<Vec<f64>>;

/// Why a category can't be fitted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unfit {
    /// More levels than a column can become.
    TooMany(usize),
    /// A level that the given order lacks.
    NotInOrder(String),
    /// No training row has a level.
    AllMissing,
}

impl FittedCategory {
    /// Learns from training rows.
    pub(crate) fn fit(
        levels: &Levels,
        targets: &Targets,
        plan: &ColumnPlan,
        seed: Seed,
    ) -> Result<(Self, Option<OutOfFold>), Unfit> {
        let n_rows = levels.codes.len();
        let mut counts = vec![0_usize; levels.names.len()];
        let mut n_missing = 0;
        for &code in &levels.codes {
            match code {
                MISSING_LEVEL => n_missing += 1,
                code => counts[code as usize] += 1,
            }
        }
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, count) in levels.names.iter().zip(&counts).filter(|(_, count)| **count > 0) {
            *seen.entry(name).or_default() += count;
        }
        let fills = plan.fill == Some(Fill::MostFrequent);
        if seen.is_empty() && fills {
            return Err(Unfit::AllMissing);
        }
        // The first in alphabetical order where several are as frequent, as in scikit-learn.
        let most =
            seen.iter().fold(None, |best: Option<(&str, usize)>, (name, &count)| match best {
                Some((_, most)) if most >= count => best,
                _ => Some((*name, count)),
            });
        let own_level = n_missing > 0 && !fills;
        if own_level {
            seen.insert(MISSING, n_missing);
        }
        let least = plan.rare_share * n_rows as f64;
        let is_rare = |count: usize| (count as f64) < least;
        let rare: Vec<String> = seen
            .iter()
            .filter(|(_, count)| is_rare(**count))
            .map(|(name, _)| (*name).to_owned())
            .collect();
        let mut slots: Vec<String> = seen
            .iter()
            .filter(|(_, count)| !is_rare(**count))
            .map(|(name, _)| (*name).to_owned())
            .collect();
        if let Categorical::Ordinal { order } = &plan.categorical
            && !order.is_empty()
        {
            if let Some(name) = slots.iter().find(|name| !order.contains(name) && *name != MISSING)
            {
                return Err(Unfit::NotInOrder(name.clone()));
            }
            slots.sort_by_key(|name| order.iter().position(|known| known == name));
        }
        if !rare.is_empty() {
            slots.push(RARE.to_owned());
        }
        if slots.len() > MOST_LEVELS && plan.categorical == Categorical::OneHot {
            return Err(Unfit::TooMany(slots.len()));
        }
        let missing = match (fills, most) {
            (true, Some((name, _))) => slots.iter().position(|slot| slot == name),
            _ => slots.iter().position(|slot| slot == MISSING),
        };
        let mut fitted = FittedCategory { slots, rare, missing, encoding: Encoding::OneHot };
        let slot_of_row = fitted.slots_of(levels);
        let mut n_in_slot = vec![0_usize; fitted.slots.len()];
        slot_of_row.iter().flatten().for_each(|&slot| n_in_slot[slot] += 1);
        let column = |of_slot: Vec<f64>, unseen: f64| {
            let mut sorted: Vec<f64> =
                slot_of_row.iter().map(|slot| slot.map_or(unseen, |slot| of_slot[slot])).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            let number = FittedNumber::of_sorted(None, None, &sorted, plan.numeric);
            NumberColumn { suffix: String::new(), of_slot, unseen, number }
        };
        let mut out_of_fold = None;
        fitted.encoding = match plan.categorical {
            Categorical::OneHot | Categorical::Embedding => Encoding::OneHot,
            Categorical::Ordinal { .. } => {
                let positions = (0..fitted.slots.len()).map(|slot| slot as f64).collect();
                Encoding::Numbers { columns: vec![column(positions, -1.0)], invertible: true }
            }
            Categorical::Frequency => {
                let shares = n_in_slot.iter().map(|&n| n as f64 / n_rows as f64).collect();
                Encoding::Numbers { columns: vec![column(shares, 0.0)], invertible: false }
            }
            Categorical::Target { smoothing, folds } => {
                let n_slots = fitted.slots.len();
                let fit = TargetFit { slot_of_row: &slot_of_row, n_slots, smoothing };
                let (columns, of_rows) = fit.columns(targets, folds, seed, plan);
                out_of_fold = Some(of_rows);
                Encoding::Numbers { columns, invertible: false }
            }
        };
        Ok((fitted, out_of_fold))
    }

    /// The slot of each code of a column, in order, and the slot of a missing value.
    pub(crate) fn slot_of_code(&self, levels: &Levels) -> Vec<Option<usize>> {
        let mut known: BTreeMap<&str, usize> =
            self.slots.iter().map(String::as_str).zip(0..).collect();
        let rare = if self.rare.is_empty() { None } else { Some(self.slots.len() - 1) };
        if let Some(rare) = rare {
            known.extend(self.rare.iter().map(|name| (name.as_str(), rare)));
        }
        levels.names.iter().map(|name| known.get(name.as_str()).copied().or(rare)).collect()
    }

    fn slots_of(&self, levels: &Levels) -> Vec<Option<usize>> {
        let slot_of_code = self.slot_of_code(levels);
        let missing = self.missing_slot();
        let slot = |&code: &u32| match code {
            MISSING_LEVEL => missing,
            code => slot_of_code[code as usize],
        };
        levels.codes.iter().map(slot).collect()
    }

    /// Whether a column of its own says where values are missing.
    pub(crate) fn shows_gaps(&self) -> bool {
        matches!(self.encoding, Encoding::OneHot)
            && self.missing.is_some_and(|slot| self.slots[slot] == MISSING)
    }

    /// Slot of a missing value: its own, else that of what is rare or unseen.
    pub(crate) fn missing_slot(&self) -> Option<usize> {
        self.missing.or((!self.rare.is_empty()).then(|| self.slots.len() - 1))
    }

    /// Number of columns that come out.
    pub(crate) fn width(&self) -> usize {
        match &self.encoding {
            Encoding::OneHot => self.slots.len(),
            Encoding::Numbers { columns, .. } => columns.len(),
        }
    }
}

/// Fits the target encoding.
///
/// # Source
/// D. Micci-Barreca: A preprocessing scheme for high-cardinality categorical attributes, 2001,
/// doi:10.1145/507533.507538, with a fixed weight of the overall mean, as `TargetEncoder(smooth=m)`
/// of scikit-learn; the folds are ours.
struct TargetFit<'a> {
    slot_of_row: &'a [Option<usize>],
    n_slots: usize,
    smoothing: f64,
}

impl TargetFit<'_> {
    fn columns(
        &self,
        targets: &Targets,
        folds: usize,
        seed: Seed,
        plan: &ColumnPlan,
    ) -> (Vec<NumberColumn>, OutOfFold) {
        let n_rows = self.slot_of_row.len();
        let mut fold_of_row: Vec<usize> = (0..n_rows).map(|row| row % folds).collect();
        fold_of_row.shuffle(&mut seed.rng());
        let (mut columns, mut out_of_fold) = (Vec::new(), Vec::new());
        for (suffix, values) in signals(targets) {
            let (of_slot, mean) = self.means(&values, |_| true);
            let mut of_rows = vec![0.0; n_rows];
            for fold in 0..folds {
                let (of_slot, mean) = self.means(&values, |row| fold_of_row[row] != fold);
                for row in (0..n_rows).filter(|&row| fold_of_row[row] == fold) {
                    of_rows[row] = self.slot_of_row[row].map_or(mean, |slot| of_slot[slot]);
                }
            }
            let mut sorted = of_rows.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let number = FittedNumber::of_sorted(None, None, &sorted, plan.numeric);
            out_of_fold.push(of_rows.into_iter().map(|value| number.forward(value)).collect());
            columns.push(NumberColumn { suffix, of_slot, unseen: mean, number });
        }
        (columns, out_of_fold)
    }

    /// The smoothed mean of each slot over some rows, and the mean of them all.
    fn means(&self, values: &[f64], of: impl Fn(usize) -> bool) -> (Vec<f64>, f64) {
        let mut sums = vec![(0.0, 0.0); self.n_slots];
        let (mut total, mut n) = (0.0, 0.0);
        for (row, (&value, slot)) in values.iter().zip(self.slot_of_row).enumerate() {
            if of(row) {
                total += value;
                n += 1.0;
                if let Some(slot) = slot {
                    sums[*slot].0 += value;
                    sums[*slot].1 += 1.0;
                }
            }
        }
        let mean = if n == 0.0 { 0.0 } else { total / n };
        let of_slot = sums.into_iter().map(|(sum, count)| match count + self.smoothing {
            0.0 => mean,
            weight => (sum + self.smoothing * mean) / weight,
        });
        (of_slot.collect(), mean)
    }
}

/// The numbers that categories are encoded by: the target itself, or one of two classes, or each of
/// several.
fn signals(targets: &Targets) -> Vec<(String, Vec<f64>)> {
    match targets {
        Targets::Values(values) => {
            vec![(String::new(), values.iter().map(|&value| f64::from(value)).collect())]
        }
        Targets::Classes { ids, names } => {
            let is = |class: u32| ids.iter().map(|&id| f64::from(u8::from(id == class))).collect();
            match names.len() {
                2 => vec![(String::new(), is(1))],
                _ => names.iter().zip(0..).map(|(name, class)| (name.clone(), is(class))).collect(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::config::PreprocessConfig;

    fn plan(text: &str) -> ColumnPlan {
        let config: PreprocessConfig = toml::from_str(text).unwrap();
        config.check().unwrap();
        config.column("x")
    }

    fn levels(texts: &[&str]) -> Levels {
        Levels::of(texts.iter().map(|text| Some(*text).filter(|text| !text.is_empty())))
    }

    fn fit(texts: &[&str], plan: &ColumnPlan) -> Result<FittedCategory, Unfit> {
        let targets = Targets::Values((0..texts.len()).map(|i| i as f32).collect());
        FittedCategory::fit(&levels(texts), &targets, plan, Seed::new(1)).map(|(fitted, _)| fitted)
    }

    #[test]
    fn levels_become_slots() {
        let texts = ["b", "a", "b", "c", "b", "", "a", "d", "b", "a"];
        let slots = |text: &str| fit(&texts, &plan(text)).unwrap().slots;
        assert_eq!(slots("missing = { fill = 'mean' }"), [MISSING, "a", "b", "c", "d"]);
        assert_eq!(slots("missing = { fill = 'most_frequent' }"), ["a", "b", "c", "d"]);
        let rare = "missing = { fill = 'most_frequent' }\nrare_share = 0.2";
        assert_eq!(slots(rare), ["a", "b", RARE]);
        let fitted = fit(&texts, &plan(rare)).unwrap();
        let found = fitted.slots_of(&levels(&["c", "z", "", "a"]));
        assert_eq!(found, [Some(2), Some(2), Some(1), Some(0)]);
        let fitted = fit(&["a", "b"], &plan("")).unwrap();
        assert_eq!(fitted.slots_of(&levels(&["z", "b", ""])), [None, Some(1), None]);
    }

    #[test]
    fn an_embedding_is_a_column_a_level_for_the_models_first_layer() {
        let fit = |text| fit(&["a", "b", "a"], &plan(text)).unwrap();
        let embedded = fit("categorical = 'embedding'");
        assert!(matches!(embedded.encoding, Encoding::OneHot));
        assert_eq!(embedded.slots, fit("categorical = 'one_hot'").slots);
    }

    #[test]
    fn an_order_is_obeyed_and_must_be_whole() {
        let order = "categorical = { ordinal = { order = ['low', 'mid', 'high'] } }";
        let fitted = fit(&["high", "low", "mid"], &plan(order)).unwrap();
        let Encoding::Numbers { columns, invertible } = &fitted.encoding else { unreachable!() };
        assert_eq!((&columns[0].of_slot, invertible), (&vec![0.0, 1.0, 2.0], &true));
        assert_eq!(fitted.slots, ["low", "mid", "high"]);
        let error = fit(&["high", "top"], &plan(order)).unwrap_err();
        assert_eq!(error, Unfit::NotInOrder("top".into()));
    }

    #[test]
    fn no_training_row_sees_its_own_target() {
        let plan = plan("categorical = { target = { smoothing = 0.0, folds = 3 } }");
        let texts = ["a", "a", "a", "a", "a", "a"];
        let of = |values: Vec<f32>| {
            let targets = Targets::Values(values);
            FittedCategory::fit(&levels(&texts), &targets, &plan, Seed::new(4)).unwrap()
        };
        let (fitted, rows) = of(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let Encoding::Numbers { columns, .. } = &fitted.encoding else { unreachable!() };
        assert_eq!(columns[0].of_slot, [2.5]);
        let (_, moved) = of(vec![900.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let (rows, moved) = (&rows.unwrap()[0], &moved.unwrap()[0]);
        assert_eq!(rows[0], moved[0], "the own target decides nothing");
        assert!(rows.iter().zip(moved).filter(|(a, b)| a != b).count() >= 3);
    }

    #[test]
    fn identifiers_are_refused() {
        let texts: Vec<String> = (0..5000).map(|i| i.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(fit(&texts, &plan("")), Err(Unfit::TooMany(5000)));
        assert!(fit(&texts, &plan("categorical = 'frequency'")).is_ok());
    }
}
