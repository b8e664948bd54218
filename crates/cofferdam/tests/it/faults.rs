//! The quick rows of the fault suite, against the program itself. They need anvil, from the npm packages
//! of `contracts/`.

use std::path::PathBuf;

use cofferdam::drill::{
    Backend, RunOptions,
    faults::{self, FaultOptions},
};

use crate::drills::packages;

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_rows_of_the_fault_suite_pass() {
    let Some(packages) = packages() else { return };
    let out = tempfile::tempdir().expect("a folder");
    let run = RunOptions { backend: Backend::Anvil, seed: 7, packages, out: out.path().into() };
    let program = PathBuf::from(env!("CARGO_BIN_EXE_cofferdam"));
    let options = FaultOptions { run, program, quick: true, kills: 0 };
    let mut judged = Vec::new();
    for row in faults::rows().iter().filter(|it| it.quick) {
        judged.push(faults::run(row, &options).await);
    }
    assert!(judged.iter().all(|it| it.pass) && !judged.is_empty(), "{}", faults::table(&judged));
}
