//! A block of a transformer: attention and a small network, each behind a normalisation and beside
//! a short cut.
//!
//! # Source
//! Vaswani et al., "Attention Is All You Need", arXiv:1706.03762, normalised in front of each part
//! as in Dosovitskiy et al., arXiv:2010.11929.

use candle_core::{D, Tensor};
use hourglass_core::Seed;
use hourglass_nn::{Activation, Dense, Init, LayerNorm, Parameter, Select, WeightOrder, normal};

use crate::Result;
use crate::body::parameters_of;

/// Width of the network inside a block, in widths of the block, as in both papers.
const INNER: usize = 4;

/// Standard deviation of positions and masks at the start: Dosovitskiy et al.
const STD: f64 = 0.02;

/// A block.
#[derive(Debug)]
pub(crate) struct Block {
    n_heads: usize,
    norms: [LayerNorm; 2],
    /// To queries, keys and values, and back.
    attention: [Dense; 2],
    network: [Dense; 2],
}

impl Block {
    pub fn new(name: &str, width: usize, n_heads: usize, seed: Seed) -> Result<Self> {
        let dense = |part: &str, widths, activation| {
            let (name, order) = (format!("{name}.{part}"), WeightOrder::OutIn);
            Dense::new(&name, widths, order, activation, Init::GlorotUniform, seed)
        };
        let linear = Activation::Linear;
        Ok(Block {
            n_heads,
            norms: [
                LayerNorm::new(&format!("{name}.norm_0"), width)?,
                LayerNorm::new(&format!("{name}.norm_1"), width)?,
            ],
            attention: [
                dense("attend", (width, 3 * width), linear)?,
                dense("merge", (width, width), linear)?,
            ],
            network: [
                dense("widen", (width, INNER * width), Activation::Gelu)?,
                dense("narrow", (INNER * width, width), linear)?,
            ],
        })
    }

    pub fn parameters(&self) -> Vec<Parameter> {
        let dense = self.attention.iter().chain(&self.network).flat_map(parameters_of);
        let norms = self.norms.iter().flat_map(LayerNorm::parameters);
        dense.chain(norms).collect()
    }

    /// # Shapes
    /// - `tokens`: `(batch, n_tokens, width)`
    /// - returns: the same
    pub fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let shape = tokens.dims3()?;
        let flat = tokens.contiguous()?.reshape(((), shape.2))?;
        let attended = self.attend(&self.norms[0].forward(&flat)?, shape)?;
        let flat = (flat + attended)?;
        let mut inner = self.norms[1].forward(&flat)?;
        for layer in &self.network {
            inner = layer.forward(&inner, Select::All)?;
        }
        Ok((flat + inner)?.reshape(shape)?)
    }

    fn attend(
        &self,
        flat: &Tensor,
        (n_rows, n_tokens, width): (usize, usize, usize),
    ) -> Result<Tensor> {
        let head = width / self.n_heads;
        let all = self.attention[0].forward(flat, Select::All)?;
        let part = |i: usize| -> Result<Tensor> {
            let part = all.narrow(1, i * width, width)?.contiguous()?;
            let part = part.reshape((n_rows, n_tokens, self.n_heads, head))?;
            Ok(part.transpose(1, 2)?.contiguous()?)
        };
        let (queries, keys, values) = (part(0)?, part(1)?, part(2)?);
        let scores = (queries.matmul(&keys.t()?)? / (head as f64).sqrt())?;
        let highest = scores.detach().max_keepdim(D::Minus1)?;
        let powers = scores.broadcast_sub(&highest)?.exp()?;
        let weights = powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?;
        let mixed = weights.matmul(&values)?.transpose(1, 2)?.contiguous()?;
        Ok(self.attention[1].forward(&mixed.reshape(((), width))?, Select::All)?)
    }
}

/// A parameter of normal numbers that weight decay leaves alone: positions, masks.
pub(crate) fn drawn(name: &str, shape: &[usize; 2], seed: Seed) -> Result<Parameter> {
    let values = (normal(shape[0], shape[1], seed.child(name))? * STD)?;
    Ok(Parameter::new(name, values.flatten_all()?.to_vec1()?, shape, false)?)
}
