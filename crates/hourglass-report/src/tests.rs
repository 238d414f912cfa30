//! What holds for all renderings together: the same bits, nothing to load, nothing unescaped.

use expect_test::expect;
use hourglass_core::SampleShape;

use crate::model::{AUTOENCODER, Mark, RAW_AND_AUTOENCODER};
use crate::sample::{reconstruction, report, row, timings};
use crate::{Report, Timings, results_csv, results_text, to_html, to_markdown};

fn html(report: &Report) -> String {
    to_html(report, Some(&timings())).unwrap()
}

#[test]
fn json_comes_back_with_every_bit() {
    let mut before = report();
    before.latent_map = None;
    before.per_class.clear();
    before.results[0].mean = 0.1 + 0.2;
    before.results[1].scores[0] = 1.0 / 3.0;
    let text = before.to_json().unwrap();
    let after = Report::from_json(&text).unwrap();
    assert_eq!(after, before);
    assert_eq!(after.to_json().unwrap(), text);
    let timings = timings();
    assert_eq!(Timings::from_json(&timings.to_json().unwrap()).unwrap(), timings);
}

#[test]
fn missing_numbers_come_back_as_missing() {
    let mut before = report();
    before.results[0].mean = f64::NAN;
    before.results[0].scores = vec![f64::NAN, 0.5];
    before.training[0].epochs[0].train_loss = f64::INFINITY;
    before.training[0].epochs[0].validation_loss = Some(f64::NAN);
    before.reconstruction.as_mut().unwrap().train[0].original[1] = f32::NAN;
    let after = Report::from_json(&before.to_json().unwrap()).unwrap();
    assert!(after.results[0].mean.is_nan() && after.results[0].scores[0].is_nan());
    assert!(after.training[0].epochs[0].train_loss.is_nan());
    assert_eq!(after.training[0].epochs[0].validation_loss, None);
    assert!(after.per_class[0].precision.is_nan());
    assert!(after.latent_map.as_ref().unwrap().points[1][0].is_nan());
    assert!(after.reconstruction.as_ref().unwrap().train[0].original[1].is_nan());
    let page = html(&after);
    // The script knows the word.
    let page = page.split("<script>").next().unwrap();
    assert!(!page.contains("NaN") && !page.contains("inf<"));
    assert!(!to_markdown(&after, None).contains("NaN"));
    assert!(!results_text(&after).contains("NaN"));
    assert!(results_csv(&after).contains("raw,logistic_regression,accuracy,,0.92"));
}

#[test]
fn a_report_without_a_diagnosis_still_opens() {
    let mut before = report();
    before.diagnosis = None;
    before.latent_map = None;
    before.per_class.clear();
    let text = before.to_json().unwrap();
    assert!(!text.contains("diagnosis"));
    assert_eq!(Report::from_json(&text).unwrap(), before);
    assert!(!to_markdown(&before, None).contains("Diagnosis"));
    assert!(!html(&before).contains("<h2>Diagnosis</h2>"));
}

#[test]
fn a_missing_figure_of_a_finding_comes_back_as_missing() {
    let mut before = report();
    let finding = &mut before.diagnosis.as_mut().unwrap().findings[0];
    finding.curve[1] = f64::NAN;
    finding.evidence[0].value = f64::INFINITY;
    let after = Report::from_json(&before.to_json().unwrap()).unwrap();
    let finding = &after.diagnosis.as_ref().unwrap().findings[0];
    assert!(finding.curve[1].is_nan() && finding.evidence[0].value.is_nan());
    assert!(html(&after).contains("class=\"warning\""));
}

#[test]
fn another_layout_is_refused() {
    let text =
        report().to_json().unwrap().replace("\"schema_version\": 2", "\"schema_version\": 9");
    let error = Report::from_json(&text).unwrap_err().to_string();
    assert_eq!(
        error,
        "the report has layout `9`, this program reads layout `2`\n\
         hint: run the pipeline again with this version"
    );
    assert!(Report::from_json("{}").is_err());
}

