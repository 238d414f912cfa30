//! Every finding that Hourglass knows: its identifier and its page. `doctor explain` and the pages
//! under docs/doctor are printed from here. How a finding is detected stands in the module of its
//! moment.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a finding can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// From the file and the data, before anything is trained.
    Before,
    /// From what each epoch measured.
    During,
    /// From the model, its features and the results.
    After,
}

/// What is said about a finding wherever it occurs.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// A few words.
    pub title: &'static str,
    /// When it can be made.
    pub moment: Moment,
    /// What it means for a user.
    pub why: &'static str,
    /// How it is measured.
    pub measured: &'static str,
    /// What helps.
    pub helps: &'static str,
    /// Where this is from.
    pub source: &'static str,
}

macro_rules! catalog {
    ($($(#[$doc:meta])* $id:ident = $name:literal: $moment:ident, $title:literal,
        why: $why:literal, measured: $measured:literal, helps: $helps:literal,
        source: $source:literal;)*) => {
        /// A finding that Hourglass knows.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum FindingId {
            $(#[doc = $title] $id,)*
        }

        impl FindingId {
            /// Every finding, in the order of the catalogue.
            pub const ALL: &[FindingId] = &[$(FindingId::$id),*];

            /// Its identifier, as typed and as in JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $(FindingId::$id => $name,)*
                }
            }

            /// Its page.
            pub fn page(self) -> Page {
                match self {
                    $(FindingId::$id => Page {
                        title: $title,
                        moment: Moment::$moment,
                        why: $why,
                        measured: $measured,
                        helps: $helps,
                        source: $source,
                    },)*
                }
            }
        }
    };
}

