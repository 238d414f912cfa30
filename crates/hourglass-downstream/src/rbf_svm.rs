//! Support vector machine with the Gaussian kernel: exact up to a few thousand rows, beyond that a
//! linear one on random Fourier features. `chosen` says which.

use std::collections::BTreeMap;

use hourglass_core::{Interrupt, Matrix, MatrixView, Progress, Seed};
use ndarray::{Axis, s};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::require;
use crate::estimator::{check_predict, stop_if_raised};
use crate::kernel::smo::{self, Problem, Solution};
use crate::kernel::{Fourier, MAX_EXACT, gaussian, usual_gamma};
use crate::linear::{self, Linear, LinearData, Settings, Targets};
use crate::linear_svm::SquaredHinge;
use crate::{Error, Estimator, FitData, Fitted};

/// `c` and kernel widths that are tried, the usual ones first.
pub(crate) const TRIED: [(f64, f64); 5] =
    [(1.0, 1.0), (10.0, 1.0), (1.0, 0.25), (10.0, 0.25), (100.0, 0.25)];

/// How far the optimality conditions may be missed, as libsvm's.
pub(crate) const TOLERANCE: f64 = 1e-3;

/// Rows predicted together.
const PREDICTED_ROWS: usize = 1024;

/// Support vector machine with the kernel `exp(-gamma |a - b|^2)`, one class against another.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `c` | chosen | inverse strength of the penalty; 1, 10 or 100, chosen on validation, unless given | positive |
/// | `gamma` | chosen | the kernel's width as a multiple of `1 / (n_features * variance)`; 1 or 0.25, chosen on validation, unless given | positive |
///
/// Fitted on training and validation rows together. Beyond 4,000 rows it is approximated: a
/// linear machine (squared hinge, one class against the rest, its own choice of `c`) on 1,000
/// random Fourier features; `chosen` has `exact = 0` then.
///
/// # Source
/// scikit-learn's `SVC(gamma="scale", decision_function_shape="ovr", break_ties=True)`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct RbfSvm {
    /// Inverse strength of the penalty; chosen unless given.
    pub c: Option<f64>,
    /// Width of the kernel, relative to the usual one; chosen unless given.
    pub gamma: Option<f64>,
}

impl RbfSvm {
    pub(crate) const NAME: &'static str = "rbf_svm";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<(), Error> {
        for (field, value) in [("c", self.c), ("gamma", self.gamma)] {
            let value = value.unwrap_or(1.0);
            let holds = value > 0.0 && value.is_finite();
            require(holds, Self::NAME, field, value, "positive and finite")?;
        }
        Ok(())
    }

    /// What is tried for this many rows, the usual first.
    pub(crate) fn candidates(&self, n_rows: usize) -> Vec<RbfSvm> {
        let mut candidates = Vec::new();
        for (c, gamma) in TRIED {
            // The approximate machine chooses its own `c`.
            let c = if n_rows > MAX_EXACT { self.c } else { Some(self.c.unwrap_or(c)) };
            let candidate = RbfSvm { c, gamma: Some(self.gamma.unwrap_or(gamma)) };
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates
    }
}

impl Estimator for RbfSvm {
    fn fit<'a>(
        &self,
        data: &FitData<'a>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn Fitted + 'a>, Error> {
        self.check()?;
        data.check()?;
        let gamma = self.gamma.unwrap_or(TRIED[0].1) * usual_gamma(data.train);
        let chosen = BTreeMap::from([("gamma".to_owned(), gamma)]);
        if data.all_rows().nrows() > MAX_EXACT {
            return self.approximate(data, gamma, chosen, seed, progress, interrupt);
        }
        stop_if_raised(interrupt)?;
        progress.begin(Self::NAME, None);
        let machine = Exact::fit(data, self.c.unwrap_or(TRIED[0].0), gamma, chosen);
        progress.end("");
        Ok(Box::new(machine))
    }
}

impl RbfSvm {
    fn approximate<'a>(
        &self,
        data: &FitData<'a>,
        gamma: f64,
        mut chosen: BTreeMap<String, f64>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn Fitted + 'a>, Error> {
        let fourier = Fourier::draw(data.train.ncols(), gamma, seed.child(Self::NAME));
        let rows = fourier.of(data.all_rows());
        let weights = data.row_weights();
        let linear = LinearData {
            rows: rows.view(),
            targets: Targets { values: data.all_classes(), weights: weights.as_deref() },
            n_train: data.train.nrows(),
            n_fit: data.refit.nrows(),
            n_outputs: data.n_classes,
        };
        let c = self.c.map(|c| c as f32);
        let settings = Settings { name: Self::NAME, c, max_iterations: 200, tolerance: 1e-4 };
        let linear = linear::fit::<SquaredHinge>(&settings, &linear, progress, interrupt)?;
        chosen.extend(linear.chosen.clone());
        chosen.insert("exact".to_owned(), 0.0);
        Ok(Box::new(Approximate { fourier, linear, chosen }))
    }
}

/// One machine for each pair of classes, over the rows that any of them leans on.
struct Exact {
    gamma: f64,
    /// `(n_vectors, n_features)`.
    vectors: Matrix,
    machines: Vec<Pair>,
    n_classes: usize,
    chosen: BTreeMap<String, f64>,
}

