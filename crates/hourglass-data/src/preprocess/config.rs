//! The `[preprocess]` table of a pipeline file. It fits nothing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How features are cleaned, encoded and scaled. Everything is fitted on training rows alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct PreprocessConfig {
    /// What to do about missing values.
    pub missing: Missing,
    /// Whether each column with gaps in the training rows gets a second one that says where they
    /// are, unless a gap is a level of its own already; for tables alone. Default: no.
    pub indicators: bool,
    /// Two quantiles of the training rows, such as `[0.01, 0.99]`: numbers of a table beyond them
    /// are set to them. Default: nothing is clipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<[f64; 2]>,
    /// How numbers are scaled.
    pub numeric: Numeric,
    /// How categories become numbers.
    pub categorical: Categorical,
    /// Levels of a category in less than this share of the training rows are merged into one,
    /// `(rare)`, which levels unseen in training fall to, too; 0 or more, below 1. Default: 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub rare_share: f64,
    /// What of a date becomes a number. Default: `["days", "month", "weekday"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dates: Option<Vec<DatePart>>,
    /// Whether columns that are constant in the training rows are left out. Default: yes for
    /// tables, no for images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_constant_columns: Option<bool>,
    /// Whether a column of a table that equals an earlier one in every training row is left out.
    /// Default: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_duplicate_columns: Option<bool>,
    /// What is otherwise for single columns of a table, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, ColumnConfig>,
}

/// What is otherwise for a column; keys that are absent are as for all columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct ColumnConfig {
    /// What is put in place of missing values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<Fill>,
    /// The quantiles beyond which numbers are clipped; `[0.0, 1.0]` clips nothing in training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<[f64; 2]>,
    /// How numbers are scaled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numeric: Option<Numeric>,
    /// How the category becomes numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub categorical: Option<Categorical>,
    /// The share below which levels are merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rare_share: Option<f64>,
}

/// What to do about missing values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Missing {
    /// Stop and say where the first one is.
    #[default]
    Error,
    /// Leave out rows that have one, in every part.
    DropRows,
    /// Put something there. A missing category becomes a level of its own, `(missing)`, unless it
    /// is filled with the most frequent one; a missing boolean gets the most frequent value.
    Fill(Fill),
}

/// What is put in place of a missing number; learnt from the training rows that have one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Fill {
    /// Mean of the column.
    Mean,
    /// Median of the column.
    Median,
    /// Most frequent value of the column, the smallest where several are.
    MostFrequent,
    /// Always the same.
    Constant {
        /// Finite.
        value: f32,
    },
    /// Mean of the nearest training rows that have the value, by the numeric columns that both rows
    /// have, each scaled to mean 0 and deviation 1; for tables alone. At most 10,000 training rows
    /// are asked, drawn from the seed.
    Nearest {
        /// Number of rows, 1 or more. Default: 5.
        #[serde(default = "five")]
        #[schemars(range(min = 1))]
        k: usize,
    },
}

/// How numbers are scaled. Images are scaled with one pair of numbers for all pixels, tables with
/// a pair for each column. Booleans and columns that hold only 0 and 1 stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Numeric {
    /// As they are.
    #[default]
    None,
    /// Multiplied.
    Constant {
        /// Finite and not 0.
        factor: f32,
    },
    /// Smallest training value to the lower end of `range`, largest to the upper end. Other rows
    /// may lie beyond.
    MinMax {
        /// Two finite numbers, the lower one first.
        range: [f32; 2],
    },
    /// Mean 0 and standard deviation 1 in the training rows.
    Standard,
    /// Median 0 and distance of the quartiles 1 in the training rows; for tables alone.
    Robust,
    /// Divided by the largest absolute training value; for tables alone.
    MaxAbs,
    /// By rank to an even or a normal distribution (to a normal one: RankGauss); for tables alone.
    Quantile(Quantile),
    /// Bent by a power until the training rows look normal, then mean 0 and standard deviation 1;
    /// for tables alone.
    YeoJohnson,
}

/// Scaling by rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Quantile {
    /// The distribution that comes out.
    pub output: QuantileOutput,
    /// Number of quantiles that are kept, 2 or more; at most one a training row is. Default: 1000.
    #[serde(default = "thousand")]
    #[schemars(range(min = 2))]
    pub n_quantiles: usize,
}

/// The distribution that scaling by rank gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuantileOutput {
    /// Even between 0 and 1.
    Uniform,
    /// Normal, within 5.2 standard deviations.
    Normal,
}

