//! Contract artifacts: our own, embedded in the binary so that a bare clone runs drills; and protocol
//! bytecode from npm packages, read at drill time and never shipped.

use std::path::{Path, PathBuf};

use alloy_primitives::Bytes;

/// Our own artifacts by name.
const EMBEDDED: &[(&str, &str)] = &[
    ("DemoAccessControl", include_str!("../../../../contracts/abi/DemoAccessControl.json")),
    ("DemoCustody", include_str!("../../../../contracts/abi/DemoCustody.json")),
    ("DemoLendingPool", include_str!("../../../../contracts/abi/DemoLendingPool.json")),
    ("DemoPair", include_str!("../../../../contracts/abi/DemoPair.json")),
    ("DemoProxy", include_str!("../../../../contracts/abi/DemoProxy.json")),
    ("DemoToken", include_str!("../../../../contracts/abi/DemoToken.json")),
    ("DemoVault", include_str!("../../../../contracts/abi/DemoVault.json")),
    ("DemoVaultUUPS", include_str!("../../../../contracts/abi/DemoVaultUUPS.json")),
    ("DonationAttack", include_str!("../../../../contracts/abi/DonationAttack.json")),
    ("EmergencyGuardian", include_str!("../../../../contracts/abi/EmergencyGuardian.json")),
    (
        "EvilVaultImplementation",
        include_str!("../../../../contracts/abi/EvilVaultImplementation.json"),
    ),
    ("InflationAttack", include_str!("../../../../contracts/abi/InflationAttack.json")),
    ("SafeConfigGuard", include_str!("../../../../contracts/abi/SafeConfigGuard.json")),
    ("SafeSweeper", include_str!("../../../../contracts/abi/SafeSweeper.json")),
    ("SlotZeroOverwriter", include_str!("../../../../contracts/abi/SlotZeroOverwriter.json")),
    ("SpotOracleAttack", include_str!("../../../../contracts/abi/SpotOracleAttack.json")),
];

/// Why an artifact cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// None of ours has this name.
    #[error("no artifact is named `{0}`")]
    Unknown(String),
    /// The npm package is not installed.
    #[error("`{}` is not there", .0.display())]
    NotInstalled(PathBuf),
    /// The file is not an artifact with bytecode.
    #[error("artifact `{0}` holds no bytecode")]
    Malformed(String),
}

impl ArtifactError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotInstalled(_) => {
                "run `cargo xtask services` to install the npm packages of contracts/"
            }
            _ => "the names are those of contracts/abi",
        }
    }
}

/// The creation code of `name`: one of ours, or `npm:<path below contracts/node_modules>`.
///
/// # Errors
/// See [`ArtifactError`].
pub fn creation_code(name: &str, packages: &Path) -> Result<Bytes, ArtifactError> {
    let text = match name.strip_prefix("npm:") {
        Some(path) => {
            let path = packages.join(path);
            std::fs::read_to_string(&path).map_err(|_| ArtifactError::NotInstalled(path))?
        }
        None => {
            let found = EMBEDDED.iter().find(|it| it.0 == name);
            found
                .map(|it| it.1.to_owned())
                .ok_or_else(|| ArtifactError::Unknown(name.to_owned()))?
        }
    };
    let malformed = || ArtifactError::Malformed(name.to_owned());
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|_| malformed())?;
    let code = json["bytecode"].as_str().or_else(|| json["bytecode"]["object"].as_str());
    let code = code.and_then(|it| it.parse::<Bytes>().ok()).filter(|it| !it.is_empty());
    code.ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn every_embedded_artifact_has_code() {
        for (name, _) in super::EMBEDDED {
            assert!(super::creation_code(name, Path::new("nowhere")).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_missing_package_says_how_to_install_it() {
        let error = super::creation_code("npm:nobody/x.json", Path::new("nowhere"));
        assert!(error.is_err_and(|it| it.hint().contains("cargo xtask services")));
    }
}
