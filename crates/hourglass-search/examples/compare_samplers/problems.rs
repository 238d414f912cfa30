//! The five problems: three test functions, a made-up conditional space, and digits by table.
//! `tests/peers/optuna_samplers.py` has the same ones.

use std::collections::HashMap;
use std::f64::consts::PI;

use hourglass_search::{Distribution, Error, Parameter, Params, SearchSpace};
use serde_json::Value;

/// Losses of a grid of autoencoders after 1, 3, 9 and 27 epochs; the example
/// `digits_search_table` of hourglass-features makes it.
const DIGITS: &str = include_str!("digits.csv");

/// Epochs after which the table knows a loss.
pub const RUNGS: [i64; 4] = [1, 3, 9, 27];

/// Something to minimise.
pub struct Problem {
    pub name: &'static str,
    pub space: SearchSpace,
    pub loss: Box<dyn Fn(&Params) -> f64 + Sync>,
}

/// All five.
pub fn all() -> Result<Vec<Problem>, Error> {
    Ok(vec![branin()?, hartmann()?, rosenbrock()?, conditional()?, digits()?])
}

fn branin() -> Result<Problem, Error> {
    let space = SearchSpace::new([
        ("x0", Distribution::float(-5.0, 10.0).into()),
        ("x1", Distribution::float(0.0, 15.0).into()),
    ])?;
    let loss = |params: &Params| {
        let (x, y) = (number(params, "x0"), number(params, "x1"));
        let bowl = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
        bowl * bowl + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0
    };
    Ok(Problem { name: "Branin", space, loss: Box::new(loss) })
}

fn hartmann() -> Result<Problem, Error> {
    const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let unit = |at: usize| (format!("x{at}"), Distribution::float(0.0, 1.0).into());
    let loss = |params: &Params| {
        let term = |row: usize| {
            let distance: f64 = (0..6)
                .map(|at| A[row][at] * (number(params, &format!("x{at}")) - P[row][at]).powi(2))
                .sum();
            ALPHA[row] * (-distance).exp()
        };
        -(0..4).map(term).sum::<f64>()
    };
    let space = SearchSpace::new((0..6).map(unit))?;
    Ok(Problem { name: "Hartmann-6", space, loss: Box::new(loss) })
}

fn rosenbrock() -> Result<Problem, Error> {
    let wide = |at: usize| (format!("x{at}"), Distribution::float(-2.0, 2.0).into());
    let loss = |params: &Params| {
        let x: Vec<f64> = (0..4).map(|at| number(params, &format!("x{at}"))).collect();
        let valley =
            |pair: &[f64]| 100.0 * (pair[1] - pair[0] * pair[0]).powi(2) + (1.0 - pair[0]).powi(2);
        (1.0 + x.windows(2).map(valley).sum::<f64>()).ln()
    };
    let space = SearchSpace::new((0..4).map(wide))?;
    Ok(Problem { name: "log-Rosenbrock-4", space, loss: Box::new(loss) })
}

/// Three optimisers with a parameter of their own each, and up to three layers with a width each.
fn conditional() -> Result<Problem, Error> {
    let rate = || Parameter::from(Distribution::float(1e-5, 1.0).log());
    let width = || Parameter::from(Distribution::int(8, 512).log());
    let space = SearchSpace::new([
        ("layers", Distribution::categorical([1, 2, 3]).into()),
        ("optimizer", Distribution::categorical(["adam", "sgd", "rmsprop"]).into()),
        ("adam_rate", rate().when("optimizer", ["adam"])),
        ("beta", Parameter::from(Distribution::float(0.8, 0.999)).when("optimizer", ["adam"])),
        ("sgd_rate", rate().when("optimizer", ["sgd"])),
        ("momentum", Parameter::from(Distribution::float(0.0, 0.99)).when("optimizer", ["sgd"])),
        ("rmsprop_rate", rate().when("optimizer", ["rmsprop"])),
        ("width_1", width()),
        ("width_2", width().when("layers", [2, 3])),
        ("width_3", width().when("layers", [3])),
    ])?;
    let loss = |params: &Params| {
        let off = |name: &str, best: f64| (number(params, name).log10() - best).powi(2);
        let optimizer = match params.get("optimizer").and_then(Value::as_str) {
            Some("adam") => {
                0.1 + 0.08 * off("adam_rate", -3.0) + 4.0 * (number(params, "beta") - 0.92).powi(2)
            }
            Some("sgd") => {
                let momentum = (number(params, "momentum") - 0.9).powi(2);
                0.08 + 0.15 * off("sgd_rate", -1.5) + 0.3 * momentum
            }
            _ => 0.14 + 0.06 * off("rmsprop_rate", -3.5),
        };
        let layers = number(params, "layers") as usize;
        let missed = |layer: usize| {
            let best = [7.0, 6.0, 5.0][layer];
            (number(params, &format!("width_{}", layer + 1)).log2() - best).powi(2)
        };
        let missed: f64 = (0..layers).map(missed).sum();
        optimizer + [0.05, 0.02, 0.0][layers - 1] + 0.015 * missed
    };
    Ok(Problem { name: "conditional", space, loss: Box::new(loss) })
}

/// The grid of `digits.csv`: numeric parameters are places in its lists of values.
fn digits() -> Result<Problem, Error> {
    let curves = Curves::read();
    let loss = move |params: &Params| curves.loss(params, RUNGS[RUNGS.len() - 1]);
    Ok(Problem { name: "digits", space: digits_space()?, loss: Box::new(loss) })
}

/// The space of the digits.
pub fn digits_space() -> Result<SearchSpace, Error> {
    let Curves { lists, .. } = Curves::read();
    let place = |at: usize| Parameter::from(Distribution::int(0, lists[at].len() as i64 - 1));
    SearchSpace::new([
        ("latent_dim", place(0)),
        ("rate", place(1)),
        ("noise", place(2)),
        ("depth", place(3)),
        ("activation", Distribution::categorical(lists[4].clone()).into()),
    ])
}

/// Learning curves by the values of the parameters as the table writes them.
pub struct Curves {
    lists: [Vec<String>; 5],
    by_values: HashMap<Vec<String>, [f64; RUNGS.len()]>,
}

impl Curves {
    pub fn read() -> Curves {
        let mut lists: [Vec<String>; 5] = Default::default();
        let mut by_values = HashMap::new();
        for line in DIGITS.lines().skip(1) {
            let columns: Vec<&str> = line.split(',').collect();
            let (values, losses) = columns.split_at(lists.len());
            for (list, value) in lists.iter_mut().zip(values) {
                if !list.iter().any(|known| known == value) {
                    list.push((*value).to_owned());
                }
            }
            let loss = |at: usize| losses[at].parse().unwrap_or(f64::INFINITY);
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            by_values.insert(values, std::array::from_fn(loss));
        }
        Curves { lists, by_values }
    }

    /// The loss after some epochs.
    pub fn loss(&self, params: &Params, epochs: i64) -> f64 {
        let names = ["latent_dim", "rate", "noise", "depth", "activation"];
        let value = |(name, list): (&str, &Vec<String>)| match params.get(name) {
            Some(Value::String(text)) => text.clone(),
            _ => list[number(params, name) as usize].clone(),
        };
        let values: Vec<String> = names.into_iter().zip(&self.lists).map(value).collect();
        let rung = RUNGS.iter().position(|rung| *rung == epochs);
        let curve = self.by_values.get(&values);
        curve.zip(rung).map_or(f64::INFINITY, |(curve, rung)| curve[rung])
    }
}

fn number(params: &Params, name: &str) -> f64 {
    params.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN)
}
