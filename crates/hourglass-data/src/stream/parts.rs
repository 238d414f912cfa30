//! Which part each row of a stream falls to. It follows from the row's number, from the value that
//! says which rows belong together, or from its time, so that nothing about single rows is kept.

use hourglass_core::{Seed, Targets};

use super::mix;
use super::read::Reader;
use super::sample::Sample;
use crate::column::Column;
use crate::error::{Error, nearest};
use crate::frame::{Kinds, Labels, Roles, Typed};
use crate::split::{DEFAULT_TEST, SplitBy, SplitConfig, split};

/// What a row is given that falls to no part: one later than the fold that is tested on.
pub(super) const NO_PART: usize = 3;

/// The division of a stream. Parts are numbered: training, validation, test.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    config: SplitConfig,
    fold: usize,
    seed: Seed,
    /// What the part of a row is drawn from, made once for all of them.
    draws: u64,
    /// Where the split is by time.
    times: Option<Times>,
}

/// Times from which rows are validated on, tested on, and left out.
#[derive(Clone, Copy, Debug)]
struct Times([f64; 3]);

impl Parts {
    pub fn new(config: &SplitConfig, seed: Seed) -> Self {
        let draws = seed.child("parts").value();
        Parts { config: config.clone(), fold: 0, seed, draws, times: None }
    }

    pub fn set_fold(&mut self, fold: usize) {
        assert!(fold < self.config.n_folds(), "fold {fold} of {}", self.config.n_folds());
        self.fold = fold;
    }

    /// Names of the columns that are features; the one that says which rows belong together isn't.
    pub fn features(&self, typed: &Typed<'_>, roles: &Roles<'_>) -> Result<Vec<String>, Error> {
        let mut names = typed.features(roles)?;
        let Some((column, field)) = self.config.column() else { return Ok(names) };
        let Some(at) = names.iter().position(|name| name == column) else {
            let hint = nearest(column, names.iter().map(String::as_str));
            return Err(Error::config(field, format!("names no feature column `{column}`"), hint));
        };
        names.remove(at);
        if names.is_empty() {
            let what = "the table without the column that `split.by` names".to_owned();
            let hint = "is it the right file?";
            return Err(Error::Empty { what, missing: "feature column", hint });
        }
        Ok(names)
    }

    /// Learns the times that part the rows, in a pass of its own, from a sample of 100,000 rows or
    /// of all where there are fewer; nothing where the split isn't by time.
    pub fn learn(&mut self, mut reader: Reader<'_>, roles: &Roles<'_>) -> Result<(), Error> {
        let SplitBy::Time { .. } = self.config.by else { return Ok(()) };
        let mut sample = Sample::default();
        let mut kinds: Option<Kinds> = None;
        let mut first_row = 0;
        let seed = self.seed.child("times").value();
        while let Some(source) = reader.next()? {
            let typed = Typed::new(source, roles, kinds.as_ref())?;
            self.features(&typed, roles)?;
            let n_rows = typed.n_rows();
            let Some(column) = self.together(&typed, first_row)? else { break };
            let (labels, rows) = (Labels::Values(vec![0.0; n_rows]), Vec::from_iter(0..n_rows));
            sample.add(&[column], &labels, &rows, first_row, seed)?;
            first_row += n_rows;
            kinds.get_or_insert(typed.kinds());
        }
        sample.prune();
        if let Some(Column::Numbers(times) | Column::Dates(times)) = sample.columns.first() {
            self.times = Some(self.cut(times)?);
        }
        Ok(())
    }

    /// Where these times, which stand for all, are cut: as those of a table in memory.
    fn cut(&self, times: &[f64]) -> Result<Times, Error> {
        let rows = Targets::Values(vec![0.0; times.len()]);
        let parts = split(&rows, Some(times), &self.config, false, self.seed, self.fold)?;
        let first = |rows: &[usize]| rows.iter().map(|&row| times[row]).reduce(f64::min);
        let last_tested = parts.test.iter().map(|&row| times[row]).reduce(f64::max);
        let later =
            times.iter().copied().filter(|&time| last_tested.is_some_and(|last| time > last));
        let ends = [first(&parts.validation), first(&parts.test), later.reduce(f64::min)];
        Ok(Times(ends.map(|end| end.unwrap_or(f64::INFINITY))))
    }

    /// The part of each row of a batch.
    pub fn of_rows(&self, typed: &Typed<'_>, first_row: usize) -> Result<Vec<usize>, Error> {
        let n_rows = typed.n_rows();
        let Some(column) = self.together(typed, first_row)? else {
            return Ok((first_row..first_row + n_rows).map(|row| self.drawn(row as u64)).collect());
        };
        Ok(match (column, self.times) {
            (Column::Numbers(times) | Column::Dates(times), Some(Times(ends))) => {
                times.iter().map(|time| ends.iter().filter(|&end| time >= end).count()).collect()
            }
            // Codes depend on the batch, texts don't.
            (Column::Levels(levels), _) => {
                let number = |name: &String| Seed::new(self.draws).child(name).value();
                let parts: Vec<usize> =
                    levels.names.iter().map(|name| self.drawn(number(name))).collect();
                levels.codes.iter().map(|&code| parts[code as usize]).collect()
            }
            (column, _) => (0..n_rows).map(|row| self.drawn(column.identity(row))).collect(),
        })
    }

    /// The column that says which rows belong together, whole; `None` where the split needs none.
    fn together<'a>(
        &self,
        typed: &'a Typed<'_>,
        first_row: usize,
    ) -> Result<Option<&'a Column>, Error> {
        let Some((name, field)) = self.config.column() else { return Ok(None) };
        let at = typed.names.iter().position(|known| known == name);
        let column = &typed.columns[at.expect("the first batch had it, and names stay the same")];
        if let Some(row) = (0..column.len()).find(|&row| column.is_missing(row)) {
            let row = first_row + row + 1;
            let problem = format!("names `{name}`, which is missing in row {row}");
            let hint = "complete the row, or leave it out by `data.filter`";
            return Err(Error::config(field, problem, hint));
        }
        match (column, &self.config.by) {
            (Column::Numbers(_) | Column::Dates(_), _) => Ok(Some(column)),
            (_, SplitBy::Time { .. }) => {
                let problem = format!("names `{name}`, which is {}", column.kind());
                Err(Error::config(field, problem, "name a column of dates or numbers"))
            }
            _ => Ok(Some(column)),
        }
    }

    /// The part that a number falls to: that of a row in the file, or that of a group.
    pub fn drawn(&self, number: u64) -> usize {
        let draw = mix(self.draws, number) as f64 / u64::MAX as f64;
        let validation = f64::from(self.config.validation);
        if let Some(n_folds) = self.config.folds {
            // The fold is in front of the point, what it is when it isn't tested on behind it.
            let scaled = draw * n_folds as f64;
            return match scaled {
                scaled if (scaled as usize).min(n_folds - 1) == self.fold => 2,
                scaled if scaled.fract() < validation => 1,
                _ => 0,
            };
        }
        let test = f64::from(self.config.test.unwrap_or(DEFAULT_TEST));
        match draw {
            draw if draw < test => 2,
            draw if draw < test + (1.0 - test) * validation => 1,
            _ => 0,
        }
    }
}
