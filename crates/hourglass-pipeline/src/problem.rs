//! What is wrong with a pipeline file, and where: positions in the file or in a `--set`, rendered
//! the way rustc renders its errors.
//!
//! It does not look for problems; [`crate::file`] and [`crate::lint`] do.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One mistake in the file, with its place in the `Source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Bytes of the `Source` that are to be underlined.
    pub span: Range<usize>,
    /// What is wrong, in one line.
    pub title: String,
    /// What stands beside the underlined text; may be empty.
    pub label: String,
    /// How to put it right, if that is known.
    pub help: Option<String>,
}

impl Problem {
    /// A problem without label and help.
    pub fn new(span: Range<usize>, title: impl Into<String>) -> Self {
        Problem { span, title: title.into(), label: String::new(), help: None }
    }

    /// Adds the words beside the underlined text.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds how to put it right.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The text of a pipeline file followed by the text of each override, so that one byte range says
/// both which of them is meant and where in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
struct Piece {
    origin: String,
    text: String,
    start: usize,
}

impl Source {
    /// Appends a text that came from `origin` and returns the position of its first byte.
    pub(crate) fn push(&mut self, origin: &str, text: &str) -> usize {
        // One byte lies between two pieces, so that the end of one is not the start of the next.
        let start = self.pieces.last().map_or(0, |last| last.start + last.text.len() + 1);
        self.pieces.push(Piece { origin: origin.to_owned(), text: text.to_owned(), start });
        start
    }

    /// Renders all problems in the order in which they stand in the source.
    pub(crate) fn render(&self, mut problems: Vec<Problem>) -> FileError {
        problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
        problems.dedup();
        let plain = Renderer::plain();
        let styled = Renderer::styled();
        let all = |renderer: &Renderer| {
            let rendered: Vec<_> =
                problems.iter().map(|problem| self.render_one(renderer, problem)).collect();
            rendered.join("\n\n")
        };
        FileError { plain: all(&plain), styled: all(&styled), problems }
    }

    fn render_one(&self, renderer: &Renderer, problem: &Problem) -> String {
        let last = self.pieces.iter().rev().find(|piece| piece.start <= problem.span.start);
        let mut group = match last {
            Some(piece) => {
                let clamp = |at: usize| piece.clamp(at.saturating_sub(piece.start));
                let (start, end) = (clamp(problem.span.start), clamp(problem.span.end));
                let mut annotation = AnnotationKind::Primary.span(start..end.max(start));
                if !problem.label.is_empty() {
                    annotation = annotation.label(problem.label.as_str());
                }
                let snippet = Snippet::source(piece.text.as_str())
                    .path(piece.origin.as_str())
                    .annotation(annotation);
                Level::ERROR.primary_title(problem.title.as_str()).element(snippet)
            }
            None => Level::ERROR
                .primary_title(problem.title.as_str())
                .elements([Level::NOTE.message("no position is known")]),
        };
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

impl Piece {
    /// The nearest position that is inside the text and not inside a character.
    fn clamp(&self, at: usize) -> usize {
        (0..=at.min(self.text.len())).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0)
    }
}

/// A pipeline file that can't be used: every problem found, and the text to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    plain: String,
    styled: String,
    problems: Vec<Problem>,
}

impl FileError {
    /// The message with colours for a terminal.
    pub fn styled(&self) -> &str {
        &self.styled
    }

    /// The problems, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.plain)
    }
}

impl std::error::Error for FileError {}
