//! Samples that are images, as PNG in a `data:` address. It draws grey and colour only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hourglass_core::SampleShape;

use crate::error::ReportError;

/// Longest side of a picture in the page; larger images are averaged down, or a few dozen colour
/// images would fill the page's 2 MB.
const LONGEST_SIDE: usize = 48;

/// Whether rows of this shape can be drawn: one channel as grey, three as red, green and blue.
pub(crate) fn is_picture(shape: &SampleShape) -> bool {
    matches!(shape, SampleShape::Image { channels: 1 | 3, height, width } if height * width > 0)
}

/// The image as a `data:image/png` address, or `None` where the values don't fit the shape.
///
/// # Errors
/// [`ReportError::Picture`] if the encoder refuses it.
pub(crate) fn data_address(
    values: &[f32],
    shape: &SampleShape,
    [black, white]: [f32; 2],
    sample: usize,
) -> Result<Option<String>, ReportError> {
    let &SampleShape::Image { channels, height, width } = shape else { return Ok(None) };
    if !is_picture(shape) || values.len() != shape.n_features() {
        return Ok(None);
    }
    let factor = height.max(width).div_ceil(LONGEST_SIDE);
    let (rows, columns) = (height.div_ceil(factor), width.div_ceil(factor));
    let mut bytes = Vec::with_capacity(channels * rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            for channel in 0..channels {
                let block = (row * factor..height.min((row + 1) * factor)).flat_map(|y| {
                    let start = (channel * height + y) * width;
                    let end = width.min((column + 1) * factor);
                    values[start + column * factor..start + end].iter()
                });
                bytes.push(level(block, black, white));
            }
        }
    }
    let png = encoded(&bytes, columns, rows, channels)
        .map_err(|source| ReportError::Picture { sample, source })?;
    Ok(Some(format!("data:image/png;base64,{}", STANDARD.encode(png))))
}

/// The mean of a block as a level from 0 (black) to 255 (white); what is not finite is black.
fn level<'a>(block: impl Iterator<Item = &'a f32>, black: f32, white: f32) -> u8 {
    let (sum, count) = block.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0_f32));
    let span = if white > black { white - black } else { 1.0 };
    let share = (sum / count - black) / span;
    // A cast from a float saturates, and turns NaN into 0.
    (share.clamp(0.0, 1.0) * 255.0).round() as u8
}

fn encoded(
    bytes: &[u8],
    width: usize,
    height: usize,
    channels: usize,
) -> Result<Vec<u8>, png::EncodingError> {
    let mut png = Vec::new();
    // Both are at most LONGEST_SIDE.
    let mut encoder = png::Encoder::new(&mut png, width as u32, height as u32);
    encoder.set_color(if channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(bytes)?;
    writer.finish()?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(address: &str) -> (u32, u32, Vec<u8>) {
        let png = STANDARD.decode(address.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        bytes.truncate(info.buffer_size());
        (info.width, info.height, bytes)
    }

    #[test]
    fn grey_levels_come_back() {
        let shape = SampleShape::Image { channels: 1, height: 2, width: 3 };
        let values = [0.0, 0.5, 1.0, -3.0, 7.0, f32::NAN];
        let address = data_address(&values, &shape, [0.0, 1.0], 0).unwrap().unwrap();
        assert_eq!(decoded(&address), (3, 2, vec![0, 128, 255, 0, 255, 0]));
    }

    #[test]
    fn channels_are_interleaved() {
        let shape = SampleShape::Image { channels: 3, height: 1, width: 2 };
        let values = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
        let address = data_address(&values, &shape, [0.0, 1.0], 0).unwrap().unwrap();
        assert_eq!(decoded(&address), (2, 1, vec![255, 0, 0, 0, 255, 0]));
    }

    #[test]
    fn large_images_are_averaged_down() {
        let shape = SampleShape::Image { channels: 1, height: 97, width: 50 };
        let values: Vec<f32> = (0..97 * 50).map(|i| if i % 2 == 0 { 1.0 } else { 0.0 }).collect();
        let address = data_address(&values, &shape, [0.0, 1.0], 0).unwrap().unwrap();
        let (width, height, bytes) = decoded(&address);
        assert_eq!((width, height), (17, 33));
        assert!(bytes.iter().all(|&level| level > 80 && level < 175));
    }

    #[test]
    fn other_shapes_are_not_drawn() {
        let image = SampleShape::Image { channels: 1, height: 2, width: 2 };
        assert_eq!(data_address(&[0.0; 3], &image, [0.0, 1.0], 0).unwrap(), None);
        let vector = SampleShape::Vector { len: 3 };
        assert_eq!(data_address(&[0.0; 3], &vector, [0.0, 1.0], 0).unwrap(), None);
        let two = SampleShape::Image { channels: 2, height: 1, width: 2 };
        assert_eq!(data_address(&[0.0; 4], &two, [0.0, 1.0], 0).unwrap(), None);
    }
}
