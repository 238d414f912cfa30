//! Masked autoencoder for images: a transformer sees a few patches of an image, and a smaller one
//! fills in the hidden ones.
//!
//! # Source
//! He, Chen, Xie, Li, Dollár, Girshick, "Masked Autoencoders Are Scalable Vision Learners",
//! arXiv:2111.06377: the encoder sees visible patches alone, the loss counts hidden ones alone;
//! blocks as in Dosovitskiy et al., arXiv:2010.11929. As there, every image of a batch has a
//! mask of its own. Differs from the paper: learnt positions, no class token (features are the mean
//! over patches), and images whose sides are no multiple of the patch are filled up with zeros that
//! don't count.
//!
//! # Reconstruction
//! A patch that is seen is never predicted in training. So [`Autoencoder::reconstruct`] shows an
//! image in several parts, one after the other, and takes each patch as predicted while hidden.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{
    Activation, Corruption, Dense, Init, LayerNorm, Loss, Parameter, Select, WeightOrder,
};
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{check_width, parameters_of};
use crate::config::{Architecture, linear};
use crate::head::Head;
use crate::maps::MapSize;
use crate::transformer::{Block, drawn};
use crate::{Autoencoder, ColumnWeights, Context, Error, ImageLoss, LossParts, Perceptual, Result};

/// Hyperparameters of the masked autoencoder for images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskedImage {
    /// Width of the latent and of the encoder's blocks; a multiple of `n_heads`.
    pub latent_dim: usize,
    /// Height and width of a patch; 1 or more. Default: 4.
    #[serde(default = "four")]
    pub patch: usize,
    /// Share of the patches that are hidden in training; in `(0, 1)`. Default: 0.75.
    #[serde(default = "three_quarters")]
    pub mask_share: f32,
    /// Blocks of the encoder; 1 or more. Default: 4.
    #[serde(default = "four")]
    pub n_blocks: usize,
    /// Blocks of the decoder; 1 or more. Default: 1.
    #[serde(default = "one")]
    pub n_decoder_blocks: usize,
    /// Width of the decoder's blocks; a multiple of `n_heads`. Default: half of `latent_dim`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_dim: Option<usize>,
    /// Heads of the attention; 1 or more. Default: 4.
    #[serde(default = "four")]
    pub n_heads: usize,
    /// Activation of the output; it must reach the range of the prepared data. Default: `linear`.
    #[serde(default = "linear")]
    pub output_activation: Activation,
    /// What images are compared by beside their hidden pixels; the seen ones stand in as they are.
    /// Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_loss: Option<ImageLoss>,
    /// A comparison in the features of an encoder that an earlier run trained. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perceptual: Option<Perceptual>,
}

fn one() -> usize {
    1
}

fn four() -> usize {
    4
}

fn three_quarters() -> f32 {
    0.75
}

impl MaskedImage {
    /// This latent, and the default of every other key.
    pub fn new(latent_dim: usize) -> Self {
        MaskedImage {
            latent_dim,
            patch: four(),
            mask_share: three_quarters(),
            n_blocks: four(),
            n_decoder_blocks: one(),
            decoder_dim: None,
            n_heads: four(),
            output_activation: linear(),
            image_loss: None,
            perceptual: None,
        }
    }

    pub(crate) fn examples() -> Vec<Self> {
        let plain = MaskedImage {
            mask_share: 0.5,
            n_blocks: 1,
            n_heads: 2,
            decoder_dim: Some(16),
            ..MaskedImage::new(16)
        };
        let image_loss = Some(ImageLoss::Edges { weight: 0.05 });
        vec![plain.clone(), MaskedImage { image_loss, ..plain }]
    }

    fn decoder_dim(&self) -> usize {
        self.decoder_dim.unwrap_or(self.latent_dim / 2)
    }
}

impl Architecture for MaskedImage {
    fn latent_dim(&self) -> Option<usize> {
        Some(self.latent_dim)
    }

    fn output_activation(&self) -> Activation {
        self.output_activation
    }

    fn perceptual(&self) -> Option<Perceptual> {
        self.perceptual.clone()
    }

    fn describe(&self, n_features: usize) -> String {
        format!(
            "{n_features} pixels, patches of {p} x {p}, {:.0} % hidden, {} blocks of {}, {} of {}",
            self.mask_share * 100.0,
            self.n_blocks,
            self.latent_dim,
            self.n_decoder_blocks,
            self.decoder_dim(),
            p = self.patch,
        )
    }

