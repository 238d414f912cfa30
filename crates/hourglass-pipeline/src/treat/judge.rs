//! Whether a cure helped. Validation rows decide; nothing is run here.

use hourglass_doctor::{Cure, Evidence, Finding, FindingId, Severity};

use super::{Attempt, EvidenceChange, Patch, Seen};
use crate::measures::{Estimated, Measures};

/// Share of the way to its limit that a figure must go to count as better.
const COUNTS: f64 = 0.1;

/// Relative loss of a score that is harm, whatever its interval: of few repeats intervals are so
/// wide that nothing is beyond doubt. On a few dozen validation rows less than this is luck.
const SCORE_HARM: f64 = 0.1;

/// The same for the growth of an error.
const ERROR_HARM: f64 = 0.2;

/// The figure that a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// How well rows come back.
    Reconstruction,
    /// How well the features serve.
    Score,
    /// The finding's own evidence: what was compared and how, what a picture or a latent is like.
    Evidence,
}

impl About {
    /// What a finding is about.
    pub fn of(id: FindingId) -> About {
        use FindingId as Id;
        match id {
            Id::NoGain
            | Id::NoBetterThanPca
            | Id::NoBetterThanRandom
            | Id::IrrelevantDetail
            | Id::UnscaledLatents
            | Id::Outliers
            | Id::CodedMissing
            // By a metric that counts every class alike.
            | Id::ClassImbalance
            | Id::UnderRegularised => About::Score,
            // How the rows and the comparison are.
            Id::ConstantColumns
            | Id::DuplicateColumns
            | Id::DuplicateRows
            | Id::DataMismatch
            | Id::LabelLeakage
            | Id::NoBaseline
            | Id::TooFewRepeats
            | Id::FewSamples
            | Id::OneSidedTuning
            | Id::DownstreamNotConverged
            // What the model does that an error doesn't show, or for which it may rise.
            | Id::IdentityLearning
            | Id::Blur
            | Id::BlurrySamples
            | Id::Checkerboard
            | Id::CroppedMaps
            | Id::SmallReceptiveField
            | Id::OverfittedReconstruction
            | Id::MemorisedSamples
            | Id::CapacityTooLarge
            | Id::NoiseTooWeak
            | Id::NoiseTooStrong
            | Id::CorruptionLearnt
            | Id::SparsityTooWeak
            | Id::ContractionTooWeak
            | Id::WarmUpTooShort
            // What the latent is like.
            | Id::BottleneckTooLarge
            | Id::DeadLatents
            | Id::DuplicateLatents
            | Id::KSparseDeadUnits
            | Id::DeadFilters
            | Id::DeadCodes => About::Evidence,
            _ => About::Reconstruction,
        }
    }
}

/// Findings that say that a score is too good: their cures may lower it.
const TOO_GOOD: [FindingId; 4] = [
    FindingId::DuplicateRows,
    FindingId::LabelLeakage,
    FindingId::DataMismatch,
    FindingId::OneSidedTuning,
];

/// Findings that are made from scores on test rows, which may not decide; the first of them have
/// a figure on validation rows that does.
const FROM_TEST: [FindingId; 4] = [
    FindingId::NoGain,
    FindingId::NoBetterThanPca,
    FindingId::NoBetterThanRandom,
    FindingId::TooFewRepeats,
];

fn is_from_test(id: FindingId) -> bool {
    FROM_TEST.contains(&id)
}

/// Whether the validation score stands in for what the finding measured on test rows.
fn is_by_score(id: FindingId) -> bool {
    is_from_test(id) && id != FindingId::TooFewRepeats
}

/// What a cure did.
pub(super) fn attempt(finding: &Finding, cure: &Cure, now: &Seen, then: &Seen) -> Attempt {
    let id = finding.id;
    let both = now.measures.as_ref().zip(then.measures.as_ref());
    let score_change = both.and_then(|(now, then)| then.score_above(now));
    let error_change = both.map(|(now, then)| then.error_below(now));
    let new_findings: Vec<FindingId> = then
        .findings
        .iter()
        .filter(|f| f.severity > Severity::Note && !is_from_test(f.id))
        .map(|f| f.id)
        .filter(|&id| now.stands(id).is_none())
        .collect();
    let is_gone = then.failure.is_none() && then.stands(id).is_none();
    let mut attempt = Attempt {
        finding: id,
        severity: finding.severity,
        changes: cure.changes.iter().map(|change| Patch::of(change, &now.pipeline)).collect(),
        because: cure.because.clone(),
        evidence: evidence(finding, now, then),
        is_gone,
        new_findings,
        scores: [&now.measures, &then.measures].map(|m| m.as_ref().map(|m| m.score().mean)),
        score_change,
        errors: [
            both.map(|(now, then)| now.mean_error_beside(then)),
            both.map(|(now, then)| then.mean_error_beside(now)),
        ],
        error_change,
        is_kept: false,
        why: String::new(),
    };
    (attempt.is_kept, attempt.why) = decide(&attempt, now, then);
    attempt
}