/// Decides between two classes; above zero is the first.
struct Pair {
    classes: [u32; 2],
    /// Support vector and its coefficient.
    terms: Vec<(usize, f64)>,
    offset: f64,
}

impl Exact {
    fn fit(data: &FitData<'_>, c: f64, gamma: f64, mut chosen: BTreeMap<String, f64>) -> Exact {
        let (rows, classes) = (data.refit, data.refit_classes);
        let kernel = gaussian(rows, rows, gamma);
        let n_classes = data.n_classes as u32;
        let pairs: Vec<[u32; 2]> =
            (0..n_classes).flat_map(|a| (a + 1..n_classes).map(move |b| [a, b])).collect();
        let solve = |&[a, b]: &[u32; 2]| {
            let members: Vec<usize> =
                (0..classes.len()).filter(|&row| [a, b].contains(&classes[row])).collect();
            let sign = |&row: &usize| if classes[row] == a { 1.0 } else { -1.0 };
            let signs: Vec<f64> = members.iter().map(sign).collect();
            let most: Vec<f64> =
                members.iter().map(|&row| c * f64::from(data.class_weight(classes[row]))).collect();
            let problem = Problem {
                kernel: kernel.view(),
                rows: &members,
                signs: &signs,
                linear: &vec![-1.0; members.len()],
                most: &most,
                tolerance: TOLERANCE,
            };
            let Solution { coefficients, offset, converged } = smo::solve(&problem);
            let terms = members.into_iter().zip(coefficients).filter(|(_, value)| *value != 0.0);
            (Pair { classes: [a, b], terms: terms.collect(), offset }, converged)
        };
        // A class without rows has no machine.
        let present = |class: u32| classes.contains(&class);
        let pairs: Vec<[u32; 2]> =
            pairs.into_iter().filter(|[a, b]| present(*a) && present(*b)).collect();
        let (mut machines, converged): (Vec<Pair>, Vec<bool>) = pairs.par_iter().map(solve).unzip();
        // Only the rows that some machine leans on are kept.
        let mut place = vec![None; rows.nrows()];
        let mut kept = Vec::new();
        for (row, _) in machines.iter_mut().flat_map(|machine| machine.terms.iter_mut()) {
            let at = *place[*row].get_or_insert_with(|| {
                kept.push(*row);
                kept.len() - 1
            });
            *row = at;
        }
        chosen.insert("exact".to_owned(), 1.0);
        chosen.insert("c".to_owned(), c);
        chosen.insert("n_support_vectors".to_owned(), kept.len() as f64);
        let all = converged.iter().all(|&converged| converged);
        chosen.insert("converged".to_owned(), f64::from(u8::from(all)));
        let vectors = rows.select(Axis(0), &kept);
        Exact { gamma, vectors, machines, n_classes: data.n_classes, chosen }
    }
}

impl Fitted for Exact {
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        check_predict(x, self.vectors.ncols())?;
        let mut scores = Matrix::zeros((x.nrows(), self.n_classes));
        for start in (0..x.nrows()).step_by(PREDICTED_ROWS) {
            let end = (start + PREDICTED_ROWS).min(x.nrows());
            let kernel = gaussian(x.slice(s![start..end, ..]), self.vectors.view(), self.gamma);
            let mut scores = scores.slice_mut(s![start..end, ..]);
            scores.outer_iter_mut().into_par_iter().zip(kernel.outer_iter()).for_each(
                |(mut scores, kernel)| {
                    let mut votes = vec![0.0_f64; self.n_classes];
                    let mut sums = vec![0.0_f64; self.n_classes];
                    for Pair { classes: [a, b], terms, offset } in &self.machines {
                        let sum: f64 =
                            terms.iter().map(|&(at, value)| value * f64::from(kernel[at])).sum();
                        let decision = sum - offset;
                        let (a, b) = (*a as usize, *b as usize);
                        votes[if decision > 0.0 { a } else { b }] += 1.0;
                        sums[a] += decision;
                        sums[b] -= decision;
                    }
                    // Votes decide; the sums only break ties, as in scikit-learn.
                    for ((score, votes), sum) in scores.iter_mut().zip(&votes).zip(&sums) {
                        *score = (votes + sum / (3.0 * (sum.abs() + 1.0))) as f32;
                    }
                    if self.n_classes == 2 {
                        scores[0] = sums[0] as f32;
                        scores[1] = sums[1] as f32;
                    }
                },
            );
        }
        Ok(scores)
    }

    fn gives_probabilities(&self) -> bool {
        false
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.chosen.clone()
    }

    fn size(&self) -> usize {
        let terms: usize = self.machines.iter().map(|machine| machine.terms.len() + 1).sum();
        self.vectors.len() + terms
    }
}

struct Approximate {
    fourier: Fourier,
    linear: Linear,
    chosen: BTreeMap<String, f64>,
}

impl Fitted for Approximate {
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        check_predict(x, self.fourier.n_features())?;
        self.linear.scores(self.fourier.of(x).view())
    }

    fn gives_probabilities(&self) -> bool {
        false
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.chosen.clone()
    }

    fn size(&self) -> usize {
        self.fourier.size() + self.linear.size()
    }
}
