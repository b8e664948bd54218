//! `scenario.toml`: one drill as data. Beside it lies `plan.toml`, the defender's response plan as a
//! template: `${name}` is replaced by addresses, `${id:pause}` by the guardian's action.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One drill.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// Kebab-case name; the folder's name.
    pub id: String,
    /// One phrase.
    pub title: String,
    /// The catalogue number of `onchain.md` §6.2, e.g. `D2`.
    pub class: String,
    /// What happened like this, for people.
    #[serde(default)]
    pub like: Vec<String>,
    /// Whether protocol bytecode from npm is needed; without it the drill runs from a bare clone.
    #[serde(default)]
    pub needs_npm: bool,
    /// Whether there is no attack: a control that must stay silent.
    #[serde(default)]
    pub benign: bool,
    /// Accounts with a balance in ether. Keys are derived from their names.
    pub accounts: BTreeMap<String, u64>,
    /// Named numbers usable in arguments, e.g. `donation = "2_700_000e18"`.
    #[serde(default)]
    pub numbers: BTreeMap<String, String>,
    /// Contracts and calls that set the stage, in order, one block each ten.
    pub setup: Vec<Step>,
    /// The pre-authorised pause, if the drill has one.
    #[serde(default)]
    pub guardian: Option<Guardian>,
    /// Ordinary use before the attack: each must succeed and none may raise an incident.
    #[serde(default)]
    pub ordinary: Vec<Step>,
    /// The ways in which the attack is run.
    pub variants: Vec<Variant>,
    /// What counts as lost.
    pub loss: Vec<Holding>,
}

/// One way to run the attack.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Variant {
    /// Short name, e.g. `public`.
    pub id: String,
    /// One phrase.
    pub title: String,
    /// Whether attack transactions are seen in the pool before inclusion.
    #[serde(default)]
    pub public: bool,
    /// Blocks of transactions.
    pub blocks: Vec<Vec<Step>>,
    /// Empty blocks between two blocks of the attack.
    #[serde(default)]
    pub delay_blocks: u64,
    /// What the defence must achieve.
    pub expect: Expect,
}

/// What the defence must achieve.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// Whether a critical finding must be made.
    pub detected: bool,
    /// Whether an order must become effective.
    pub contained: bool,
    /// Least share of the undefended loss that must be saved, in percent. 0 says plainly that nothing
    /// could be saved.
    pub saved_percent_min: u64,
    /// Why no more can be saved, for people.
    #[serde(default)]
    pub because: String,
}

/// One thing done on chain.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// Who.
    #[serde(default)]
    pub from: Option<String>,
    /// Deploys this artifact: a name under `contracts/abi`, or `npm:<path below node_modules>`.
    #[serde(default)]
    pub deploy: Option<String>,
    /// Name of what is deployed.
    #[serde(default)]
    pub r#as: Option<String>,
    /// The contract called.
    #[serde(default)]
    pub to: Option<String>,
    /// Function signature, e.g. `deposit(uint256,address)`; for a deployment the constructor's
    /// parameter types, e.g. `(address,uint256)`.
    #[serde(default)]
    pub call: Option<String>,
    /// Arguments; see [`crate::args`].
    #[serde(default)]
    pub args: Vec<toml::Value>,
    /// Native value, e.g. `"1e18"`.
    #[serde(default)]
    pub value: Option<String>,
    /// Reads instead of sending: the first returned word becomes this name.
    #[serde(default)]
    pub read: Option<String>,
    /// The transaction is shown as pending but its sender cannot pay: it is never included.
    #[serde(default)]
    pub ghost: bool,
    /// Whether the transaction may revert (an attack that the defence stops, say).
    #[serde(default)]
    pub may_revert: bool,
}

/// The pre-authorised pause of a drill.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Guardian {
    /// Name of the guardian contract.
    pub contract: String,
    /// The registered action.
    pub action: String,
    /// Names of the signers.
    pub signers: Vec<String>,
    /// Tier of the authorisation.
    #[serde(default)]
    pub tier: u8,
    /// How many authorisations (nonces) are signed.
    #[serde(default = "one")]
    pub count: u32,
}

/// Something of value held by somebody.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Holding {
    /// Name of the token, or `native`.
    pub token: String,
    /// Names of the holders whose loss counts.
    pub holders: Vec<String>,
    /// Names of accounts whose gain is somebody's loss, where the victims' claims are hard to value.
    #[serde(default)]
    pub gain_of: Vec<String>,
    /// Decimals.
    pub decimals: u8,
    /// Price of one whole token in whole dollars.
    pub price: u64,
}

/// Why a scenario was refused.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file is not a scenario.
    #[error("scenario cannot be read")]
    Toml(#[from] toml::de::Error),
    /// A step is neither a deployment, a call nor a read.
    #[error("step {index} of {place} does nothing: it has neither `deploy` nor `to`")]
    EmptyStep {
        /// Where.
        place: String,
        /// Which, counting from 1.
        index: usize,
    },
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// See [`ScenarioError`].
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text)?;
        let attack = scenario.variants.iter().flat_map(|it| it.blocks.iter());
        let places = [("setup", &scenario.setup), ("ordinary", &scenario.ordinary)];
        for (place, steps) in places.into_iter().chain(attack.map(|it| ("attack", it))) {
            if let Some(index) = steps.iter().position(|it| it.deploy.is_none() && it.to.is_none())
            {
                return Err(ScenarioError::EmptyStep { place: place.to_owned(), index: index + 1 });
            }
        }
        Ok(scenario)
    }
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::{Scenario, ScenarioError};

    #[test]
    fn every_scenario_of_the_repository_is_read() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drills");
        let mut read = 0;
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path().join("scenario.toml");
            // The planted bugs of the simulation and the adversarial corpus are no drills.
            if !path.exists() && ["plants", "corpus"].iter().any(|it| entry.file_name() == *it) {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let scenario = Scenario::parse(&text);
            let id = scenario.as_ref().map(|it| it.id.clone()).map_err(|it| format!("{it:?}"));
            assert_eq!(
                id,
                Ok(entry.file_name().to_string_lossy().into_owned()),
                "{}",
                path.display()
            );
            read += 1;
        }
        assert!(read >= 5, "only {read} scenarios");
    }

    #[test]
    fn a_step_that_does_nothing_is_refused() {
        let text =
            "id='x'\ntitle='x'\nclass='x'\nvariants=[]\nloss=[]\naccounts={}\nsetup=[{from='a'}]";
        assert!(matches!(Scenario::parse(text), Err(ScenarioError::EmptyStep { index: 1, .. })));
    }
}
