//! Spans of time as people write them in a file: `90s`, `5m`, `6h`, `2d`.

use crate::Error;

const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

/// Seconds of a span such as `6h`.
pub(crate) fn seconds(key: &'static str, text: &str) -> Result<u64, Error> {
    let wrong = || Error::Span { key, text: text.to_owned() };
    let trimmed = text.trim();
    let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &trimmed[digits.len()..];
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let count: u64 = digits.trim().parse().map_err(|_| wrong())?;
    count.checked_mul(*factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_as_people_write_them() {
        for (text, expected) in
            [("90s", Some(90)), ("5m", Some(300)), ("6 h", Some(21_600)), ("2d", Some(172_800))]
        {
            assert_eq!(seconds("deadline", text).ok(), expected, "{text}");
        }
        for text in ["", "5", "h", "5 weeks", "-3h", "1.5h", "99999999999999999999s"] {
            assert!(seconds("deadline", text).is_err(), "{text}");
        }
    }
}