/// Whether the change stays, and why.
fn decide(attempt: &Attempt, now: &Seen, then: &Seen) -> (bool, String) {
    if let Some(failure) = &then.failure {
        return (false, format!("the run failed: {}", failure.lines().next().unwrap_or_default()));
    }
    let (before, after) = (weight(now), weight(then));
    if after > before {
        let names = attempt.new_findings.iter().map(|id| id.name()).collect::<Vec<_>>().join(", ");
        return (false, format!("what it brings is worse: {names}"));
    }
    let about = About::of(attempt.finding);
    let is_harm = |change: Option<Estimated>, before: Option<f64>, share: f64| {
        let (Some(change), Some(before)) = (change, before) else { return false };
        change.is_below_zero() || change.mean < -share * before.abs()
    };
    if !TOO_GOOD.contains(&attempt.finding)
        && is_harm(attempt.score_change, attempt.scores[0], SCORE_HARM)
    {
        return (false, "the score on validation is worse".to_owned());
    }
    if about == About::Reconstruction
        && is_harm(attempt.error_change, attempt.errors[0], ERROR_HARM)
    {
        return (false, "the reconstruction error on validation is larger".to_owned());
    }
    if is_by_score(attempt.finding) {
        return match attempt.score_change {
            Some(change) if change.mean > 0.0 => (true, "the score on validation is better".into()),
            _ => (false, "the score on validation is no better".to_owned()),
        };
    }
    if attempt.is_gone {
        return (true, "the finding is gone".to_owned());
    }
    let is_better = attempt.evidence.as_ref().is_some_and(EvidenceChange::is_better);
    let figure = match about {
        About::Score => attempt.score_change,
        About::Reconstruction => attempt.error_change,
        About::Evidence => None,
    };
    if is_better && figure.is_none_or(|change| change.mean > 0.0) {
        return (true, "the finding is weaker".to_owned());
    }
    if figure.is_some_and(Estimated::is_above_zero) {
        return (true, "the finding stands, but what it is about is better".to_owned());
    }
    (false, "the finding stands".to_owned())
}

/// What makes a file useless: a run that failed, and errors. Warnings don't count: one cure may
/// bring several that say the same, and whether they matter is measured.
fn weight(seen: &Seen) -> (bool, usize) {
    let errors = seen.findings.iter().filter(|f| f.severity == Severity::Error);
    (seen.failure.is_some(), errors.filter(|f| !is_from_test(f.id)).count())
}

/// The first figure of the finding that has a limit.
fn measured(finding: &Finding) -> Option<(&Evidence, f64)> {
    finding.evidence.iter().find_map(|evidence| Some((evidence, evidence.limit?)))
}

fn evidence(finding: &Finding, now: &Seen, then: &Seen) -> Option<EvidenceChange> {
    if is_by_score(finding.id) {
        // The same on validation rows.
        let gain = |seen: &Seen| seen.measures.as_ref().map(|m| m.gain().mean);
        return Some(EvidenceChange {
            what: "mean difference from raw columns on validation".to_owned(),
            before: gain(now)?,
            after: gain(then),
            limit: 0.0,
        });
    }
    let (before, limit) = measured(finding)?;
    let same = then.findings.iter().find(|other| other.id == finding.id);
    let after = same.and_then(|f| f.evidence.iter().find(|e| e.what == before.what));
    Some(EvidenceChange {
        what: before.what.clone(),
        before: before.value,
        after: after.map(|evidence| evidence.value),
        limit,
    })
}

impl EvidenceChange {
    /// Whether the figure came nearer to its limit by a share that counts, or passed it.
    pub fn is_better(&self) -> bool {
        let Some(after) = self.after else { return false };
        let side = (self.before - self.limit).signum();
        let (before, after) = ((self.before - self.limit) * side, (after - self.limit) * side);
        after < before * (1.0 - COUNTS)
    }
}

/// Whether what a finding is about is better than it was.
pub(super) fn is_improved(
    id: FindingId,
    findings_before: &[Finding],
    before: Option<&Measures>,
    now: &Seen,
) -> bool {
    let Some(after) = &now.measures else { return false };
    // A run that failed had no figure at all.
    let Some(before) = before else { return true };
    match About::of(id) {
        About::Score => after.score_above(before).is_some_and(|change| change.mean > 0.0),
        About::Reconstruction => {
            // An error that was no number is better as one.
            let was = before.mean_error_beside(after);
            after.error_below(before).mean > 0.0 || (!was.is_finite() && after.is_finite())
        }
        About::Evidence => {
            let first = findings_before.iter().find(|finding| finding.id == id);
            let figure = first.and_then(measured);
            let still = now.findings.iter().find(|finding| finding.id == id);
            match (figure, still) {
                (_, None) => true,
                (Some((figure, limit)), Some(still)) => {
                    let after = still.evidence.iter().find(|e| e.what == figure.what);
                    let (what, before) = (figure.what.clone(), figure.value);
                    let after = after.map(|evidence| evidence.value);
                    EvidenceChange { what, before, after, limit }.is_better()
                }
                (None, Some(still)) => still.severity == Severity::Note,
            }
        }
    }
}
