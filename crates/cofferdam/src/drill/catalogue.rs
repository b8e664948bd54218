//! The drills: those that need nothing but this binary are embedded; a folder can add more.

use std::path::Path;

use cofferdam_core::plan::Policy;
use cofferdam_drill::{Scenario, ScenarioError};

/// A scenario with the defender's plan template.
#[derive(Clone, Debug)]
pub struct Drill {
    /// What happens.
    pub scenario: Scenario,
    /// What the defender wrote beforehand.
    pub plan: String,
}

impl Drill {
    /// The same drill, its plan decided by `policy`.
    #[must_use]
    pub fn decided_by(&self, policy: Policy) -> Self {
        let word = match policy {
            Policy::Sequential => "sequential",
            Policy::OneShot => "one-shot",
        };
        let section = format!("[decision]\npolicy = \"{word}\"\n");
        let plan = match self.plan.contains("[decision]\n") {
            true => self.plan.replacen("[decision]\n", &section, 1),
            false => format!("{}\n{section}", self.plan),
        };
        Self { scenario: self.scenario.clone(), plan }
    }
}

/// Why a drill cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// No drill has this name.
    #[error("no drill is named `{0}`")]
    Unknown(String),
    /// A file of the drill cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The scenario is not one.
    #[error("scenario of {id} is wrong")]
    Scenario {
        /// Which.
        id: String,
        /// Why.
        #[source]
        source: ScenarioError,
    },
}

macro_rules! embedded {
    ($($id:literal),* $(,)?) => {
        &[$((
            $id,
            include_str!(concat!("../../../../drills/", $id, "/scenario.toml")),
            include_str!(concat!("../../../../drills/", $id, "/plan.toml")),
        )),*]
    };
}

const EMBEDDED: &[(&str, &str, &str)] = embedded![
    "control-ordinary-day",
    "d1-venus-donation",
    "d11-griefing",
    "d2-first-depositor",
    "d3-safe-singleton",
    "d5-spot-oracle",
    "d5-uniswap-oracle",
    "d9-stolen-upgrade-key",
];

/// Every drill: the embedded ones, and those of `folder` if there is one. Sorted by name.
///
/// # Errors
/// The first drill that cannot be read.
pub fn all(folder: &Path) -> Result<Vec<Drill>, CatalogueError> {
    let mut out = Vec::new();
    for (id, scenario, plan) in EMBEDDED {
        out.push(parse(id, scenario, plan)?);
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|it| it.path()).filter(|it| it.join("scenario.toml").is_file()) {
        let id = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
        if EMBEDDED.iter().all(|it| it.0 != id) {
            let scenario = read(&path.join("scenario.toml"))?;
            let plan = read(&path.join("plan.toml"))?;
            out.push(parse(&id, &scenario, &plan)?);
        }
    }
    out.sort_by(|a, b| a.scenario.id.cmp(&b.scenario.id));
    Ok(out)
}

/// The drill named `id`.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn find(folder: &Path, id: &str) -> Result<Drill, CatalogueError> {
    let found = all(folder)?.into_iter().find(|it| it.scenario.id == id);
    found.ok_or_else(|| CatalogueError::Unknown(id.to_owned()))
}

fn parse(id: &str, scenario: &str, plan: &str) -> Result<Drill, CatalogueError> {
    let scenario = Scenario::parse(scenario)
        .map_err(|source| CatalogueError::Scenario { id: id.to_owned(), source })?;
    Ok(Drill { scenario, plan: plan.to_owned() })
}

fn read(path: &Path) -> Result<String, CatalogueError> {
    let text = std::fs::read_to_string(path);
    text.map_err(|source| CatalogueError::Io { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn every_embedded_drill_is_read() {
        let drills = super::all(Path::new("nowhere")).map(|it| it.len());
        assert_eq!(drills.ok(), Some(super::EMBEDDED.len()));
    }
}
