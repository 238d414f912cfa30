//! Corruption of the input of a denoising autoencoder, drawn and applied in one pass.
//!
//! # Source
//! Vincent et al., "Stacked Denoising Autoencoders", JMLR 11, 2010, section 3, unless a variant
//! says otherwise.

use std::ops::Range;

use hourglass_core::{ColumnKind, MatrixView, Rng, SampleShape, Seed};
use rand::{Rng as _, RngExt};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::init::fill_normal;
use crate::{Error, Result};

/// Values that one generator corrupts; fixed, so that the bits do not depend on threads.
const CHUNK: usize = 1 << 14;

/// What is done to the input before it is encoded; the target stays clean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Corruption {
    /// Adds normal noise.
    Gaussian {
        /// Standard deviation, in units of the prepared data; above 0.
        std: f32,
    },
    /// Sets values to 0.
    Masking {
        /// Share of the values, in `(0, 1)`.
        share: f32,
    },
    /// Sets values to the lowest or the highest of the training data, half each.
    SaltAndPepper {
        /// Share of the values, in `(0, 1)`.
        share: f32,
    },
    /// Takes values from other training rows, each column's from a row of its own, so that they
    /// have the column's own distribution; the columns of one category change together. Bahri et
    /// al., "SCARF", arXiv:2106.15147, section 3.
    Swap {
        /// Share of the values, in `(0, 1)`.
        share: f32,
    },
    /// Sets square blocks of pixels to 0 in all channels, for images only. A grid of blocks lies
    /// over each image, moved at random, and each block is drawn by itself. Pathak et al., "Context
    /// Encoders", arXiv:1604.07379, section 3.3.
    BlockMasking {
        /// Share of the pixels, in `(0, 1)`.
        share: f32,
        /// Pixels of a side of a block; 1 or more.
        size: usize,
    },
}

/// What the training part lends to a corruption.
#[derive(Clone, Copy, Debug)]
pub struct CleanRows<'a> {
    /// Its rows.
    pub rows: MatrixView<'a>,
    /// Its lowest and its highest value.
    pub range: (f32, f32),
    /// What a row means.
    pub shape: &'a SampleShape,
}

