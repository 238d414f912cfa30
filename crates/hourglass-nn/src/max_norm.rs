//! A limit on the weights that come into a unit.

use crate::{Parameter, Result};

/// Scales the weights of each unit so that their norm is at most `max_norm`; parameters that weight
/// decay spares (biases, normalisations) are spared here too.
///
/// # Source
/// Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: A Simple Way to Prevent
/// Neural Networks from Overfitting", JMLR 15, 2014, section 5.1.
///
/// # Errors
/// If candle can't hand out the storage of a parameter.
pub fn limit_unit_norms(parameters: &[Parameter], max_norm: f64) -> Result<()> {
    let limit = max_norm as f32;
    for parameter in parameters.iter().filter(|parameter| parameter.decays()) {
        let units = parameter.units();
        parameter.modify(|values| {
            let factors: Vec<f32> = units
                .norms(values)
                .into_iter()
                .map(|norm| if norm > limit { limit / norm } else { 1.0 })
                .collect();
            units.scale(values, &factors);
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_units_above_the_limit_shrink() {
        // torch.renorm(torch.tensor([[3., 4.], [.3, .4]]), 2, 0, 1.0)
        let weight = Parameter::new("w", vec![3.0, 4.0, 0.3, 0.4], &[2, 2], true).unwrap();
        let bias = Parameter::new("b", vec![3.0, 4.0], &[2], false).unwrap();
        limit_unit_norms(&[weight.clone(), bias.clone()], 1.0).unwrap();
        assert_eq!(weight.values().unwrap(), [0.6, 0.8, 0.3, 0.4]);
        assert_eq!(bias.values().unwrap(), [3.0, 4.0]);
    }
}
