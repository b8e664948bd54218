//! The views end to end: one small book, one incident.
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

use expect_test::{expect, expect_file};

use super::{Params, View, params, render, schema};

/// 2026-03-01 00:00 UTC.
const NOW: u64 = 1_772_323_200;
const BOOK: &str = include_str!("example/book.csv");
const PARAMS: &str = include_str!("example/params.json");

#[test]
fn the_schema_of_the_incident_screen_is_stable() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    expect_file!["../../../../docs/reference/risk.schema.json"].assert_eq(&text);
}

#[test]
fn the_incident_screen_says_what_it_costs_and_what_to_do() {
    let r = render(View::Report, BOOK, PARAMS, NOW).unwrap();
    expect_file!["example/report.txt"].assert_eq(&r.text);
    let money = &r.json["money"];
    assert_eq!(money["verdict"], "act");
    assert!(money["value-of-waiting-usd"].as_f64().unwrap() < 0.0);
    let again = render(View::Report, BOOK, PARAMS, NOW).unwrap();
    assert_eq!(again.json, r.json);
}

#[test]
fn pages_stand_alone() {
    for view in [
        View::Report,
        View::Grid,
        View::Pause,
        View::Solvency,
        View::Contagion,
        View::Limits,
        View::Iv,
    ] {
        let r = render(view, BOOK, PARAMS, NOW).unwrap();
        for host in ["http://", "https://", "src=", "url(h", "@import", "<script"] {
            assert!(!r.page.contains(host), "{view:?} mentions {host}");
        }
        assert!(!r.page.contains("NaN") && !r.page.contains(">inf<"), "{view:?}");
        assert!(r.page.contains("prefers-color-scheme:dark"));
        assert!(!r.text.is_empty() && !r.json.is_null());
    }
}

#[test]
fn a_view_without_its_section_says_which() {
    let missing = |view| render(view, "", "", NOW).unwrap_err().to_string();
    assert_eq!(missing(View::Limits), "the parameters have no section `limits`");
    assert_eq!(missing(View::Contagion), "the parameters have no section `contagion`");
    assert!(params("{\"sed\": 1}").is_err());
    let _: Params = params("").unwrap();
}

#[test]
fn doubtful_data_shows_on_the_screen() {
    let stale = BOOK.replace("0.0325,0.0320,0.0330", "0.0325,0.0330,0.0340");
    assert_ne!(stale, BOOK);
    let r = render(View::Report, &stale, PARAMS, NOW).unwrap();
    let flags = r.json["data"]["flags"].as_array().unwrap();
    assert!(flags.iter().any(|f| f.as_str().unwrap().starts_with("DQ6")), "{flags:?}");
    assert!(r.text.contains("!! DQ6") && r.page.contains("results are widened"));
}

#[test]
fn books_that_cannot_be_used_name_the_place() {
    let bad = BOOK.replacen("63800", "-1", 1);
    let error = render(View::Grid, &bad, PARAMS, NOW).unwrap_err().to_string();
    expect!["line 2, column index_price: must be above zero"].assert_eq(&error);
}
