//! The playbooks that come with the program.

use cofferdam_playbook::{Playbook, Profile, check, read};

/// Every starter playbook with its file name.
pub(crate) fn starters() -> Vec<(String, Playbook)> {
    static READ: std::sync::OnceLock<Vec<(String, Playbook)>> = std::sync::OnceLock::new();
    READ.get_or_init(read_starters).clone()
}

fn read_starters() -> Vec<(String, Playbook)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "json"))
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let reading = read(&std::fs::read_to_string(&path).unwrap(), Profile::Strict);
            let lines: Vec<String> = reading.issues.iter().map(ToString::to_string).collect();
            assert!(lines.is_empty(), "{name}:\n{}", lines.join("\n"));
            let playbook = reading.accepted().unwrap().clone();
            (name, playbook)
        })
        .collect()
}

#[test]
fn all_ten_are_taken_under_strict_without_a_warning() {
    assert_eq!(starters().len(), 10);
}

#[test]
fn the_plan_that_is_laid_names_what_it_lacks_for_each() {
    let text = cofferdam_core::plan::template("Example");
    let plan = cofferdam_core::plan::parse(&text, "plan.toml").unwrap();
    let mut table = String::new();
    for (name, playbook) in starters() {
        let mut lacks: Vec<String> =
            check::against_plan(&playbook, &plan).into_iter().map(|it| it.1).collect();
        lacks.dedup();
        let lacks = if lacks.is_empty() { "nothing".to_owned() } else { lacks.join("; ") };
        table.push_str(&format!("{name}: {lacks}\n"));
    }
    expect_test::expect_file!["snapshots/starters-and-template.txt"].assert_eq(&table);
}
