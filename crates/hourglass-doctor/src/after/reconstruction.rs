//! What comes back: copies, the mean, less than principal components give, blur, grids.

use hourglass_core::{MatrixView, SampleShape};

use super::spectrum::{grid_ratio, upper_energy};
use super::{Reconstruction, Reconstructions};
use crate::sample::auc;
use crate::threshold::{
    BLUR_ENERGY, BOTTLENECK_GAIN, BOTTLENECK_LEFT, CAPACITY_LEFT, CHECKERBOARD_PEAK, COPY_RATIO,
    LARGE_GAP, MANY_PARAMETERS, MEAN_RATIO, MEMORISED, OVERFITTED_RECONSTRUCTION, PCA_BEHIND,
    PCA_RATIO, PRICE_LEFT, SAMPLE_ENERGY, SMALL_GAP, UNTRAINED_SHARE,
};
use crate::{Finding, FindingId, Severity, Variant};

/// Pixels below which an image has no spectrum worth the name.
const SMALL_IMAGE: usize = 8;

pub(super) fn examine(model: &Reconstruction<'_>) -> Vec<Finding> {
    if let Some(finding) = mean_output(model) {
        // A model that returns the mean has every other fault of a reconstruction too; only what
        // may have led to it is worth saying.
        let causes = [price_rules(model), checkerboard(model)];
        return std::iter::once(finding).chain(causes.into_iter().flatten()).collect();
    }
    [
        identity(model),
        worse_than_pca(model),
        undertrained(model),
        capacity_too_small(model),
        capacity_too_large(model),
        bottleneck_too_small(model),
        price_rules(model),
        overfitted(model),
        memorised(model),
        blur(model),
        blurry_samples(model),
        checkerboard(model),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Summed squared error of a row, mean over the rows.
fn error(rows: &Reconstructions<'_>) -> f64 {
    distance(rows.inputs, rows.outputs)
}

/// Summed squared difference of two rows, mean over the rows.
pub(super) fn distance(a: MatrixView<'_>, b: MatrixView<'_>) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| {
        let difference = f64::from(a - b);
        difference * difference
    });
    squares.sum::<f64>() / a.nrows().max(1) as f64
}

/// Summed squared error of each row.
fn errors(rows: &Reconstructions<'_>) -> Vec<f32> {
    let pairs = rows.inputs.rows().into_iter().zip(rows.outputs.rows());
    pairs.map(|(a, b)| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()).collect()
}

/// The same with the mean of the training rows in place of every output.
pub(super) fn error_of_mean(inputs: MatrixView<'_>, mean: &[f32]) -> f64 {
    let squares = inputs.rows().into_iter().map(|row| {
        let of_row = row.iter().zip(mean).map(|(value, mean)| f64::from(value - mean).powi(2));
        of_row.sum::<f64>()
    });
    squares.sum::<f64>() / inputs.nrows().max(1) as f64
}

/// Share of the variance that doesn't come back, of training and of validation rows.
fn left(model: &Reconstruction<'_>) -> (f64, f64) {
    let of =
        |rows: &Reconstructions<'_>| error(rows) / error_of_mean(rows.inputs, model.train_mean);
    (of(&model.train), of(&model.validation))
}

fn mean_output(model: &Reconstruction<'_>) -> Option<Finding> {
    let found = error(&model.validation);
    let of_mean = error_of_mean(model.validation.inputs, model.train_mean);
    let ratio = found / of_mean;
    if ratio.is_finite() && ratio <= MEAN_RATIO {
        return None;
    }
    let sentence = format!(
        "the reconstruction is no better than the mean of the training rows: squared error \
         {found:.4} against {of_mean:.4}"
    );
    Some(
        Finding::new(FindingId::MeanOutput, Severity::Error, sentence)
            .measured("error over that of the mean", ratio, MEAN_RATIO)
            .cured_by(
                "train.optimizer",
                "{ adam = { learning_rate = 1e-3 } }",
                "a rate that is far too high or too low ends at the mean",
            ),
    )
}

