//! The published playbooks and 28 mutants of a good one.

use std::path::PathBuf;

use cofferdam_core::Timestamp;
use cofferdam_playbook::{Level, Profile, Reading, Rule, read, runnable};

/// A folder of the shared data, or `None` with a notice.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    let path =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/standards/cacao"))
            .join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// 2026-11-26.
pub(crate) const NOW: Timestamp = Timestamp(1_795_651_200_000);

fn load(path: &std::path::Path, profile: Profile) -> Reading {
    read(&std::fs::read_to_string(path).unwrap(), profile)
}

fn levels(reading: &Reading) -> (usize, usize) {
    let count = |level| reading.issues.iter().filter(|it| it.level == level).count();
    (count(Level::Error), count(Level::Warning))
}

#[test]
fn every_mutant_is_judged_as_the_index_says() {
    let Some(folder) = folder("semantic-mutants") else { return };
    let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
    let index: Vec<serde_json::Value> = serde_json::from_str(&index).unwrap();
    assert_eq!(index.len(), 29, "28 mutants and what they were made from");
    for mutant in index {
        let file = mutant["file"].as_str().unwrap();
        let expect = mutant["expect"].as_str().unwrap();
        let reading = load(&folder.join(file), Profile::Strict);
        let (errors, warnings) = levels(&reading);
        let lenient = levels(&load(&folder.join(file), Profile::Soarca));
        let shown = || {
            let lines: Vec<String> = reading.issues.iter().map(ToString::to_string).collect();
            format!("{file} ({expect}): {}", lines.join("\n"))
        };
        match expect {
            "accept" => assert_eq!((errors, warnings), (0, 0), "{}", shown()),
            "reject" => assert!(errors > 0, "{}", shown()),
            "warn" | "accept-with-warning" => {
                assert!(errors == 0 && warnings > 0, "{}", shown());
            }
            "reject-strict / warn-lenient" => {
                assert!(errors > 0 && lenient.0 == 0 && lenient.1 > 0, "{}", shown());
            }
            "parse-accept / execute-refuse" => {
                let playbook = reading.accepted().unwrap_or_else(|| panic!("{}", shown()));
                assert!(runnable(playbook, NOW).is_err(), "{}", shown());
            }
            "parse-accept / execute-fail" => {
                let playbook = reading.accepted().unwrap_or_else(|| panic!("{}", shown()));
                assert_eq!(runnable(playbook, NOW), Ok(()));
                assert!(reading.issues.iter().any(|it| it.rule == Rule::OpenWord), "{}", shown());
            }
            other => panic!("{file}: a verdict that this test does not know: {other}"),
        }
    }
}

#[test]
fn published_playbooks_are_taken_or_refused_for_a_reason() {
    let Some(folder) = folder("") else { return };
    let mut files = Vec::new();
    for part in [
        "oasis-tc/Examples/CACAO-2.0",
        "oasis-tc/Extensions/layout/examples",
        "defi-golden",
        "soarca/examples",
        "soarca/test/playbooks",
    ] {
        let mut names: Vec<PathBuf> = std::fs::read_dir(folder.join(part))
            .unwrap()
            .map(|it| it.unwrap().path())
            .filter(|it| it.extension().is_some_and(|it| it == "json"))
            .collect();
        names.sort();
        files.extend(names.into_iter().map(|it| (part, it)));
    }
    let mut table = String::new();
    for (part, file) in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let why = |profile| {
            let reading = load(&file, profile);
            let mut rules: Vec<&str> = reading
                .issues
                .iter()
                .filter(|it| it.level == Level::Error)
                .map(|it| it.rule.name())
                .collect();
            rules.dedup();
            if rules.is_empty() { "taken".to_owned() } else { rules.join(" ") }
        };
        table.push_str(&format!(
            "{part}/{name}\n  strict: {}\n  soarca: {}\n",
            why(Profile::Strict),
            why(Profile::Soarca)
        ));
    }
    expect_test::expect_file!["snapshots/published.txt"].assert_eq(&table);
}
