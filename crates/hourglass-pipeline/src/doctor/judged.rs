//! What the trained model makes of some rows, brought to the doctor as matrices.

use hourglass_core::{ColumnMoments, Interrupt, MatrixView, Part, Samples, Silent};
use hourglass_doctor::{
    Architecture, Denoised, Finding, Labels, Latent, Reconstruction, Reconstructions,
    Regularisation, after, corrupted, normal_draws, shuffled_columns, strength_of, variance_shares,
};
use hourglass_downstream::{EstimatorConfig, FitData, Protocol, fit_classifier};
use hourglass_features::{HiddenLayers, Scale, Scaler, encode_all, reconstruct_all};
use hourglass_models::{Autoencoder, ModelConfig};
use hourglass_report::Report;
use ndarray::{Axis, concatenate, s};

use super::described;
use crate::config::Pipeline;
use crate::error::Error;

/// Rows of each part that are put through the model: enough for an error to within a few per
/// cent, and far below the cost of an epoch.
const ROWS: usize = 1_000;

/// Samples that are drawn from a prior.
const DRAWS: usize = 64;

/// A trained model and what belongs to it.
pub(super) struct Patient<'a> {
    pub(super) pipeline: &'a Pipeline,
    /// Which repeat, counted from 0.
    pub(super) run: usize,
    pub(super) samples: &'a Samples,
    pub(super) model: &'a dyn Autoencoder,
    pub(super) report: Option<&'a Report>,
    pub(super) architecture: &'a Architecture,
}

