//! Rules for the packages: a README each, only the arrows that ARCHITECTURE.md draws, and walls
//! around the heavy libraries.
//!
//! Manifests are read line by line, as this repository writes them; it is no TOML parser. An arrow
//! is a dependency of the library or the binary: what only tests use draws none.

use std::collections::{BTreeMap, BTreeSet};

use super::File;

/// Libraries with a wall around them, and the packages inside it.
const WALLS: [(&str, &[&str]); 4] = [
    ("polars", &["hourglass-data"]),
    ("candle-core", &["hourglass-nn", "hourglass-models", "hourglass-train", "hourglass-features"]),
    ("candle-nn", &["hourglass-nn", "hourglass-models", "hourglass-train", "hourglass-features"]),
    ("clap", &["hourglass"]),
];

/// The document that draws the arrows, in a block fenced with `` ```arrows ``.
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// From each package to what it depends on, by short names (`hourglass-data` is `data`).
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// A package: its folder with a closing `/`, its name, and the names it depends on.
struct Package {
    folder: String,
    name: String,
    dependencies: BTreeSet<String>,
}

/// What is broken in any package, as `path: message`.
pub fn check(files: &[File]) -> Vec<String> {
    let packages: Vec<Package> = files.iter().filter_map(read_package).collect();
    let mut broken = readmes(&packages, files);
    broken.extend(walls(&packages));
    match files.iter().find(|file| file.path == ARCHITECTURE) {
        Some(file) => broken.extend(compare(&drawn(&file.content), &found(&packages))),
        None => broken.push(format!("{ARCHITECTURE}: is missing")),
    }
    broken
}

fn read_package(file: &File) -> Option<Package> {
    let folder = file.path.strip_suffix("Cargo.toml").filter(|folder| !folder.is_empty())?;
    let mut package =
        Package { folder: folder.into(), name: String::new(), dependencies: [].into() };
    let mut section = "";
    for line in file.content.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            if let Some((_, name)) = section.rsplit_once("dependencies.")
                && !section.contains("dev-dependencies")
            {
                package.dependencies.insert(name.into());
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let key = key.trim().split('.').next().unwrap_or_default().trim_matches('"');
        if section == "package" && key == "name" {
            package.name = value.trim().trim_matches('"').into();
        } else if section.ends_with("dependencies") && !section.ends_with("dev-dependencies") {
            package.dependencies.insert(key.into());
        }
    }
    Some(package)
}

fn readmes(packages: &[Package], files: &[File]) -> Vec<String> {
    let has = |path: String| files.iter().any(|file| file.path == path);
    let lacking = packages.iter().filter(|package| !has(format!("{}README.md", package.folder)));
    lacking.map(|package| format!("{}README.md: is missing", package.folder)).collect()
}

fn walls(packages: &[Package]) -> Vec<String> {
    let mut broken = Vec::new();
    for package in packages {
        for (library, inside) in WALLS {
            if package.dependencies.contains(library) && !inside.contains(&package.name.as_str()) {
                broken.push(format!(
                    "{}Cargo.toml: `{library}` stays inside `{}`",
                    package.folder,
                    inside.join("`, `")
                ));
            }
        }
    }
    broken
}

fn found(packages: &[Package]) -> Arrows {
    let short = |name: &str| name.strip_prefix("hourglass-").unwrap_or(name).to_string();
    let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let ours = |package: &Package| {
        let dependencies = package.dependencies.iter();
        dependencies.filter(|name| names.contains(name.as_str())).map(|name| short(name)).collect()
    };
    packages.iter().map(|package| (short(&package.name), ours(package))).collect()
}

/// Reads lines such as `train -> core, nn` out of the fenced block; none is drawn without one.
fn drawn(architecture: &str) -> Arrows {
    let block = architecture.lines().skip_while(|line| *line != "```arrows").skip(1);
    let lines = block.take_while(|line| !line.starts_with("```"));
    let names = |text: &str| {
        let names = text.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty());
        names.map(String::from).collect()
    };
    lines
        .filter_map(|line| line.split_once("->"))
        .map(|(from, to)| (from.trim().to_string(), names(to)))
        .collect()
}