fn identity(model: &Reconstruction<'_>) -> Option<Finding> {
    let of_shuffled =
        error(&model.shuffled) / error_of_mean(model.shuffled.inputs, model.train_mean);
    if of_shuffled >= COPY_RATIO {
        return None;
    }
    let sentence = format!(
        "the model copies: rows with independently shuffled columns come back with {:.1} % of the \
         error that the mean makes, though they look like nothing it was trained on",
        of_shuffled * 100.0
    );
    // A sparse or denoising code may hold any input and yet be good features.
    let severity =
        if model.architecture.is_constrained { Severity::Note } else { Severity::Warning };
    let narrower = (model.validation.inputs.ncols() / 4).max(1);
    Some(
        Finding::new(FindingId::IdentityLearning, severity, sentence)
            .measured("error on shuffled columns over that of the mean", of_shuffled, COPY_RATIO)
            .cured_by(
                model.architecture.key_of("latent_dim"),
                narrower.to_string(),
                "a narrow latent has to choose",
            )
            .hardened(model.architecture),
    )
}

fn worse_than_pca(model: &Reconstruction<'_>) -> Option<Finding> {
    let of_pca = model.pca_error.filter(|&error| error > 0.0)?;
    let found = error(&model.validation);
    let ratio = found / of_pca;
    // Where components leave next to nothing, a ratio to it says nothing.
    let of_mean = error_of_mean(model.validation.inputs, model.train_mean);
    let behind = (found - of_pca) / of_mean;
    if model.architecture.is_constrained || ratio <= PCA_RATIO || behind <= PCA_BEHIND {
        return None;
    }
    let sentence = format!(
        "principal components of the same width reconstruct better: squared error {found:.4} \
         against {of_pca:.4}"
    );
    let mut finding = Finding::new(FindingId::WorseThanPca, Severity::Warning, sentence).measured(
        "error over that of principal components",
        ratio,
        PCA_RATIO,
    );
    let cosine = || ("train.schedule".to_owned(), "{ cosine = {} }".to_owned());
    let faster = model.recipe.faster(10.0);
    let because = "a net reaches them when it is trained well (Baldi and Hornik, 1989)";
    if let Some(faster) = faster.clone() {
        let rate = "a higher rate that falls to the end: ";
        finding = finding.cured_by_all([faster, cosine()], format!("{rate}{because}"));
    }
    let longer = || model.recipe.longer(5);
    finding = finding.cured_by_all([longer()], format!("five times the epochs: {because}"));
    if let Some(faster) = faster {
        finding = finding.cured_by_all([faster, longer(), cosine()], format!("both: {because}"));
    }
    let adam = "{ adam = { learning_rate = 3e-3 } }";
    Some(finding.cured_by("train.optimizer", adam, because))
}

/// Far behind principal components: nothing can be said of the architecture yet.
fn undertrained(model: &Reconstruction<'_>) -> Option<Finding> {
    let of_pca = model.pca_error.filter(|&error| error > 0.0)?;
    let of_mean = error_of_mean(model.validation.inputs, model.train_mean);
    let explained = 1.0 - error(&model.validation) / of_mean;
    let share = explained / (1.0 - of_pca / of_mean);
    if model.architecture.is_constrained || share.is_nan() || share >= UNTRAINED_SHARE {
        return None;
    }
    let sentence = format!(
        "the autoencoder is not trained well enough to be judged: it explains {:.0} % of the \
         variance that as many principal components explain",
        share * 100.0
    );
    Some(
        Finding::new(FindingId::Undertrained, Severity::Warning, sentence)
            .measured("variance explained, over principal components", share, UNTRAINED_SHARE)
            .cured_by(
                "train.optimizer",
                "{ adam = { learning_rate = 3e-3 } }",
                "Kingma and Ba, ICLR 2015",
            )
            .cured_by_all([model.recipe.longer(5)], "five times the epochs"),
    )
}

