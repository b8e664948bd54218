//! The attacks: every class in every variant, on the state that the ordinary stream left.
//!
//! **Invariant:** what an attack took is told by balances before and after; whether it was found, by the
//! engine; neither knows of the other.

mod play;

use alloy_primitives::Address;
use cofferdam_core::{Severity, Usd, plan::AssetId};
use serde::Serialize;

use self::play::Play;
use super::{
    CorpusOptions,
    baselines::{Baselines, FAMILIES},
    split::Split,
    stage::{Scene, Stage},
};
use crate::replay::ReplayError;

/// Least harm that makes a variant an attack, in whole dollars.
const HARM_MIN: i128 = 50_000;
/// Share of the plain attack's harm, one in so many, that a variant must do to count.
const HARM_PART: i128 = 10;

/// How an attack is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// One transaction through a contract of one's own, with a flash loan as Aave gives it.
    Plain,
    /// Three transactions in three blocks, with own money.
    Split,
    /// Through two contracts that run the code of a third, with a flash swap as Uniswap v2 gives it.
    Proxied,
    /// The profit stays in the contract and leaves 30 blocks later, for a third account; EIP-3156 loan.
    Delayed,
    /// The money comes from a lender that nobody knows: no event, no known callback.
    Flash,
    /// Calldata is masked with a key.
    Masked,
    /// Nothing happens but in a block of one builder and above a price of gas.
    Gated,
    /// The attacker's account runs the attack as its own code (EIP-7702).
    Delegated,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Plain,
        Self::Split,
        Self::Proxied,
        Self::Delayed,
        Self::Flash,
        Self::Masked,
        Self::Gated,
        Self::Delegated,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Split => "split",
            Self::Proxied => "proxied",
            Self::Delayed => "delayed",
            Self::Flash => "flash",
            Self::Masked => "masked",
            Self::Gated => "gated",
            Self::Delegated => "delegated",
        }
    }
}

/// What became of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It did harm and raised a critical finding.
    Found,
    /// It did harm and raised none.
    Missed,
    /// It ran and did no harm worth the name.
    Harmless,
    /// One of its transactions reverted.
    Stops,
    /// The class has no such variant.
    Inapplicable,
}

/// One attack.
#[derive(Clone, Debug, Serialize)]
pub struct AttackLine {
    /// The class.
    pub class: String,
    /// Whether the class may be looked at when detectors are worked on.
    pub seen: bool,
    /// How it was made.
    pub variant: Variant,
    /// What became of it.
    pub outcome: Outcome,
    /// Blocks with transactions of the attack, from the first that touches the victim on.
    pub steps: usize,
    /// In which of them the first critical finding came, from 1; 0 before the first.
    pub found_at: Option<usize>,
    /// What the victim lost or the attacker gained, whichever is more.
    pub harm: Usd,
    /// Whether an order went out without a person.
    pub ordered: bool,
    /// The same without the harm gate.
    pub ungated: bool,
    /// The worst finding.
    pub worst: Option<Severity>,
    /// Detectors with a critical finding.
    pub detectors: Vec<String>,
    /// Everything that was found below that, by detector.
    pub lesser: Vec<String>,
    /// The baseline families that called one of its transactions an attack.
    pub baselines: Vec<&'static str>,
}

impl AttackLine {
    /// Whether it did harm: only then it counts.
    pub fn counts(&self) -> bool {
        matches!(self.outcome, Outcome::Found | Outcome::Missed)
    }
}

/// The asset of a scene; the zero address is native value.
pub(super) fn asset_id(token: Address) -> AssetId {
    if token == Address::ZERO { AssetId::Native } else { AssetId::Token(token) }
}

/// Plays every variant of every class.
pub(super) fn run(
    stage: &Stage,
    split: &Split,
    baselines: &Option<Baselines>,
    options: &CorpusOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<AttackLine>, ReplayError> {
    let plan = super::plan::plan(stage)?;
    let mut out: Vec<AttackLine> = Vec::new();
    for scene in stage.scenes.iter().filter(|it| !it.attack.is_empty()) {
        progress(&format!("attacking: {} …", scene.class));
        let mut plain = Usd::ZERO;
        for variant in Variant::ALL {
            let seen = split.seen.contains(&scene.class);
            let mut line = AttackLine::of(scene, seen, variant);
            if let Some(play) = Play::new(stage, scene, variant, &plan, baselines, options)? {
                play.run(&mut line)?;
                line.judge(plain);
            }
            plain = if variant == Variant::Plain { line.harm } else { plain };
            out.push(line);
        }
    }
    Ok(out)
}

impl AttackLine {
    fn of(scene: &Scene, seen: bool, variant: Variant) -> Self {
        Self {
            class: scene.class.clone(),
            seen,
            variant,
            outcome: Outcome::Inapplicable,
            steps: 0,
            found_at: None,
            harm: Usd::ZERO,
            ordered: false,
            ungated: false,
            worst: None,
            detectors: Vec::new(),
            lesser: Vec::new(),
            baselines: Vec::new(),
        }
    }

    /// The outcome of an attack that was played.
    fn judge(&mut self, plain: Usd) {
        let enough =
            self.harm >= Usd::whole(HARM_MIN) && self.harm.0.saturating_mul(HARM_PART) >= plain.0;
        if self.outcome == Outcome::Stops {
            return;
        }
        self.outcome = match (enough, self.worst) {
            (false, _) => Outcome::Harmless,
            (true, Some(Severity::Critical)) => Outcome::Found,
            (true, _) => Outcome::Missed,
        };
    }

    fn flagged(&mut self, flags: u16) {
        let named = FAMILIES.iter().enumerate().filter(|it| flags >> it.0 & 1 == 1);
        self.baselines = named.map(|it| *it.1).collect();
    }
}
