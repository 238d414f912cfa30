//! Embeddings: in front of the first layer each category of a table becomes a short vector, one for
//! each level, that is learnt with the autoencoder. Numbers and binary columns pass as they are.
//! What is reconstructed stays the table: its levels, not their vectors.
//!
//! Source: Guo and Berkhahn, "Entity Embeddings of Categorical Variables", arXiv:1604.06737.
//! Differs from the paper: vectors are learnt without labels, and a level that no training row has
//! gets the part that all levels share, the bias.

use std::ops::Range;

use candle_core::Tensor;
use hourglass_core::{ColumnKind, SampleShape, Seed};
use hourglass_nn::{Activation, Dense, Init, Parameter, Select, WeightOrder, normal};

use crate::body::parameters_of;
use crate::{Error, Result};

/// The vectors of all categories.
#[derive(Clone, Debug)]
pub(crate) struct Embedding {
    pieces: Vec<Piece>,
}

/// Neighbouring columns and what becomes of them.
#[derive(Clone, Debug)]
enum Piece {
    /// They pass.
    Columns(Range<usize>),
    /// The levels of a category, with their vectors as the rows of the weight.
    Category(Range<usize>, Dense),
}

impl Embedding {
    /// Vectors of `dim` values, or as many as a category has levels where these are fewer, drawn
    /// from the standard normal as PyTorch's `nn.Embedding` has it.
    ///
    /// # Errors
    /// [`Error::Config`] for data without a category.
    pub fn new(shape: &SampleShape, dim: usize, seed: Seed) -> Result<Self> {
        let mut pieces = Vec::new();
        for group in shape.groups() {
            let columns = group.columns.clone();
            match (group.kind, pieces.last_mut()) {
                (ColumnKind::Categorical, _) => {
                    let name = format!("encoder.embedding.{}", pieces.len());
                    let (n_levels, dim) = (columns.len(), dim.min(columns.len()));
                    let (order, linear) = (WeightOrder::InOut, Activation::Linear);
                    let layer =
                        Dense::new(&name, (n_levels, dim), order, linear, Init::HeNormal, seed)?;
                    let drawn = normal(n_levels, dim, seed.child(&name).child("vectors"))?;
                    layer.weight().set_values(&drawn.flatten_all()?.to_vec1::<f32>()?)?;
                    pieces.push(Piece::Category(columns, layer));
                }
                (_, Some(Piece::Columns(before))) => before.end = columns.end,
                _ => pieces.push(Piece::Columns(columns)),
            }
        }
        if !pieces.iter().any(|piece| matches!(piece, Piece::Category(..))) {
            let expected = "absent where no column is a category";
            return Err(Error::config("embedding_dim", dim, expected));
        }
        Ok(Embedding { pieces })
    }

    /// Columns that come out.
    pub fn n_out(&self) -> usize {
        let width = |piece: &Piece| match piece {
            Piece::Columns(columns) => columns.len(),
            Piece::Category(_, layer) => layer.n_out(),
        };
        self.pieces.iter().map(width).sum()
    }

    /// The vectors in the place of the levels.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_features)`
    /// - returns: `(batch, n_out)`
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let of = |piece: &Piece| -> Result<Tensor> {
            let part = |columns: &Range<usize>| input.narrow(1, columns.start, columns.len());
            Ok(match piece {
                Piece::Columns(columns) => part(columns)?,
                Piece::Category(columns, layer) => {
                    layer.forward(&part(columns)?.contiguous()?, Select::All)?
                }
            })
        };
        let pieces: Vec<Tensor> = self.pieces.iter().map(of).collect::<Result<_>>()?;
        Ok(Tensor::cat(&pieces, 1)?)
    }

    /// Vectors and biases, category by category.
    pub fn parameters(&self) -> Vec<Parameter> {
        let of = |piece: &Piece| match piece {
            Piece::Columns(_) => Vec::new(),
            Piece::Category(_, layer) => parameters_of(layer),
        };
        self.pieces.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use hourglass_core::ColumnGroup;
    use hourglass_nn::to_matrix;

    use super::*;
    use crate::{ModelConfig, build};

    /// A number, a category of five levels, a binary column, a category of two.
    fn table() -> SampleShape {
        use ColumnKind::{Binary, Categorical, Numeric};
        let kinds = [(Numeric, 0..1), (Categorical, 1..6), (Binary, 6..7), (Categorical, 7..9)];
        let group = |(kind, columns)| ColumnGroup { name: "a".to_owned(), kind, columns };
        SampleShape::Table { groups: kinds.map(group).to_vec() }
    }

    #[test]
    fn a_level_becomes_its_vector_and_the_rest_passes() {
        let embedding = Embedding::new(&table(), 3, Seed::new(1)).unwrap();
        assert_eq!((embedding.n_out(), embedding.parameters().len()), (1 + 3 + 1 + 2, 4));
        // Of the second row no level is known.
        let rows = [0.5_f32, 0., 0., 1., 0., 0., 1., 0., 1., -2., 0., 0., 0., 0., 0., 0., 0., 0.];
        let rows = Tensor::from_slice(&rows, (2, 9), &Device::Cpu).unwrap();
        let parameters = embedding.parameters();
        parameters[1].set_values(&[0.25, 0.5, 0.75]).unwrap();
        let vectors = parameters[0].values().unwrap();
        let found = to_matrix(&embedding.forward(&rows).unwrap()).unwrap();
        let expected: Vec<f32> =
            vectors[6..9].iter().zip([0.25, 0.5, 0.75]).map(|(v, b)| v + b).collect();
        assert_eq!(found.row(0).to_vec()[1..4], expected);
        assert_eq!((found[[0, 0]], found[[0, 4]]), (0.5, 1.0));
        assert_eq!(found.row(1).to_vec(), [-2.0, 0.25, 0.5, 0.75, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_has_no_levels_or_needs_the_input_itself_refuses_embeddings() {
        let vector = SampleShape::Vector { len: 9 };
        for (config, shape, said) in [
            (
                r#"{"denoising": {"latent_dim": 4, "corruption": {"swap": {"share": 0.2}}}}"#,
                &vector,
                "absent where no column is a category",
            ),
            (r#"{"undercomplete": {"latent_dim": 4, "tied": true}}"#, &table(), "`tied`"),
            (r#"{"contractive": {"latent_dim": 4, "weight": 0.1}}"#, &table(), "contraction"),
        ] {
            let config =
                config.replacen(r#""latent_dim""#, r#""embedding_dim": 3, "latent_dim""#, 1);
            let config: ModelConfig = serde_json::from_str(&config).unwrap();
            let error = config
                .check(&hourglass_nn::Loss::Mse)
                .and_then(|()| build(&config, shape, Seed::new(1)).map(drop))
                .unwrap_err()
                .to_string();
            assert!(error.contains("embedding_dim") && error.contains(said), "{error}");
        }
    }
}
