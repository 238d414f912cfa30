//! The limits that findings are held against, all in one table, each with where it comes from.
//!
//! Where a limit is a judgement, it was set on the even half of `pipelines/clinic` and checked on
//! the odd half: findings in the order of their names, counted from 0, each with its sick files and
//! its healthy twin, over the seeds 1, 2 and 3. Figures of a twin are those of every twin in which
//! the measure is taken. Where the sick file of a finding is in the odd half, the even half has
//! only shown how far healthy files go.

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Its name in this file.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// What it is about, and the source or the measurement that set it.
    pub source: &'static str,
}

macro_rules! thresholds {
    ($($name:ident = $value:literal: $source:literal;)*) => {
        $(#[doc = $source] pub(crate) const $name: f64 = $value;)*

        /// Every limit.
        pub const THRESHOLDS: &[Threshold] =
            &[$(Threshold { name: stringify!($name), value: $value, source: $source }),*];
    };
}

thresholds! {
    UNSCALED_SPREAD = 30.0: "largest standard deviation of a column over the median one: with \
        inputs that differ this much the Hessian's condition grows with the square (LeCun et al., \
        Efficient BackProp, 1998, section 4.3)";
    UNSCALED_LEVEL = 10.0: "largest absolute value of an input: twice what a standardised normal \
        column of a million rows shows";
    OUTLIER_REACH = 0.2: "share of a column's range that holds its central 98 %: a normal column \
        of 10,000 rows has 0.6, an exponential one 0.5, a log-normal one of spread 1 about 0.2";
    DUPLICATE_ROWS = 0.01: "share of validation or test rows that stand in the training part too: \
        below a hundredth they can't move an accuracy by more than a point";
    CODED_MISSING_SHARE = 0.005: "share of a column that one isolated extreme value takes up: five \
        zeros among 768 blood sugars are codes";
    CODED_MISSING_ROWS = 3.0: "rows that hold that value: one far from all others is an outlier, and \
        two of a measurement may be equal by chance where it was rounded; a code repeats";
    CODED_MISSING_GAP = 0.15: "distance of that value from the next one, in ranges of the rest: \
        in 768 rows of a real table a zero blood pressure lies 0.24 away";
    IMBALANCE = 10.0: "rows of the largest class over those of the smallest: He and Garcia, \
        Learning from Imbalanced Data, TKDE 2009, speak of 10 to 1 as marked";
    FEW_SAMPLES = 500.0: "trained numbers for each training value (rows x columns), in thousandths";
    SHIFT_LEVEL = 0.001: "level of the Kolmogorov-Smirnov tests after Holm's correction";
    SHIFT_DISTANCE = 0.1: "Kolmogorov-Smirnov distance that matters: significance alone grows with \
        the rows";
    PSI = 0.25: "population stability index that credit scoring calls a major shift (Siddiqi, \
        Credit Risk Scorecards, 2006)";
    LEAKED_AUC = 0.995: "how well a single column may separate two classes before it is suspected \
        of holding the answer";
    SATURATED_DEPTH = 4.0: "sigmoid layers in a row: the derivative is at most 1/4, so that four \
        of them pass at most 1/256 (Hochreiter 1991; Glorot and Bengio, AISTATS 2010)";
    INIT_DEPTH = 16.0: "layers from which another initialiser than the activation's does harm: on \
        digits, rectifiers, three repeats, Glorot's weights leave 0.11 of the variance where He's \
        leave 0.15 with 8 layers, 0.23 and 0.25 with 12, 0.38 and 0.29 with 16, 0.53 and 0.40 with \
        22; He et al., ICCV 2015, see both learn with 22 layers, and Glorot's stand still with 30";
    BATCH_SHARE = 0.25: "share of the training rows in a batch: fewer than four steps an epoch";
    SMALL_BATCH = 8.0: "rows in a batch: below it the gradient of a batch is mostly noise, and \
        products can't use the machine";
    RATE_TOO_HIGH = 0.05: "learning rate of an optimiser that scales each step by the gradient's \
        own size; fifty times Adam's default (Kingma and Ba, ICLR 2015)";
    EXPLOSION = 1000.0: "gradient norm over the median of the epochs before it";
    OSCILLATION = 0.35: "share of epochs whose training loss rises by more than a hundredth; \
        clinic, even half: healthy up to 0.22; odd half: healthy up to 0.22, sick also end higher \
        than they began";
    SLOW_FALL = 0.4: "share of the last tenth's fall rate over the first tenth's: a curve that \
        bends has far less; digits.toml has 0.30, a rate of 1e-5 on digits 0.45";
    STILL_FALLS = 0.001: "relative fall of the validation loss an epoch that still counts as \
        falling; clinic, even half: healthy, at a rate that ends at 0, about 1e-4; odd half: sick \
        7e-3";
    PLATEAU_EPOCHS = 10.0: "epochs without a fall of the validation loss by a thousandth at an \
        unchanged rate: the patience of PyTorch's ReduceLROnPlateau";
    OVERFIT_GAP = 1.5: "validation loss over training loss at the end; clinic, odd half: sick 3.9 \
        and more; it counts only together with REGRESSED";
    REGRESSED = 1.05: "last validation loss over the lowest one; clinic, even half: healthy up to \
        1.01; odd half: healthy up to 1.01, sick 1.11 and more";
    DEAD_SHARE = 0.1: "share of latent dimensions that never change over the validation rows";
    DUPLICATE_CORRELATION = 0.99: "absolute correlation from which two latent dimensions say the \
        same";
    LATENT_SPREAD = 6.0: "largest standard deviation of a latent dimension over the smallest that \
        lives, before a model that measures distances; clinic, even half: sick 8.5 and more; at 6 \
        one dimension counts 36 times as much as another";
    RANK_SHARE = 0.2: "effective rank of the latent (Roy and Vetterli, EUSIPCO 2007) over its \
        width; clinic, even half: healthy 0.35 and more, sick up to 0.13; odd half: healthy 0.35 \
        and more, breast_cancer.toml 0.27";
    COPY_RATIO = 0.2: "error on columns shuffled independently over the error of the mean, where \
        the model should know which columns go together";
    MEAN_RATIO = 0.95: "error over the error of putting the mean for every row";
    PCA_RATIO = 2.0: "error over that of as many principal components, which need no training; \
        clinic, even half: healthy up to 1.62, sick 5.1 and more; odd half: healthy up to 1.73";
    PCA_BEHIND = 0.02: "share of the variance by which principal components must be ahead; \
        clinic, even half: where they leave 1 % a ratio of 2 is nothing; odd half: the same: a \
        judgement";
    BLUR_ENERGY = 0.36: "share of the upper half of the spatial frequencies' energy that comes \
        back; clinic, even half: healthy 0.55 and more, sick up to 0.31; odd half: healthy 0.41 \
        and more";
    CHECKERBOARD_PEAK = 2.0: "energy of the reconstruction at the period of the stride over that \
        of its neighbours, relative to the data's own (Odena et al., Distill 2016); clinic, even \
        half: healthy up to 0.49, two seeds of the sick file 4.7 and 5.5; odd half: healthy up to \
        0.49";
    OVERFITTED_RECONSTRUCTION = 3.0: "error on validation rows over that on training rows; \
        clinic, even half: healthy up to 2.23 (outlying rows of breast_cancer), sick 4.1 and \
        more; odd half: healthy up to 2.21";
    HARM = 0.01: "difference of scores, in the metric's unit, that matters: the region of \
        practical \
        equivalence of Benavoli et al., JMLR 2017; of hundreds of healthy runs a few are worse at \
        the \
        5 % level by chance";
    TOO_FEW_REPEATS = 3.0: "repeats below which an interval over seeds has fewer than two degrees \
        of freedom";
    SATURATED_SHARE = 0.3: "share of a layer's units that lie within a hundredth of an end of \
        their range in 95 % of the rows; clinic, even half: healthy twins 0, sick 0.75 and more; \
        odd half: healthy 0";
    DYING_SHARE = 0.85: "share of a rectified layer's units that are 0 for every measured row; \
        clinic, even half: healthy up to 0.52, sick 0.97 and more; odd half: healthy up to 0.73";
    GRADIENT_RATIO = 0.03: "gradient norm of the first weights over that of the last; clinic, \
        even half: healthy 0.12 and more; four sigmoid layers on either side, which still learn, \
        0.066 and more; odd half: healthy 0.12 and more";
    UNTRAINED_FALL = 0.1: "relative fall of the validation loss in the last epoch; clinic, even \
        half: healthy up to 0.002, sick 0.39 and more; odd half: healthy 0; digits.toml, which \
        could go on, has 0.059";
    UNTRAINED_SHARE = 0.5: "variance explained over that which as many principal components \
        explain; clinic, even half: healthy above it; odd half: healthy above it: half is a \
        judgement";
    CAPACITY_LEFT = 0.5: "share of the variance of training rows that doesn't come back; clinic, \
        even half: healthy up to 0.32; odd half: healthy up to 0.19, sick 0.81 and more";
    SMALL_GAP = 1.2: "validation over training error up to which there is no gap; clinic, even \
        half: sampling alone gives 0.78 to 1.2 in linear models; odd half: sick 0.98";
    MANY_PARAMETERS = 0.5: "trained numbers for each training value, as FEW_SAMPLES";
    LARGE_GAP = 3.0: "validation over training error, both over that of the mean; clinic, even \
        half: healthy up to 1.84, sick 8.3 and more; odd half: healthy up to 1.83";
    BOTTLENECK_LEFT = 0.25: "share of the variance of validation rows that doesn't come back; \
        clinic, even half: healthy up to 0.33, but none with room to gain; odd half: sick 0.63 \
        and more";
    BOTTLENECK_GAIN = 0.15: "share of the variance in as many further principal components as the \
        latent is wide; clinic, even half: healthy up to 0.101; odd half: healthy up to 0.105, \
        sick 0.22 and more";
    DETAIL_EXPLAINED = 0.5: "share of the variance that must come back before it is asked which; \
        clinic, even half: healthy 0.65 and more; odd half: healthy 0.65 and more, sick 0.98";
    DETAIL_LOST = 0.5: "share explained, columns weighted by their information on the classes, \
        over the share explained, weighted by their variance; clinic, even half: healthy 0.94 and \
        more; odd half: healthy 0.94 and more, sick up to 0.02";
    WEAK_NOISE = 0.005: "energy of the corruption over the variance of the data: a hundredth of \
        the values masked has about 0.01; half of that; clinic, even half: healthy above it; odd \
        half: sick 1e-4";
    NOISE_LEFT = 0.7: "error on corrupted rows over that of the mean; clinic, even half: healthy \
        below it, sick 0.91 and more; odd half: healthy below it";
    NOISE_PASSES = 0.7: "share of the corruption's energy that comes through, of which a copy has \
        1; clinic, even half: healthy up to 0.40, sick 0.88 and more; odd half: healthy up to \
        0.40";
    SILENT_SHARE = 0.8: "share of the units of a priced latent that are always 0; clinic, even \
        half: healthy up to 0.58, sick 1; odd half: none";
    ACTIVE_SHARE = 0.4: "mean share of the units of a sparse latent that answer, where rectified \
        units of random weights have 0.5; clinic, even half: healthy up to 0.22; odd half: \
        healthy up to 0.13, sick 0.48 and more";
    TARGET_EXCEEDED = 3.0: "mean activity of a sparse latent over the wanted one; clinic, even \
        half: a price that works leaves 2.6 at most; odd half: sick 9.9";
    CONTRACTION_VANISHES = 0.001: "price on the Jacobian over the reconstruction loss; clinic, \
        even half: healthy 0.1 and more; odd half: healthy 0.1 and more, sick 1e-9";
    DEAD_K_SPARSE = 0.3: "share of the units of a k-sparse latent that are never among the \
        largest; clinic, even half: healthy up to 0.075, sick 0.94 and more; odd half: none";
    DEAD_FILTERS = 0.3: "share of winner-take-all units or filters that answer to no row; clinic, \
        even half: healthy up to 0.02, sick 0.86 and more; odd half: healthy 0; digits.toml 0.04";
    COLLAPSED_NATS = 0.01: "nats below which a latent dimension says nothing, as the active units \
        of \
        Burda et al., ICLR 2016";
    ACTIVE_VARIANCE = 0.01: "variance of a dimension's posterior mean over rows from which it is \
        active (Burda, Grosse and Salakhutdinov, ICLR 2016)";
    COLLAPSED_SHARE = 0.5: "share of latent dimensions that say nothing; clinic, even half: \
        healthy 0; odd half: healthy up to 0.19, sick 1";
    PRICE_LEFT = 0.5: "share of the variance of validation rows that a model with a price loses; \
        clinic, even half: healthy up to 0.47, sick 0.70 and more; odd half: healthy up to 0.37, \
        sick 0.80 and more";
    EXPLODED_VARIANCE = 10.0: "mean posterior variance of a dimension, where the prior has 1; \
        clinic, even half: healthy up to 3.0, sick 172 in one seed of three; odd half: healthy up \
        to 0.98";
    EXPLODED_NATS = 50.0: "nats of a dimension's divergence from the prior; clinic, even half: \
        healthy up to 3.0, sick 5e4 and more; odd half: healthy silent";
    SAMPLE_ENERGY = 0.31: "energy of drawn samples in the upper half of the spatial frequencies, \
        over that of the data; clinic, even half: healthy 5.3 and more, which are too sharp; odd \
        half: healthy 0.35 and more, sick up to 0.28";
    SHORT_WARM_UP = 0.1: "share of the epochs in which the weight of the divergence rises: \
        Sonderby et al., NeurIPS 2016, take 200 of 2,000 epochs; clinic, even half: healthy 0.33 \
        and more; odd half: healthy 0.33 and more, sick 0";
    WARM_UP_COLLAPSE = 0.3: "share of the dimensions that once said something and no longer do; \
        clinic, even half: healthy 0; odd half: healthy up to 0.19, sick 0.38 and more";
    DEAD_CODES = 0.3: "share of the codebook that is used less than a twentieth of its even \
        share; clinic, even half: no such model; odd half: healthy 0, sick 0.52 and more";
    FIELD_LENGTHS = 2.0: "pixels that a unit must see, in lengths over which neighbours are \
        correlated by more than a half";
    TOLD_APART = 0.65: "area under the ROC curve of a classifier that tells test rows from \
        training rows: a judgement, above what 300 rows a side give by chance (standard deviation \
        0.033); clinic, even half: healthy silent; odd half: sick 0.84";
    MEMORISED = 0.85: "area under the ROC curve with which a row's error tells that it is a \
        training row; clinic, even half: healthy up to 0.73, sick 0.996 and more; odd half: \
        healthy up to 0.73";
    UNDER_REGULARISED = 0.05: "accuracy on rows fitted on, less that on validation; clinic, even \
        half: no such file; odd half: sick 0.25 and more: a judgement";
    UNDER_REGULARISED_LOSS = 0.01: "validation accuracy lost against a chosen penalty; clinic, \
        even half: no such file; odd half: sick 0.03 and more: a judgement";
}