/// Training and validation rows come back equally badly.
fn capacity_too_small(model: &Reconstruction<'_>) -> Option<Finding> {
    let (train, validation) = left(model);
    let gap = validation / train;
    let is_plain = model.architecture.variant.is_plain();
    if !is_plain || model.architecture.is_constrained || train <= CAPACITY_LEFT || gap > SMALL_GAP {
        return None;
    }
    let sentence = format!(
        "the model is too small: {:.0} % of the variance of training rows and {:.0} % of that of \
         validation rows don't come back",
        train * 100.0,
        validation * 100.0
    );
    let mut finding = Finding::new(FindingId::CapacityTooSmall, Severity::Warning, sentence)
        .measured("variance of training rows that is lost", train, CAPACITY_LEFT)
        .measured("validation over training", gap, SMALL_GAP);
    let architecture = model.architecture;
    if !architecture.hidden_dims.is_empty() {
        finding = finding.cured_by(
            architecture.key_of("hidden_dims"),
            architecture.widened(4.0),
            "wider layers can follow more",
        );
    }
    Some(finding.cured_by(
        architecture.key_of("latent_dim"),
        (2 * architecture.latent_dim).to_string(),
        "a wider latent holds more",
    ))
}

/// More numbers than the rows can pin down, and it shows.
fn capacity_too_large(model: &Reconstruction<'_>) -> Option<Finding> {
    let architecture = model.architecture;
    let n_values = (model.n_train * model.validation.inputs.ncols()).max(1);
    let per_value = architecture.n_parameters as f64 / n_values as f64;
    let (train, validation) = left(model);
    let gap = validation / train;
    if per_value <= MANY_PARAMETERS || gap.is_nan() || gap <= LARGE_GAP {
        return None;
    }
    let sentence = format!(
        "the model is too large for the data: {} trained numbers for {n_values} values, and \
         validation rows come back {gap:.1} times as badly as training rows",
        architecture.n_parameters
    );
    let mut finding = Finding::new(FindingId::CapacityTooLarge, Severity::Warning, sentence)
        .measured("validation over training error", gap, LARGE_GAP)
        .measured("trained numbers a training value", per_value, MANY_PARAMETERS);
    if architecture.hidden_dims.is_empty() {
        let narrower = (architecture.latent_dim / 4).max(1).to_string();
        finding = finding.cured_by(architecture.key_of("latent_dim"), narrower, "fewer numbers");
    } else {
        let narrower = architecture.widened(1.0 / 8.0);
        finding = finding.cured_by(architecture.key_of("hidden_dims"), narrower, "fewer numbers");
    }
    Some(finding.hardened(architecture))
}

/// Much is lost, and twice the width would hold much more of it.
fn bottleneck_too_small(model: &Reconstruction<'_>) -> Option<Finding> {
    let (width, shares) = (model.architecture.latent_dim, model.variance_shares);
    let (_, validation) = left(model);
    if model.architecture.is_constrained || shares.len() <= width {
        return None;
    }
    let gain: f64 = shares[width..shares.len().min(2 * width)].iter().sum();
    if validation <= BOTTLENECK_LEFT || gain <= BOTTLENECK_GAIN {
        return None;
    }
    let sentence = format!(
        "the bottleneck is too narrow: {:.0} % of the variance is lost, and twice the width would \
         hold {:.0} % more of it",
        validation * 100.0,
        gain * 100.0
    );
    // As many as the spectrum asks for.
    let mut sum = 0.0;
    let wanted = shares
        .iter()
        .take_while(|&&share| {
            sum += share;
            sum < 0.95
        })
        .count()
        + 1;
    Some(
        Finding::new(FindingId::BottleneckTooSmall, Severity::Warning, sentence)
            .measured("variance lost", validation, BOTTLENECK_LEFT)
            .measured("variance of the next components, as many again", gain, BOTTLENECK_GAIN)
            .drawn(shares.iter().take(4 * width).copied().collect())
            .cured_by(
                model.architecture.key_of("latent_dim"),
                wanted.max(2 * width).to_string(),
                "principal components of this width hold 95 % of the variance",
            ),
    )
}