impl<'a> Patient<'a> {
    fn first(&self, part: Part) -> MatrixView<'a> {
        let rows = self.samples.part(part);
        let n = rows.nrows().min(ROWS);
        rows.slice_move(s![..n, ..])
    }

    /// What the model makes of rows, and what its latent holds.
    pub(super) fn findings(&self) -> Result<Vec<Finding>, Error> {
        let Patient { pipeline, samples, model, architecture, .. } = *self;
        let (train, validation) = (self.first(Part::Train), self.first(Part::Validation));
        let seed = pipeline.repeat_seed(self.run).child("doctor");
        let shuffled = shuffled_columns(validation, seed);
        let noise = model.corruption();
        let key = noise.map(|noise| architecture.key_of("corruption") + "." + strength_of(noise).0);
        let noisy = noise.and_then(|noise| {
            corrupted(validation, train, &samples.shape, noise, seed.child("noise"))
        });
        let batch_size = pipeline.train.batch_size;
        let reconstructed =
            |rows: MatrixView<'_>| reconstruct_all(model, rows, batch_size).map_err(Error::from);
        let of_train = reconstructed(train)?;
        let of_validation = reconstructed(validation)?;
        let of_shuffled = reconstructed(shuffled.view())?;
        let of_noisy = noisy.as_ref().map(|rows| reconstructed(rows.view())).transpose()?;
        let draws = normal_draws(DRAWS, model.latent_dim(), seed.child("draws"));
        let drawn = model.decode_draws(draws.view())?;
        let mean: Vec<f32> = ColumnMoments::of(samples.part(Part::Train))
            .mean
            .into_iter()
            .map(|mean| mean as f32)
            .collect();
        let shares = variance_shares(train);
        let denoised = match (&key, &noisy, &of_noisy, noise) {
            (Some(key), Some(noisy), Some(of_noisy), Some(noise)) => Some(Denoised {
                corrupted: noisy.view(),
                outputs: of_noisy.view(),
                key,
                strength: strength_of(noise).1,
            }),
            _ => None,
        };
        let labels = samples.class_ids(Part::Train).map(|classes| Labels {
            classes: &classes[..train.nrows()],
            n_classes: samples.targets.class_names().map_or(0, <[String]>::len),
        });
        let recipe = described::recipe(pipeline);
        let reconstruction = Reconstruction {
            architecture,
            recipe: &recipe,
            shape: &samples.shape,
            train_mean: &mean,
            n_train: samples.partition.n_train,
            train: Reconstructions { inputs: train, outputs: of_train.view() },
            validation: Reconstructions { inputs: validation, outputs: of_validation.view() },
            shuffled: Reconstructions { inputs: shuffled.view(), outputs: of_shuffled.view() },
            pca_error: self.report.and_then(|report| pca_error(report, model.latent_dim())),
            variance_shares: &shares,
            denoised,
            labels,
            drawn: drawn.as_ref().map(|drawn| drawn.view()),
            stride: matches!(pipeline.model, ModelConfig::Convolutional(_)).then_some(2),
        };
        let values = encode_all(model, validation, HiddenLayers::Latent)?;
        let latent = Latent {
            architecture,
            epochs: recipe.epochs,
            values: values.view(),
            is_scaled: pipeline.features.scale != Scale::None,
            scale_sensitive: scale_sensitive(pipeline),
        };
        Ok(after(Some(&reconstruction), Some(&latent), None))
    }

    /// What the penalty that the file fixes for the main model costs, where it fixes one.
    pub(super) fn regularisation(
        &self,
        interrupt: &Interrupt,
    ) -> Result<Option<Regularisation>, Error> {
        let Some(fixed) = self.pipeline.downstream.models.first() else { return Ok(None) };
        let mut free = fixed.clone();
        let c = match &mut free {
            EstimatorConfig::LogisticRegression(model) => model.c.take(),
            EstimatorConfig::LinearSvm(model) => model.c.take(),
            _ => None,
        };
        let part = |part| self.samples.class_ids(part);
        let (Some(c), Some(train_ids), Some(validation_ids)) =
            (c, part(Part::Train), part(Part::Validation))
        else {
            return Ok(None);
        };
        let (train, validation) = (self.first(Part::Train), self.first(Part::Validation));
        let layers = self.pipeline.features.layers;
        let (n_train, n_validation) = (train.nrows(), validation.nrows());
        let rows = concatenate![Axis(0), train, validation];
        let mut features = encode_all(self.model, rows.view(), layers)?;
        let scaler = Scaler::fit(features.slice(s![..n_train, ..]), self.pipeline.features.scale)?;
        scaler.transform(features.view_mut())?;
        let classes = [&train_ids[..n_train], &validation_ids[..n_validation]].concat();
        let n_classes = self.samples.targets.class_names().map_or(0, <[String]>::len);
        let data = FitData::split(features.view(), &classes, n_train, n_classes).without_refit();
        let seed = self.pipeline.repeat_seed(self.run).child("doctor");
        // On train and validation rows, as shares of right answers.
        let right = |estimator: &EstimatorConfig| -> Option<[f64; 2]> {
            let protocol = Protocol::default();
            let fitted =
                fit_classifier(estimator, &data, protocol, seed, &Silent, interrupt).ok()?;
            let predicted = fitted.predict(features.view()).ok()?;
            let share = |from: usize, to: usize| {
                let pairs = predicted[from..to].iter().zip(&classes[from..to]);
                pairs.filter(|(a, b)| a == b).count() as f64 / (to - from).max(1) as f64
            };
            Some([share(0, n_train), share(n_train, n_train + n_validation)])
        };
        // Too few rows of a class for a fit say nothing about the penalty.
        let (Some([train_accuracy, validation_accuracy]), Some([_, chosen_accuracy])) =
            (right(fixed), right(&free))
        else {
            return Ok(None);
        };
        Ok(Some(Regularisation {
            model: fixed.name().to_owned(),
            c: c.into(),
            train_accuracy,
            validation_accuracy,
            chosen_accuracy,
        }))
    }
}

/// Error of as many principal components, as the report measured it on validation.
fn pca_error(report: &Report, latent_dim: usize) -> Option<f64> {
    let name = format!("pca ({latent_dim})");
    let errors = &report.reconstruction.as_ref()?.errors;
    errors.iter().find(|error| error.name == name)?.validation
}

/// Downstream models that measure distances, or penalise all columns alike.
fn scale_sensitive(pipeline: &Pipeline) -> Vec<String> {
    const SENSITIVE: [&str; 5] = ["knn", "linear_svm", "rbf_svm", "logistic_regression", "mlp"];
    let names = pipeline.downstream.models.iter().map(|model| model.name());
    names.filter(|name| SENSITIVE.contains(name)).map(str::to_owned).collect()
}