    fn check(&self, _loss: &Loss) -> Result<()> {
        let counts = [
            ("patch", self.patch),
            ("n_blocks", self.n_blocks),
            ("n_decoder_blocks", self.n_decoder_blocks),
            ("n_heads", self.n_heads),
        ];
        for (key, count) in counts {
            if count == 0 {
                return Err(Error::config(key, 0, "1 or more"));
            }
        }
        for (key, width) in [("latent_dim", self.latent_dim), ("decoder_dim", self.decoder_dim())] {
            if width == 0 || !width.is_multiple_of(self.n_heads) {
                let expected = format!("a multiple of `n_heads` = {}", self.n_heads);
                return Err(Error::config(key, width, expected));
            }
        }
        if !(self.mask_share > 0.0 && self.mask_share < 1.0) {
            return Err(Error::config("mask_share", self.mask_share, "between 0 and 1"));
        }
        self.image_loss.map_or(Ok(()), ImageLoss::check)?;
        self.perceptual.as_ref().map_or(Ok(()), Perceptual::check)
    }

    fn build(&self, shape: &SampleShape, seed: Seed) -> Result<Box<dyn Autoencoder>> {
        let image = MapSize::of(shape, "masked_image")?;
        let patches = Patches::new(image, self.patch);
        if patches.n < 2 {
            let [height, width] = image.size;
            return Err(Error::Shape {
                kind: "masked_image",
                expected: format!("images of two patches of {p} x {p} or more", p = self.patch),
                found: format!("{height} x {width}"),
                hint: "a smaller `patch`".to_owned(),
            });
        }
        Ok(Box::new(Model::new(self, shape, patches, seed)?))
    }
}

/// Which pixels lie in which patch.
#[derive(Debug)]
struct Patches {
    /// Number of patches.
    n: usize,
    /// Values of a patch.
    n_values: usize,
    n_features: usize,
    /// For each value of each patch its place in a row of the batch; `n_features` beyond the image.
    places: Vec<u32>,
}

impl Patches {
    fn new(image: MapSize, patch: usize) -> Self {
        let [height, width] = image.size;
        let mut places = Vec::new();
        for top in (0..height).step_by(patch) {
            for left in (0..width).step_by(patch) {
                for channel in 0..image.channels {
                    for (y, x) in
                        (top..top + patch).flat_map(|y| (left..left + patch).map(move |x| (y, x)))
                    {
                        let inside = y < height && x < width;
                        let place = (channel * height + y) * width + x;
                        places.push(if inside { place } else { image.n_values() } as u32);
                    }
                }
            }
        }
        let n_values = image.channels * patch * patch;
        Patches { n: places.len() / n_values, n_values, n_features: image.n_values(), places }
    }

    /// The chosen patches of each row, as many of one as of the other: `(batch * n_chosen,
    /// n_values)`.
    fn cut(&self, rows: &Tensor, chosen: &[u32]) -> Result<Tensor> {
        let n_rows = rows.dim(0)?;
        let beyond = Tensor::zeros((n_rows, 1), rows.dtype(), rows.device())?;
        let width = self.n_features as u32 + 1;
        let mut places = Vec::with_capacity(chosen.len() * self.n_values);
        for (row, patches) in (0..).zip(chosen.chunks(chosen.len() / n_rows)) {
            let of_row = patches.iter().flat_map(|&patch| self.places_of(patch));
            places.extend(of_row.map(|place| row * width + place));
        }
        let values = Tensor::cat(&[rows, &beyond], 1)?.flatten_all()?;
        Ok(values.index_select(&index(places)?, 0)?.reshape(((), self.n_values))?)
    }

    fn places_of(&self, patch: u32) -> &[u32] {
        &self.places[patch as usize * self.n_values..][..self.n_values]
    }

    /// Of the values of some patches of each row those inside the image: their positions among the
    /// values, and their places in the batch.
    fn inside(&self, chosen: &[u32], n_rows: usize) -> (Vec<u32>, Vec<u32>) {
        let each = chosen.len() / n_rows * self.n_values;
        let places = chosen.iter().flat_map(|&patch| self.places_of(patch)).enumerate();
        let inside = places.filter(|&(_, &place)| (place as usize) < self.n_features);
        let in_batch = |position: usize, place: u32| {
            (position as u32, (position / each * self.n_features) as u32 + place)
        };
        inside.map(|(position, &place)| in_batch(position, place)).unzip()
    }
}

