//! The report's page in a real browser: sorted, filtered, copied and recoloured by its own buttons,
//! from a file, with no network.
//!
//! Needs Chromium. Where it isn't, the test says so and ends; with `HOURGLASS_REQUIRE_CHROMIUM` set
//! that is a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::place::Place;

const DIGITS: &str = r#"
name = "page"
seed = 7
repeats = 2
[data.builtin]
dataset = "digits"
[preprocess]
numeric = { min_max = { range = [0.0, 1.0] } }
[model.k_sparse]
latent_dim = 48
k = 8
[train]
epochs = 3
optimizer = { adam = { learning_rate = 2e-3 } }
[downstream]
label_fraction = [0.1, 1.0]
models = [{ logistic_regression = {} }, { knn = { k = 3 } }]
"#;

/// Runs in the page, after its own script, and leaves what it found in the document's title.
const DRIVE: &str = r#"
const found = {};
const table = document.querySelector("table.results");
const rows = () => Array.from(table.tBodies[0].rows).filter(row => !row.hidden);
const names = () => rows().map(row => row.cells[0].textContent.trim().split("\n")[0]);
const bar = table.closest(".scroll").previousElementSibling;
const [filter, only] = bar.querySelectorAll("input");
found.all = names();
const heads = table.tHead.rows[0].cells;
const button = heads[2].querySelector("button");
button.focus();
found.focused = document.activeElement === button;
button.click();
found.ariaSort = heads[2].getAttribute("aria-sort");
const values = () => rows().map(row => parseFloat(row.cells[2].querySelector(".value").textContent));
found.rising = values();
button.click();
found.falling = values();
filter.value = "RAW";
filter.dispatchEvent(new Event("input"));
found.filtered = names();
found.status = document.querySelector("[role=status]").textContent;
filter.value = "";
filter.dispatchEvent(new Event("input"));
only.click();
found.different = rows().every(row => row.classList.contains("baseline") ||
  row.querySelector(".mark.better, .mark.worse") !== null);
only.click();
const copied = [];
Object.defineProperty(navigator, "clipboard", { configurable: true,
  value: { writeText: text => { copied.push(text); return Promise.resolve(); } } });
Object.defineProperty(window, "isSecureContext", { configurable: true, value: true });
for (const name of ["Copy as Markdown", "Copy as LaTeX"]) {
  Array.from(bar.querySelectorAll("button")).find(b => b.textContent === name).click();
}
found.copied = copied;
const background = () => getComputedStyle(document.body).backgroundColor;
const theme = document.querySelector("button.theme");
theme.click();
found.light = background();
theme.click();
found.dark = background();
theme.click();
found.hovers = document.querySelectorAll("svg title").length;
found.tables = document.querySelectorAll("table.tool").length;
found.unnamed = Array.from(document.querySelectorAll("button, input")).filter(item =>
  !(item.textContent.trim() || item.getAttribute("aria-label") || item.closest("label"))).length;
found.scrollable = Array.from(document.querySelectorAll(".scroll > table.tool")).every(t =>
  t.parentElement.tabIndex === 0);
found.headed = Array.from(document.querySelectorAll("thead th")).every(th => th.scope || !th.textContent);
found.outside = performance.getEntriesByType("resource").map(entry => entry.name)
  .filter(name => !name.startsWith("data:"));
document.title = "FOUND" + JSON.stringify(found);
"#;

fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|dir| names.map(|name| dir.join(name)))
        .find(|program| program.is_file());
    if found.is_none() {
        let required = std::env::var_os("HOURGLASS_REQUIRE_CHROMIUM").is_some();
        assert!(!required, "HOURGLASS_REQUIRE_CHROMIUM is set, but there is no chromium in PATH");
        println!("skipped: there is no chromium in PATH, so the page is not driven");
    }
    found
}

/// The document of a page after its scripts ran, in a browser that reaches no network.
fn dom(browser: &Path, page: &Path, profile: &Path) -> String {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--virtual-time-budget=4000", "--host-resolver-rules=MAP * ~NOTFOUND"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn found(dom: &str) -> Value {
    let title = dom.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    let json = title.strip_prefix("FOUND").unwrap_or_else(|| panic!("the script stopped: {title}"));
    let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&json).unwrap()
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn the_page_is_driven_in_a_browser() {
    let place = Place::with_pipeline(DIGITS);
    let run = place.run_pipeline(&[]);
    let page = run.read("report.html");
    assert!(page.len() < 2 << 20, "the page has {} bytes", page.len());
    let Some(browser) = chromium() else { return };
    let driven = page.replace("</body>", &format!("<script>{DRIVE}</script></body>"));
    let path = place.write("driven.html", driven);
    let found = found(&dom(&browser, &path, &place.path("profile")));
    assert_eq!(found["all"].as_array().unwrap().len(), 5, "{found:#}");
    assert_eq!(found["focused"], true);
    assert_eq!(found["ariaSort"], "ascending");
    let (rising, falling) = (numbers(&found["rising"]), numbers(&found["falling"]));
    assert!(rising.is_sorted() && rising.len() == 5, "{rising:?}");
    assert!(falling.is_sorted_by(|a, b| a >= b), "{falling:?}");
    let filtered = found["filtered"].to_string().to_lowercase();
    assert_eq!(found["filtered"].as_array().unwrap().len(), 2, "{filtered}");
    assert!(filtered.contains("raw + autoencoder"));
    assert_eq!(found["status"], "2 of 5 rows shown");
    assert_eq!(found["different"], true);
    let copied: Vec<&str> =
        found["copied"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(copied[0].starts_with("| Features | Width |") && copied[0].contains("| --- |"));
    assert!(copied[1].starts_with("\\begin{tabular}") && copied[1].contains("\\bottomrule"));
    assert_ne!(found["light"], found["dark"]);
    assert!(found["hovers"].as_u64().unwrap() >= 8, "{}", found["hovers"]);
    assert!(found["tables"].as_u64().unwrap() >= 4);
    assert_eq!(found["unnamed"], 0);
    assert_eq!((&found["scrollable"], &found["headed"]), (&Value::from(true), &Value::from(true)));
    assert_eq!(found["outside"].to_string(), "[]");
    let _ = fs::remove_dir_all(place.path("profile"));
}
