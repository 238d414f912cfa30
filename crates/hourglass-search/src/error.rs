//! What can go wrong in a search. A message names the study, trial or parameter, and what to do.

use crate::{Direction, Distribution};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The range or the choices of a parameter can't be searched.
    #[error("parameter `{parameter}`: {problem}")]
    Parameter {
        /// Name of the parameter.
        parameter: String,
        /// What is wrong with it.
        problem: RangeProblem,
    },
    /// A condition names a parameter that doesn't exist.
    #[error(
        "parameter `{parameter}` depends on `{parent}`, which is not in the space\n\
         hint: {}", nearest_hint(nearest.as_deref())
    )]
    UnknownParent {
        /// The conditional parameter.
        parameter: String,
        /// The parent that is missing.
        parent: String,
        /// The nearest name in the space.
        nearest: Option<String>,
    },
    /// A condition names a parent that isn't categorical.
    #[error(
        "parameter `{parameter}` depends on `{parent}`, which is not categorical\n\
         hint: a condition lists some of the choices of a categorical parameter"
    )]
    ParentNotCategorical {
        /// The conditional parameter.
        parameter: String,
        /// Its parent.
        parent: String,
    },
    /// A condition names a value that its parent never takes.
    #[error(
        "parameter `{parameter}` depends on `{parent}` = {value}, which is not one of its \
         choices\nhint: the choices are {choices}"
    )]
    UnknownChoice {
        /// The conditional parameter.
        parameter: String,
        /// Its parent.
        parent: String,
        /// The value that is not among the choices.
        value: String,
        /// The choices there are.
        choices: String,
    },
    /// Conditions depend on each other in a ring.
    #[error(
        "conditions form a cycle: {}\nhint: a parameter can't depend on itself",
        ring.join(" -> ")
    )]
    Cycle {
        /// The parameters of the ring, the first one repeated at the end.
        ring: Vec<String>,
    },
    /// The space is empty.
    #[error("the space has no parameter\nhint: name at least one parameter with its range")]
    EmptySpace,
    /// A value that was given for a parameter is outside its range, or the parameter is unknown.
    #[error("`{parameter}` = {value} is not in the space: {reason}")]
    Value {
        /// The parameter.
        parameter: String,
        /// The value that was given.
        value: String,
        /// Why it can't be taken.
        reason: String,
    },
    /// A trial was asked for a parameter that it doesn't have.
    #[error(
        "trial {number} has no {kind} parameter `{parameter}`\n\
         hint: it is not in the space, of another kind, or its condition doesn't hold"
    )]
    NoParameter {
        /// Number of the trial.
        number: u64,
        /// What was asked for.
        parameter: String,
        /// The kind that was asked for.
        kind: &'static str,
    },
    /// A setting of a sampler or pruner is outside its range.
    #[error("{what}: `{field}` is {value}, but has to be {expected}")]
    Config {
        /// The sampler or pruner.
        what: &'static str,
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// There is no study of that name.
    #[error("there is no study `{name}` in {store}\nhint: {}", known_hint(known))]
    UnknownStudy {
        /// The name.
        name: String,
        /// Where it was looked for.
        store: String,
        /// The studies that are there.
        known: Vec<String>,
    },
    /// A study of that name is already there.
    #[error("study `{name}` is already in {store}\nhint: load it, or choose another name")]
    StudyExists {
        /// The name.
        name: String,
        /// Where.
        store: String,
    },
    /// The study in the store has other objectives than those given.
    #[error(
        "study `{name}` is stored with the objectives {found:?}, but {given:?} were given\n\
         hint: the objectives of a study can't change; choose another name"
    )]
    OtherDirections {
        /// The study.
        name: String,
        /// Directions in the store.
        found: Vec<Direction>,
        /// Directions that were given.
        given: Vec<Direction>,
    },
    /// The study in the store has trials of another kind of distribution.
    #[error(
        "study `{name}` has trials with `{parameter}` as {found}, but it is {given} now\n\
         hint: a range may move, but kind, scale and choices can't; choose another name"
    )]
    OtherDistribution {
        /// The study.
        name: String,
        /// The parameter.
        parameter: String,
        /// Distribution in the store.
        found: Box<Distribution>,
        /// Distribution that was given.
        given: Box<Distribution>,
    },
    /// The study has no description of ours: another program began it.
    #[error(
        "study `{name}` was begun by another program and has no search space in {store}\n\
         hint: carry it on with a space of your own (`Study::create_or_load`)"
    )]
    ForeignStudy {
        /// The study.
        name: String,
        /// Where it lies.
        store: String,
    },
    /// There is no trial of that number.
    #[error("study `{study}` has no trial {number}")]
    UnknownTrial {
        /// The study.
        study: String,
        /// The number.
        number: u64,
    },
    /// No trial of the study is complete, so that none is best.
    #[error("study `{study}` has no complete trial: {failed} failed, {pruned} were pruned")]
    NoCompleteTrial {
        /// The study.
        study: String,
        /// Trials that failed.
        failed: usize,
        /// Trials that were pruned.
        pruned: usize,
    },
    /// A study with several objectives has no single best trial.
    #[error(
        "study `{study}` has {objectives} objectives and no single best trial\n\
         hint: ask for its Pareto front"
    )]
    SeveralObjectives {
        /// The study.
        study: String,
        /// How many objectives it has.
        objectives: usize,
    },
    /// Another number of values was told than the study has objectives.
    #[error("trial {number} told {found} values, but the study has {expected} objectives")]
    ValueCount {
        /// The trial.
        number: u64,
        /// Values told.
        found: usize,
        /// Objectives of the study.
        expected: usize,
    },
    /// The trial belongs to another worker by now, or has ended: nothing was written.
    #[error(
        "worker `{worker}` no longer holds trial {number} (attempt {attempt}): nothing was written\n\
         hint: its lease ran out and the trial was given to another worker, or someone ended it; \
         stop working on it"
    )]
    LeaseLost {
        /// Number of the trial.
        number: u64,
        /// The worker that held it.
        worker: String,
        /// The attempt it was.
        attempt: u32,
    },
    /// The address of a store can't be read.
    #[error(
        "`{given}` is not the address of a store\n\
         hint: a file such as `runs/studies.db`, or `postgres://user:password@host/database`"
    )]
    Address {
        /// What was given, without its password.
        given: String,
    },
    /// The store can't be reached.
    #[error("can't reach {store}: {reason}\nhint: {hint}")]
    Unreachable {
        /// The store, without its password.
        store: String,
        /// Why not.
        reason: String,
        /// What to look at.
        hint: &'static str,
    },
    /// The store has tables of another version.
    #[error(
        "{store} has tables of version {found}, but this program reads {expected}\n\
         hint: {hint}"
    )]
    Version {
        /// The store, without its password.
        store: String,
        /// Version found.
        found: String,
        /// Version that this program reads.
        expected: String,
        /// What to do.
        hint: &'static str,
    },
    /// Someone else kept the store locked for too long.
    #[error(
        "{store} was locked by another program for more than {waited_seconds} s\n\
         hint: SQLite serves one machine with a few workers; for more use PostgreSQL"
    )]
    Locked {
        /// The store.
        store: String,
        /// How long was waited.
        waited_seconds: u64,
    },
    /// There is no room left for the store.
    #[error("{store} can't grow: the disk is full\nhint: make room; nothing was half written")]
    Full {
        /// The store.
        store: String,
    },
    /// An operation of the store failed for another reason.
    #[error("{store}: {action} failed: {reason}")]
    Store {
        /// The store, without its password.
        store: String,
        /// What was tried.
        action: &'static str,
        /// What the database said.
        reason: String,
    },
    /// What the store holds can't be understood.
    #[error("{store} holds {what} that can't be read: {reason}")]
    Damaged {
        /// The store, without its password.
        store: String,
        /// What it is.
        what: String,
        /// Why it can't be read.
        reason: String,
    },
}

