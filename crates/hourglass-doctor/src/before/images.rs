//! What images ask of convolutions: maps that can be halved, and windows as large as what is seen.

use hourglass_core::{MatrixView, Part, SampleShape, Samples};

use super::{Convolution, Settings};
use crate::threshold::FIELD_LENGTHS;
use crate::{Finding, FindingId, Severity};

/// Images that are looked at.
const IMAGES: usize = 500;

/// Correlation of two pixels below which they belong to different things.
const TOGETHER: f64 = 0.5;

pub(super) fn examine(settings: &Settings, samples: &Samples) -> Vec<Finding> {
    let (Some(convolution), SampleShape::Image { height, width, .. }) =
        (settings.convolution, &samples.shape)
    else {
        return Vec::new();
    };
    let size = (*height, *width);
    let rows = samples.part(Part::Train);
    [cropped(settings, convolution, size), small_field(settings, convolution, rows, size)]
        .into_iter()
        .flatten()
        .collect()
}

fn cropped(settings: &Settings, convolution: Convolution, size: (usize, usize)) -> Option<Finding> {
    if convolution.stride < 2 {
        return None;
    }
    let mut map = [size.0, size.1];
    let mut n_even = 0;
    for _ in 0..convolution.n_layers {
        if map.iter().any(|side| !side.is_multiple_of(convolution.stride)) {
            break;
        }
        map = map.map(|side| side / convolution.stride);
        n_even += 1;
    }
    if n_even == convolution.n_layers {
        return None;
    }
    let sentence = format!(
        "a map of {} x {} pixels can't be halved evenly: the decoder makes a pixel too many, and \
         crops it",
        map[0], map[1]
    );
    let mut finding = Finding::new(FindingId::CroppedMaps, Severity::Warning, sentence)
        .measured("convolutions that halve their map", convolution.n_layers as f64, n_even as f64)
        .shown("height of the map", map[0] as f64)
        .shown("width of the map", map[1] as f64);
    if n_even > 0 {
        let channels = &settings.architecture.hidden_dims;
        let fewer: Vec<String> = channels.iter().take(n_even).map(usize::to_string).collect();
        finding = finding.cured_by(
            settings.architecture.key_of("channels"),
            format!("[{}]", fewer.join(", ")),
            "so many halvings come out even",
        );
    }
    Some(finding)
}

fn small_field(
    settings: &Settings,
    convolution: Convolution,
    rows: MatrixView<'_>,
    size: (usize, usize),
) -> Option<Finding> {
    let field = convolution.receptive_field();
    let length = correlation_length(rows, size)?;
    let needed = FIELD_LENGTHS * length as f64;
    if field as f64 >= needed {
        return None;
    }
    let sentence = format!(
        "a unit of the last map sees {field} x {field} pixels, but what is seen extends over \
         {length} pixels to either side"
    );
    let mut kernel = convolution.kernel;
    while (Convolution { kernel, ..convolution }.receptive_field() as f64) < needed {
        kernel += 2;
    }
    Some(
        Finding::new(FindingId::SmallReceptiveField, Severity::Warning, sentence)
            .measured("pixels along a side that a unit sees", field as f64, needed)
            .shown("pixels until the correlation of neighbours has fallen to a half", length as f64)
            .cured_by(
                settings.architecture.key_of("kernel"),
                kernel.to_string(),
                "larger windows see the whole structure (Luo et al., NeurIPS 2016)",
            ),
    )
}

/// Pixels along a line until the correlation with the first has fallen below a half, over the first
/// channel; `None` where nothing varies.
fn correlation_length(rows: MatrixView<'_>, (height, width): (usize, usize)) -> Option<usize> {
    let n = rows.nrows().min(IMAGES);
    let mean = rows.mean_axis(ndarray::Axis(0))?;
    let product = |lag: usize| {
        let mut sum = 0.0_f64;
        for row in rows.rows().into_iter().take(n) {
            let at = |pixel: usize| f64::from(row[pixel] - mean[pixel]);
            for line in 0..height {
                for column in 0..width - lag {
                    let pixel = line * width + column;
                    sum += at(pixel) * at(pixel + lag);
                }
            }
        }
        sum / (width - lag) as f64
    };
    let variance = product(0);
    if variance <= 0.0 {
        return None;
    }
    (1..width).find(|&lag| product(lag) < TOGETHER * variance)
}

#[cfg(test)]
mod tests {
    use hourglass_core::Matrix;

    use super::*;

    #[test]
    fn fields_grow_with_layers_and_strides() {
        let field =
            |n_layers, kernel, stride| Convolution { n_layers, kernel, stride }.receptive_field();
        assert_eq!([field(1, 3, 2), field(2, 3, 2), field(3, 3, 2), field(2, 5, 1)], [3, 7, 15, 9]);
        assert_eq!(field(4, 1, 2), 1);
    }

    #[test]
    fn broad_things_are_correlated_for_longer() {
        let waves = |period: f32| {
            Matrix::from_shape_fn((40, 256), |(row, pixel)| {
                ((pixel % 16) as f32 / period + row as f32).sin()
            })
        };
        let length = |period| correlation_length(waves(period).view(), (16, 16)).unwrap();
        assert!(length(0.5) < length(2.0), "{} {}", length(0.5), length(2.0));
        assert_eq!(correlation_length(Matrix::zeros((4, 16)).view(), (4, 4)), None);
    }
}
