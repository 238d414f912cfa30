//! What is kept and what is dropped, and what a treatment leaves behind.

use hourglass_core::Silent;
use hourglass_data::Locations;

use super::*;

/// Steps so wide that nothing is learnt.
const SICK: &str = r#"
    name = "sick"
    seed = 1
    repeats = 3
    data.builtin.dataset = "iris"
    split = { validation = 0.2, test = 0.3 }
    preprocess.numeric = "standard"
    model.undercomplete = { latent_dim = 2 }
    train = { epochs = 4, batch_size = 16, optimizer = { adam = { learning_rate = 10.0 } } }
    downstream = { compare = ["raw", "autoencoder"], models = [{ logistic_regression = {} }] }
"#;

struct Room(tempfile::TempDir);

impl Room {
    fn new(text: &str) -> Room {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sick.toml"), text).unwrap();
        Room(folder)
    }

    fn options(&self, trials: usize) -> TreatOptions {
        let runs_dir = self.0.path().join("runs");
        let locations =
            Locations { data_dirs: Vec::new(), download_dir: runs_dir.join("data"), offline: true };
        let run = RunOptions { base: PathBuf::new(), locations, runs_dir, force: false };
        TreatOptions { run, trials, minutes: None, only: None }
    }

    fn treat(&self, trials: usize) -> Treatment {
        let (path, options) = (self.0.path().join("sick.toml"), self.options(trials));
        treat(&path, &[], &options, &Silent, &Interrupt::new()).unwrap()
    }
}

fn condition(ids: &[(FindingId, Severity)], scores: &[f64], errors: &[f64]) -> Seen {
    let text = Text { text: SICK, origin: "sick", overrides: Vec::new() };
    let measures = Measures {
        metric: hourglass_downstream::Metric::Accuracy,
        scores: scores.to_vec(),
        raw_scores: scores.to_vec(),
        reconstruction: errors.to_vec(),
        by_column: errors.to_vec(),
        preprocess: text.read().unwrap().preprocess,
        n_train: 100,
        n_validation: 20,
    };
    Seen {
        pipeline: text.read().unwrap(),
        name: String::new(),
        findings: ids.iter().map(|&(id, severity)| Finding::new(id, severity, "x")).collect(),
        measures: Some(measures),
        failure: None,
    }
}

#[test]
fn validation_decides_what_is_kept() {
    use FindingId as Id;
    use Severity::{Error, Note, Warning};
    let sick = [(Id::Plateau, Warning)];
    let good = (&[0.8, 0.81, 0.82][..], &[0.2, 0.21, 0.22][..]);
    let decide = |id, now: &Seen, then: &Seen| {
        let finding = now.findings.iter().find(|finding| finding.id == id).unwrap();
        let cure = Cure { changes: Vec::new(), because: String::new() };
        let attempt = judge::attempt(finding, &cure, now, then);
        (attempt.is_kept, attempt.why)
    };
    let now = condition(&sick, good.0, good.1);
    for (name, then, expected) in [
        ("gone", condition(&[], good.0, good.1), true),
        ("a note", condition(&[(Id::Plateau, Note)], good.0, good.1), true),
        ("stands", condition(&sick, good.0, good.1), false),
        (
            "stands, and the error is far smaller",
            condition(&sick, good.0, &[0.1, 0.11, 0.12]),
            true,
        ),
        ("gone, and the error is far larger", condition(&[], good.0, &[0.4, 0.2, 0.3]), false),
        ("gone, and the score with it", condition(&[], &[0.5, 0.51, 0.52], good.1), false),
        ("an error in its place", condition(&[(Id::MeanOutput, Error)], good.0, good.1), false),
        (
            "warnings in its place that nothing measured is worse by",
            condition(&[(Id::Blur, Warning), (Id::DeadLatents, Warning)], good.0, good.1),
            true,
        ),
    ] {
        let (is_kept, why) = decide(Id::Plateau, &now, &then);
        assert_eq!(is_kept, expected, "{name}: {why}");
    }
    // A score that was too good may fall.
    let leaky = condition(&[(Id::DuplicateRows, Warning)], &[0.99, 0.98, 0.99], good.1);
    assert!(decide(Id::DuplicateRows, &leaky, &condition(&[], good.0, good.1)).0);
    // What test rows say of a gain doesn't decide, neither way.
    let useless = condition(&[(Id::NoGain, Warning)], good.0, good.1);
    assert!(!decide(Id::NoGain, &useless, &condition(&[], good.0, good.1)).0);
    let better = condition(&[(Id::NoGain, Warning)], &[0.9, 0.91, 0.92], good.1);
    assert!(decide(Id::NoGain, &useless, &better).0);
}