impl Corruption {
    /// Every corruption, for tests and the reference page.
    pub fn examples() -> [Corruption; 5] {
        [
            Corruption::Gaussian { std: 0.3 },
            Corruption::Masking { share: 0.2 },
            Corruption::SaltAndPepper { share: 0.1 },
            Corruption::Swap { share: 0.15 },
            Corruption::BlockMasking { share: 0.25, size: 3 },
        ]
    }

    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`].
    pub fn check(self) -> Result<()> {
        let (key, share) = match self {
            Corruption::Gaussian { std } if std > 0.0 && std.is_finite() => return Ok(()),
            Corruption::Gaussian { std } => {
                return Err(Error::hyperparameter("corruption.gaussian.std", std, "above 0"));
            }
            Corruption::BlockMasking { size: 0, .. } => {
                let key = "corruption.block_masking.size";
                return Err(Error::hyperparameter(key, 0, "1 or more"));
            }
            Corruption::Masking { share } => ("corruption.masking.share", share),
            Corruption::SaltAndPepper { share } => ("corruption.salt_and_pepper.share", share),
            Corruption::Swap { share } => ("corruption.swap.share", share),
            Corruption::BlockMasking { share, .. } => ("corruption.block_masking.share", share),
        };
        if share > 0.0 && share < 1.0 {
            return Ok(());
        }
        Err(Error::hyperparameter(key, share, "between 0 and 1"))
    }

    /// The same with its share, or its standard deviation, times a number in `[0, 1]`; `None` where
    /// nothing is left of it.
    pub fn scaled(self, by: f32) -> Option<Corruption> {
        let scaled = match self {
            Corruption::Gaussian { std } => Corruption::Gaussian { std: std * by },
            Corruption::Masking { share } => Corruption::Masking { share: share * by },
            Corruption::SaltAndPepper { share } => Corruption::SaltAndPepper { share: share * by },
            Corruption::Swap { share } => Corruption::Swap { share: share * by },
            Corruption::BlockMasking { share, size } => {
                Corruption::BlockMasking { share: share * by, size }
            }
        };
        (by > 0.0).then_some(scaled)
    }

    /// Checks that samples of this shape can be corrupted so.
    ///
    /// # Errors
    /// [`Error::NeedsImages`].
    pub fn fits(self, shape: &SampleShape) -> Result<()> {
        match (self, shape) {
            (_, SampleShape::Image { .. }) => Ok(()),
            (Corruption::BlockMasking { .. }, _) => {
                Err(Error::NeedsImages { what: "corruption.block_masking" })
            }
            _ => Ok(()),
        }
    }

    /// Corrupts samples in place.
    ///
    /// # Shapes
    /// - `values`: `n * n_features`, row-major, with the columns of `clean`
    ///
    /// # Errors
    /// [`Error::NeedsImages`] where [`Corruption::fits`] says so.
    pub fn apply(self, values: &mut [f32], clean: &CleanRows<'_>, seed: Seed) -> Result<()> {
        self.fits(clean.shape)?;
        let n_features = clean.rows.ncols().max(1);
        let groups = groups_of(clean.shape, n_features);
        let by_rows = matches!(self, Corruption::Swap { .. } | Corruption::BlockMasking { .. });
        let chunk = if by_rows { (CHUNK / n_features).max(1) * n_features } else { CHUNK };
        values.par_chunks_mut(chunk).enumerate().for_each(|(i, values)| {
            let mut rng = seed.nth(i as u64).rng();
            match self {
                Corruption::Gaussian { std } => {
                    let mut noise = vec![0.0; values.len()];
                    fill_normal(&mut noise, std, &mut rng);
                    values.iter_mut().zip(noise).for_each(|(value, noise)| *value += noise);
                }
                Corruption::Masking { share } => {
                    let threshold = threshold(share);
                    for value in values {
                        *value = if rng.next_u32() < threshold { 0.0 } else { *value };
                    }
                }
                Corruption::SaltAndPepper { share } => {
                    let (threshold, (low, high)) = (threshold(share), clean.range);
                    for value in values {
                        if rng.next_u32() < threshold {
                            *value = if rng.random::<bool>() { high } else { low };
                        }
                    }
                }
                Corruption::Swap { share } => {
                    for row in values.chunks_mut(n_features) {
                        swap(row, clean.rows, &groups, threshold(share), &mut rng);
                    }
                }
                Corruption::BlockMasking { share, size } => {
                    for image in values.chunks_mut(n_features) {
                        mask_blocks(image, clean.shape, size, threshold(share), &mut rng);
                    }
                }
            }
        });
        Ok(())
    }
}

/// The columns that change together.
fn groups_of(shape: &SampleShape, n_features: usize) -> Vec<Range<usize>> {
    match shape {
        SampleShape::Table { groups } => groups
            .iter()
            .flat_map(|group| match group.kind {
                ColumnKind::Categorical => vec![group.columns.clone()],
                ColumnKind::Numeric | ColumnKind::Binary => {
                    group.columns.clone().map(|column| column..column + 1).collect()
                }
            })
            .collect(),
        _ => (0..n_features).map(|column| column..column + 1).collect(),
    }
}

fn swap(
    row: &mut [f32],
    clean: MatrixView<'_>,
    groups: &[Range<usize>],
    threshold: u32,
    rng: &mut Rng,
) {
    for group in groups {
        if rng.next_u32() < threshold {
            let other = clean.row(rng.random_range(0..clean.nrows()));
            group.clone().for_each(|column| row[column] = other[column]);
        }
    }
}

fn mask_blocks(image: &mut [f32], shape: &SampleShape, size: usize, threshold: u32, rng: &mut Rng) {
    let &SampleShape::Image { channels, height, width } = shape else { return };
    // How much of the first row and column of blocks lies outside.
    let (above, left) = (rng.random_range(0..size), rng.random_range(0..size));
    let pixels = |block: usize, outside: usize, side: usize| {
        let end = (block + 1) * size - outside;
        (block * size).saturating_sub(outside)..end.min(side)
    };
    for block_row in 0..(height + above).div_ceil(size) {
        for block_column in 0..(width + left).div_ceil(size) {
            if rng.next_u32() >= threshold {
                continue;
            }
            for channel in 0..channels {
                for y in pixels(block_row, above, height) {
                    let row = &mut image[(channel * height + y) * width..][..width];
                    row[pixels(block_column, left, width)].fill(0.0);
                }
            }
        }
    }
}

/// The number below which a share of all `u32` lies.
fn threshold(share: f32) -> u32 {
    (f64::from(share) * f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use hourglass_core::{ColumnGroup, Matrix};

    use super::*;

    const IMAGE: SampleShape = SampleShape::Image { channels: 2, height: 10, width: 7 };
    const N: usize = 140;

    /// Training rows whose values are all above 0 and tell their row and column.
    fn clean() -> Matrix {
        Matrix::from_shape_fn((50, N), |(row, column)| (row * N + column + 1) as f32)
    }

    fn corrupt(corruption: Corruption, n_rows: usize, shape: &SampleShape, seed: u64) -> Vec<f32> {
        let rows = clean();
        let mut values = vec![0.5; n_rows * N];
        let clean = CleanRows { rows: rows.view(), range: (-1.0, 2.0), shape };
        corruption.apply(&mut values, &clean, Seed::new(seed)).unwrap();
        values
    }

    #[test]
    fn strength_is_as_asked_and_seeded() {
        for corruption in Corruption::examples() {
            corruption.check().unwrap();
            let values = corrupt(corruption, 1000, &IMAGE, 1);
            let n = values.len() as f64;
            assert_eq!(values, corrupt(corruption, 1000, &IMAGE, 1));
            assert_ne!(values, corrupt(corruption, 1000, &IMAGE, 2));
            let share = |v: f32| values.iter().filter(|&&x| x == v).count() as f64 / n;
            match corruption {
                Corruption::Gaussian { .. } => {
                    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
                    let variance =
                        values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>();
                    assert!((mean - 0.5).abs() < 0.005);
                    assert!(((variance / n).sqrt() - 0.3).abs() < 0.005);
                }
                Corruption::Masking { .. } => assert!((share(0.0) - 0.2).abs() < 0.005),
                Corruption::SaltAndPepper { .. } => {
                    assert!((share(-1.0) - 0.05).abs() < 0.003);
                    assert!((share(2.0) - 0.05).abs() < 0.003);
                }
                Corruption::Swap { .. } => {
                    assert!((1.0 - share(0.5) - 0.15).abs() < 0.005);
                    for (i, &value) in values.iter().enumerate().filter(|(_, v)| **v != 0.5) {
                        assert_eq!((value as usize - 1) % N, i % N, "of its own column");
                    }
                }
                Corruption::BlockMasking { .. } => {
                    assert!((share(0.0) - 0.25).abs() < 0.01);
                    for image in values.chunks(N) {
                        assert_eq!(image[..N / 2], image[N / 2..], "all channels alike");
                    }
                }
            }
        }
    }

    #[test]
    fn a_category_is_swapped_as_a_whole() {
        let group = |kind, columns: Range<usize>| ColumnGroup {
            name: format!("{columns:?}"),
            kind,
            columns,
        };
        let shape = SampleShape::Table {
            groups: vec![
                group(ColumnKind::Numeric, 0..100),
                group(ColumnKind::Categorical, 100..N),
            ],
        };
        let values = corrupt(Corruption::Swap { share: 0.5 }, 100, &shape, 1);
        let mut n_swapped = 0;
        for row in values.chunks(N) {
            if row[100] != 0.5 {
                n_swapped += 1;
                assert!((100..N).all(|i| row[i] == row[100] + (i - 100) as f32), "from one row");
            } else {
                assert!(row[100..].iter().all(|&value| value == 0.5));
            }
        }
        assert!((30..70).contains(&n_swapped), "{n_swapped}");
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        let blocks = Corruption::BlockMasking { share: 0.2, size: 3 };
        let error = blocks.fits(&SampleShape::Vector { len: 9 }).unwrap_err().to_string();
        assert!(error.contains("corruption.block_masking") && error.contains("hint:"), "{error}");
        assert!(blocks.fits(&IMAGE).is_ok());
        for wrong in [
            Corruption::BlockMasking { share: 0.2, size: 0 },
            Corruption::Swap { share: 1.0 },
            Corruption::Gaussian { std: 0.0 },
        ] {
            assert!(matches!(wrong.check(), Err(Error::Hyperparameter { .. })));
        }
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        for corruption in Corruption::examples() {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| corrupt(corruption, 400, &IMAGE, 1))
            };
            assert_eq!(run(1), run(2), "{corruption:?}");
        }
    }
}
