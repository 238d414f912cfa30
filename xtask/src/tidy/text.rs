//! Rules for the text of one file. What the text means is not looked at.

use super::File;

/// Columns of a line of Rust.
const MAX_COLUMNS: usize = 100;

/// Endings of the files that people write; the rest (pictures, lock file, data) is left alone.
const WRITTEN: [&str; 9] =
    [".rs", ".toml", ".md", ".html", ".css", ".js", ".json", ".sh", ".ci/run"];

/// The data folder beside the checkout; put together so that this line does not name it.
const OUTSIDE: &str = concat!("..", "/shared");

/// What is broken in a file, as `path:line: message`.
pub fn check(file: &File) -> Vec<String> {
    let path = file.path.as_str();
    if !WRITTEN.iter().any(|ending| path.ends_with(ending)) {
        return Vec::new();
    }
    let rust = path.ends_with(".rs");
    let may_name_outside = path.starts_with(".ci/") || path.starts_with("tests/");
    let mut broken = Vec::new();
    if rust && !file.content.starts_with("//!") {
        broken.push(format!("{path}:1: opens without a `//!` line that says what it is for"));
    }
    for (line, number) in file.content.split('\n').zip(1..) {
        let columns = line.chars().count();
        // A literal, a snapshot and a row of a table in the docs can't be broken.
        let unbreakable = line.contains('"')
            || line.trim_start().starts_with("/// |")
            || path.ends_with("/tests.rs");
        if rust && columns > MAX_COLUMNS && !unbreakable {
            broken.push(format!("{path}:{number}: {columns} columns, at most {MAX_COLUMNS}"));
        }
        if line.ends_with([' ', '\t', '\r']) {
            broken.push(format!("{path}:{number}: whitespace at the end of the line"));
        }
        if line.contains(OUTSIDE) && !may_name_outside {
            broken.push(format!("{path}:{number}: names `{OUTSIDE}`, which only `.ci` may"));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, content: &str) -> Vec<String> {
        check(&File { path: path.into(), content: content.into() })
    }

    #[test]
    fn good_files_pass() {
        let outside = format!("data={OUTSIDE}/data\n");
        for (path, content) in [
            ("a/src/lib.rs", "//! What for.\n\nfn f() {}\n"),
            ("notes.md", "A long line is fine here. ".repeat(20).trim_end()),
            (".ci/run", outside.as_str()),
            ("docs/report.svg", "trailing \n"),
        ] {
            assert_eq!(broken(path, content), Vec::<String>::new(), "{path}");
        }
    }

    #[test]
    fn each_rule_names_file_and_line() {
        let long = format!("//! x\n{}\n", "é".repeat(101));
        let outside = format!("//! x\n// {OUTSIDE}\n");
        for (path, content, expected) in [
            ("a.rs", "fn f() {}\n", "a.rs:1: opens without a `//!` line that says what it is for"),
            ("a.rs", long.as_str(), "a.rs:2: 101 columns, at most 100"),
            ("a.toml", "x = 1 \n", "a.toml:1: whitespace at the end of the line"),
            ("a.toml", "x = 1\r\n", "a.toml:1: whitespace at the end of the line"),
            ("a.rs", outside.as_str(), &format!("a.rs:2: names `{OUTSIDE}`, which only `.ci` may")),
        ] {
            assert_eq!(broken(path, content), [expected], "{content:?}");
        }
    }
}