fn compare(drawn: &Arrows, found: &Arrows) -> Vec<String> {
    let none = BTreeSet::new();
    let mut broken = Vec::new();
    for from in drawn.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        match (drawn.contains_key(from), found.contains_key(from)) {
            (true, false) => broken.push(format!("{ARCHITECTURE}: there is no crate `{from}`")),
            (false, true) => {
                broken.push(format!("{ARCHITECTURE}: the arrows have no line for `{from}`"));
            }
            _ => {}
        }
        let [is_drawn, is_found] = [drawn, found].map(|arrows| arrows.get(from).unwrap_or(&none));
        for to in is_found.difference(is_drawn) {
            broken.push(format!("{ARCHITECTURE}: `{from} -> {to}` is in the manifest only"));
        }
        for to in is_drawn.difference(is_found) {
            broken.push(format!("{ARCHITECTURE}: `{from} -> {to}` is not in the manifest"));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = "[package]\nname = \"hourglass-data\"\n[dependencies]\n\
                        hourglass-core.workspace = true\npolars = { version = \"1\" }\n\
                        [dev-dependencies]\nclap.workspace = true\n";
    const CORE: &str = "[package]\nname = \"hourglass-core\"\n";

    fn broken(architecture: &str, data: &str) -> Vec<String> {
        let files = [
            (ARCHITECTURE, architecture),
            ("Cargo.toml", "[workspace.dependencies]\npolars = \"1\"\n"),
            ("crates/hourglass-core/Cargo.toml", CORE),
            ("crates/hourglass-core/README.md", "# hourglass-core\n"),
            ("crates/hourglass-data/Cargo.toml", data),
            ("crates/hourglass-data/README.md", "# hourglass-data\n"),
        ];
        check(&files.map(|(path, content)| File { path: path.into(), content: content.into() }))
    }

    fn block(lines: &str) -> String {
        format!("# Arrows\n\n```arrows\n{lines}\n```\n\nx -> y\n")
    }

    #[test]
    fn what_is_drawn_and_found_alike_passes() {
        assert_eq!(broken(&block("core ->\ndata -> core"), DATA), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_named() {
        for (lines, expected) in [
            ("core ->\ndata ->", "ARCHITECTURE.md: `data -> core` is in the manifest only"),
            (
                "core -> data\ndata -> core",
                "ARCHITECTURE.md: `core -> data` is not in the manifest",
            ),
            ("data -> core", "ARCHITECTURE.md: the arrows have no line for `core`"),
            ("core ->\ndata -> core\nnn ->", "ARCHITECTURE.md: there is no crate `nn`"),
        ] {
            assert_eq!(broken(&block(lines), DATA), [expected], "{lines}");
        }
    }

    #[test]
    fn walls_hold_for_every_way_to_write_a_dependency() {
        for manifest in [
            "[dependencies]\nclap.workspace = true",
            "[dependencies]\nclap = \"4\"",
            "[build-dependencies]\nclap = { version = \"4\" }",
            "[target.'cfg(unix)'.dependencies]\nclap = \"4\"",
            "[dependencies.clap]\nversion = \"4\"",
        ] {
            let manifest = format!(
                "[package]\nname = \"hourglass-data\"\n[dependencies]\nhourglass-core = {{}}\n\
                 {manifest}\n"
            );
            assert_eq!(
                broken(&block("core ->\ndata -> core"), &manifest),
                ["crates/hourglass-data/Cargo.toml: `clap` stays inside `hourglass`"],
                "{manifest}"
            );
        }
    }

    #[test]
    fn a_package_without_readme_is_named() {
        let file = File { path: "crates/a/Cargo.toml".into(), content: CORE.into() };
        assert_eq!(
            check(&[file]),
            ["crates/a/README.md: is missing", "ARCHITECTURE.md: is missing"]
        );
    }
}
