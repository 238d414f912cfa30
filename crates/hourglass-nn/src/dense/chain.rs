//! Layers one after another, with or without the loss at their end, as one operation.
//!
//! Between two operations candle fills a zero tensor, adds the gradient to it and hands a copy on,
//! all on one thread; at 784-256-64-256-784 that was a third of a training step. Within a chain
//! activations and gradients stay in lent buffers, the derivative of an activation is applied to
//! each block of the product that made its gradient, and the gradients of a layer's weights and of
//! its input are worked out side by side.

use std::mem::take;
use std::sync::{Mutex, MutexGuard};

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor};
use hourglass_core::Matrix;
use ndarray::ArrayView2;
use rayon::prelude::*;

use super::{Dense, Select, WeightOrder};
use crate::lent::{Lent, lend};
use crate::simd::{sum_map, wide};
use crate::storage::{view_of, with_view};
use crate::{Activation, Loss, Result};

/// Values of the loss that one task handles.
const CHUNK: usize = 1 << 14;

/// Values whose derivatives lie on the stack for a moment.
const BLOCK: usize = 512;

/// A layer as part of a [`Chain`].
#[derive(Clone, Debug)]
pub struct Link {
    /// The layer.
    pub layer: Dense,
    /// Which of its activations survive.
    pub(super) select: Select,
    /// Whether zeros of its input are skipped.
    pub(super) sparse_input: bool,
}

impl Link {
    /// A layer of which all activations survive.
    pub fn new(layer: Dense) -> Self {
        Link { layer, select: Select::All, sparse_input: false }
    }

    /// The same, of which only these activations survive.
    #[must_use]
    pub fn with_select(self, select: Select) -> Self {
        Link { select, ..self }
    }

    /// The same, for an input that is zero but for a few entries: see [`Dense::forward_sparse`].
    #[must_use]
    pub fn with_sparse_input(self) -> Self {
        let sparse_input = self.layer.order == WeightOrder::InOut;
        Link { sparse_input, ..self }
    }
}

/// Layers one after another.
///
/// ```
/// use hourglass_core::Seed;
/// use hourglass_nn::{Activation, Chain, Dense, Init, Link, Loss, WeightOrder, tensor_from};
/// let layer = |name, shape, order| {
///     Dense::new(name, shape, order, Activation::Relu, Init::HeNormal, Seed::new(1))
/// };
/// let chain = Chain::new(vec![
///     Link::new(layer("encoder", (4, 2), WeightOrder::OutIn)?),
///     Link::new(layer("decoder", (2, 4), WeightOrder::InOut)?),
/// ]);
/// let x = tensor_from(vec![0.5; 12], (3, 4), &candle_core::Device::Cpu)?;
/// let loss = chain.mean_loss(&x, &x, Loss::Mse)?;
/// loss.backward()?;
/// assert!(chain.links()[0].layer.weight().gradient().is_some());
/// # Ok::<(), hourglass_nn::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chain(Vec<Link>);

impl Chain {
    /// A chain of one link or more.
    pub fn new(links: Vec<Link>) -> Self {
        Chain(links)
    }

    /// The links, first to last.
    pub fn links(&self) -> &[Link] {
        &self.0
    }

    /// What the last link makes of an input to the first.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_in of the first)`
    /// - returns: `(batch, n_out of the last)`
    ///
    /// # Errors
    /// If the width of the input is not that of the first link, or links do not fit.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        forward(&self.0, input)
    }

    /// [`Loss::mean`] of what the last link makes of the input.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_in of the first)`; `target`: `(batch, n_out of the last)`
    /// - returns: a scalar
    ///
    /// # Errors
    /// As [`Chain::forward`], or if the target has another shape.
    pub fn mean_loss(&self, input: &Tensor, target: &Tensor, loss: Loss) -> Result<Tensor> {
        let last = self.0.iter().rposition(|link| !link.is_fused()).map_or(0, |last| last + 1);
        let (first, fused) = self.0.split_at(last);
        let [link, ..] = fused else { return loss.mean(&self.forward(input)?, target) };
        if !input.device().is_cpu() {
            return loss.mean(&self.forward(input)?, target);
        }
        let op = LossOp { links: fused.to_vec(), loss, kept: Mutex::default() };
        let input = forward(first, input)?.contiguous()?;
        Ok(input.apply_op3(&link.layer.bias.tensor(), &target.contiguous()?, op)?)
    }
}

