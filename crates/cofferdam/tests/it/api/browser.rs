//! The console in a real Chromium. `COFFERDAM_BROWSER` names a folder with the npm packages `playwright-core`,
//! `viem` and `axe-core`; `COFFERDAM_PICTURES` one for pictures of every screen.

use std::process::Command;

use cofferdam_core::Record;

use super::world::World;

#[test]
#[expect(clippy::print_stdout, reason = "a skipped test must say so")]
fn people_sign_in_acknowledge_and_approve_with_a_wallet_in_a_browser() {
    if std::env::var_os("COFFERDAM_BROWSER").is_none() {
        println!(
            "skipped: COFFERDAM_BROWSER names no folder with playwright-core, viem and axe-core (npm)"
        );
        return;
    }
    let world = World::start();
    let pictures = match std::env::var_os("COFFERDAM_PICTURES") {
        Some(it) => it.into(),
        None => world.folder.path().to_owned(),
    };
    let key = |byte: u8| format!("0x{}", format!("{byte:02x}").repeat(32));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/console.mjs");
    let output = Command::new("node")
        .arg(script)
        .arg(&world.origin)
        .arg(&pictures)
        .args([key(1), key(2)])
        .output()
        .expect("node");
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let approved = |it: &Record| matches!(it, Record::Approved { .. });
    assert_eq!(world.journal().iter().filter(|it| approved(it)).count(), 2);
}
