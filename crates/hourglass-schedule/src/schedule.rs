//! Which times are due at a moment, and what is to be done with each.
//!
//! A time is identified by its second. Jitter moves the firing, never the time's name, so that any
//! number of schedulers agree which times there are.

use croner::Cron;
use hourglass_core::Seed;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config::Misfire;
use crate::{Error, cron};

/// A time that is at most this late was met, not missed: schedulers look every few seconds, and
/// cron's own step is a minute.
const GRACE_SECONDS: i64 = 60;

/// Missed times that are looked at; older ones are left out. What stood still for longer needs no
/// more firings than that.
const MOST_MISSED: usize = 1000;

/// A schedule that can be asked for its times.
#[derive(Clone, Debug)]
pub struct Schedule {
    line: String,
    cron: Cron,
    zone: TimeZone,
    misfire: Misfire,
    deadline_seconds: Option<u64>,
    jitter_seconds: u64,
}

/// A time that has come, and what is to be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The time of the cron line.
    pub at: Timestamp,
    /// Why it is not fired; `None` where it is.
    pub left_out: Option<&'static str>,
}

impl Schedule {
    pub(crate) fn new(
        line: &str,
        zone: &str,
        misfire: Misfire,
        deadline_seconds: Option<u64>,
        jitter_seconds: u64,
    ) -> Result<Schedule, Error> {
        let cron = cron::parse(line)?;
        let unknown = |_| Error::TimeZone { name: zone.to_owned() };
        let zone = TimeZone::get(zone).map_err(unknown)?;
        let line = line.trim().to_owned();
        let schedule = Schedule { line, cron, zone, misfire, deadline_seconds, jitter_seconds };
        // Eight years hold a 29th of February on every side of a century.
        let start = Timestamp::UNIX_EPOCH;
        let first = schedule.next_after(start);
        match first {
            Some(first) if first.duration_since(start).as_hours() < 9 * 366 * 24 => Ok(schedule),
            _ => Err(Error::Never { line: schedule.line }),
        }
    }