fn index(values: Vec<u32>) -> Result<Tensor> {
    let n = values.len();
    Ok(Tensor::from_vec(values, n, &Device::Cpu)?)
}

#[derive(Debug)]
struct Model {
    latent_dim: usize,
    mask_share: f32,
    patches: Patches,
    embed: Dense,
    positions: Parameter,
    encoder: Vec<Block>,
    norm: LayerNorm,
    narrow: Dense,
    mask: Parameter,
    decoder_positions: Parameter,
    decoder: Vec<Block>,
    decoder_norm: LayerNorm,
    output: Dense,
    head: Head,
    parameters: Vec<Parameter>,
}

impl Model {
    fn new(
        config: &MaskedImage,
        shape: &SampleShape,
        patches: Patches,
        seed: Seed,
    ) -> Result<Self> {
        let (width, narrow_width) = (config.latent_dim, config.decoder_dim());
        let dense = |name: &str, widths| {
            let (order, linear) = (WeightOrder::OutIn, Activation::Linear);
            Dense::new(name, widths, order, linear, Init::GlorotUniform, seed)
        };
        let blocks = |name: &str, n: usize, width| {
            let block = |i| Block::new(&format!("{name}.{i}"), width, config.n_heads, seed);
            (0..n).map(block).collect::<Result<Vec<_>>>()
        };
        let embed = dense("encoder.embed", (patches.n_values, width))?;
        let positions = drawn("encoder.positions", &[patches.n, width], seed)?;
        let encoder = blocks("encoder", config.n_blocks, width)?;
        let norm = LayerNorm::new("encoder.norm", width)?;
        let narrow = dense("decoder.narrow", (width, narrow_width))?;
        let mask = drawn("decoder.mask", &[1, narrow_width], seed)?;
        let decoder_positions = drawn("decoder.positions", &[patches.n, narrow_width], seed)?;
        let decoder = blocks("decoder", config.n_decoder_blocks, narrow_width)?;
        let decoder_norm = LayerNorm::new("decoder.norm", narrow_width)?;
        let output = dense("decoder.output", (narrow_width, patches.n_values))?;
        let mut parameters = parameters_of(&embed);
        parameters.push(positions.clone());
        parameters.extend(encoder.iter().flat_map(Block::parameters));
        parameters.extend(norm.parameters());
        parameters.extend(parameters_of(&narrow));
        parameters.extend([mask.clone(), decoder_positions.clone()]);
        parameters.extend(decoder.iter().flat_map(Block::parameters));
        parameters.extend(decoder_norm.parameters());
        parameters.extend(parameters_of(&output));
        let head = Head::new(shape, config.output_activation, ColumnWeights::default())
            .with_views(shape, config.image_loss, config.perceptual.as_ref())?;
        Ok(Model {
            latent_dim: width,
            mask_share: config.mask_share,
            patches,
            embed,
            positions,
            encoder,
            norm,
            narrow,
            mask,
            decoder_positions,
            decoder,
            decoder_norm,
            output,
            head,
            parameters,
        })
    }

    /// What each block makes of the visible patches of each row, normalised at the end: `(batch *
    /// n_visible, latent_dim)` each.
    fn tokens(&self, rows: &Tensor, visible: &[u32]) -> Result<Vec<Tensor>> {
        let n_rows = rows.dim(0)?;
        let embedded = self.embed.forward(&self.patches.cut(rows, visible)?, Select::All)?;
        let positions = self.positions.tensor().index_select(&index(visible.to_vec())?, 0)?;
        let shape = (n_rows, visible.len() / n_rows, self.latent_dim);
        let mut tokens = (embedded + positions)?.reshape(shape)?;
        let mut all = Vec::with_capacity(self.encoder.len());
        for block in &self.encoder {
            tokens = block.forward(&tokens)?;
            all.push(tokens.reshape(((), self.latent_dim))?);
        }
        let last = all.len() - 1;
        all[last] = self.norm.forward(&all[last])?;
        Ok(all)
    }

