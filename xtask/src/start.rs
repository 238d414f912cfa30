//! Builds the binary `hourglass` in release and starts it with the arguments given.
//!
//! It says nothing of its own once the binary runs: on Unix this process becomes the binary, so
//! that signals, exit code and terminal are the binary's.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{cargo, complain, root};

/// Builds the binary, then becomes it; returns only where that failed.
pub fn become_binary(args: &[String]) -> Result<(), String> {
    let binary = build()?;
    let mut command = Command::new(&binary);
    command.args(args);
    replace(command).map_err(|error| format!("cannot start `{}`: {error}", binary.display()))
}

/// Builds the binary, runs it in the root of the repository and waits for it.
pub fn run_and_wait(args: &[&str]) -> Result<(), String> {
    let binary = build()?;
    let status = Command::new(&binary)
        .args(args)
        .current_dir(root())
        .status()
        .map_err(|error| format!("cannot start `{}`: {error}", binary.display()))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`hourglass {}` failed: {status}", args.join(" ")))
    }
}

#[cfg(unix)]
fn replace(mut command: Command) -> std::io::Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec())
}

#[cfg(not(unix))]
fn replace(mut command: Command) -> std::io::Result<()> {
    std::process::exit(command.status()?.code().unwrap_or(1))
}

/// Builds the binary and says where it lies: beside this one, as both are built in release into
/// the same target folder, wherever `CARGO_TARGET_DIR` or a configuration file put it.
pub fn build() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| format!("who am I: {error}"))?;
    let binary = this.with_file_name(format!("hourglass{}", std::env::consts::EXE_SUFFIX));
    if !binary.exists() {
        complain("building hourglass: ten to fifteen minutes on two cores, this once");
    }
    let mut command = cargo();
    command.args(["build", "--release", "--package", "hourglass"]).stdin(Stdio::null());
    if std::io::stderr().is_terminal() {
        let width = std::env::var("COLUMNS").unwrap_or_else(|_| "80".into());
        command
            .env("CARGO_TERM_COLOR", "always")
            .env("CARGO_TERM_PROGRESS_WHEN", "always")
            .env("CARGO_TERM_PROGRESS_WIDTH", width);
    }
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if let Some(stderr) = child.stderr.take() {
        pass_on(stderr, std::io::stderr()).map_err(|error| format!("reading cargo: {error}"))?;
    }
    let status = child.wait().map_err(|error| format!("waiting for cargo: {error}"))?;
    if !status.success() {
        return Err("hourglass was not built, see above".into());
    }
    Ok(binary)
}

/// Passes on what cargo says, its progress bar too, but for the closing line `Finished ...`, which
/// is all that cargo says when there was nothing to do.
fn pass_on(mut from: impl Read, mut to: impl Write) -> std::io::Result<()> {
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n_read = from.read(&mut buffer)?;
        for &byte in &buffer[..n_read] {
            line.push(byte);
            if byte == b'\n' || byte == b'\r' {
                flush_line(&mut line, &mut to)?;
            }
        }
        if n_read == 0 {
            return flush_line(&mut line, &mut to);
        }
        to.flush()?;
    }
}

fn flush_line(line: &mut Vec<u8>, to: &mut impl Write) -> std::io::Result<()> {
    let text = String::from_utf8_lossy(line);
    let closing = without_escapes(&text).trim_start().starts_with("Finished ");
    // A bar that was drawn is wiped by an escape sequence that may stand before the word.
    if !closing {
        to.write_all(line)?;
    } else if text.contains("\u{1b}[K") {
        to.write_all(b"\r\x1b[K")?;
    }
    line.clear();
    Ok(())
}

/// The text without the escape sequences that colour it.
fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.find(char::is_ascii_alphabetic);
        } else {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed_on(said: &str) -> String {
        let mut heard = Vec::new();
        pass_on(said.as_bytes(), &mut heard).unwrap();
        String::from_utf8(heard).unwrap()
    }

    #[test]
    fn only_the_closing_line_is_held_back() {
        for (said, heard) in [
            ("    Finished `release` profile [optimized] target(s) in 0.2s\n", ""),
            ("   Compiling a v1\n    Finished `release`\n", "   Compiling a v1\n"),
            ("\u{1b}[1m\u{1b}[92m    Finished\u{1b}[0m `release`\n", ""),
            (
                "    Building [==>  ] 1/2\r\u{1b}[K    Finished `x`\n",
                "    Building [==>  ] 1/2\r\r\u{1b}[K",
            ),
            ("error: no\n  Finished with it\nend", "error: no\nend"),
        ] {
            assert_eq!(passed_on(said), heard, "{said:?}");
        }
    }
}