/// What the last of these links makes of an input to the first.
pub(super) fn forward(links: &[Link], input: &Tensor) -> Result<Tensor> {
    if !input.device().is_cpu() {
        return links.iter().try_fold(input.clone(), |input, link| link.composed(&input));
    }
    let mut output = input.clone();
    for links in links.split_inclusive(|link| !link.is_fused()) {
        let mut fused = links.to_vec();
        let (after, select) = fused.last_mut().expect("no part is empty").unfuse();
        let anchor = links[0].layer.bias.tensor();
        let op = ChainOp { links: fused, kept: Mutex::default() };
        output = output.contiguous()?.apply_op2(&anchor, op)?;
        output = select.forward(&after.forward(&output)?)?;
    }
    Ok(output)
}

impl Link {
    /// Whether its activation can be done within the operation.
    fn is_fused(&self) -> bool {
        self.layer.activation.split().1 == Activation::Linear
    }

    /// Leaves what can't, with the selection that follows it, to operations of their own.
    fn unfuse(&mut self) -> (Activation, Select) {
        let (within, after) = self.layer.activation.split();
        self.layer.activation = within;
        let select = if after == Activation::Linear { Select::All } else { take(&mut self.select) };
        (after, select)
    }

    /// The same out of candle's operations, for other devices than the CPU.
    fn composed(&self, input: &Tensor) -> Result<Tensor> {
        let weight = self.layer.weight.tensor();
        let weight = match self.layer.order {
            WeightOrder::OutIn => weight.t()?,
            WeightOrder::InOut => weight,
        };
        let sum = input.matmul(&weight)?.broadcast_add(&self.layer.bias.tensor())?;
        self.select.forward(&self.layer.activation.forward(&sum)?)
    }
}

/// Activations that the backward pass needs.
type Kept = Mutex<Vec<Lent>>;

fn lock(kept: &Kept) -> MutexGuard<'_, Vec<Lent>> {
    // A panic elsewhere leaves the activations as they were.
    kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A chain without a loss. Its second argument only tells candle that something here is trained.
struct ChainOp {
    links: Vec<Link>,
    kept: Kept,
}

impl CustomOp2 for ChainOp {
    fn name(&self) -> &'static str {
        "hourglass-dense"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        _anchor: &CpuStorage,
        _anchor_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let input = view_of(input, input_layout)?;
        let (last, inner) = self.links.split_last().expect("the caller looked");
        let activations = activations(inner, input)?;
        let shape = last.shape(input.nrows());
        let mut output = Matrix::zeros(shape);
        last.forward(last_of(&activations, input), output.view_mut())?;
        *lock(&self.kept) = activations;
        Ok((CpuStorage::F32(output.into_raw_vec_and_offset().0), Shape::from(shape)))
    }

    fn bwd(
        &self,
        input: &Tensor,
        _anchor: &Tensor,
        output: &Tensor,
        grad_output: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let last = self.links.last().expect("the caller looked");
        let mut grad = lend(output.dims2()?);
        with_view(grad_output, |values| grad.assign(&values))?;
        with_view(output, |output| last.derive_all(output, &mut grad.view_mut()))?;
        let grad_input = backward(&self.links, input, &lock(&self.kept), grad.view())?;
        Ok((grad_input, None))
    }
}

/// A chain with a loss: the derivative of the loss takes the place of the last activations.
struct LossOp {
    links: Vec<Link>,
    loss: Loss,
    kept: Kept,
}