    /// The values of the hidden patches of each row as predicted from its visible ones, before the
    /// output's activation: `(batch, n_hidden * n_values)`.
    fn predicted(&self, rows: &Tensor, visible: &[u32], hidden: &[u32]) -> Result<Tensor> {
        let n_rows = rows.dim(0)?;
        let width = self.narrow.n_out();
        let mut encoded = self.tokens(rows, visible)?;
        let encoded = encoded.swap_remove(encoded.len() - 1);
        let seen = self.narrow.forward(&encoded, Select::All)?;
        let (n_visible, n_hidden) = (visible.len() / n_rows, hidden.len() / n_rows);
        let seen = seen.reshape((n_rows, n_visible, width))?;
        let masks = self.mask.tensor().broadcast_as((n_rows, n_hidden, width))?;
        let of_rows = visible.chunks(n_visible).zip(hidden.chunks(n_hidden));
        let order = of_rows.flat_map(|(visible, hidden)| visible.iter().chain(hidden)).copied();
        let positions =
            self.decoder_positions.tensor().index_select(&index(order.collect())?, 0)?;
        let positions = positions.reshape((n_rows, self.patches.n, width))?;
        let mut tokens = (Tensor::cat(&[seen, masks.contiguous()?], 1)? + positions)?;
        for block in &self.decoder {
            tokens = block.forward(&tokens)?;
        }
        let of_hidden = tokens.narrow(1, n_visible, n_hidden)?.contiguous()?;
        let normal = self.decoder_norm.forward(&of_hidden.reshape(((), width))?)?;
        let values = self.output.forward(&normal, Select::All)?;
        Ok(values.reshape((n_rows, n_hidden * self.patches.n_values))?)
    }

    /// Visible and hidden patches of each row of a step, row after row.
    fn masked(&self, n_rows: usize, context: &Context) -> (Vec<u32>, Vec<u32>) {
        let n = self.patches.n;
        let n_hidden = ((n as f32 * self.mask_share).round() as usize).clamp(1, n - 1);
        let mut rng = context.seed.child("mask").rng();
        let (mut visible, mut hidden) = (Vec::new(), Vec::new());
        let mut order: Vec<u32> = (0..n as u32).collect();
        for _ in 0..n_rows {
            order.shuffle(&mut rng);
            visible.extend(&order[n_hidden..]);
            hidden.extend(&order[..n_hidden]);
        }
        (visible, hidden)
    }

    fn all(&self) -> Vec<u32> {
        (0..self.patches.n as u32).collect()
    }

    /// The losses that look at whole images: hidden pixels as predicted, the others as they are.
    fn views(
        &self,
        predicted: &Tensor,
        places: &[u32],
        target: &Tensor,
        loss: &Loss,
    ) -> Result<Vec<(&'static str, Tensor)>> {
        if self.head.is_plain() {
            return Ok(Vec::new());
        }
        let n_pixels = target.elem_count();
        let mut order: Vec<u32> = (0..n_pixels as u32).collect();
        for (position, &place) in (n_pixels as u32..).zip(places) {
            order[place as usize] = position;
        }
        let predicted = match loss {
            Loss::Bce => self.head.layer_activation().forward(predicted)?,
            _ => predicted.clone(),
        };
        let both = Tensor::cat(&[target.flatten_all()?, predicted.flatten_all()?], 0)?;
        let image = both.index_select(&index(order)?, 0)?.reshape(target.shape())?;
        self.head.views_of_image(&image, target)
    }

    fn mean_over_patches(&self, tokens: &Tensor, n_rows: usize) -> Result<Tensor> {
        Ok(tokens.reshape((n_rows, (), self.latent_dim))?.mean(1)?)
    }
}

impl Autoencoder for Model {
    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn n_features(&self) -> usize {
        self.patches.n_features
    }

    fn latent_dim(&self) -> usize {
        self.latent_dim
    }

    fn corruption(&self) -> Option<Corruption> {
        None
    }

    fn encode(&self, input: &Tensor) -> Result<Tensor> {
        let mut hidden = self.hidden(input)?;
        Ok(hidden.swap_remove(hidden.len() - 1))
    }

    fn hidden(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        check_width(input, self.n_features())?;
        let n_rows = input.dim(0)?;
        let tokens = self.tokens(input, &self.all().repeat(n_rows))?;
        tokens.iter().map(|tokens| self.mean_over_patches(tokens, n_rows)).collect()
    }

