//! Lays the files of one more plug-in, so that nobody has to remember which.

use std::path::Path;

use crate::{Outcome, fail, root, say};

pub(crate) fn run(kind: &str, id: &str) -> Outcome {
    let plain = !id.is_empty()
        && id.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-');
    if !plain {
        return Err(vec![format!("`{id}` is not a kebab-case name")]);
    }
    match kind {
        "detector" => detector(id),
        "drill" => drill(id),
        "action" => {
            say(&format!(
                "an action is data: add an [[actions]] table with id = \"{id}\" to a plan.\n\
                 A new containment function is one variant and one arm in \
                 crates/cofferdam-core/src/plan/containment.rs."
            ));
            Ok(())
        }
        _ => Err(vec![format!("`{kind}` is none of detector, action, drill")]),
    }
}

fn detector(id: &str) -> Outcome {
    let snake = id.replace('-', "_");
    let folder = root().join("crates/cofferdam-detect/src/detectors");
    let template = include_str!("../templates/detector.rs.txt");
    let page = include_str!("../templates/detector.md.txt");
    let camel: String = id.split('-').map(capitalised).collect();
    let fill =
        |text: &str| text.replace("{id}", id).replace("{snake}", &snake).replace("{Camel}", &camel);
    write_new(&folder.join(format!("{snake}.rs")), &fill(template))?;
    write_new(&folder.join(format!("{snake}.md")), &fill(page))?;
    say(&format!(
        "now add `mod {snake};` and `&{snake}::ENTRY,` (sorted) to detectors/mod.rs, and run:\n  cargo nextest run -p cofferdam-detect {snake}\n  cargo xtask codegen"
    ));
    Ok(())
}

fn drill(id: &str) -> Outcome {
    let folder = root().join("drills").join(id);
    let template = include_str!("../templates/scenario.toml.txt");
    write_new(&folder.join("scenario.toml"), &template.replace("{id}", id))?;
    say(&format!("now fill drills/{id}/scenario.toml and run:\n  cargo run -- drill run {id}"));
    Ok(())
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|it| it.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn write_new(path: &Path, text: &str) -> Outcome {
    let shown = path.display().to_string();
    if path.exists() {
        return Err(vec![format!("{shown} exists already")]);
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|it| fail(&shown, it))?;
    }
    std::fs::write(path, text).map_err(|it| fail(&shown, it))?;
    say(&format!("wrote {shown}"));
    Ok(())
}