#[test]
fn a_sick_file_is_cured_and_the_cured_one_says_how() {
    let room = Room::new(SICK);
    let only = Some(FindingId::LearningRateTooHigh);
    let options = TreatOptions { only, ..room.options(6) };
    let path = room.0.path().join("sick.toml");
    let treatment = treat(&path, &[], &options, &Silent, &Interrupt::new()).unwrap();
    let kept: Vec<String> = treatment
        .attempts
        .iter()
        .filter(|attempt| attempt.is_kept)
        .flat_map(|attempt| attempt.changes.iter().map(Patch::line))
        .collect();
    assert_eq!(kept, ["train.optimizer.adam.learning_rate = 1e-3"], "{treatment:#?}");
    assert_eq!(treatment.improved, Some(true));
    let stands = |condition: &Condition| {
        condition.findings.iter().any(|finding| finding.id == FindingId::LearningRateTooHigh)
    };
    assert!(stands(&treatment.before) && !stands(&treatment.after));
    assert!(treatment.after.score.unwrap().interval.is_some());

    let cured = std::fs::read_to_string(treatment.cured.as_ref().unwrap()).unwrap();
    assert!(cured.contains("# train.optimizer.adam.learning_rate: was 10"), "{cured}");
    let pipeline = crate::parse(&cured, "cured", &[]).unwrap();
    assert!(pipeline.train.optimizer.learning_rate() < 1.0);
    let user = std::fs::read_to_string(room.0.path().join("sick.toml")).unwrap();
    assert_eq!(user, SICK, "the user's file is as it was");
    assert!(!room.0.path().join("runs/latest").exists());
}

#[test]
fn a_treatment_is_bounded_and_a_run_can_be_treated() {
    let room = Room::new(SICK);
    let treatment = room.treat(0);
    assert!(treatment.attempts.is_empty() && treatment.cured.is_none());
    assert_eq!(treatment.ended, "0 attempts were made");
    let options = room.options(1);
    let text = Text { text: SICK, origin: "sick", overrides: Vec::new() };
    let pipeline = text.read().unwrap();
    let run = crate::run(&pipeline, &options.run, &Silent, &Interrupt::new()).unwrap();
    let treatment = treat(&run.folder, &[], &options, &Silent, &Interrupt::new()).unwrap();
    assert_eq!(treatment.attempts.len(), 1);
    if let Some(cured) = treatment.cured {
        assert_eq!(cured.parent().unwrap(), run.folder.parent().unwrap().canonicalize().unwrap());
    }
    let none = TreatOptions { minutes: Some(0.0), ..room.options(5) };
    let path = room.0.path().join("sick.toml");
    let treatment = treat(&path, &[], &none, &Silent, &Interrupt::new()).unwrap();
    assert!(treatment.ended.starts_with("the time was up"), "{}", treatment.ended);
}

#[test]
fn paths_of_a_cured_file_are_absolute() {
    let room = Room::new(SICK);
    let text = SICK.replace(
        "data.builtin.dataset = \"iris\"",
        "data.csv = { path = \"rows.csv\", target = \"kind\" }",
    );
    let text = Text { text: &text, origin: "sick", overrides: Vec::new() };
    let pipeline = text.read().unwrap();
    let treatment = Treatment {
        file: "sick.toml".to_owned(),
        metric: None,
        before: condition(&[], &[0.5], &[0.5]).condition(),
        attempts: Vec::new(),
        after: condition(&[], &[0.5], &[0.5]).condition(),
        ended: String::new(),
        interrupted: false,
        improved: None,
        cured: None,
    };
    let cured = cured::text(&treatment, &pipeline, room.0.path());
    let expected = room.0.path().join("rows.csv");
    assert!(cured.contains(&expected.display().to_string()), "{cured}");
}