    fn look_through(&mut self, encoder: Arc<dyn Autoencoder>) -> Result<()> {
        self.head.look_through(encoder)
    }

    fn reconstruct(&self, input: &Tensor) -> Result<Tensor> {
        check_width(input, self.n_features())?;
        let (n_rows, n_features) = input.dims2()?;
        let activation = self.head.layer_activation();
        // As many parts as leave each the share of visible patches that training had.
        let visible_share = f64::from(1.0 - self.mask_share);
        let n_parts = ((1.0 / visible_share).round() as usize).clamp(2, self.patches.n);
        let mut sum = vec![0.0; n_rows * n_features];
        for part in 0..n_parts as u32 {
            let is_visible = |patch: &u32| patch % n_parts as u32 == part;
            let (visible, hidden): (Vec<u32>, Vec<u32>) =
                self.all().into_iter().partition(is_visible);
            let (visible, hidden) = (visible.repeat(n_rows), hidden.repeat(n_rows));
            let output = activation.forward(&self.predicted(input, &visible, &hidden)?)?;
            let output = output.flatten_all()?.to_vec1::<f32>()?;
            let (positions, places) = self.patches.inside(&hidden, n_rows);
            for (&position, &place) in positions.iter().zip(&places) {
                sum[place as usize] += output[position as usize] / (n_parts - 1) as f32;
            }
        }
        self.head.finish(Tensor::from_vec(sum, (n_rows, n_features), input.device())?)
    }

    fn loss(
        &self,
        input: &Tensor,
        target: &Tensor,
        loss: &Loss,
        context: &Context,
    ) -> Result<LossParts> {
        check_width(input, self.n_features())?;
        let n_rows = input.dim(0)?;
        let (visible, hidden) = self.masked(n_rows, context);
        let (positions, places) = self.patches.inside(&hidden, n_rows);
        // As one row, since filled-up patches leave some images fewer pixels than others.
        let pixels = |values: &Tensor, places: Vec<u32>| -> Result<Tensor> {
            Ok(values.flatten_all()?.index_select(&index(places)?, 0)?.unsqueeze(0)?)
        };
        let output = pixels(&self.predicted(input, &visible, &hidden)?, positions)?;
        let output = self.head.loss_activation(loss).forward(&output)?;
        let of_hidden = pixels(target, places.clone())?;
        let views = self.views(&output, &places, target, loss)?;
        LossParts::sum(self.head.loss(&output, &of_hidden, loss)?, views)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_of_a_batch_has_a_mask_of_its_own() {
        let shape = SampleShape::Image { channels: 1, height: 12, width: 10 };
        let image = MapSize::of(&shape, "masked_image").unwrap();
        let config = MaskedImage::new(8);
        let patches = Patches::new(image, config.patch);
        let model = Model::new(&config, &shape, patches, Seed::new(1)).unwrap();
        let (visible, hidden) = model.masked(20, &Context::train(0.0, 1, Seed::new(2)));
        assert_eq!(
            (visible.len(), hidden.len()),
            (20 * 2, 20 * 7),
            "9 patches, 3/4 of them hidden"
        );
        let mut masks: Vec<Vec<u32>> = Vec::new();
        for (visible, hidden) in visible.chunks(2).zip(hidden.chunks(7)) {
            let mut all = [visible, hidden].concat();
            all.sort_unstable();
            assert_eq!(all, model.all());
            let mut mask = visible.to_vec();
            mask.sort_unstable();
            masks.push(mask);
        }
        masks.sort();
        masks.dedup();
        assert!(masks.len() > 10, "20 draws from 36 masks: {}", masks.len());
    }

    #[test]
    fn what_lies_beyond_the_image_does_not_count() {
        let shape = SampleShape::Image { channels: 1, height: 3, width: 5 };
        let patches = Patches::new(MapSize::of(&shape, "masked_image").unwrap(), 2);
        assert_eq!((patches.n, patches.n_values), (6, 4));
        let (positions, places) = patches.inside(&[0, 5, 2, 1], 2);
        // The sixth patch holds one pixel, the third two; the second row lies 15 values on.
        assert_eq!(positions, [0, 1, 2, 3, 4, 8, 10, 12, 13, 14, 15]);
        assert_eq!(places, [0, 1, 5, 6, 14, 19, 24, 17, 18, 22, 23]);
    }
}
