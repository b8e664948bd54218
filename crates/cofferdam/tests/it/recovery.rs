//! Recovery on the built program: gates, restitution against OpenZeppelin's tree, the post-mortem.

use std::{fmt::Write, process::Command};

use serde_json::Value;

use crate::{
    npm::{self, text},
    statements::{cofferdam, contained, json, refused},
};

const HASH: &str = "0x0101010101010101010101010101010101010101010101010101010101010101";

#[test]
fn nothing_reopens_over_an_open_gate() {
    let (held, case) = contained();
    let folder = held.path();
    let of: &[&str] = &["--case", &case, "--by", "erin"];
    let reopen = [&["recovery", "reopen"][..], of].concat();
    let why = refused(&reopen, folder);
    assert!(why.contains("12 gates are open") && why.contains("hint: cause-gone: "), "{why}");
    let prove = |gate: &str, more: &[&str]| {
        let base = ["recovery", "prove", gate, "--evidence", HASH, "--what", "report"];
        [&base[..], of, more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |args: &[String]| json(&args.iter().map(String::as_str).collect::<Vec<_>>(), folder);
    let short = prove("accounting", &["--claims", "10", "--assets", "9"]);
    let short: Vec<&str> = short.iter().map(String::as_str).collect();
    assert!(refused(&short, folder).contains("1 of the claims have no assets"));
    run(&prove("accounting", &["--claims", "9", "--assets", "9"]));
    run(&prove("cause-gone", &["--codehash", HASH, "--variants", "2"]));
    run(&prove("code-matches", &["--runtime", HASH, "--audited", HASH]));
    run(&prove("limits-lowered", &["--limit-bps", "2500", "--limit-hours", "72"]));
    for gate in [
        "cause-reproduced",
        "storage-layout",
        "oracles-fresh",
        "liquidation-grace",
        "authorities-armed",
        "stages-ordered",
        "integrators-told",
    ] {
        run(&prove(gate, &[]));
    }
    let dismiss = [
        "recovery",
        "dismiss",
        "breaker-reconciled",
        "--because",
        "there is none",
        "--agreed",
        "bob",
    ];
    json(&[&dismiss[..], of].concat(), folder);
    json(&reopen, folder);
    let list = json(&["recovery", "checklist", "--case", &case], folder);
    assert_eq!(list["open"], 0);
}

#[test]
fn a_snapshot_is_what_openzeppelin_computes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut lines = String::from("address,amount\n");
    for it in 1_u64..=33 {
        let _ = writeln!(lines, "0x{it:040x},{}000000000000000001", it * it);
    }
    std::fs::write(folder.path().join("claims.csv"), &lines).expect("a file");
    let run = |args: &[&str]| {
        let run = cofferdam(args, folder.path());
        assert!(run.status.success(), "{}", text(&run.stderr));
        serde_json::from_slice::<Value>(&run.stdout).expect("JSON")
    };
    let made =
        run(&["recovery", "snapshot", "--claims", "claims.csv", "--out", "tree.json", "--json"]);
    let account = format!("0x{:040x}", 7);
    let proof =
        run(&["recovery", "proof", "--claims", "claims.csv", "--account", &account, "--json"]);
    assert_eq!(made["root"], proof["root"]);
    assert_eq!(made["total"], "12529000000000000000033");
    let poor = cofferdam(
        &["recovery", "snapshot", "--claims", "claims.csv", "--assets", "1"],
        folder.path(),
    );
    assert!(text(&poor.stderr).contains("exceed"), "{}", text(&poor.stderr));
    let Some(packages) = npm::installed(&["@openzeppelin/merkle-tree@1.0.8"]) else { return };
    let script = r#"
import {StandardMerkleTree} from '@openzeppelin/merkle-tree';
import {readFileSync} from 'node:fs';
const tree = StandardMerkleTree.load(JSON.parse(readFileSync(process.argv[2], 'utf8')));
tree.validate();
const values = [...tree.entries()].map(([, value]) => value);
const again = StandardMerkleTree.of(values, ['address', 'uint256']);
const proofs = Object.fromEntries(values.map(it => [it[0].toLowerCase(), again.getProof(it)]));
console.log(JSON.stringify({loaded: tree.root, root: again.root, same: JSON.stringify(tree.dump()) === JSON.stringify(again.dump()), proofs}));
"#;
    let tree = folder.path().join("tree.json").display().to_string();
    let node = npm::node(packages.path(), script, &[&tree]);
    assert!(node.status.success(), "{}", text(&node.stderr));
    let theirs: Value = serde_json::from_slice(&node.stdout).expect("JSON");
    assert_eq!((&theirs["root"], &theirs["loaded"]), (&made["root"], &made["root"]));
    assert_eq!(theirs["same"], true, "the whole tree, byte for byte");
    assert_eq!(theirs["proofs"][&account], proof["proof"]);
}

#[test]
fn a_post_mortem_is_written_from_the_journal() {
    let (held, case) = contained();
    let folder = held.path();
    let journal = ".cofferdam/drills/d9-stolen-upgrade-key-split.sqlite";
    let make = |more: &[&str]| {
        cofferdam(
            &[&["post-mortem", "--case", &case, "--journal", journal][..], more].concat(),
            folder,
        )
    };
    let md = text(&make(&[]).stdout);
    for it in [
        "**TLP:AMBER**",
        "## Timeline",
        "## Decisions of the program",
        "pause-vault",
        "Missing: what the cause was",
    ] {
        assert!(md.contains(it), "{it} is missing in\n{md}");
    }
    let html = text(&make(&["--format", "html"]).stdout);
    assert!(html.starts_with("<!doctype html>") && html.contains("pause-vault"));
    let early = make(&["--tlp", "clear"]);
    assert!(text(&early.stderr).contains("made when it is over"), "{}", text(&early.stderr));
    // Without a browser it says what to do.
    let none = Command::new(env!("CARGO_BIN_EXE_cofferdam"))
        .args([
            "post-mortem",
            "--case",
            &case,
            "--journal",
            journal,
            "--format",
            "pdf",
            "--out",
            "x.pdf",
        ])
        .env("COFFERDAM_CHROMIUM", "/nowhere/chromium")
        .current_dir(folder)
        .output()
        .expect("a program that starts");
    let stderr = text(&none.stderr);
    assert!(stderr.contains("no Chromium is installed") && stderr.contains("hint: "), "{stderr}");
    let pdf = make(&["--format", "pdf", "--out", "x.pdf"]);
    if pdf.status.success() {
        let bytes = std::fs::read(folder.join("x.pdf")).expect("a file");
        assert!(bytes.starts_with(b"%PDF-"));
    } else {
        let why = text(&pdf.stderr);
        assert!(why.contains("no Chromium is installed"), "{why}");
        npm::skipped(&why);
    }
}
