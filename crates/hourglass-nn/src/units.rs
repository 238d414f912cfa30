//! How the values of a weight belong to the units of its layer, for whatever is limited unit by
//! unit: adaptive clipping and max-norm. It changes no layer.

/// How the values of a tensor belong to units: `outer * n_units * inner` values, row-major.
///
/// A tensor of one dimension (a bias, a scale) is one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    n_units: usize,
    inner: usize,
}

impl Units {
    /// The units of a tensor along an axis.
    pub(crate) fn new(dims: &[usize], axis: usize) -> Self {
        match dims {
            [] | [_] => Units { n_units: 1, inner: dims.iter().product() },
            _ => Units { n_units: dims[axis], inner: dims[axis + 1..].iter().product() },
        }
    }

    /// Number of units.
    pub fn n_units(self) -> usize {
        self.n_units
    }

    /// Euclidean norm of each unit's values.
    pub fn norms(self, values: &[f32]) -> Vec<f32> {
        let mut squares = vec![0.0_f64; self.n_units];
        for (i, run) in values.chunks_exact(self.inner.max(1)).enumerate() {
            let sum: f64 = run.iter().map(|&value| f64::from(value).powi(2)).sum();
            squares[i % self.n_units] += sum;
        }
        squares.into_iter().map(|square| square.sqrt() as f32).collect()
    }

    /// Multiplies each unit's values by its factor; a factor of 1 touches nothing.
    pub fn scale(self, values: &mut [f32], factors: &[f32]) {
        for (i, run) in values.chunks_exact_mut(self.inner.max(1)).enumerate() {
            let factor = factors[i % self.n_units];
            if factor != 1.0 {
                run.iter_mut().for_each(|value| *value *= factor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_lie_along_any_axis() {
        let values = [3.0, 0.0, 4.0, 5.0, 0.0, 12.0];
        for (dims, axis, expected) in [
            (&[2, 3][..], 0, &[5.0, 13.0][..]),
            (&[3, 2], 1, &[5.0, 13.0]),
            (&[1, 2, 3], 1, &[5.0, 13.0]),
            (&[6], 0, &[13.928_389]),
        ] {
            let units = Units::new(dims, axis);
            let of: Vec<f32> = match (dims, axis) {
                ([3, 2], 1) => vec![3.0, 5.0, 0.0, 0.0, 4.0, 12.0],
                _ => values.to_vec(),
            };
            assert_eq!(units.norms(&of), expected, "{dims:?} {axis}");
            let mut scaled = of.clone();
            units.scale(&mut scaled, &vec![2.0; units.n_units()]);
            assert_eq!(scaled, of.iter().map(|v| v * 2.0).collect::<Vec<_>>());
        }
    }
}
