//! Encoding all rows of MNIST.

use std::time::Instant;

use anyhow::Result;
use hourglass_features::{HiddenLayers, encode_all};

use crate::rows::mnist;
use crate::{Measured, Place, Round, steps};

pub fn round(place: &Place) -> Result<Round> {
    let rows = mnist()?.images;
    place.write_floats("rows.f32", rows.iter().copied())?;
    let model = steps::model("small", place)?;
    Ok(Box::new(move || {
        let start = Instant::now();
        let encoded = encode_all(model.as_ref(), rows.view(), HiddenLayers::Latent)?;
        let seconds = start.elapsed().as_secs_f64();
        let sum = encoded.iter().map(|&value| f64::from(value)).sum::<f64>();
        let mean = sum / encoded.len() as f64;
        Ok(Measured { value: rows.nrows() as f64 / seconds, loss: Some(mean) })
    }))
}