/// A model that pays so much for what its latent has to be that little comes back.
fn price_rules(model: &Reconstruction<'_>) -> Option<Finding> {
    let (_, validation) = left(model);
    if validation <= PRICE_LEFT {
        return None;
    }
    let (id, what, key, price) = match model.architecture.variant {
        Variant::Variational { beta, .. } => {
            (FindingId::KlDominates, "the divergence from the prior", "beta", beta)
        }
        Variant::Contractive { weight } => {
            (FindingId::ContractionTooStrong, "the price on the encoder's slope", "weight", weight)
        }
        Variant::Sparse { weight, target } => {
            let key = if target.is_some() { "penalty.kl.weight" } else { "penalty.l1.weight" };
            (FindingId::SparsityTooStrong, "the price on activity", key, weight)
        }
        _ => return None,
    };
    let sentence =
        format!("{what} rules the loss: {:.0} % of the variance is lost", validation * 100.0);
    let mut finding = Finding::new(id, Severity::Warning, sentence)
        .measured("variance lost", validation, PRICE_LEFT)
        .shown("weight of the price", price)
        .cured_by(
            model.architecture.key_of(key),
            format!("{:e}", price / 10.0),
            "the reconstruction counts again",
        )
        .cured_by(
            model.architecture.key_of(key),
            format!("{:e}", price / 1000.0),
            "the same where a tenth is not enough",
        );
    if let Variant::Variational { output_std: Some(std), .. } = model.architecture.variant {
        finding = finding.shown("standard deviation of the likelihood", std).cured_by(
            model.architecture.key_of("output_std"),
            format!("{:e}", std / 4.0),
            "a likelihood as narrow as the error that is wanted (Rybkin et al., ICML 2021)",
        );
    }
    Some(finding)
}

/// Whether single rows can be told to be training rows by their error.
///
/// # Source
/// Yeom et al., *Privacy Risk in Machine Learning*, CSF 2018, for the attack by loss.
fn memorised(model: &Reconstruction<'_>) -> Option<Finding> {
    let (train, validation) = (errors(&model.train), errors(&model.validation));
    let is_validation: Vec<bool> =
        (0..train.len() + validation.len()).map(|row| row >= train.len()).collect();
    let area = auc(train.iter().chain(&validation).copied(), &is_validation);
    if area <= MEMORISED {
        return None;
    }
    let sentence = format!(
        "training rows are memorised: by its error alone a row is told to be one of them (area \
         under the ROC curve {area:.2})"
    );
    Some(
        Finding::new(FindingId::MemorisedSamples, Severity::Warning, sentence)
            .measured("area under the ROC curve", area, MEMORISED)
            .cured_by("train.early_stopping", "{ patience = 5 }", "Prechelt, 1998")
            .hardened(model.architecture),
    )
}

fn overfitted(model: &Reconstruction<'_>) -> Option<Finding> {
    let (train, validation) = (error(&model.train), error(&model.validation));
    let ratio = validation / train;
    if ratio.is_nan() || ratio <= OVERFITTED_RECONSTRUCTION {
        return None;
    }
    let sentence = format!(
        "validation rows come back {ratio:.2} times as badly as training rows: squared error \
         {validation:.4} against {train:.4}"
    );
    Some(
        Finding::new(FindingId::OverfittedReconstruction, Severity::Warning, sentence)
            .measured("validation over training error", ratio, OVERFITTED_RECONSTRUCTION)
            .cured_by("train.early_stopping", "{ patience = 5 }", "Prechelt, 1998")
            .hardened(model.architecture),
    )
}