catalog! {
    UnscaledInputs = "unscaled_inputs": Before, "inputs are not scaled",
        why: "Columns with large values rule the loss and the gradient; the others are hardly \
            learnt, and the learning rate that suits one column is wrong for the next.",
        measured: "The largest absolute value and the ratio of the largest to the median standard \
            deviation of the columns, on training rows after preprocessing.",
        helps: "Scale numeric columns: `preprocess.numeric = \"standard\"`, or min-max to [0, 1].",
        source: "LeCun, Bottou, Orr and Mueller, Efficient BackProp, 1998.";
    Outliers = "outliers": Before, "outliers rule the scale",
        why: "Min-max scaling presses everything else into a sliver, so that the error of the \
            ordinary rows counts for nothing.",
        measured: "The share of each column's range that holds its central 98 %, on training rows.",
        helps: "Clip by quantile, or map columns to a normal or uniform distribution by rank.",
        source: "Huber, Robust Statistics, 1981.";
    ConstantColumns = "constant_columns": Before, "columns that never change",
        why: "They carry nothing, and divide by zero where they are scaled.",
        measured: "Columns with a single value over the training rows.",
        helps: "Nothing need be done; dropping them saves time.",
        source: "Kuhn and Johnson, Feature Engineering and Selection, 2019, section 3.";
    DuplicateColumns = "duplicate_columns": Before, "columns that say the same",
        why: "They count twice in the loss, and make an autoencoder look better than it is: one \
            predicts the other.",
        measured: "Pairs of columns with equal values in every training row.",
        helps: "Keep one of each.",
        source: "Kuhn and Johnson, Feature Engineering and Selection, 2019, section 3.";
    DuplicateRows = "duplicate_rows": Before, "rows that stand on both sides of the split",
        why: "Scores on rows that were trained on are too good.",
        measured: "Share of validation and of test rows whose values all stand in a training row.",
        helps: "Keep equal rows in one part (`split.by = \"equal_rows\"`), or split by group.",
        source: "Kaufman, Rosset and Perlich, Leakage in Data Mining, KDD 2011.";
    CodedMissing = "coded_missing": Before, "missing values coded as numbers",
        why: "A code such as 0 or -999 is taken for a measurement, and shifts mean and scale.",
        measured: "A single value at the end of a column's range that is frequent, stands in three \
            rows or more, lies apart from all others, and in the columns as they were read is a \
            number that is typed for what is missing: nines, 0, or a number below 0 where no \
            other is.",
        helps: "Name the code as missing, and impute.",
        source: "Pearson, The problem of disguised missing data, SIGKDD Explorations 2006.";
    ClassImbalance = "class_imbalance": Before, "classes of very unequal size",
        why: "Accuracy is high for a model that never names the small class.",
        measured: "Rows of the largest class over those of the smallest, on training rows.",
        helps: "Judge by balanced accuracy or macro F1; weigh the classes.",
        source: "He and Garcia, Learning from Imbalanced Data, TKDE 2009.";
    FewSamples = "few_samples": Before, "far fewer samples than parameters",
        why: "Such a model can store its training rows instead of learning what they share.",
        measured: "Trained numbers over training values (rows times columns).",
        helps: "A narrower model, corruption of the input, early stopping.",
        source: "Vincent et al., Stacked Denoising Autoencoders, JMLR 2010.";
    NoBaseline = "no_baseline": Before, "no simple rival is compared",
        why: "Without raw columns and principal components beside it nobody can say what the \
            autoencoder adds.",
        measured: "Feature sets under `downstream.compare`.",
        helps: "Compare with `raw` and `pca`.",
        source: "Dacrema, Cremonesi and Jannach, Are We Really Making Much Progress, RecSys 2019.";
    DataMismatch = "data_mismatch": Before, "test rows differ from training rows",
        why: "Features learnt on one distribution say little about another.",
        measured: "Two-sample Kolmogorov-Smirnov tests of each column with Holm's correction, the \
            population stability index, and a classifier that is asked to tell the two apart.",
        helps: "Find out why; split so that both sides come from the same source.",
        source: "Rabanser, Guennemann and Lipton, Failing Loudly, NeurIPS 2019.";
    LabelLeakage = "label_leakage": Before, "a column gives the answer away",
        why: "A column that separates the classes alone was often made from the label.",
        measured: "Area under the ROC curve of each single column, two classes, training rows.",
        helps: "Find out when the column becomes known; leave it out if only with the label.",
        source: "Kaufman, Rosset and Perlich, Leakage in Data Mining, KDD 2011.";
    OutputRange = "output_range": Before, "the output can't reach the data",
        why: "A sigmoid ends at 0 and 1 and a rectifier at 0: values beyond are never \
            reconstructed, and the error has a floor.",
        measured: "Range of the output activation against that of the prepared training rows.",
        helps: "A linear output, or data scaled to the range of the output.",
        source: "keras issue 3923, where the mismatch was asked about again and again.";
    UnsuitableLoss = "unsuitable_loss": Before, "the loss does not suit the data",
        why: "Binary cross-entropy is defined for values between 0 and 1; beyond, it falls without \
            end or turns negative.",
        measured: "The loss of the file against the range of the prepared training rows.",
        helps: "Mean squared error, or data scaled to [0, 1].",
        source: "keras issue 2841 (negative binary cross-entropy).";
    UnsuitableInitialisation = "unsuitable_initialisation": Before,
        "the initialiser does not suit the activation",
        why: "Signals shrink or grow from layer to layer, and with them the gradients.",
        measured: "The initialiser of the file against the hidden activation.",
        helps: "He for rectifiers, Glorot for sigmoid and tanh, LeCun for SELU.",
        source: "He et al., Delving Deep into Rectifiers, ICCV 2015; Glorot and Bengio, AISTATS \
            2010; Klambauer et al., NeurIPS 2017.";
    UnsuitableOptimizer = "unsuitable_optimizer": Before, "plain gradient descent on a deep net",
        why: "Without momentum or a rate for each weight, deep autoencoders crawl along flat \
            valleys.",
        measured: "The optimiser of the file and the number of layers.",
        helps: "Adam, or momentum 0.9.",
        source: "Sutskever, Martens, Dahl and Hinton, ICML 2013.";
    BatchTooSmall = "batch_too_small": Before, "batches are very small",
        why: "Steps follow the noise of single rows, and the processor waits.",
        measured: "Rows a step.",
        helps: "32 to 256 rows, in as many steps or in longer ones.",
        source: "Masters and Luschi, Revisiting Small Batch Training, 2018.";
    BatchTooLarge = "batch_too_large": Before, "batches are large for the data",
        why: "A few steps an epoch make little progress.",
        measured: "Rows a step over training rows.",
        helps: "Smaller batches, or more epochs.",
        source: "Keskar et al., On Large-Batch Training, ICLR 2017.";
    VanishingGradients = "vanishing_gradients": Before, "gradients vanish on their way back",
        why: "The first layers stay as they were drawn.",
        measured: "Saturating layers in a row; after training, the gradient norm of the first \
            layer \
            over that of the last.",
        helps: "Rectifiers or ELU, normalisation, fewer layers.",
        source: "Hochreiter 1991; Glorot and Bengio, AISTATS 2010.";
    NonFiniteLoss = "non_finite_loss": During, "the loss stopped being a number",
        why: "Nothing can be learnt from there on.",
        measured: "The first epoch whose loss is NaN or infinite, and the first tensor that is.",
        helps: "A smaller learning rate, clipping, scaled inputs.",
        source: "Pascanu, Mikolov and Bengio, ICML 2013.";
    ExplodingGradients = "exploding_gradients": During, "gradients explode",
        why: "One step undoes hundreds.",
        measured: "The largest gradient norm over the median of those before it.",
        helps: "Clip by norm; a smaller learning rate.",
        source: "Pascanu, Mikolov and Bengio, ICML 2013.";
    LearningRateTooHigh = "learning_rate_too_high": During, "the learning rate is too high",
        why: "Steps jump across the valley: the loss goes up and down, or away.",
        measured: "Share of epochs whose training loss rises; the loss at the end against that of \
            the first epoch.",
        helps: "A rate ten times smaller; a schedule that falls.",
        source: "Smith, Cyclical Learning Rates, WACV 2017.";
    LearningRateTooLow = "learning_rate_too_low": During, "the learning rate is too low",
        why: "The loss still falls as fast as on the first day.",
        measured: "Fall of the validation loss over the last tenth of the epochs against that over \
            the first tenth, at a loss that still falls.",
        helps: "A rate ten times larger, or more epochs.",
        source: "Smith, Cyclical Learning Rates, WACV 2017.";
    Plateau = "plateau": During, "the loss stands still at an unchanged rate",
        why: "A smaller rate would often go on; or time is wasted.",
        measured: "Epochs at the end in which neither the validation loss nor the rate fell.",
        helps: "`schedule = \"reduce_on_plateau\"`, early stopping.",
        source: "PyTorch, ReduceLROnPlateau.";
    Overfitting = "overfitting": During, "validation gets worse while training gets better",
        why: "The model stores its training rows.",
        measured: "Last validation loss over the lowest one, and over the training loss.",
        helps: "Early stopping, corruption, a narrower model.",
        source: "Prechelt, Early Stopping - But When?, 1998.";
    IdentityLearning = "identity_learning": After, "the model copies its input",
        why: "It reconstructs whatever it is given, so its latent need not know the data.",
        measured: "Error on rows whose columns were shuffled independently over the error of the \
            mean.",
        helps: "Corrupt the input, a sparsity constraint, a narrower latent.",
        source: "Vincent et al., Stacked Denoising Autoencoders, JMLR 2010.";
    MeanOutput = "mean_output": After, "the output is the mean of the data",
        why: "Nothing of a row passes the bottleneck.",
        measured: "Error over that of putting the mean of the training rows for every row.",
        helps: "Check the learning rate, the activations, the weight of penalties.",
        source: "keras issues 1604 and 3721.";
    WorseThanPca = "worse_than_pca": After, "principal components reconstruct better",
        why: "A linear method of the same width, which needs no training, does better: the \
            training is not done or not well set up.",
        measured: "Error over that of as many principal components, validation rows.",
        helps: "Train longer; a higher rate; a linear model to begin with.",
        source: "Bourlard and Kamp, Biological Cybernetics 1988; Baldi and Hornik 1989.";
    Blur = "blur": After, "reconstructions are blurred",
        why: "Fine detail is lost, which may be what tells the classes apart.",
        measured: "Share of the energy in the upper half of the spatial frequencies that comes \
            back, validation rows. Of a masked autoencoder it is a note: it predicts patches that \
            it doesn't see, and the mean over what may stand there is smooth (He et al., CVPR \
            2022). So it is of a linear one, which can do no better than principal components.",
        helps: "A wider latent, L1 or an edge loss, less KL.",
        source: "Rahaman et al., On the Spectral Bias of Neural Networks, ICML 2019.";
    Checkerboard = "checkerboard": After, "a grid lies over the reconstructions",
        why: "Transposed convolutions overlap unevenly and leave the pattern of their stride.",
        measured: "Energy of the residual at the period of the stride over that of its neighbours.",
        helps: "Pixel shuffle with ICNR, or upsampling followed by a convolution.",
        source: "Odena, Dumoulin and Olah, Deconvolution and Checkerboard Artifacts, Distill 2016.";
    BottleneckTooLarge = "bottleneck_too_large": After, "the latent is wider than what it holds",
        why: "Most of its width carries nothing or says the same twice.",
        measured: "Effective rank of the latent over its width, validation rows.",
        helps: "A narrower latent.",
        source: "Roy and Vetterli, The Effective Rank, EUSIPCO 2007.";
    DeadLatents = "dead_latents": After, "dimensions of the latent never change",
        why: "Dead units take no part and never come back under a rectifier.",
        measured: "Share of latent dimensions with a single value over the validation rows.",
        helps: "A smaller rate; winners chosen before the rectifier; a softer start of k.",
        source: "Lu et al., Dying ReLU and Initialization, 2019; Makhzani and Frey 2013.";
    DuplicateLatents = "duplicate_latents": After, "dimensions of the latent say the same",
        why: "Copies take width without adding anything.",
        measured: "Share of the living dimensions whose absolute correlation with another one is \
            above the limit.",
        helps: "A narrower latent; corruption.",
        source: "Cogswell et al., Reducing Overfitting by Decorrelating, ICLR 2016.";
    UnscaledLatents = "unscaled_latents": After, "latents reach a distance-based model unscaled",
        why: "A few wide dimensions decide every distance.",
        measured: "Largest over smallest standard deviation of the living dimensions, where \
            `features.scale` leaves them as they are.",
        helps: "`features.scale = \"standard\"` or `\"global\"`.",
        source: "Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 14.3.3.";
    OverfittedReconstruction = "overfitted_reconstruction": After,
        "training rows are reconstructed far better than others",
        why: "The features of new rows are worse than those the classifier was trained on.",
        measured: "Error on validation rows over that on training rows.",
        helps: "Corruption, early stopping, a narrower model.",
        source: "Prechelt, Early Stopping - But When?, 1998.";
    NoGain = "no_gain": After, "the features do not help",
        why: "The classifier does as well or better without the autoencoder.",
        measured: "The paired comparison of the report.",
        helps: "Corruption and width before depth; all hidden layers as features; or leave the \
            autoencoder out.",
        source: "Ucar, Hajiramezanali and Edwards, SubTab, NeurIPS 2021, table 1.";
    TooFewRepeats = "too_few_repeats": After, "too few repeats to say anything",
        why: "One seed may be lucky.",
        measured: "Repeats of the run, where the answer is uncertain.",
        helps: "`repeats = 5`.",
        source: "Bouthillier et al., Accounting for Variance, MLSys 2021.";
    SaturatedUnits = "saturated_units": During, "units stuck at the end of their range",
        why: "Where a sigmoid or tanh is flat no gradient passes, and the unit says the same of \
            every row.",
        measured: "Share of a layer's units that lie within a hundredth of an end of their range \
            in at least 95 % of the rows, and since which epoch.",
        helps: "A smaller learning rate or initial weights, rectifiers or ELU, normalisation.",
        source: "Glorot and Bengio, AISTATS 2010.";
    DyingRelus = "dying_relus": During, "rectified units that are always off",
        why: "A unit that is 0 for every row gets no gradient and never comes back.",
        measured: "Share of a layer's units that are 0 in every measured row, layer by layer, and \
            since which epoch. An error where a layer has no other units.",
        helps: "A smaller learning rate, leaky rectifiers or ELU, normalisation.",
        source: "Maas, Hannun and Ng, ICML 2013; Lu et al., Dying ReLU and Initialization, 2020.";
    NoGradient = "no_gradient": During, "a parameter never gets a gradient",
        why: "It stays as it was drawn, whatever the data say.",
        measured: "Parameters whose gradient is exactly 0 at the end of every epoch.",
        helps: "Weights that are not all 0; a path from the parameter to the loss.",
        source: "Karpathy, A Recipe for Training Neural Networks, 2019.";
    Undertrained = "undertrained": During, "not trained well enough to be judged",
        why: "A loss that still falls fast, or a reconstruction far behind principal components, \
            says nothing about the architecture.",
        measured: "Relative fall of the validation loss in the last epoch; variance explained \
            against that of as many principal components.",
        helps: "More epochs, a higher rate.",
        source: "Prechelt, Early Stopping - But When?, 1998.";
    CapacityTooSmall = "capacity_too_small": After, "the model is too small",
        why: "Training rows come back no better than validation rows, and neither comes back well.",
        measured: "Share of the variance that is lost, on training and on validation rows.",
        helps: "Wider layers, a wider latent.",
        source: "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.2.";
    CapacityTooLarge = "capacity_too_large": After, "the model is too large for the data",
        why: "It has more numbers than the rows can pin down, and fits what is particular to them.",
        measured: "Trained numbers for each training value, and validation over training error.",
        helps: "Narrower layers, dropout, corruption of the input.",
        source: "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.2.";
    BottleneckTooSmall = "bottleneck_too_small": After, "the latent is too narrow",
        why: "What doesn't pass the latent is lost to every model behind it.",
        measured: "Share of the variance that is lost, and how much of it as many principal \
            components again would hold.",
        helps: "A wider latent.",
        source: "Hinton and Salakhutdinov, Science 2006; Jolliffe, Principal Component Analysis, \
            2002.";
    IrrelevantDetail = "irrelevant_detail": After, "what comes back is not what matters",
        why: "A reconstruction spends its latent on what varies most, which need not be what tells \
            the classes apart.",
        measured: "Share explained of each column, weighted by its mutual information with the \
            class, over the same weighted by its variance; training rows.",
        helps: "Scale columns alike, a wider latent.",
        source: "Kohavi and John, Wrappers for Feature Subset Selection, 1997.";
    NoiseTooWeak = "noise_too_weak": After, "the corruption is too weak",
        why: "Where next to nothing is taken away, copying is the best answer.",
        measured: "Energy of the corruption over the variance of the data, validation rows.",
        helps: "Stronger corruption.",
        source: "Vincent et al., Stacked Denoising Autoencoders, JMLR 2010.";
    NoiseTooStrong = "noise_too_strong": After, "the corruption is too strong",
        why: "What is left of a row doesn't tell what was taken away, so the mean is the best \
            answer.",
        measured: "Error of the reconstruction of corrupted rows over that of the mean.",
        helps: "Weaker corruption.",
        source: "Vincent et al., Stacked Denoising Autoencoders, JMLR 2010.";
    CorruptionLearnt = "corruption_learnt": After, "the corruption comes through",
        why: "A model that passes the corruption on has learnt to copy, not what the data are \
            like.",
        measured: "Energy by which reconstructions of corrupted and of clean rows differ, over \
            the energy of the corruption.",
        helps: "Stronger corruption, a narrower latent.",
        source: "Alain and Bengio, JMLR 2014.";
    SparsityTooStrong = "sparsity_too_strong": During, "the price on activity silences the latent",
        why: "Units that answer to nothing carry nothing.",
        measured: "Share of the latent units that are 0 for every row; share of the variance that \
            is lost.",
        helps: "A lower price.",
        source: "Ng, Sparse autoencoder, CS294A lecture notes, 2011.";
    SparsityTooWeak = "sparsity_too_weak": During, "the price on activity buys no sparsity",
        why: "The latent is as dense as without it, and free to copy.",
        measured: "Mean share of the latent units that answer to a row, or mean activity against \
            the wanted one.",
        helps: "A higher price.",
        source: "Ng, Sparse autoencoder, CS294A lecture notes, 2011.";
    KSparseDeadUnits = "k_sparse_dead_units": After, "units that never win",
        why: "A unit that is never among the k largest is never trained, and stays so.",
        measured: "Share of units that are 0 in every validation row.",
        helps: "Begin with all units (`anneal`), fewer units, a larger k, winner-take-all.",
        source: "Makhzani and Frey, k-Sparse Autoencoders, ICLR 2014, section 4.";
    DeadFilters = "dead_filters": After, "filters that answer to nothing",
        why: "They take room and time, and a rectifier in front of the choice keeps them dead.",
        measured: "Share of units, or of maps, that are 0 in every validation row.",
        helps: "Choose winners before the rectifier (`rectify_after`), a smaller rate.",
        source: "Makhzani and Frey, Winner-Take-All Autoencoders, NeurIPS 2015.";
    ContractionTooStrong = "contraction_too_strong": After, "the contractive price rules the loss",
        why: "The encoder is held so still that little can be read from it.",
        measured: "Share of the variance of validation rows that is lost.",
        helps: "A lower weight.",
        source: "Rifai et al., Contractive Auto-Encoders, ICML 2011.";
    ContractionTooWeak = "contraction_too_weak": During, "the contractive price counts for nothing",
        why: "The latent moves as freely as without it, which costs time for nothing.",
        measured: "The price over the reconstruction loss, validation rows.",
        helps: "A higher weight.",
        source: "Rifai et al., Contractive Auto-Encoders, ICML 2011.";
    PosteriorCollapse = "posterior_collapse": During, "latent dimensions collapse onto the prior",
        why: "A dimension that is the prior for every row says nothing, and the decoder learns to \
            do without it.",
        measured: "Nats of each dimension's divergence from the prior; active units.",
        helps: "A lower beta, free nats, warm-up, a narrower likelihood (`output_std`).",
        source: "Bowman et al., CoNLL 2016; Burda et al., ICLR 2016; Lucas et al., NeurIPS 2019.";
    KlDominates = "kl_dominates": After, "the divergence rules the loss",
        why: "The model pays more attention to its prior than to its data.",
        measured: "Share of the variance that a variational model loses.",
        helps: "A lower beta, a narrower likelihood (`output_std`).",
        source: "Higgins et al., beta-VAE, ICLR 2017; Rybkin et al., ICML 2021.";
    ExplodingVariance = "exploding_variance": During, "the latent's variance explodes",
        why: "Draws are noise of any size, gradients follow them, and the loss ends in NaN.",
        measured: "Mean posterior variance of each dimension, where the prior has 1, and its \
            divergence from the prior.",
        helps: "Scaled inputs, clipping, a beta of 1.",
        source: "Rezende and Viola, Taming VAEs, 2018.";
    BlurrySamples = "blurry_samples": After, "drawn samples are blurred",
        why: "The prior holds only what is coarse.",
        measured: "Energy of decoded draws in the upper half of the spatial frequencies over that \
            of the data.",
        helps: "A lower beta, a narrower likelihood, a wider latent.",
        source: "Rybkin et al., Simple and Effective VAE Training, ICML 2021.";
    WarmUpTooShort = "warm_up_too_short": During,
        "the divergence comes in before the latent is worth it",
        why: "Dimensions are given up before the decoder has learnt to use them.",
        measured: "Share of the epochs in which the weight rises, and dimensions that no longer \
            say anything.",
        helps: "A longer warm-up, or a cyclical one.",
        source: "Sonderby et al., Ladder Variational Autoencoders, NeurIPS 2016.";
    DeadCodes = "dead_codes": During, "codes that are never used",
        why: "A code that no row is nearest to is never moved, and the codebook is smaller than \
            it looks.",
        measured: "Share of codes used less than a twentieth of their even share; perplexity.",
        helps: "Revive unused codes (`revive_below`), fewer codes.",
        source: "van den Oord et al., NeurIPS 2017; Dhariwal et al., Jukebox, 2020.";
    CroppedMaps = "cropped_maps": Before, "maps that can't be halved",
        why: "An odd map halved and doubled again is a pixel larger than it was; the decoder crops \
            it, and its rim is learnt from fewer places.",
        measured: "The sides of the encoder's maps, layer by layer.",
        helps: "Fewer layers; images whose sides are a power of two times a small number.",
        source: "Dumoulin and Visin, A Guide to Convolution Arithmetic, 2016.";
    SmallReceptiveField = "small_receptive_field": Before,
        "windows smaller than what is to be seen",
        why: "A unit that sees less than a structure can't know it.",
        measured: "Receptive field of the last map against the length over which pixels are \
            correlated by more than a half.",
        helps: "Larger windows, more layers.",
        source: "Luo et al., Understanding the Effective Receptive Field, NeurIPS 2016.";
    DownstreamNotConverged = "downstream_not_converged": After, "a downstream model was not done",
        why: "Feature sets on which it happens to be further along look better.",
        measured: "Fits that reached their number of steps before their tolerance.",
        helps: "More steps, scaled features.",
        source: "scikit-learn, ConvergenceWarning of LogisticRegression.";
    UnderRegularised = "under_regularised": After, "a downstream model is under-regularised",
        why: "It fits its training rows and not what they share; wide features suffer most.",
        measured: "Accuracy on rows fitted on less that on validation rows, and validation \
            accuracy lost against a penalty chosen there; where the file fixes the penalty.",
        helps: "Leave the penalty open, so that it is chosen on validation.",
        source: "Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2009, \
            section 7.";
    OneSidedTuning = "one_sided_tuning": Before, "hyperparameters that suit one feature set",
        why: "A value that was tuned on one feature set is a handicap for the others.",
        measured: "Hyperparameters of downstream models that the file fixes.",
        helps: "Leave them open, so that they are chosen for each feature set.",
        source: "Dacrema, Cremonesi and Jannach, Are We Really Making Much Progress, RecSys 2019.";
    MemorisedSamples = "memorised_samples": After, "training rows are memorised",
        why: "What is stored of single rows says nothing about new ones, and gives them away.",
        measured: "How well a row's error tells that it was trained on (area under the ROC curve).",
        helps: "Early stopping, corruption, a narrower model.",
        source: "Yeom et al., CSF 2018; van den Burg and Williams, NeurIPS 2021.";
    NoBetterThanPca = "no_better_than_pca": After, "worse than principal components",
        why: "A linear method that needs no training gives better features.",
        measured: "Paired difference from `pca` under the main model, with its interval.",
        helps: "Other layers as features, corruption, a wider latent; or PCA.",
        source: "Dacrema, Cremonesi and Jannach, Are We Really Making Much Progress, RecSys 2019.";
    NoBetterThanRandom = "no_better_than_random": After,
        "worse than an encoder that was never trained",
        why: "Training has made the features worse.",
        measured: "Paired difference from `random_encoder` under the main model, with its \
            interval.",
        helps: "Other layers as features, corruption, a wider latent.",
        source: "Saxe et al., On Random Weights and Unsupervised Feature Learning, ICML 2011.";
}

