//! The repository's own rules, checked over the files that git knows.
//!
//! - text ([`text`]): every `.rs` opens with `//!` and keeps to 100 columns; no trailing
//!   whitespace; the data folder beside the checkout is named only in `.ci` and `tests`
//! - crates ([`crates`]): every package has a README; the arrows between our crates are those of
//!   ARCHITECTURE.md; the walls around polars, candle and clap hold
//!
//! What rustfmt and clippy check is left to them.

mod crates;
mod text;

use std::path::Path;
use std::process::Command;

use crate::{complain, root, say};

/// A file that git knows: its path from the root, with `/`, and its content.
struct File {
    path: String,
    content: String,
}

/// Checks every rule and names all that is broken, not only the first.
pub fn run() -> Result<(), String> {
    let files = read_files(&root())?;
    let mut broken: Vec<String> = files.iter().flat_map(text::check).collect();
    broken.extend(crates::check(&files));
    for line in &broken {
        complain(line);
    }
    if broken.is_empty() {
        say(&format!("tidy: {} files, nothing to complain about", files.len()));
        Ok(())
    } else {
        Err(format!("tidy: {} rules broken, see above", broken.len()))
    }
}

/// Text files that git tracks or would track; others cannot be read as text and are left out.
fn read_files(root: &Path) -> Result<Vec<File>, String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("tidy asks git for the files: {error}"))?;
    if !listed.status.success() {
        return Err(format!(
            "tidy asks git for the files: {}",
            String::from_utf8_lossy(&listed.stderr).trim()
        ));
    }
    let paths = String::from_utf8_lossy(&listed.stdout);
    let read = |path: &str| {
        let content = std::fs::read_to_string(root.join(path)).ok()?;
        Some(File { path: path.to_string(), content })
    };
    Ok(paths.split_terminator('\0').filter_map(read).collect())
}
