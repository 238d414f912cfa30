//! Between rows of a batch, as the rest of the house has them, and the maps of convolutions.

use candle_core::Tensor;
use hourglass_core::SampleShape;

use crate::{Error, Result};

/// Channels, height and width of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MapSize {
    pub channels: usize,
    /// Height and width.
    pub size: [usize; 2],
}

impl MapSize {
    /// That of an image.
    ///
    /// # Errors
    /// [`Error::Shape`] for anything else.
    pub fn of(shape: &SampleShape, kind: &'static str) -> Result<Self> {
        let found = match *shape {
            SampleShape::Image { channels, height, width } => {
                return Ok(MapSize { channels, size: [height, width] });
            }
            SampleShape::Vector { len } => format!("vectors of {len} numbers"),
            SampleShape::Table { .. } => "rows of a table".to_owned(),
        };
        let (expected, hint) = ("images".to_owned(), "take a fully connected model".to_owned());
        Err(Error::Shape { kind, expected, found, hint })
    }

    /// Half of it, rounded up, with other channels.
    pub fn halved(self, channels: usize) -> Self {
        MapSize { channels, size: self.size.map(|n| n.div_ceil(2)) }
    }

    /// Values of a sample.
    pub fn n_values(self) -> usize {
        self.channels * self.size[0] * self.size[1]
    }
}

/// Rows as maps: `(batch, n_values)` to `(batch, channels, height, width)`.
pub(crate) fn as_maps(rows: &Tensor, map: MapSize) -> Result<Tensor> {
    let [height, width] = map.size;
    Ok(rows.reshape((rows.dim(0)?, map.channels, height, width))?)
}

/// Maps as rows, channel by channel.
pub(crate) fn flat(maps: &Tensor) -> Result<Tensor> {
    Ok(maps.contiguous()?.flatten_from(1)?)
}
