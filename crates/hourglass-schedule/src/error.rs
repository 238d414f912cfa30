//! What can be wrong with a `[schedule]` table.

/// Why a schedule can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The cron line is not one.
    #[error("`cron` is `{line}`, whose {field}{} is wrong: {reason}\nhint: {hint}", at(*column))]
    Cron {
        /// The whole line.
        line: String,
        /// Which of the five fields, such as `2nd field (hour)`.
        field: String,
        /// Column of the wrong part in the line, counted from 1; 0 for the line as a whole.
        column: usize,
        /// What is wrong.
        reason: String,
        /// What would be right.
        hint: String,
    },
    /// The line is well formed, but no day is like that.
    #[error(
        "`cron` is `{line}`, which never happens\nhint: look at the day and the month together"
    )]
    Never {
        /// The whole line.
        line: String,
    },
    /// The time zone isn't known.
    #[error(
        "`timezone` is `{name}`, which this machine's time zone data doesn't know\nhint: write it \
         as in `Europe/Berlin`, or `UTC`; where the data are missing, install `tzdata`"
    )]
    TimeZone {
        /// The name given.
        name: String,
    },
    /// A span of time can't be read.
    #[error(
        "`{key}` is `{text}`, which is no span of time\nhint: write it as in `90s`, `5m`, `6h` or `2d`"
    )]
    Span {
        /// Key of the table.
        key: &'static str,
        /// The text given.
        text: String,
    },
    /// A budget of nothing.
    #[error("`{key}` is {value}, but must be above 0")]
    Budget {
        /// Key of the table.
        key: &'static str,
        /// The value given.
        value: String,
    },
}

fn at(column: usize) -> String {
    if column == 0 { String::new() } else { format!(", column {column},") }
}
