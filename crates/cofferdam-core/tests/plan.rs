//! Plans as people write them: the good ones stay readable for ever, the bad ones say what is wrong
//! and where. Update the texts with `UPDATE_EXPECT=1`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf};

use cofferdam_core::plan::{self, Plan, PlanErrors, Step};
use expect_test::expect_file;
use proptest::prelude::*;

fn samples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

fn sample(name: &str) -> String {
    fs::read_to_string(samples().join(name)).unwrap()
}

fn named(suffix: &str) -> Vec<String> {
    let names = fs::read_dir(samples()).unwrap().map(|it| it.unwrap().file_name());
    let mut names: Vec<String> = names.map(|it| it.into_string().unwrap()).collect();
    names.retain(|it| it.ends_with(suffix));
    names.sort();
    names
}

fn errors(name: &str) -> PlanErrors {
    plan::parse(&sample(name), name).unwrap_err()
}

#[test]
fn every_frozen_plan_is_readable_and_explained() {
    let good: Vec<String> =
        named(".toml").into_iter().filter(|it| !it.ends_with(".bad.toml")).collect();
    assert_eq!(good, ["full.toml", "gaps.toml", "minimal.toml", "told.toml"]);
    for name in good {
        let plan = plan::parse(&sample(&name), &name).unwrap_or_else(|it| panic!("{it}"));
        let file = samples().join(name.replace(".toml", ".explain.txt"));
        expect_file![file].assert_eq(&plan::explain(&plan));
    }
}

#[test]
fn every_bad_plan_says_what_is_wrong_and_where() {
    for name in named(".bad.toml") {
        let file = samples().join(name.replace(".toml", ".errors.txt"));
        expect_file![file].assert_eq(&format!("{}\n", errors(&name)));
    }
}

#[test]
fn the_starter_plan_is_explained() {
    let plan = plan::parse(&plan::template("Example Lending"), "plan.toml").unwrap();
    expect_file![samples().join("template.explain.txt")].assert_eq(&plan::explain(&plan));
}

#[test]
fn the_schema_is_frozen() {
    let text = serde_json::to_string_pretty(&plan::schema()).unwrap();
    expect_file![samples().join("schema.json")].assert_eq(&format!("{text}\n"));
}

#[test]
fn line_column_and_span_of_an_error_agree() {
    for name in named(".bad.toml") {
        let text = sample(&name);
        for error in errors(&name).errors {
            assert!(error.span.start <= error.span.end && error.span.end <= text.len());
            let line = text.lines().nth(error.line - 1).unwrap_or_default();
            let before: usize = text.split_inclusive('\n').take(error.line - 1).map(str::len).sum();
            let column = text[before..error.span.start].chars().count() + 1;
            assert_eq!(error.column, column, "{name}: {error} in {line:?}");
        }
    }
}

#[test]
fn a_secret_is_not_repeated_and_its_line_is_marked() {
    let errors = errors("secrets.bad.toml");
    let text = format!("{errors}{errors:?}");
    for secret in ["hunter2", "9aa3d95b"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert_eq!(errors.errors.len(), 8);
    assert!(errors.errors.iter().all(|it| it.sensitive));
}

#[test]
fn a_plan_written_out_reads_as_the_same_plan() {
    for name in ["full.toml", "gaps.toml", "minimal.toml", "told.toml"] {
        let plan = plan::parse(&sample(name), name).unwrap();
        let text = toml::to_string(&plan).unwrap();
        let again: Plan = plan::parse(&text, name).unwrap_or_else(|it| panic!("{it}\n{text}"));
        assert_eq!(again, plan);
    }
}

#[test]
fn settings_can_be_pointed_at() {
    let text = sample("full.toml");
    let (_, map) = plan::read(&text, "full.toml").unwrap();
    let path = |index: usize, key| -> [Step<'_>; 4] {
        ["rules".into(), index.into(), "settings".into(), Step::Key(key)]
    };
    let window = map.span_of(&path(0, "window")).unwrap();
    assert_eq!(&text[window], "\"5m\"");
    let key = map.key_span_of(&path(0, "window")).unwrap();
    assert_eq!(&text[key], "window");
    assert_eq!(map.span_of(&path(0, "low")), None);
    let around = map.nearest_span_of(&path(0, "low"));
    assert_eq!(&text[around], "[rules.settings]");
    let inside = map.span_inside(&path(2, "when"), 0..3);
    assert_eq!(&text[inside], "sum");
    let inside = map.span_inside(&path(0, "window"), 1..2);
    assert_eq!(&text[inside], "m");
    let beyond = map.span_inside(&path(0, "window"), 7..99);
    assert!(beyond.is_empty());
    let error = map.error(&path(0, "window"), "too short", None);
    assert_eq!(error.to_string(), "54:10: too short");
}

#[test]
fn a_plan_beyond_the_limits_is_refused() {
    let text = format!("# {}\n", "x".repeat(plan::PLAN_BYTES_MAX));
    let error = plan::parse(&text, "plan.toml").unwrap_err().to_string();
    assert!(error.contains("at most 1048576 are read"), "{error}");

    let deep = format!("version = 1\nname = \"x\"\nrules = {}", "[".repeat(100_000));
    assert!(plan::parse(&deep, "plan.toml").is_err());
    let deep = format!("version = 1\nname = \"x\"\n[{}]", vec!["a"; 100_000].join("."));
    assert!(plan::parse(&deep, "plan.toml").is_err());

    let many = format!(
        "version = 1\nname = \"x\"\n{}",
        (0..500).map(|it| format!("k{it} = 1\n")).collect::<String>()
    );
    let errors = plan::parse(&many, "plan.toml").unwrap_err();
    assert_eq!(
        (errors.errors.len(), errors.more),
        (plan::ERRORS_SHOWN_MAX, 500 - plan::ERRORS_SHOWN_MAX)
    );
    assert!(errors.to_string().ends_with("and 400 more"));
}

/// A piece of a plan, good or bad, so that random texts get past the TOML parser often enough.
fn piece() -> impl Strategy<Value = String> {
    let lines: Vec<String> = named(".toml")
        .iter()
        .flat_map(|it| sample(it).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    prop_oneof![
        8 => proptest::sample::select(lines),
        1 => "[a-z\\[\\]=\"{}., 0-9é]{0,20}",
    ]
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = plan::parse(&text, "plan.toml");
    }

    #[test]
    fn shuffled_plans_never_panic_and_point_into_the_text(lines in proptest::collection::vec(piece(), 0..40)) {
        let text = lines.join("\n");
        match plan::read(&text, "plan.toml") {
            Ok((plan, _)) => drop(plan::explain(&plan)),
            Err(errors) => {
                prop_assert!(!errors.errors.is_empty());
                for error in errors.errors {
                    prop_assert!(text.get(error.span.clone()).is_some(), "{:?} of {text:?}", error);
                }
            }
        }
    }

    #[test]
    fn a_damaged_plan_never_panics(cut in 0usize..6000, len in 0usize..40, with in "[\\PC\n]{0,8}") {
        let mut text = sample("full.toml");
        let clamp = |mut at: usize, text: &str| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) { at -= 1 }
            at
        };
        let start = clamp(cut, &text);
        let end = clamp(start + len, &text);
        text.replace_range(start..end.max(start), &with);
        if let Ok((plan, _)) = plan::read(&text, "plan.toml") {
            drop(plan::explain(&plan));
        }
    }
}
