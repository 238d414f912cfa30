//! Sobol points: they fill the space more evenly than chance, however many are taken. The start of
//! the TPE samplers, and a sampler of its own.

use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{History, Sampler, given};
use crate::Params;

/// Bits of a coordinate.
const BITS: u32 = 32;

/// Primitive polynomials and initial direction numbers of the first dimensions (the polynomial's
/// ones and zeros read as a number). Parameters beyond them are drawn by chance.
///
/// # Source
/// Joe and Kuo, "Constructing Sobol sequences with better two-dimensional projections", SIAM J.
/// Sci. Comput. 30, 2008; the file `new-joe-kuo-6.21201`.
const DIRECTIONS: [(u32, &[u32]); 40] = [
    (1, &[]),
    (3, &[1]),
    (7, &[1, 3]),
    (11, &[1, 3, 1]),
    (13, &[1, 1, 1]),
    (19, &[1, 1, 3, 3]),
    (25, &[1, 3, 5, 13]),
    (37, &[1, 1, 5, 5, 17]),
    (41, &[1, 1, 5, 5, 5]),
    (47, &[1, 1, 7, 11, 19]),
    (55, &[1, 1, 5, 1, 1]),
    (59, &[1, 1, 1, 3, 11]),
    (61, &[1, 3, 5, 5, 31]),
    (67, &[1, 3, 3, 9, 7, 49]),
    (91, &[1, 1, 1, 15, 21, 21]),
    (97, &[1, 3, 1, 13, 27, 49]),
    (103, &[1, 1, 1, 15, 7, 5]),
    (109, &[1, 3, 1, 15, 13, 25]),
    (115, &[1, 1, 5, 5, 19, 61]),
    (131, &[1, 3, 7, 11, 23, 15, 103]),
    (137, &[1, 3, 7, 13, 13, 15, 69]),
    (143, &[1, 1, 3, 13, 7, 35, 63]),
    (145, &[1, 3, 5, 9, 1, 25, 53]),
    (157, &[1, 3, 1, 13, 9, 35, 107]),
    (167, &[1, 3, 1, 5, 27, 61, 31]),
    (171, &[1, 1, 5, 11, 19, 41, 61]),
    (185, &[1, 3, 5, 3, 3, 13, 69]),
    (191, &[1, 1, 7, 13, 1, 19, 1]),
    (193, &[1, 3, 7, 5, 13, 19, 59]),
    (203, &[1, 1, 3, 9, 25, 29, 41]),
    (211, &[1, 3, 5, 13, 23, 1, 55]),
    (213, &[1, 3, 7, 3, 13, 59, 17]),
    (229, &[1, 3, 1, 3, 5, 53, 69]),
    (239, &[1, 1, 5, 5, 23, 33, 13]),
    (241, &[1, 1, 7, 7, 1, 61, 123]),
    (247, &[1, 1, 7, 9, 13, 61, 49]),
    (253, &[1, 3, 3, 5, 3, 55, 33]),
    (285, &[1, 3, 1, 15, 31, 13, 49, 245]),
    (299, &[1, 3, 5, 15, 31, 59, 63, 97]),
    (301, &[1, 3, 1, 11, 11, 11, 77, 249]),
];

/// Quasi-random search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sobol {}

impl Sobol {
    /// Its name in the file.
    pub const NAME: &'static str = "sobol";
}

impl Sampler for Sobol {
    /// Trial `number` is the `number`-th point. The whole sequence is shifted (bit by bit, which
    /// keeps it even) by the seed of the study; each parameter has a coordinate, used or not.
    fn suggest(&self, history: &History<'_>, number: u64, fixed: &Params) -> Params {
        let shifts = history.seed.child("sobol");
        let trial = history.trial_seed(number);
        let dimensions: Vec<&str> = history.space.iter().map(|(name, _)| name).collect();
        history.space.fill(|name, distribution| {
            let dimension = dimensions.iter().position(|other| *other == name);
            let place = match dimension.and_then(|dimension| DIRECTIONS.get(dimension)) {
                Some((polynomial, initial)) => {
                    let shift: u32 = shifts.child(name).rng().random();
                    let point = coordinate(*polynomial, initial, number as u32) ^ shift;
                    (f64::from(point) + 0.5) / f64::from(BITS).exp2()
                }
                None => trial.child(name).rng().random(),
            };
            given(fixed, name, distribution).unwrap_or_else(|| distribution.from_unit(place))
        })
    }
}

/// The `index`-th point's coordinate in one dimension, as a fraction of 2^32.
fn coordinate(polynomial: u32, initial: &[u32], index: u32) -> u32 {
    let gray = index ^ (index >> 1);
    direction_numbers(polynomial, initial)
        .iter()
        .enumerate()
        .filter(|(bit, _)| gray >> bit & 1 == 1)
        .fold(0, |point, (_, direction)| point ^ direction)
}

/// Direction numbers by the recurrence of the polynomial.
fn direction_numbers(polynomial: u32, initial: &[u32]) -> [u32; BITS as usize] {
    let degree = initial.len();
    let mut numbers = [0; BITS as usize];
    for bit in 0..BITS as usize {
        let shift = BITS - 1 - bit as u32;
        numbers[bit] = if degree == 0 {
            1 << shift
        } else if bit < degree {
            initial[bit] << shift
        } else {
            let leading = numbers[bit - degree];
            (1..degree)
                .filter(|back| polynomial >> (degree - back) & 1 == 1)
                .fold(leading ^ (leading >> degree), |number, back| number ^ numbers[bit - back])
        };
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_those_of_scipy() {
        // python -c 'from scipy.stats import qmc
        //   p = qmc.Sobol(40, scramble=False, bits=32).random(64)
        //   print(p[:8, :4].tolist(), p[[9, 50, 63]][:, [7, 20, 39]].tolist())'
        let point = |index: u32, dimension: usize| {
            let (polynomial, initial) = DIRECTIONS[dimension];
            f64::from(coordinate(polynomial, initial, index)) / f64::from(BITS).exp2()
        };
        let expect = [
            [0.0, 0.0, 0.0, 0.0],
            [0.5, 0.5, 0.5, 0.5],
            [0.75, 0.25, 0.25, 0.25],
            [0.25, 0.75, 0.75, 0.75],
            [0.375, 0.375, 0.625, 0.875],
            [0.875, 0.875, 0.125, 0.375],
            [0.625, 0.125, 0.875, 0.625],
            [0.125, 0.625, 0.375, 0.125],
        ];
        for (index, row) in expect.iter().enumerate() {
            for (dimension, value) in row.iter().enumerate() {
                assert_eq!(point(index as u32, dimension), *value, "{index} {dimension}");
            }
        }
        let further = [
            (9, [0.4375, 0.6875, 0.0625]),
            (50, [0.703125, 0.671875, 0.859375]),
            (63, [0.140625, 0.234375, 0.171875]),
        ];
        for (index, row) in further {
            assert_eq!([7, 20, 39].map(|dimension| point(index, dimension)), row);
        }
    }
}