/// How categories become numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Categorical {
    /// A column of 0 and 1 for each level. An unseen level is 0 in all of them.
    #[default]
    OneHot,
    /// The position of the level, scaled as `numeric` says. An unseen level is -1.
    Ordinal {
        /// All levels from first to last. Default: in alphabetical order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        order: Vec<String>,
    },
    /// The share of training rows that have the level, scaled as `numeric` says. Unseen: 0.
    Frequency,
    /// The mean target of the training rows that have the level, drawn towards the mean of all, and
    /// scaled as `numeric` says; one column, or one a class where there are more than two. Training
    /// rows are encoded by the other folds, so that no row sees its own target.
    Target {
        /// So many rows the mean of all counts for, 0 or more. Default: 10.
        #[serde(default = "ten")]
        smoothing: f64,
        /// Folds that training rows are encoded by, 2 or more. Default: 5.
        #[serde(default = "five")]
        #[schemars(range(min = 2))]
        folds: usize,
    },
    /// A vector for each level that the model learns: one column a level, as with `one_hot`, and
    /// the weights of the model's first dense layer that meet that column. The vector is as wide as
    /// that layer, or as the model's `embedding_dim` says.
    Embedding,
}

/// What of a date becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatePart {
    /// Days since 1970-01-01, with the time as a fraction.
    Days,
    /// The year.
    Year,
    /// 1 to 12.
    Month,
    /// 1 to 31.
    Day,
    /// 0 for Monday to 6 for Sunday.
    Weekday,
    /// 0 to 23.
    Hour,
}

impl PreprocessConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] with the way out.
    pub fn check(&self) -> Result<(), Error> {
        if let Missing::Fill(fill) = self.missing {
            check_fill("preprocess.missing.fill", fill)?;
        }
        check_numeric("preprocess.numeric", self.numeric)?;
        check_categorical("preprocess.categorical", &self.categorical)?;
        check_clip("preprocess.clip", self.clip)?;
        check_share("preprocess.rare_share", self.rare_share)?;
        if self.dates.as_ref().is_some_and(Vec::is_empty) {
            let hint = "name a part such as \"days\", or leave dates out by `data.select`";
            return Err(Error::config("preprocess.dates", "is empty", hint));
        }
        for (name, column) in &self.columns {
            let section = format!("preprocess.columns.{name}");
            if let Some(fill) = column.fill {
                check_fill(&format!("{section}.fill"), fill)?;
                if !matches!(self.missing, Missing::Fill(_)) {
                    let problem = "fills, but `preprocess.missing` does not";
                    let hint = "set `preprocess.missing = { fill = \"median\" }` or the like";
                    return Err(Error::config(format!("{section}.fill"), problem, hint));
                }
            }
            if let Some(numeric) = column.numeric {
                check_numeric(&format!("{section}.numeric"), numeric)?;
            }
            if let Some(categorical) = &column.categorical {
                check_categorical(&format!("{section}.categorical"), categorical)?;
            }
            check_clip(&format!("{section}.clip"), column.clip)?;
            check_share(&format!("{section}.rare_share"), column.rare_share.unwrap_or(0.0))?;
        }
        Ok(())
    }

    pub(crate) fn date_parts(&self) -> &[DatePart] {
        self.dates.as_deref().unwrap_or(&[DatePart::Days, DatePart::Month, DatePart::Weekday])
    }

    /// What holds for a column.
    pub(crate) fn column(&self, name: &str) -> ColumnPlan {
        let own = self.columns.get(name).cloned().unwrap_or_default();
        let fill = match self.missing {
            Missing::Fill(fill) => Some(own.fill.unwrap_or(fill)),
            Missing::Error | Missing::DropRows => None,
        };
        ColumnPlan {
            fill,
            clip: own.clip.or(self.clip),
            numeric: own.numeric.unwrap_or(self.numeric),
            categorical: own.categorical.unwrap_or_else(|| self.categorical.clone()),
            rare_share: own.rare_share.unwrap_or(self.rare_share),
        }
    }
}

/// What holds for a column, its own keys before those of all.
#[derive(Clone, Debug)]
pub(crate) struct ColumnPlan {
    pub fill: Option<Fill>,
    pub clip: Option<[f64; 2]>,
    pub numeric: Numeric,
    pub categorical: Categorical,
    pub rare_share: f64,
}

fn check_fill(field: &str, fill: Fill) -> Result<(), Error> {
    match fill {
        Fill::Constant { value } if !value.is_finite() => {
            let field = format!("{field}.constant.value");
            Err(Error::config(field, format!("is {value}"), "choose a finite number"))
        }
        Fill::Nearest { k: 0 } => {
            Err(Error::config(format!("{field}.nearest.k"), "is 0", "5 is usual"))
        }
        _ => Ok(()),
    }
}

