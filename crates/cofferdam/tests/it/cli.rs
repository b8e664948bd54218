//! The command line as a person sees it.

use std::process::{Command, Output};

fn cofferdam(args: &[&str], folder: &std::path::Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cofferdam"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("a program that starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_drill_leaves_a_journal_that_verifies_and_an_incident_that_explains_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let run =
        cofferdam(&["drill", "run", "d9-stolen-upgrade-key", "--variant", "split"], folder.path());
    assert!(run.status.success(), "{}{}", text(&run.stdout), text(&run.stderr));
    assert!(text(&run.stdout).contains("funds saved                100.00 %"));
    let journal = ".cofferdam/drills/d9-stolen-upgrade-key-split.sqlite";
    let verify = cofferdam(&["journal", "verify", "--journal", journal], folder.path());
    assert!(text(&verify.stdout).starts_with("journal verifies: "), "{}", text(&verify.stderr));
    let show = cofferdam(&["incident", "show", "--journal", journal], folder.path());
    for part in ["contained", "→ pause-vault", "posterior", "effective since block"] {
        assert!(text(&show.stdout).contains(part), "{part} is missing in\n{}", text(&show.stdout));
    }
    let list = cofferdam(&["incident", "list", "--json", "--journal", journal], folder.path());
    assert!(serde_json::from_slice::<serde_json::Value>(&list.stdout).is_ok());
}

#[test]
fn a_journal_is_exported_line_by_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = cofferdam(&["drill", "run", "d11-griefing", "--variant", "replay"], folder.path());
    assert!(run.status.success(), "{}", text(&run.stderr));
    let export = cofferdam(
        &["journal", "export", "--journal", ".cofferdam/drills/d11-griefing-replay.sqlite"],
        folder.path(),
    );
    assert!(text(&export.stdout).lines().count() > 5);
}

#[test]
fn errors_say_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in
        [&["journal", "verify"][..], &["drill", "run", "nothing"], &["run", "--plan", "nowhere"]]
    {
        let run = cofferdam(args, folder.path());
        assert!(!run.status.success());
        let stderr = text(&run.stderr);
        assert!(stderr.contains("error: ") && stderr.contains("hint: "), "{args:?}: {stderr}");
    }
}
