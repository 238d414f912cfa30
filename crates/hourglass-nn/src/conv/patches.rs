//! Copies between a map and its patches, channels last: a patch then is a few runs of memory that
//! lie as they do in the map. It multiplies nothing.

use std::ops::Range;

use super::Window;
use crate::simd::wide;

/// A small map, one pixel for each position of a window on a large map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub window: Window,
    /// Channels, height and width.
    pub large: (usize, [usize; 2]),
    /// Channels, height and width.
    pub small: (usize, [usize; 2]),
}

impl Geometry {
    /// Values of an image on the large side.
    pub fn large_len(&self) -> usize {
        self.large.0 * self.large_side().1
    }

    /// Values of an image on the small side.
    pub fn small_len(&self) -> usize {
        self.small.0 * self.small_area()
    }

    /// Channels and pixels of the large side.
    pub fn large_side(&self) -> (usize, usize) {
        (self.large.0, self.large.1[0] * self.large.1[1])
    }

    /// Channels and pixels of the small side.
    pub fn small_side(&self) -> (usize, usize) {
        (self.small.0, self.small_area())
    }

    /// Pixels of the small map: the number of patches.
    pub fn small_area(&self) -> usize {
        self.small.1[0] * self.small.1[1]
    }

    /// Values of a patch, in the order row, column, channel.
    pub fn patch_len(&self) -> usize {
        self.window.area() * self.large.0
    }

    /// Calls `f` with the place of each row of each patch: in the patches, and, where it lies
    /// inside the map, the part of it that does and its place in the map.
    #[inline(always)]
    fn runs(&self, mut f: impl FnMut(usize, Option<(Range<usize>, usize)>)) {
        for pixel in 0..self.small_area() {
            let first = pixel * self.patch_len();
            self.runs_under(pixel, |place, inside| f(first + place, inside));
        }
    }

    /// The same of the one patch under the window's position `pixel`.
    #[inline(always)]
    fn runs_under(&self, pixel: usize, mut f: impl FnMut(usize, Option<(Range<usize>, usize)>)) {
        let Window { kernel, stride, padding } = self.window;
        let (n_channels, [height, width]) = self.large;
        let (row, column) = (pixel / self.small.1[1], pixel % self.small.1[1]);
        // The window's left edge, in pixels right of the padding's.
        let left = column * stride[1];
        let skipped = padding[1].saturating_sub(left);
        let end = kernel[1].min((width + padding[1]).saturating_sub(left));
        for kernel_row in 0..kernel[0] {
            let y = (row * stride[0] + kernel_row).wrapping_sub(padding[0]);
            let inside = (y < height && skipped < end).then(|| {
                let from = (y * width + left + skipped - padding[1]) * n_channels;
                (skipped * n_channels..end * n_channels, from)
            });
            f(kernel_row * kernel[1] * n_channels, inside);
        }
    }

    /// Calls `f` with each part of a patch that lies inside the map, and what it lies on.
    #[inline(always)]
    fn parts_under(&self, pixel: usize, mut f: impl FnMut(Range<usize>, Range<usize>)) {
        self.runs_under(pixel, |place, inside| {
            if let Some((range, from)) = inside {
                let len = range.len();
                f(place + range.start..place + range.end, from..from + len);
            }
        });
    }

    /// Adds `factor * patch` to the pixels under the window's position `pixel`.
    ///
    /// # Shapes
    /// - `patch`: `(patch_len)`; `map`: `(height, width, n_channels)` of the large side
    pub fn add_patch(&self, pixel: usize, factor: f32, patch: &[f32], map: &mut [f32]) {
        self.parts_under(pixel, |part, under| {
            map[under].iter_mut().zip(&patch[part]).for_each(|(map, value)| *map += factor * value);
        });
    }

    /// Adds `factor` times the pixels under the window's position `pixel` to `patch`.
    ///
    /// # Shapes
    /// As [`Geometry::add_patch`].
    pub fn add_under(&self, pixel: usize, factor: f32, map: &[f32], patch: &mut [f32]) {
        self.parts_under(pixel, |part, under| {
            patch[part].iter_mut().zip(&map[under]).for_each(|(sum, map)| *sum += factor * map);
        });
    }