fn check_numeric(field: &str, numeric: Numeric) -> Result<(), Error> {
    match numeric {
        Numeric::Constant { factor } if !factor.is_finite() || factor == 0.0 => {
            let hint = "choose a finite number other than 0, such as 0.00392157 for bytes";
            Err(Error::config(format!("{field}.constant.factor"), format!("is {factor}"), hint))
        }
        Numeric::MinMax { range: [low, high] }
            if !(low.is_finite() && high.is_finite() && low < high) =>
        {
            let hint = "choose two finite numbers, the lower one first, such as [0.0, 1.0]";
            Err(Error::config(
                format!("{field}.min_max.range"),
                format!("is [{low}, {high}]"),
                hint,
            ))
        }
        Numeric::Quantile(Quantile { n_quantiles: n @ (0 | 1), .. }) => Err(Error::config(
            format!("{field}.quantile.n_quantiles"),
            format!("is {n}"),
            "1000 is usual",
        )),
        _ => Ok(()),
    }
}

fn check_categorical(field: &str, categorical: &Categorical) -> Result<(), Error> {
    match categorical {
        Categorical::Target { smoothing, .. } if !(smoothing.is_finite() && *smoothing >= 0.0) => {
            let field = format!("{field}.target.smoothing");
            Err(Error::config(field, format!("is {smoothing}"), "choose 0 or more, such as 10"))
        }
        Categorical::Target { folds: n @ (0 | 1), .. } => {
            let field = format!("{field}.target.folds");
            Err(Error::config(field, format!("is {n}"), "choose 2 or more, such as 5"))
        }
        _ => Ok(()),
    }
}

fn check_clip(field: &str, clip: Option<[f64; 2]>) -> Result<(), Error> {
    match clip {
        Some([low, high]) if !(0.0 <= low && low < high && high <= 1.0) => {
            let hint = "choose two shares from 0 to 1, the lower one first, such as [0.01, 0.99]";
            Err(Error::config(field, format!("is [{low}, {high}]"), hint))
        }
        _ => Ok(()),
    }
}

fn check_share(field: &str, share: f64) -> Result<(), Error> {
    match share {
        share if (0.0..1.0).contains(&share) => Ok(()),
        _ => Err(Error::config(field, format!("is {share}"), "choose 0 or more, below 1")),
    }
}

fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

fn five() -> usize {
    5
}

fn ten() -> f64 {
    10.0
}

fn thousand() -> usize {
    1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PreprocessConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_column_is_as_all_are_except_for_its_own_keys() {
        let config = parse(
            "missing = { fill = 'mean' }\nnumeric = 'standard'\nrare_share = 0.1\n\
             [columns.age]\nfill = 'median'\nnumeric = { quantile = { output = 'normal' } }",
        );
        config.check().unwrap();
        let (age, other) = (config.column("age"), config.column("x"));
        assert_eq!((age.fill, other.fill), (Some(Fill::Median), Some(Fill::Mean)));
        let quantile = Quantile { output: QuantileOutput::Normal, n_quantiles: 1000 };
        assert_eq!((age.numeric, other.numeric), (Numeric::Quantile(quantile), Numeric::Standard));
        assert_eq!((age.rare_share, age.categorical), (0.1, Categorical::OneHot));
    }

    #[test]
    fn impossible_values_are_named() {
        for (text, field) in [
            (
                "missing = { fill = { constant = { value = nan } } }",
                "preprocess.missing.fill.constant.value",
            ),
            ("missing = { fill = { nearest = { k = 0 } } }", "preprocess.missing.fill.nearest.k"),
            ("numeric = { constant = { factor = 0.0 } }", "preprocess.numeric.constant.factor"),
            ("numeric = { min_max = { range = [1.0, 1.0] } }", "preprocess.numeric.min_max.range"),
            (
                "numeric = { quantile = { output = 'uniform', n_quantiles = 1 } }",
                "preprocess.numeric.quantile.n_quantiles",
            ),
            (
                "categorical = { target = { smoothing = -1.0 } }",
                "preprocess.categorical.target.smoothing",
            ),
            ("categorical = { target = { folds = 1 } }", "preprocess.categorical.target.folds"),
            ("clip = [0.9, 0.1]", "preprocess.clip"),
            ("rare_share = 1.0", "preprocess.rare_share"),
            ("dates = []", "preprocess.dates"),
            ("columns = { age = { fill = 'mean' } }", "preprocess.columns.age.fill"),
            ("columns = { age = { clip = [0.5, 2.0] } }", "preprocess.columns.age.clip"),
        ] {
            let error = parse(text).check().unwrap_err();
            assert_eq!(error.field(), Some(field), "{error}");
            assert!(error.to_string().contains("\nhint: "), "{error}");
        }
    }
}