/// What is wrong with a range or a list of choices.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RangeProblem {
    /// The lower end lies above the upper end.
    #[error("the range {low} to {high} is empty\nhint: write the smaller end first")]
    Empty {
        /// Lower end.
        low: String,
        /// Upper end.
        high: String,
    },
    /// An end is not a finite number.
    #[error("the range {low} to {high} is not finite")]
    NotFinite {
        /// Lower end.
        low: String,
        /// Upper end.
        high: String,
    },
    /// A logarithmic range reaches zero or below.
    #[error(
        "a logarithmic range can't begin at {low}\n\
         hint: begin above zero (integers: at 1), or leave out `log`"
    )]
    LogOfZero {
        /// Lower end.
        low: String,
    },
    /// A step that is not positive, not finite, or longer than an integer range allows.
    #[error("the step {step} has to be positive{}", if *.whole { " and whole" } else { "" })]
    Step {
        /// The step.
        step: String,
        /// Whether it has to be whole.
        whole: bool,
    },
    /// A step on a logarithmic range.
    #[error("a logarithmic range has no step\nhint: leave out `step` or `log`")]
    LogWithStep,
    /// An integer that a 64-bit floating-point number can't hold.
    #[error("the range {low} to {high} leaves the exact integers of 64-bit numbers (2^53)")]
    TooLarge {
        /// Lower end.
        low: String,
        /// Upper end.
        high: String,
    },
    /// No choice at all.
    #[error("there are no choices\nhint: list at least one")]
    NoChoices,
    /// The same choice twice.
    #[error("the choice {choice} is listed twice")]
    SameChoice {
        /// The choice.
        choice: String,
    },
    /// No kind, or more than one.
    #[error("exactly one of `float`, `int` and `categorical` is needed, found {found}")]
    Kind {
        /// What was found.
        found: String,
    },
    /// `log` or `step` beside `categorical`.
    #[error("`{key}` means nothing beside `categorical`")]
    Meaningless {
        /// The key.
        key: &'static str,
    },
}

fn nearest_hint(nearest: Option<&str>) -> String {
    match nearest {
        Some(name) => format!("did you mean `{name}`?"),
        None => "name a categorical parameter of the same space".into(),
    }
}

fn known_hint(known: &[String]) -> String {
    match known {
        [] => "there is no study at all yet".into(),
        _ => format!("the studies there are: {}", known.join(", ")),
    }
}
