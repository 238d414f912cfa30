//! Reads a cron line, and says which part of a wrong one is wrong.
//!
//! The rules are croner's; this file only finds the place, by reading each field beside four that
//! are fine. Lines have five fields: what six or seven mean differs from tool to tool.

use croner::Cron;

use crate::Error;

/// Name and range of each field.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31, or `L` for the last"),
    ("month", "1 to 12, or `JAN` to `DEC`"),
    ("day of week", "0 to 7 (0 and 7 are Sunday), or `SUN` to `SAT`"),
];

const NICKNAMES: [&str; 6] = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually"];

const ORDINALS: [&str; 5] = ["1st", "2nd", "3rd", "4th", "5th"];

/// Reads a line of five fields, or a nickname such as `@daily`.
pub(crate) fn parse(line: &str) -> Result<Cron, Error> {
    let whole = |reason: String, hint: &str| Error::Cron {
        line: line.to_owned(),
        field: "form".to_owned(),
        column: 0,
        reason,
        hint: hint.to_owned(),
    };
    let trimmed = line.trim();
    if trimmed.starts_with('@') {
        if !NICKNAMES.contains(&trimmed.to_ascii_lowercase().as_str()) {
            return Err(whole(
                format!("there is no `{trimmed}`"),
                &format!("one of {}", NICKNAMES.map(|name| format!("`{name}`")).join(", ")),
            ));
        }
        return trimmed.parse().map_err(|error| whole(format!("{error}"), "try `@daily`"));
    }
    let fields = fields(line);
    if fields.len() != FIELDS.len() {
        return Err(whole(
            format!("it has {} fields, not five", fields.len()),
            "minute, hour, day of month, month, day of week, as in `0 2 * * *` for two every night",
        ));
    }
    for (index, &(start, field)) in fields.iter().enumerate() {
        if field_reads(index, field) {
            continue;
        }
        let (offset, part) = wrong_part(index, field);
        let (name, range) = FIELDS[index];
        return Err(Error::Cron {
            line: line.to_owned(),
            field: format!("{} field ({name})", ORDINALS[index]),
            column: line[..start + offset].chars().count() + 1,
            reason: format!("`{part}` can't be read"),
            hint: format!("{range}; lists `1,15`, ranges `1-5` and steps `*/10` are fine"),
        });
    }
    trimmed.parse().map_err(|error| whole(format!("{error}"), "look at the fields together"))
}

/// Every field with the position of its first byte.
fn fields(line: &str) -> Vec<(usize, &str)> {
    line.split_whitespace()
        .map(|field| (field.as_ptr() as usize - line.as_ptr() as usize, field))
        .collect()
}

/// Whether one field is fine, whatever the others are.
fn field_reads(index: usize, field: &str) -> bool {
    let mut fields = ["*"; 5];
    fields[index] = field;
    // croner passes over empty items of a list, which are typing mistakes.
    field.split(',').all(|item| !item.is_empty()) && fields.join(" ").parse::<Cron>().is_ok()
}

/// The item of a list that is wrong, with its position in the field.
fn wrong_part(index: usize, field: &str) -> (usize, &str) {
    let mut offset = 0;
    for item in field.split(',') {
        if !field_reads(index, item) {
            return if item.is_empty() { (0, field) } else { (offset, item) };
        }
        offset += item.len() + 1;
    }
    (0, field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_lines() {
        for line in ["0 2 * * *", "*/15 8-18 * * MON-FRI", "@daily", " 5,35 * L jan *", "0 0 * * 7"]
        {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line));
        }
    }

    #[test]
    fn wrong_lines_say_where_and_what() {
        for (line, expected) in [
            ("0 25 * * *", "2nd field (hour), column 3, is wrong: `25` can't be read"),
            ("1,61,2 * * * *", "1st field (minute), column 3, is wrong: `61` can't be read"),
            ("0 2 * FOO *", "4th field (month), column 7, is wrong: `FOO` can't be read"),
            ("0 2 * * 8", "5th field (day of week), column 9, is wrong: `8` can't be read"),
            ("*/0 * * * *", "1st field (minute), column 1, is wrong: `*/0` can't be read"),
            ("1,,2 * * * *", "1st field (minute), column 1, is wrong: `1,,2` can't be read"),
            ("0 2 0 * *", "3rd field (day of month), column 5, is wrong: `0` can't be read"),
            ("0 2 * *", "form is wrong: it has 4 fields, not five"),
            ("0 0 2 * * *", "form is wrong: it has 6 fields, not five"),
            ("", "form is wrong: it has 0 fields, not five"),
            ("@nightly", "form is wrong: there is no `@nightly`"),
        ] {
            let message = parse(line).unwrap_err().to_string();
            assert!(message.contains(expected), "{line}: {message}");
            assert!(message.contains("\nhint: "), "{message}");
        }
    }
}