    /// The first time after a moment; `None` where there is none until the end of the calendar.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let zoned = moment.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&zoned, false).ok()?;
        Some(next.timestamp())
    }

    /// When a time is fired: itself, or later by a share of the jitter that its name and the
    /// schedule's decide, so that every scheduler comes to the same.
    pub fn fires_at(&self, name: &str, at: Timestamp) -> Timestamp {
        if self.jitter_seconds == 0 {
            return at;
        }
        let drawn = Seed::new(at.as_second() as u64).child(name).value();
        let delay = (drawn % (self.jitter_seconds + 1)) as i64;
        at.checked_add(SignedDuration::from_secs(delay)).unwrap_or(at)
    }

    /// The times after `last` whose firing has come by `now`, in order, with what is to be done
    /// with each. `last` is the last time that was dealt with; for a new schedule, the moment when
    /// it was made.
    pub fn due(&self, name: &str, last: Timestamp, now: Timestamp) -> Vec<Due> {
        let mut times = std::collections::VecDeque::new();
        let mut moment = last;
        while let Some(next) = self.next_after(moment) {
            if next > now {
                break;
            }
            moment = next;
            if self.fires_at(name, next) > now {
                // A later time may come first; it waits, so that times stay in order.
                break;
            }
            times.push_back(next);
            if times.len() > MOST_MISSED {
                times.pop_front();
            }
        }
        let late = |at: Timestamp| now.duration_since(self.fires_at(name, at)).as_secs();
        let last_index = times.len().saturating_sub(1);
        times
            .iter()
            .enumerate()
            .map(|(index, &at)| {
                let is_missed = late(at) > GRACE_SECONDS;
                let is_late = self.deadline_seconds.is_some_and(|most| late(at) > most as i64);
                let left_out = match self.misfire {
                    _ if is_late => Some("it was past its deadline"),
                    Misfire::Skip if is_missed => Some("nobody was there at its time"),
                    Misfire::Once if index < last_index => Some("a later time stands for it"),
                    _ => None,
                };
                Due { at, left_out }
            })
            .collect()
    }

    /// A time in the schedule's own zone, such as `2026-03-29 03:00:00 CEST`.
    pub fn local(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// How late a time may still be fired, in seconds.
    pub fn deadline_seconds(&self) -> Option<u64> {
        self.deadline_seconds
    }

    /// The times as systemd writes them (`OnCalendar=`); `None` for a line with `L`, `W` or `#`.
    ///
    /// A line that names days of the month and of the week means either, which takes two.
    pub fn on_calendar(&self) -> Option<Vec<String>> {
        let pattern = &self.cron.pattern;
        let fields = [
            &pattern.minutes,
            &pattern.hours,
            &pattern.days,
            &pattern.months,
            &pattern.days_of_week,
        ];
        if fields.iter().any(|field| field.has_modifiers()) {
            return None;
        }
        let [minutes, hours, days, months, weekdays] = fields.map(|field| field.values());
        let list = |values: &[u16], all: usize| {
            if values.len() == all {
                return "*".to_owned();
            }
            values.iter().map(|value| format!("{value:02}")).collect::<Vec<_>>().join(",")
        };
        let names = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        let weekdays: Vec<&str> =
            weekdays.iter().filter_map(|&day| names.get(usize::from(day)).copied()).collect();
        let zone = self.zone.iana_name().unwrap_or("UTC");
        let at = |weekdays: &str, days: &str| {
            let (months, hours, minutes) =
                (list(&months, 12), list(&hours, 24), list(&minutes, 60));
            format!("{weekdays}*-{months}-{days} {hours}:{minutes}:00 {zone}")
        };
        let of_week = (weekdays.len() < 7).then(|| weekdays.join(",") + " ");
        let of_month = (days.len() < 31).then(|| list(&days, 31));
        Some(match (of_week, of_month) {
            (Some(week), Some(month)) => vec![at(&week, "*"), at("", &month)],
            (week, month) => {
                vec![at(week.as_deref().unwrap_or(""), month.as_deref().unwrap_or("*"))]
            }
        })
    }

    /// The line in words, such as `At 02:00.`
    pub fn words(&self) -> String {
        self.cron.describe()
    }

    /// The line as it stands in the file.
    pub fn line(&self) -> &str {
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn berlin(line: &str) -> Schedule {
        Schedule::new(line, "Europe/Berlin", Misfire::All, None, 0).unwrap()
    }

    /// Times of a line between two moments, in the zone's own clock.
    fn times(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
        let due = schedule.due("s", time(from), time(to));
        due.iter().map(|due| schedule.local(due.at)).collect()
    }

    #[test]
    fn spring_leaves_out_an_hour_and_fires_at_its_end_once() {
        // Clocks go from 02:00 CET to 03:00 CEST on 2026-03-29.
        let (from, to) = ("2026-03-27T23:00:00Z", "2026-03-30T10:00:00Z");
        assert_eq!(
            times(&berlin("30 2 * * *"), from, to),
            ["2026-03-28 02:30:00 CET", "2026-03-29 03:00:00 CEST", "2026-03-30 02:30:00 CEST"]
        );
        assert_eq!(
            times(&berlin("0 3 * * *"), from, to),
            ["2026-03-28 03:00:00 CET", "2026-03-29 03:00:00 CEST", "2026-03-30 03:00:00 CEST"]
        );
        let hourly = times(&berlin("0 * * * *"), "2026-03-28T23:30:00Z", "2026-03-29T03:30:00Z");
        assert_eq!(
            hourly,
            [
                "2026-03-29 01:00:00 CET",
                "2026-03-29 03:00:00 CEST",
                "2026-03-29 04:00:00 CEST",
                "2026-03-29 05:00:00 CEST"
            ]
        );
    }

    #[test]
    fn autumn_repeats_an_hour_and_fires_a_fixed_time_once() {
        // Clocks go from 03:00 CEST to 02:00 CET on 2026-10-25.
        let (from, to) = ("2026-10-24T22:00:00Z", "2026-10-26T22:00:00Z");
        assert_eq!(
            times(&berlin("30 2 * * *"), from, to),
            ["2026-10-25 02:30:00 CEST", "2026-10-26 02:30:00 CET"]
        );
        // What repeats goes by the time that passes: the hour that comes twice counts twice.
        assert_eq!(
            times(&berlin("*/30 * * * *"), "2026-10-24T23:59:00Z", "2026-10-25T02:00:00Z"),
            [
                "2026-10-25 02:00:00 CEST",
                "2026-10-25 02:30:00 CEST",
                "2026-10-25 02:00:00 CET",
                "2026-10-25 02:30:00 CET",
                "2026-10-25 03:00:00 CET"
            ]
        );
    }

    #[test]
    fn looking_often_or_rarely_finds_the_same_times() {
        for line in ["30 2 * * *", "*/20 1-3 * * *"] {
            let schedule = berlin(line);
            for (from, to) in [
                ("2026-03-28T22:00:00Z", "2026-03-29T06:00:00Z"),
                ("2026-10-24T22:00:00Z", "2026-10-25T06:00:00Z"),
            ] {
                let at_once = times(&schedule, from, to);
                let (mut found, mut last, mut now) = (Vec::new(), time(from), time(from));
                while now < time(to) {
                    now = now.checked_add(SignedDuration::from_secs(7 * 60)).unwrap().min(time(to));
                    for due in schedule.due("s", last, now) {
                        found.push(schedule.local(due.at));
                        last = due.at;
                    }
                }
                assert_eq!(found, at_once, "{line}");
            }
        }
    }

    #[test]
    fn missed_times() {
        let night =
            |misfire, deadline| Schedule::new("0 2 * * *", "UTC", misfire, deadline, 0).unwrap();
        let fired = |schedule: Schedule, now: &str| -> Vec<String> {
            let due = schedule.due("s", time("2026-01-01T12:00:00Z"), time(now));
            assert!(due.iter().all(|due| due.at <= time(now)));
            due.iter().filter(|due| due.left_out.is_none()).map(|due| due.at.to_string()).collect()
        };
        let late = "2026-01-04T09:00:00Z";
        assert_eq!(fired(night(Misfire::Skip, None), late), Vec::<String>::new());
        assert_eq!(fired(night(Misfire::Once, None), late), ["2026-01-04T02:00:00Z"]);
        assert_eq!(fired(night(Misfire::All, None), late).len(), 3);
        assert_eq!(
            fired(night(Misfire::All, Some(36 * 3600)), late),
            ["2026-01-03T02:00:00Z", "2026-01-04T02:00:00Z"]
        );
        assert_eq!(fired(night(Misfire::Once, Some(3600)), late), Vec::<String>::new());
        // Met within the minute, though two were missed before.
        let on_time = "2026-01-04T02:00:40Z";
        assert_eq!(fired(night(Misfire::Skip, None), on_time), ["2026-01-04T02:00:00Z"]);
    }

    #[test]
    fn jitter_is_the_same_for_everybody_and_within_its_span() {
        let schedule = Schedule::new("0 * * * *", "UTC", Misfire::All, None, 300).unwrap();
        let mut delays = Vec::new();
        let mut at = time("2026-01-01T00:00:00Z");
        for _ in 0..50 {
            at = schedule.next_after(at).unwrap();
            let fires = schedule.fires_at("digits", at);
            assert_eq!(fires, schedule.clone().fires_at("digits", at));
            let just_before = fires.checked_sub(SignedDuration::from_secs(1)).unwrap();
            let last = at.checked_sub(SignedDuration::from_secs(3600)).unwrap();
            assert!(schedule.due("digits", last, just_before).is_empty());
            assert_eq!(schedule.due("digits", last, fires).len(), 1);
            delays.push(fires.duration_since(at).as_secs());
        }
        assert!(delays.iter().all(|delay| (0..=300).contains(delay)), "{delays:?}");
        assert!(delays.iter().max() > Some(&200) && delays.iter().min() < Some(&100));
    }

    #[test]
    fn the_same_times_for_systemd() {
        for (line, expected) in [
            ("30 2 * * *", vec!["*-*-* 02:30:00 Europe/Berlin"]),
            (
                "*/20 8-10 * * MON-FRI",
                vec!["Mon,Tue,Wed,Thu,Fri *-*-* 08,09,10:00,20,40:00 Europe/Berlin"],
            ),
            ("0 0 1 1,7 *", vec!["*-01,07-01 00:00:00 Europe/Berlin"]),
            (
                "0 0 13 * 5",
                vec!["Fri *-*-* 00:00:00 Europe/Berlin", "*-*-13 00:00:00 Europe/Berlin"],
            ),
        ] {
            assert_eq!(berlin(line).on_calendar().unwrap(), expected, "{line}");
        }
        assert_eq!(berlin("0 0 L * *").on_calendar(), None);
    }

    #[test]
    fn what_never_happens_and_what_is_unknown() {
        let new = |line, zone| Schedule::new(line, zone, Misfire::Once, None, 0).map(drop);
        assert_eq!(new("0 0 30 2 *", "UTC"), Err(Error::Never { line: "0 0 30 2 *".to_owned() }));
        assert_eq!(new("0 0 29 2 *", "UTC"), Ok(()));
        assert_eq!(
            new("0 0 * * *", "Europe/Berlni"),
            Err(Error::TimeZone { name: "Europe/Berlni".to_owned() })
        );
    }
}
