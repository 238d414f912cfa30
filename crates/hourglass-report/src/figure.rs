//! Figures as SVG that is put into the page: hand-written, so that one drawing serves light and
//! dark. Colours are CSS classes of the page, nothing has an id, and text is the page's own font.

mod axis;
mod bars;
mod contour;
mod critical;
mod curves;
mod diagonal;
mod forest;
mod parallel;
mod plot;
mod profile;
mod rates;
mod scale;
mod scatter;
mod shares;
mod spark;
mod tracks;

pub(crate) use bars::Bars;
pub(crate) use contour::Contour;
pub(crate) use critical::CriticalDifference;
pub(crate) use curves::{Curves, Line, LineKind, Reference};
pub(crate) use diagonal::{Diagonal, Trace};
pub(crate) use forest::{Forest, ForestRow};
pub(crate) use parallel::{Parallel, ParallelTrial};
pub(crate) use plot::{Plot, PlotPoint};
pub(crate) use profile::{MOST_COLUMNS, Profile};
pub(crate) use rates::Rates;
pub(crate) use scale::Dimension;
pub(crate) use scatter::{Scatter, colour};
pub(crate) use shares::Shares;
pub(crate) use spark::Spark;
pub(crate) use tracks::{Track, Tracks};

/// Number of class colours that the page's style sheet defines.
pub(crate) const N_COLOURS: usize = 10;

/// Everything that the page can draw.
pub(crate) enum Figure {
    /// Differences to raw with their intervals.
    Forest(Forest),
    /// Mean ranks over data sets.
    CriticalDifference(CriticalDifference),
    /// Something over the epochs.
    Curves(Curves),
    /// Samples in two dimensions.
    Scatter(Scatter),
    /// One sample that is no image, with its reconstruction.
    Profile(Profile),
    /// Losses over a rising learning rate.
    Rates(Rates),
    /// Curves in the unit square or over a range, with the line on which both axes agree.
    Diagonal(Diagonal),
    /// Scores against shares of the labels.
    Shares(Shares),
    /// Trials over two dimensions.
    Plot(Plot),
    /// Trials over all dimensions.
    Parallel(Parallel),
    /// A few values in a row, without axes.
    Spark(Spark),
    /// Shares.
    Bars(Bars),
    /// A value over two parameters.
    Contour(Contour),
    /// What was measured in many trials as they went on.
    Tracks(Tracks),
}

impl Figure {
    /// The drawing, or `None` where there is nothing to draw.
    pub(crate) fn svg(&self) -> Option<String> {
        match self {
            Figure::Forest(forest) => forest.svg(),
            Figure::CriticalDifference(diagram) => diagram.svg(),
            Figure::Curves(curves) => curves.svg(),
            Figure::Scatter(scatter) => scatter.svg(),
            Figure::Profile(profile) => profile.svg(),
            Figure::Rates(rates) => rates.svg(),
            Figure::Diagonal(diagonal) => diagonal.svg(),
            Figure::Shares(shares) => shares.svg(),
            Figure::Plot(plot) => plot.svg(),
            Figure::Parallel(parallel) => parallel.svg(),
            Figure::Spark(spark) => spark.svg(),
            Figure::Bars(bars) => bars.svg(),
            Figure::Contour(contour) => contour.svg(),
            Figure::Tracks(tracks) => tracks.svg(),
        }
    }
}

/// The SVG element around a drawing; `label` is what a screen reader says.
fn element(width: f64, height: f64, label: &str, inside: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{inside}</svg>",
        coordinate(width),
        coordinate(height),
        escaped(label),
    )
}

/// A coordinate with at most one decimal: a tenth of a pixel is finer than anyone sees.
fn coordinate(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".into() } else { text.into() }
}

fn text(x: f64, y: f64, class: &str, content: &str) -> String {
    let (x, y) = (coordinate(x), coordinate(y));
    format!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{}</text>", escaped(content))
}

fn line(from: (f64, f64), to: (f64, f64), class: &str) -> String {
    let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(coordinate);
    format!("<path d=\"M{x1} {y1}L{x2} {y2}\" class=\"{class}\"/>")
}

/// A line through the points, broken where one isn't finite.
fn polyline(points: impl Iterator<Item = (f64, f64)>, class: &str) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for (x, y) in points {
        if x.is_finite() && y.is_finite() {
            path.push(if is_drawing { 'L' } else { 'M' });
            path.push_str(&format!("{} {}", coordinate(x), coordinate(y)));
        }
        is_drawing = x.is_finite() && y.is_finite();
    }
    format!("<path d=\"{path}\" class=\"{class}\"/>")
}

/// Text and attribute values with XML's own characters replaced.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Width of a text in the 12 px face of the figures, estimated: a sans serif letter is a bit more
/// than half as wide as high.
fn text_width(text: &str) -> f64 {
    6.6 * text.chars().count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_missing_points() {
        let points = [(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 4.25)];
        assert_eq!(polyline(points.into_iter(), "a"), "<path d=\"M0 1M2 3L3 4.2\" class=\"a\"/>");
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            text(1.0, -0.01, "a", "<b>&\""),
            "<text x=\"1\" y=\"0\" class=\"a\">&lt;b&gt;&amp;&quot;</text>"
        );
    }
}
