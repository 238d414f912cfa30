//! Limits on gradients: by value, by the norm of all together, and unit by unit against the norm
//! of the weights. A parameter without a gradient is left alone.

use rayon::prelude::*;

use crate::parameter::Gradient;
use crate::simd::{sum_map, wide};
use crate::{Parameter, Result};

/// Values that one task sums.
const CHUNK: usize = 1 << 16;

/// Norm of a unit's weights below which [`clip_adaptively`] takes this one, so that weights can
/// leave 0: Brock et al., section 4.1.
const LEAST_NORM: f32 = 1e-3;

/// Euclidean norm of all gradients together; `f64` sums in the order of the list.
pub fn global_norm(parameters: &[Parameter]) -> f64 {
    parameters.iter().map(|parameter| squared_norm(&parameter.lock())).sum::<f64>().sqrt()
}

/// Euclidean norm of the gradient of each parameter.
pub fn gradient_norms(parameters: &[Parameter]) -> Vec<f64> {
    parameters.iter().map(|parameter| squared_norm(&parameter.lock()).sqrt()).collect()
}

/// Scales all gradients so that their norm is at most `max_norm`; returns the norm before.
///
/// # Source
/// Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
pub fn clip_by_norm(parameters: &[Parameter], max_norm: f64) -> f64 {
    let norm = global_norm(parameters);
    if norm > max_norm {
        let scale = (max_norm / norm) as f32;
        for parameter in parameters {
            parameter.lock().values.iter_mut().for_each(|gradient| *gradient *= scale);
        }
    }
    norm
}

/// Limits every value of every gradient to `[-limit, limit]`. A value that isn't a number stays.
pub fn clip_by_value(parameters: &[Parameter], limit: f64) {
    let limit = limit as f32;
    for parameter in parameters {
        let mut gradient = parameter.lock();
        if gradient.is_set {
            gradient.values.iter_mut().for_each(|value| *value = value.clamp(-limit, limit));
        }
    }
}

/// Limits the norm of each unit's gradient to `factor` times the norm of its weights.
///
/// # Source
/// Brock, De, Smith, Simonyan, "High-Performance Large-Scale Image Recognition Without
/// Normalization", arXiv:2102.06171, section 4.1. The authors spare the last layer; here every
/// parameter is clipped. A bias is one unit, as in their code.
///
/// # Errors
/// If candle can't read a parameter.
pub fn clip_adaptively(parameters: &[Parameter], factor: f64) -> Result<()> {
    let factor = factor as f32;
    for parameter in parameters {
        let (units, weights) = (parameter.units(), parameter.values()?);
        let mut gradient = parameter.lock();
        if !gradient.is_set {
            continue;
        }
        let norms = units.norms(&gradient.values);
        let limits = units.norms(&weights).into_iter().map(|norm| factor * norm.max(LEAST_NORM));
        let factors: Vec<f32> = norms
            .into_iter()
            .zip(limits)
            .map(|(norm, limit)| if norm > limit { limit / norm } else { 1.0 })
            .collect();
        units.scale(&mut gradient.values, &factors);
    }
    Ok(())
}

fn squared_norm(gradient: &Gradient) -> f64 {
    if !gradient.is_set {
        return 0.0;
    }
    let square = |chunk: &[f32]| wide(|| sum_map(chunk, chunk, |a, b| a * b));
    let parts: Vec<f64> = gradient.values.par_chunks(CHUNK).map(square).collect();
    parts.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(values: &[f32], shape: &[usize], gradient: &[f32]) -> Parameter {
        let parameter = Parameter::new("w", values.to_vec(), shape, true).unwrap();
        {
            let mut slot = parameter.lock();
            slot.values.copy_from_slice(gradient);
            slot.is_set = true;
        }
        parameter
    }

    #[test]
    fn clipping_scales_to_the_norm() {
        let list = [parameter(&[0.0; 2], &[2], &[3.0, 4.0])];
        assert_eq!(clip_by_norm(&list, 1.0), 5.0);
        assert!((global_norm(&list) - 1.0).abs() < 1e-6);
        assert_eq!(clip_by_norm(&list, 2.0), global_norm(&list));
        assert_eq!(gradient_norms(&list), [global_norm(&list)]);
    }

    #[test]
    fn clipping_limits_each_value() {
        let list = [parameter(&[0.0; 3], &[3], &[3.0, -4.0, 0.5])];
        clip_by_value(&list, 1.0);
        assert_eq!(list[0].gradient().unwrap(), [1.0, -1.0, 0.5]);
    }

    #[test]
    fn adaptive_clipping_agrees_with_its_formula() {
        // import torch  # timm.utils.agc.adaptive_clip_grad(p, clip_factor=.1, eps=1e-3)
        // w = torch.tensor([[3., 4.], [0., 0.], [1., 0.]]); g = torch.tensor([[3., 4.], [6., 8.],
        //     [.01, .02]])
        // norm = lambda x: x.norm(dim=1, keepdim=True)
        // top = .1 * norm(w).clamp(min=1e-3); torch.where(norm(g) > top, g * top / norm(g), g)
        let weights = [3.0, 4.0, 0.0, 0.0, 1.0, 0.0];
        let list = [parameter(&weights, &[3, 2], &[3.0, 4.0, 6.0, 8.0, 0.01, 0.02])];
        clip_adaptively(&list, 0.1).unwrap();
        let expected = [0.3, 0.4, 6e-5, 8e-5, 0.01, 0.02];
        for (found, expected) in list[0].gradient().unwrap().into_iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
        }
        let columns = [parameter(&[3.0, 0.0, 4.0, 0.0], &[2, 2], &[3.0, 6.0, 4.0, 8.0])];
        let columns = columns.map(|parameter| parameter.with_units_along(1));
        clip_adaptively(&columns, 0.1).unwrap();
        for (found, expected) in
            columns[0].gradient().unwrap().into_iter().zip([0.3, 6e-5, 0.4, 8e-5])
        {
            assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn a_parameter_without_a_gradient_is_left_alone() {
        let list = [Parameter::new("w", vec![1.0], &[1], true).unwrap()];
        clip_by_value(&list, 1.0);
        clip_adaptively(&list, 0.1).unwrap();
        assert_eq!(clip_by_norm(&list, 1.0), 0.0);
        assert_eq!(list[0].gradient(), None);
    }
}