fn image_size(shape: &SampleShape) -> Option<(usize, usize)> {
    match shape {
        SampleShape::Image { height, width, .. } if *height.min(width) >= SMALL_IMAGE => {
            Some((*height, *width))
        }
        _ => None,
    }
}

fn blur(model: &Reconstruction<'_>) -> Option<Finding> {
    let size = image_size(model.shape)?;
    let data = upper_energy(model.validation.inputs, size);
    let share = upper_energy(model.validation.outputs, size) / data;
    if !share.is_finite() || share >= BLUR_ENERGY {
        return None;
    }
    let sentence = format!(
        "reconstructions are blurred: {:.0} % of the energy in the upper half of the spatial \
         frequencies comes back",
        share * 100.0
    );
    // The mean over what may stand in a hidden patch is smooth, however well it is predicted, and
    // so are the first principal components of images, beyond which a linear model can't go.
    let by_design = matches!(model.architecture.variant, Variant::MaskedImage | Variant::Linear);
    let severity = if by_design { Severity::Note } else { Severity::Warning };
    Some(
        Finding::new(FindingId::Blur, severity, sentence)
            .measured("energy of the upper frequencies that comes back", share, BLUR_ENERGY)
            .cured_by(
                model.architecture.key_of("latent_dim"),
                (4 * model.architecture.latent_dim).to_string(),
                "fine detail needs room",
            )
            .cured_by(
                "train.loss",
                "\"l1\"",
                "it doesn't settle for the mean (Isola et al., 2017)",
            ),
    )
}

/// Whether what a variational model draws is as sharp as the data.
fn blurry_samples(model: &Reconstruction<'_>) -> Option<Finding> {
    let (size, drawn) = (image_size(model.shape)?, model.drawn?);
    let share = upper_energy(drawn, size) / upper_energy(model.validation.inputs, size);
    if !share.is_finite() || share >= SAMPLE_ENERGY {
        return None;
    }
    let sentence = format!(
        "samples drawn from the prior are blurred: they hold {:.0} % of the energy that the data \
         have in the upper half of the spatial frequencies",
        share * 100.0
    );
    let mut finding = Finding::new(FindingId::BlurrySamples, Severity::Warning, sentence).measured(
        "energy of the upper frequencies, over the data's",
        share,
        SAMPLE_ENERGY,
    );
    if let Variant::Variational { beta, output_std, .. } = model.architecture.variant {
        finding = finding.cured_by(
            model.architecture.key_of("beta"),
            format!("{:e}", beta / 10.0),
            "less of the latent is given up (Higgins et al., ICLR 2017)",
        );
        if let Some(std) = output_std {
            finding = finding.cured_by(
                model.architecture.key_of("output_std"),
                format!("{:e}", std / 4.0),
                "a wide likelihood asks for no detail (Rybkin et al., ICML 2021)",
            );
        }
    }
    Some(finding)
}

fn checkerboard(model: &Reconstruction<'_>) -> Option<Finding> {
    let (size, stride) = (image_size(model.shape)?, model.stride?);
    let data = grid_ratio(model.validation.inputs, size, stride);
    let peak = grid_ratio(model.validation.outputs, size, stride) / data;
    if !peak.is_finite() || peak <= CHECKERBOARD_PEAK {
        return None;
    }
    let sentence = format!(
        "a grid lies over the reconstructions: energy at a period of {stride} pixels stands out \
         {peak:.1} times as much as in the data"
    );
    Some(
        Finding::new(FindingId::Checkerboard, Severity::Warning, sentence)
            .measured("peak at the stride, relative to the data's", peak, CHECKERBOARD_PEAK)
            .cured_by(
                model.architecture.key_of("upsampling"),
                "\"resize\"",
                "a convolution after upsampling overlaps evenly (Odena et al., Distill 2016)",
            ),
    )
}