    /// Sum of the products of `patch` and the pixels under the window's position `pixel`.
    ///
    /// # Shapes
    /// As [`Geometry::add_patch`].
    pub fn dot_under(&self, pixel: usize, map: &[f32], patch: &[f32]) -> f32 {
        let mut sum = 0.0;
        self.parts_under(pixel, |part, under| {
            sum += patch[part].iter().zip(&map[under]).map(|(a, b)| a * b).sum::<f32>();
        });
        sum
    }

    /// The patches of a map.
    ///
    /// # Shapes
    /// - `map`: `(height, width, n_channels)` of the large side
    /// - `patches`: `(small_area, patch_len)`
    pub fn gather(&self, map: &[f32], patches: &mut [f32]) {
        let run = self.window.kernel[1] * self.large.0;
        wide(|| {
            self.runs(|place, inside| {
                let patch = &mut patches[place..place + run];
                match inside {
                    Some((range, from)) => {
                        patch[..range.start].fill(0.0);
                        patch[range.end..].fill(0.0);
                        let len = range.len();
                        patch[range].copy_from_slice(&map[from..from + len]);
                    }
                    None => patch.fill(0.0),
                }
            });
        });
    }

    /// Adds patches to the pixels that they came from.
    ///
    /// # Shapes
    /// As [`Geometry::gather`].
    pub fn scatter(&self, patches: &[f32], map: &mut [f32]) {
        wide(|| {
            self.runs(|place, inside| {
                if let Some((range, from)) = inside {
                    let map = &mut map[from..from + range.len()];
                    let patch = &patches[place + range.start..place + range.end];
                    map.iter_mut().zip(patch).for_each(|(map, &patch)| *map += patch);
                }
            });
        });
    }
}

/// `dst[j][i] = src[i][j]`.
///
/// # Shapes
/// - `src`: `(n_rows, n_columns)`; `dst`: `(n_columns, n_rows)`
pub(super) fn transpose(src: &[f32], dst: &mut [f32], n_rows: usize, n_columns: usize) {
    /// Values of a side of a block that is turned at once; its rows fill a cache line each.
    const BLOCK: usize = 16;
    if n_rows == 1 || n_columns == 1 {
        dst.copy_from_slice(src);
        return;
    }
    for row in (0..n_rows).step_by(BLOCK) {
        let rows = row..(row + BLOCK).min(n_rows);
        for column in (0..n_columns).step_by(BLOCK) {
            for j in column..(column + BLOCK).min(n_columns) {
                let dst = &mut dst[j * n_rows..][rows.clone()];
                for (i, dst) in rows.clone().zip(dst) {
                    *dst = src[i * n_columns + j];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_what_the_window_sees() {
        let window = Window { kernel: [3, 2], stride: [2, 3], padding: [2, 1] };
        let size = [5, 4];
        let small = window.positions(size).unwrap();
        let geometry = Geometry { window, large: (2, size), small: (1, small) };
        let map: Vec<f32> = (1..=40).map(|value| value as f32).collect();
        let mut patches = vec![f32::NAN; geometry.small_area() * geometry.patch_len()];
        geometry.gather(&map, &mut patches);
        let mut seen = 0;
        for row in 0..small[0] {
            for column in 0..small[1] {
                for ky in 0..3 {
                    for kx in 0..2 {
                        let (y, x) = (row * 2 + ky, column * 3 + kx);
                        for channel in 0..2 {
                            let inside = (2..7).contains(&y) && (1..5).contains(&x);
                            let expected =
                                if inside { map[((y - 2) * 4 + x - 1) * 2 + channel] } else { 0.0 };
                            assert_eq!(patches[seen], expected);
                            seen += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(seen, patches.len());
        // Scattering is the transposed map: <gather(x), p> = <x, scatter(p)>.
        let other: Vec<f32> = (0..patches.len()).map(|i| (i % 7) as f32 - 3.0).collect();
        let mut back = vec![0.0; map.len()];
        geometry.scatter(&other, &mut back);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        assert_eq!(dot(&patches, &other), dot(&map, &back));
    }

    #[test]
    fn transposing_turns_every_value() {
        for (n_rows, n_columns) in [(1, 7), (5, 1), (16, 16), (17, 33), (3, 50)] {
            let src: Vec<f32> = (0..n_rows * n_columns).map(|i| i as f32).collect();
            let mut dst = vec![0.0; src.len()];
            transpose(&src, &mut dst, n_rows, n_columns);
            for i in 0..n_rows {
                for j in 0..n_columns {
                    assert_eq!(dst[j * n_rows + i], src[i * n_columns + j]);
                }
            }
        }
    }
}