#[test]
fn csv_is_exact() {
    expect![[r#"
        feature_set,model,metric,mean,ci_low,ci_high,n,label_fraction
        raw,logistic_regression,accuracy,0.9258,0.9238,0.9278,3,1
        raw,knn,accuracy,0.97,0.968,0.972,3,1
        autoencoder,logistic_regression,accuracy,0.9829,0.9809,0.9849,3,1
        autoencoder,knn,accuracy,0.96,0.958,0.962,3,1
    "#]]
    .assert_eq(&results_csv(&report()));
}

#[test]
fn csv_fields_are_quoted_where_they_must_be() {
    let mut report = report();
    report.results = vec![row("a,\"b\"", "m", 0.5, None)];
    report.results[0].ci_low = None;
    let csv = results_csv(&report);
    assert_eq!(csv.lines().nth(1), Some("\"a,\"\"b\"\"\",m,accuracy,0.5,,0.502,3,1"));
}

#[test]
fn terminal_table_is_aligned() {
    expect![[r#"
        Test errors (%), 95 % interval in brackets, * best of its model, against raw
        features     width  logistic regression          k nearest neighbours
        raw            784    7.42  [7.22, 7.62]           3.00* [2.80, 3.20]
        autoencoder  1,000    1.71* [1.51, 1.91] better    4.00  [3.80, 4.20] worse
    "#]]
    .assert_eq(&results_text(&report()));
}

#[test]
fn markdown_is_complete() {
    expect![[r##"
        # small

        **Autoencoder features help: logistic regression makes 1.71 % test errors with them and 7.42 % on the raw features (difference 5.71 points, 95 % interval 5.31 to 6.11, p < 0.001, 3 repeats).**

        - With the other model: k nearest neighbours 4.00 % against 3.00 % on raw (worse).

        ## Results

        Test errors (%), mean of 3 repeats, 95 % interval in brackets; less is better, the best of each column is bold, the mark compares with raw.

        | features | width | logistic regression | k nearest neighbours |
        | :-- | --: | --: | --: |
        | raw | 784 | 7.42 [7.22, 7.62] | **3.00** [2.80, 3.20] |
        | autoencoder | 1,000 | **1.71** [1.51, 1.91] ▲ better | 4.00 [3.80, 4.20] ▼ worse |

        - The test is paired.

        ### All metrics

        | features | model | accuracy | log loss | numbers in the model | effect size |
        | :-- | --: | --: | --: | --: | --: |
        | raw | logistic regression | 0.9258 | – | 7,850 |  |
        | raw | k nearest neighbours | 0.9700 | – | 7,850 |  |
        | autoencoder | logistic regression | 0.9829 | – | 7,850 |  |
        | autoencoder | k nearest neighbours | 0.9600 | – | 7,850 |  |

        ## Diagnosis

        - **Warning, plateau**: the loss stands at &lt;b>.
          - idle epochs: 12.00 (limit 10)
          - rate: 0.001000
          - Try `train.early_stopping = { patience = 5 }`: the time can be saved.
        - Not looked at: the spectrum: no image

        ## Data

        Read from \`two.csv\`.

        - Data set: two classes
        - Training rows: 1,200
        - Validation rows: 100
        - Test rows: 200
        - Features: 784
        - Classes: 2

        ## Autoencoder

        - Kind: k-sparse
        - Layers: 4-3-4
        - Trained numbers: 1,234
        - Latent width: 3
        - Feature width: 3
        - Training: adam, learning rate 0.001

        | repeat | epochs | best | training loss | validation loss | ended because |
        | :-- | --: | --: | --: | --: | --: |
        | 1 | 2 | 2 | 0.05000 | 0.05500 | both epochs done |

        ## Reconstruction

        Summed squared error of a sample, mean over the samples of each part.

        | put in place of the input | training | validation | test |
        | :-- | --: | --: | --: |
        | PCA (3) | 13.87 | – | 14.20 |

        ## Classes

        Test rows with logistic regression, in per cent, mean over the repeats.

        | class | features | precision | recall | F1 | rows |
        | :-- | --: | --: | --: | --: | --: |
        | &lt;b> | autoencoder | – | 50.0 | 66.7 | 100 |

        ## Made of

        Seed 42; of the repeats: 18446744073709551615, 2, 3.

        | file | bytes | SHA-256 of the content |
        | :-- | --: | --: |
        | two.csv | 12,345 | `abababababababababababababababababababababababababababababababab` |

        | part | version |
        | :-- | --: |
        | hourglass | 0.1.0 |

        The pipeline file with every default filled in:

        ```toml
        name = "small"
        ```

        ## Time and memory

        2.5 s on 1 thread; a machine; from 2026-01-01T00:00:00Z to 2026-01-01T00:00:03Z.

        | stage | seconds | from the cache |
        | :-- | --: | --: |
        | train | 2.5 | 1 of 2 |
    "##]].assert_eq(&to_markdown(&report(), Some(&timings())));
}

#[test]
fn the_page_loads_nothing() {
    let page = html(&report());
    assert_eq!((page.matches("<script>").count(), page.matches("<script").count()), (1, 1));
    assert!(page.contains("content=\"default-src 'none';"));
    for loading in ["<link", "@import", "<iframe", "url(", "srcset", "http:", "https:"] {
        assert!(!page.contains(loading), "{loading}");
    }
    let sources = page.split("src=\"").skip(1);
    assert!(sources.clone().count() > 0);
    assert!(sources.into_iter().all(|source| source.starts_with("data:image/png;base64,")));
    assert!(!page.contains("href="));
}

#[test]
fn markup_in_the_data_stays_text() {
    let mut report = report();
    report.name = "<script>alert(1)</script>".into();
    report.data.fallback = Some("<i>digits</i> \"instead\"".into());
    report.resolved_file = "</code></pre><script>".into();
    report.training[0].stopped_because = "<u>".into();
    report.results[2].feature_set = "<s>".into();
    let page = html(&report);
    assert_eq!(page.matches("<script").count(), 1);
    for tag in ["<i>", "<b>", "<u>", "<s>", "</code></pre><"] {
        assert!(!page.contains(tag), "{tag}");
    }
    assert!(page.contains("&lt;b&gt;"));
    let markdown = to_markdown(&report, None);
    assert!(!markdown.contains("<b>") && !markdown.contains("<i>"), "{markdown}");
}

#[test]
fn tags_are_balanced() {
    let page = html(&report());
    for tag in ["section", "table", "tr", "td", "th", "figure", "svg", "g", "ul", "li", "dl", "div"]
    {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn the_same_report_gives_the_same_bits() {
    assert_eq!(html(&report()), html(&report()));
    let read = Report::from_json(&report().to_json().unwrap()).unwrap();
    assert_eq!(html(&read), html(&report()));
    assert!(!html(&report()).contains(" id="));
}

#[test]
fn timings_are_only_where_they_are_given() {
    assert!(html(&report()).contains("Time and memory"));
    assert!(!to_html(&report(), None).unwrap().contains("Time and memory"));
    assert!(!to_markdown(&report(), None).contains("Time and memory"));
    let json = report().to_json().unwrap();
    assert!(["seconds", "threads", "machine", "started"].iter().all(|key| !json.contains(key)));
}

#[test]
fn vectors_are_drawn_as_profiles() {
    let mut report = report();
    report.reconstruction = Some(reconstruction(SampleShape::Vector { len: 4 }));
    let page = html(&report);
    assert!(!page.contains("<img") && page.contains("class=\"profiles\""));
    report.reconstruction = None;
    assert!(!html(&report).contains("Reconstruction"));
}

#[test]
fn the_fallback_comes_first_and_bold() {
    let mut report = report();
    report.data.fallback = Some("These are digits, not MNIST.".into());
    let page = html(&report);
    let at = |text: &str| page.find(text).unwrap();
    assert!(at("<strong>These are digits, not MNIST.</strong>") < at("<h1>"));
    let markdown = to_markdown(&report, None);
    assert_eq!(markdown.lines().nth(2), Some("**Warning: These are digits, not MNIST.**"));
}

#[test]
fn sparse_reports_are_drawn_without_empty_boxes() {
    let mut report = report();
    report.repeats = 1;
    report.repeat_seeds.truncate(1);
    report.results =
        vec![row(RAW_AND_AUTOENCODER, "knn", 0.9, None), row("majority_class", "none", 0.1, None)];
    report.results.truncate(1);
    for result in &mut report.results {
        (result.ci_low, result.ci_high) = (None, None);
    }
    report.per_class.clear();
    report.confusion.clear();
    report.curves.clear();
    report.training.clear();
    report.latent_map = None;
    report.reconstruction = None;
    report.versions.clear();
    report.data.files.clear();
    let page = html(&report);
    for section in
        ["<h2>Classes", "<h2>Latent", "<h2>Reconstruction", "<figure", "95 % interval below"]
    {
        assert!(!page.contains(section), "{section}");
    }
    assert!(page.contains("Raw + autoencoder") && page.contains("mean of 1 repeat."));
    report.results.clear();
    html(&report);
    to_markdown(&report, None);
    results_text(&report);
}

#[test]
fn a_model_without_features_stands_beside_the_table() {
    let mut report = report();
    report.results.push(row("raw", "majority_class", 0.1135, None));
    let page = html(&report);
    assert!(
        page.contains("majority class: 88.65\u{a0}%") || page.contains("Majority class: 88.65")
    );
    assert!(!page.contains("<td class=\"number missing\">"));
    report.results.push(row(AUTOENCODER, "linear_svm", 0.99, Some((0.1, Mark::Better))));
    report.results.push(row("pca", "linear_svm", 0.99, Some((0.1, Mark::Better))));
    assert!(html(&report).contains("<td class=\"number missing\">"));
}