impl CustomOp3 for LossOp {
    fn name(&self) -> &'static str {
        "hourglass-dense-loss"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        _anchor: &CpuStorage,
        _anchor_layout: &Layout,
        target: &CpuStorage,
        target_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let input = view_of(input, input_layout)?;
        let target = view_of(target, target_layout)?;
        let mut activations = activations(&self.links, input)?;
        let (last, output) = (self.links.last(), activations.last_mut());
        let (last, output) = last.zip(output).expect("the caller looked");
        if output.dim() != target.dim() {
            let (output, target) = (output.dim(), target.dim());
            candle_core::bail!("the output is {output:?}, but its target {target:?}");
        }
        let mean = differentiate(self.loss, last, output, target);
        *lock(&self.kept) = activations;
        Ok((CpuStorage::F32(vec![mean]), Shape::from(())))
    }

    fn bwd(
        &self,
        input: &Tensor,
        _anchor: &Tensor,
        _target: &Tensor,
        _result: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let scale = grad.to_scalar::<f32>()?;
        let kept = lock(&self.kept);
        let (derivative, activations) = kept.split_last().expect("forward came first");
        let grad_input = if scale == 1.0 {
            backward(&self.links, input, activations, derivative.view())?
        } else {
            let mut scaled = lend(derivative.dim());
            scaled.zip_mut_with(&**derivative, |scaled, &value| *scaled = scale * value);
            backward(&self.links, input, activations, scaled.view())?
        };
        Ok((grad_input, None, None))
    }
}

/// The activations of each link.
fn activations(links: &[Link], input: ArrayView2<'_, f32>) -> candle_core::Result<Vec<Lent>> {
    let mut activations: Vec<Lent> = Vec::with_capacity(links.len());
    for link in links {
        let mut output = lend(link.shape(input.nrows()));
        link.forward(last_of(&activations, input), output.view_mut())?;
        activations.push(output);
    }
    Ok(activations)
}

fn last_of<'a>(activations: &'a [Lent], input: ArrayView2<'a, f32>) -> ArrayView2<'a, f32> {
    activations.last().map_or(input, |matrix| matrix.view())
}

/// Mean loss of an output; its derivative before the link's activation takes the output's place.
fn differentiate(loss: Loss, link: &Link, output: &mut Matrix, target: ArrayView2<'_, f32>) -> f32 {
    let n_values = output.len();
    let scale = 1.0 / n_values as f32;
    let activation = link.layer.activation;
    let output = output.as_slice_mut().expect("lent matrices are row-major");
    let target = target.to_slice().expect("the target is contiguous");
    let parts: Vec<f64> = output
        .par_chunks_mut(CHUNK)
        .zip(target.par_chunks(CHUNK))
        .map(|(output, target)| {
            wide(|| {
                let mut sum = 0.0;
                for (output, target) in output.chunks_mut(BLOCK).zip(target.chunks(BLOCK)) {
                    sum += sum_map(output, target, |o, t| loss.value(o, t));
                    let mut slopes = [0.0; BLOCK];
                    let slopes = &mut slopes[..output.len()];
                    for ((slope, &o), &t) in slopes.iter_mut().zip(&*output).zip(target) {
                        *slope = scale * loss.derivative(o, t);
                    }
                    activation.scale_gradient(output, slopes);
                    output.copy_from_slice(slopes);
                }
                sum
            })
        })
        .collect();
    (parts.iter().sum::<f64>() / n_values as f64) as f32
}

/// From the gradient before the last activation back to the first layer; the gradient of the input
/// where candle asks for it.
fn backward(
    links: &[Link],
    input: &Tensor,
    activations: &[Lent],
    last_grad: ArrayView2<'_, f32>,
) -> candle_core::Result<Option<Tensor>> {
    let wants_input = input.track_op();
    with_view(input, |first| {
        let mut above: Option<Lent> = None;
        for (i, link) in links.iter().enumerate().rev() {
            let grad = above.as_ref().map_or(last_grad, |grad| grad.view());
            let below = i.checked_sub(1).map(|below| &links[below]);
            let input = last_of(&activations[..i], first);
            let mut next = (i > 0 || wants_input).then(|| lend(input.dim()));
            let (through, ()) = rayon::join(
                || match &mut next {
                    Some(next) => link.grad_input(grad, input, next.view_mut(), below),
                    None => Ok(()),
                },
                || link.grad_parameters(grad, input),
            );
            through?;
            above = next;
        }
        let to_tensor = |grad: Lent| {
            let values = grad.iter().copied().collect::<Vec<f32>>();
            Tensor::from_vec(values, input.shape(), input.device())
        };
        above.map(to_tensor).transpose()
    })?
}
