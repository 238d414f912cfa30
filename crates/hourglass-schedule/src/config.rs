//! The `[schedule]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schedule::Schedule;
use crate::{Error, duration};

/// When a sweep goes on by itself, and for how long.
///
/// | field | default | meaning | range |
/// | :-- | :-- | :-- | :-- |
/// | `cron` | none | minute, hour, day of month, month, day of week | crontab(5) |
/// | `timezone` | `UTC` | whose clock the line goes by | IANA name |
/// | `overlap` | `forbid` | what to do while the last firing still runs | |
/// | `misfire` | `once` | what becomes of times that nobody was there for | |
/// | `deadline` | none | how late a time may still be fired | `90s`, `5m`, `6h`, `2d` |
/// | `jitter` | none | spread of the firings after their time | likewise |
/// | `suspend` | `false` | fire nothing | |
/// | `trials` | those of `[search]` | trials that each firing adds | `1..` |
/// | `minutes` | none | minutes that each firing takes at most | above 0 |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Minute, hour, day of month, month, day of week, as in `0 2 * * *`; or `@daily` and the like.
    pub cron: String,
    /// Whose clock the line goes by, such as `Europe/Berlin`. Default: `UTC`.
    #[serde(default = "utc")]
    pub timezone: String,
    /// What to do while the last firing still runs. Default: `forbid`.
    #[serde(default)]
    pub overlap: Overlap,
    /// What becomes of times that nobody was there for. Default: `once`.
    #[serde(default)]
    pub misfire: Misfire,
    /// How late a time may still be fired, such as `6h`. Default: any time later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// Firings are spread over this span after their time, such as `5m`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<String>,
    /// Fire nothing until this is taken away. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
    /// Trials that each firing adds to the study; 1 or more. Default: those of `[search]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trials: Option<usize>,
    /// Minutes that each firing takes at most; above 0. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<f64>,
}

/// What to do when a time is due and the last firing still runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Leave this time out.
    #[default]
    Forbid,
    /// Run both at once.
    Allow,
    /// Stop the one that runs; its study is kept, and goes on with the new one.
    Replace,
    /// Wait until the one that runs has finished.
    Queue,
}

/// What becomes of times at which no scheduler was running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// They are left out.
    Skip,
    /// The last of them is made up for.
    #[default]
    Once,
    /// All of them are made up for, one after the other.
    All,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl ScheduleConfig {
    /// Checks the table.
    ///
    /// # Errors
    /// What [`compile`](Self::compile) says; the first word in backticks is the key.
    pub fn check(&self) -> Result<(), Error> {
        self.compile().map(drop)
    }

    /// The schedule that can be asked for times.
    ///
    /// # Errors
    /// If the cron line, the time zone or a span can't be read, if the line never happens, or if a
    /// budget is 0.
    pub fn compile(&self) -> Result<Schedule, Error> {
        if self.trials == Some(0) {
            return Err(Error::Budget { key: "trials", value: "0".to_owned() });
        }
        if let Some(minutes) = self.minutes
            && !(minutes > 0.0 && minutes.is_finite())
        {
            return Err(Error::Budget { key: "minutes", value: minutes.to_string() });
        }
        let span = |key, text: &Option<String>| {
            text.as_deref().map(|text| duration::seconds(key, text)).transpose()
        };
        Schedule::new(
            &self.cron,
            &self.timezone,
            self.misfire,
            span("deadline", &self.deadline)?,
            span("jitter", &self.jitter)?.unwrap_or(0),
        )
    }
}