impl FindingId {
    /// The finding of that identifier.
    ///
    /// ```
    /// use hourglass_doctor::FindingId;
    /// assert_eq!(FindingId::named("blur"), Some(FindingId::Blur));
    /// assert_eq!(FindingId::named("hiccup"), None);
    /// ```
    pub fn named(name: &str) -> Option<FindingId> {
        FindingId::ALL.iter().copied().find(|id| id.name() == name)
    }

    /// Its page as Markdown.
    pub fn markdown(self) -> String {
        let page = self.page();
        let when = match page.moment {
            Moment::Before => "before training, from the file and the data",
            Moment::During => "from what each epoch measured",
            Moment::After => "after training, from the model, its features and the results",
        };
        let mut text = format!("# {}: {}\n\n{}\n\n", self.name(), page.title, page.why);
        for (heading, words) in [
            ("When it is found", format!("{}.", capitalised(when))),
            ("How it is measured", page.measured.to_owned()),
            ("What helps", page.helps.to_owned()),
            ("Source", page.source.to_owned()),
        ] {
            let _ = write!(text, "## {heading}\n\n{words}\n\n");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// `cargo xtask reference` writes them.
    #[test]
    fn the_pages_are_those_of_the_catalogue() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/doctor");
        for &id in FindingId::ALL {
            let page = std::fs::read_to_string(folder.join(format!("{}.md", id.name())));
            assert_eq!(page.unwrap_or_default(), id.markdown(), "`cargo xtask reference` is due");
        }
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), FindingId::ALL.len());
    }

    /// `doctor clinic` runs them.
    #[test]
    fn each_finding_has_a_sick_file_and_a_healthy_twin() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/clinic");
        for &id in FindingId::ALL {
            for ending in ["toml", "healthy.toml"] {
                let path = folder.join(format!("{}.{ending}", id.name()));
                assert!(path.exists(), "{}", path.display());
            }
        }
    }

    #[test]
    fn names_are_those_of_json_and_stand_once() {
        let names: BTreeSet<&str> = FindingId::ALL.iter().map(|id| id.name()).collect();
        assert_eq!(names.len(), FindingId::ALL.len());
        for &id in FindingId::ALL {
            assert_eq!(FindingId::named(id.name()), Some(id));
            let page = id.page();
            for words in [page.title, page.why, page.measured, page.helps, page.source] {
                assert!(!words.is_empty() && !words.contains("  "), "{}: {words}", id.name());
            }
        }
    }
}
