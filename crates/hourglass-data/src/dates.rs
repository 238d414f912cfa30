//! Days since 1970-01-01 from text, and their parts. The proleptic Gregorian calendar, no time
//! zones and no leap seconds.

/// Year, month from 1 and day from 1 of a number of days since 1970-01-01.
///
/// # Source
/// H. Hinnant: chrono-compatible low-level date algorithms, 2013,
/// <https://howardhinnant.github.io/date_algorithms.html>, `civil_from_days`.
pub(crate) fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * from_march + 2) / 5 + 1) as u32;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970-01-01 of a date; the inverse of [`civil`].
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i64::from(month);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Reads `2024-02-29`, `2024/02/29`, and either followed by a blank or `T` and `13:45`, `13:45:06`
/// or `13:45:06.5`, a last `Z` allowed. `None` for anything else, such as the 30th of February.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    // Most texts that are no date are told by this alone.
    if bytes.len() < 10 || !bytes[0].is_ascii_digit() || !matches!(bytes[4], b'-' | b'/') {
        return None;
    }
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let separator = char::from(bytes[4]);
    let (date, time) = (text.get(..10)?, text.get(10..)?);
    let mut parts = date.split(separator);
    let (year, month, day) =
        (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    if parts.next().is_some() {
        return None;
    }
    let days = days_from_civil(i64::from(year), month, day);
    if civil(days) != (i64::from(year), month, day) {
        return None;
    }
    if time.is_empty() {
        return Some(days as f64);
    }
    let time = time.strip_prefix(['T', ' '])?;
    let mut parts = time.strip_suffix('Z').unwrap_or(time).split(':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let seconds = match parts.next() {
        None => 0.0,
        Some(seconds) if seconds.starts_with(|c: char| c.is_ascii_digit()) => {
            seconds.parse::<f64>().ok()?
        }
        Some(_) => return None,
    };
    let sound = parts.next().is_none() && hour < 24 && minute < 60 && seconds < 60.0;
    sound.then(|| days as f64 + (f64::from(hour * 3600 + minute * 60) + seconds) / 86_400.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_python() {
        // from datetime import date; (date(2024, 2, 29) - date(1970, 1, 1)).days -> 19782
        for (text, days) in [
            ("1970-01-01", Some(0.0)),
            ("2024-02-29", Some(19_782.0)),
            ("1969/12/31", Some(-1.0)),
            ("2024-02-29T12:00", Some(19_782.5)),
            ("2024-02-29 06:00:00Z", Some(19_782.25)),
            ("2023-02-29", None),
            ("2024-13-01", None),
            ("2024-02-29T24:00", None),
            ("2024-02-29 noon", None),
            ("+024-02-29", None),
            ("12.05.2024", None),
        ] {
            assert_eq!(parse(text), days, "{text}");
        }
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(-1), (1969, 12, 31));
    }
}
