//! Energy of images by spatial frequency. A plain discrete Fourier transform: images here are tens
//! of pixels wide, and few.

use std::f64::consts::TAU;

use hourglass_core::MatrixView;
use ndarray::{Array2, ArrayView2};

/// Images that are looked at.
const IMAGES: usize = 64;

/// Mean energy at each pair of frequencies, `(height, width)`, over the first channel of the first
/// rows.
fn energy(rows: MatrixView<'_>, (height, width): (usize, usize)) -> Array2<f64> {
    let mut sum = Array2::zeros((height, width));
    let (columns, lines) = (waves(width), waves(height));
    let n = rows.nrows().min(IMAGES);
    for row in rows.rows().into_iter().take(n) {
        let pixels = row.iter().take(height * width).map(|&value| f64::from(value)).collect();
        let image = Array2::from_shape_vec((height, width), pixels)
            .expect("an image has height times width pixels");
        // Real and imaginary part of the transform along the lines, then along the columns.
        let (re, im) = (image.dot(&columns.0), image.dot(&columns.1));
        let real = lines.0.dot(&re) - lines.1.dot(&im);
        let imaginary = lines.0.dot(&im) + lines.1.dot(&re);
        sum.zip_mut_with(&real, |sum, value| *sum += value * value);
        sum.zip_mut_with(&imaginary, |sum, value| *sum += value * value);
    }
    sum / n.max(1) as f64
}

/// Cosines and negative sines, `(n, n)`: the two parts of the transform of `n` values.
fn waves(n: usize) -> (Array2<f64>, Array2<f64>) {
    let angle = |(i, k): (usize, usize)| TAU * (i * k % n) as f64 / n as f64;
    (
        Array2::from_shape_fn((n, n), |at| angle(at).cos()),
        Array2::from_shape_fn((n, n), |at| -angle(at).sin()),
    )
}

/// Frequency of an index as a share of the highest one, 0 to 1.
fn share(index: usize, n: usize) -> f64 {
    index.min(n - index) as f64 / (n / 2) as f64
}

/// Energy in the upper half of the frequencies.
pub(super) fn upper_energy(rows: MatrixView<'_>, size: (usize, usize)) -> f64 {
    let energy = energy(rows, size);
    let is_upper = |(y, x): (usize, usize)| share(y, size.0).max(share(x, size.1)) > 0.5;
    energy.indexed_iter().filter(|(at, _)| is_upper(*at)).map(|(_, value)| value).sum()
}

/// Energy along the frequencies of a grid of that period over the energy beside them.
pub(super) fn grid_ratio(rows: MatrixView<'_>, size: (usize, usize), period: usize) -> f64 {
    let energy = energy(rows, size);
    let along = profile(energy.view(), size.1, period);
    let across = profile(energy.t(), size.0, period);
    f64::midpoint(along, across)
}

/// The ratio for vertical lines: `energy` is `(_, n)`.
fn profile(energy: ArrayView2<'_, f64>, n: usize, period: usize) -> f64 {
    let of = |index: usize| energy.column(index % n).sum();
    let peak = n / period.max(1);
    if peak < 2 || peak + 1 >= n {
        return f64::NAN;
    }
    let beside: f64 = f64::midpoint(of(peak - 1), of(peak + 1));
    of(peak) / beside
}

#[cfg(test)]
mod tests {
    use hourglass_core::Matrix;

    use super::*;

    fn images(value: impl Fn(usize, usize) -> f32) -> Matrix {
        Matrix::from_shape_fn((3, 64), |(_, pixel)| value(pixel / 8, pixel % 8))
    }

    #[test]
    fn energy_agrees_with_numpy() {
        // numpy: abs(fft2(x)) ** 2 for x[y, x] = y + 2 * (x == 3), 4 x 4
        // sum over all -> 16 * sum(x ** 2) by Parseval
        let rows = Matrix::from_shape_fn((1, 16), |(_, pixel)| {
            (pixel / 4) as f32 + if pixel % 4 == 3 { 2.0 } else { 0.0 }
        });
        let energy = energy(rows.view(), (4, 4));
        let squares: f64 = rows.iter().map(|&value| f64::from(value * value)).sum();
        assert!((energy.sum() - 16.0 * squares).abs() < 1e-9);
        let total: f64 = rows.iter().map(|&value| f64::from(value)).sum();
        assert!((energy[[0, 0]] - total * total).abs() < 1e-9);
    }

    #[test]
    fn smooth_images_have_little_upper_energy_and_grids_a_peak() {
        let smooth = images(|y, x| ((x + y) as f32 / 4.0).sin());
        let fine = images(|y, x| if (x + y) % 2 == 0 { 1.0 } else { 0.0 });
        let size = (8, 8);
        assert!(upper_energy(smooth.view(), size) < 0.2 * upper_energy(fine.view(), size));
        let dotted =
            images(|y, x| ((x * y) as f32 * 0.37).sin() + if x % 2 == 0 { 3.0 } else { 0.0 });
        let plain = images(|y, x| ((x * y) as f32 * 0.37).sin());
        let [dotted, plain] = [dotted, plain].map(|rows| grid_ratio(rows.view(), size, 2));
        assert!(dotted > 4.0 * plain, "{dotted} {plain}");
    }
}
