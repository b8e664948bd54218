//! What has to hold before a protocol is opened again.
//!
//! **Invariant:** a gate whose proof is a figure is only passed by that figure; nobody's word replaces it.

use alloy_primitives::{B256, U256};
use serde::{Deserialize, Serialize};

/// One condition for reopening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// The cause is known: the attack is reproduced on the incident's block.
    CauseReproduced,
    /// The cause is gone: the attack and variants of it fail on the patched code.
    CauseGone,
    /// What runs is what was audited.
    CodeMatches,
    /// The upgrade kept the layout of storage.
    StorageLayout,
    /// What is owed is covered.
    Accounting,
    /// What the breaker holds is reconciled, malicious claims voided.
    BreakerReconciled,
    /// Prices are fresh.
    OraclesFresh,
    /// Nobody is liquidated by the opening itself.
    LiquidationGrace,
    /// Limits are lowered for the first days.
    LimitsLowered,
    /// Containment works again: charges, nonces, epoch.
    AuthoritiesArmed,
    /// The order of opening is decided.
    StagesOrdered,
    /// Those who build on it were told before.
    IntegratorsTold,
}

/// Shares of ordinary capacity, at most, that a lowered limit may leave, in basis points.
pub const LIMIT_BPS_MAX: u32 = 2_500;
/// For how long a limit stays lowered at least, in hours.
pub const LIMIT_HOURS_MIN: u32 = 72;
/// How many mutated variants of the attack have to fail as well, at least.
pub const VARIANTS_MIN: u32 = 2;
const HOUR_MS: u64 = 3_600_000;

impl Gate {
    /// Every gate, in the order in which they are usually passed.
    pub const ALL: [Self; 12] = [
        Self::CauseReproduced,
        Self::CauseGone,
        Self::CodeMatches,
        Self::StorageLayout,
        Self::Accounting,
        Self::BreakerReconciled,
        Self::OraclesFresh,
        Self::LiquidationGrace,
        Self::LimitsLowered,
        Self::AuthoritiesArmed,
        Self::StagesOrdered,
        Self::IntegratorsTold,
    ];

    /// As written in commands and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::CauseReproduced => "cause-reproduced",
            Self::CauseGone => "cause-gone",
            Self::CodeMatches => "code-matches",
            Self::StorageLayout => "storage-layout",
            Self::Accounting => "accounting",
            Self::BreakerReconciled => "breaker-reconciled",
            Self::OraclesFresh => "oracles-fresh",
            Self::LiquidationGrace => "liquidation-grace",
            Self::LimitsLowered => "limits-lowered",
            Self::AuthoritiesArmed => "authorities-armed",
            Self::StagesOrdered => "stages-ordered",
            Self::IntegratorsTold => "integrators-told",
        }
    }

    /// What proves it.
    pub fn proof(self) -> &'static str {
        match self {
            Self::CauseReproduced => {
                "the incident's transactions, executed again on its block, do the same harm"
            }
            Self::CauseGone => {
                "the same calldata and two mutated variants revert or raise no damage on the patched codehash"
            }
            Self::CodeMatches => "the runtime code on chain hashes to what the audited build gives",
            Self::StorageLayout => {
                "the storage layout of the upgrade is checked against the old one"
            }
            Self::Accounting => "the sum of claims is at most the assets",
            Self::BreakerReconciled => {
                "the breaker's locked total equals its open claims; governance voided malicious ones"
            }
            Self::OraclesFresh => "every price source answered within its heartbeat",
            Self::LiquidationGrace => "a grace period is set, or entry-only mode comes first",
            Self::LimitsLowered => "limits are at most 25 % of ordinary capacity for 72 hours",
            Self::AuthoritiesArmed => "readiness proves every authority against the head",
            Self::StagesOrdered => {
                "withdrawals, repayments, deposits, borrows: with times and limits"
            }
            Self::IntegratorsTold => "integrators answered that they know when what opens",
        }
    }

    /// Who proves it.
    pub fn who(self) -> &'static str {
        match self {
            Self::CauseReproduced | Self::CauseGone => "engineering",
            Self::CodeMatches | Self::StorageLayout => "auditor",
            Self::Accounting | Self::BreakerReconciled | Self::OraclesFresh => "risk",
            Self::LiquidationGrace | Self::LimitsLowered => "risk",
            Self::AuthoritiesArmed => "signer",
            Self::StagesOrdered => "commander",
            Self::IntegratorsTold => "comms",
        }
    }

    /// Whether it can be said not to apply: there may be no breaker, no loan, no upgrade.
    pub fn may_not_apply(self) -> bool {
        matches!(self, Self::StorageLayout | Self::BreakerReconciled | Self::LiquidationGrace)
    }

    /// For how long a proof holds, in milliseconds; `None` until it is taken back.
    pub fn holds_ms(self) -> Option<u64> {
        match self {
            Self::OraclesFresh | Self::AuthoritiesArmed => Some(HOUR_MS),
            Self::Accounting => Some(24 * HOUR_MS),
            _ => None,
        }
    }
}

/// The figures that a gate is passed by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "figures", rename_all = "kebab-case")]
pub enum Figures {
    /// Of [`Gate::CauseGone`].
    Replay {
        /// Hash of the patched runtime code on which the attack was replayed.
        codehash: B256,
        /// How many mutated variants failed too.
        variants: u32,
    },
    /// Of [`Gate::CodeMatches`].
    Code {
        /// Hash of the runtime code on chain.
        runtime: B256,
        /// Hash of what the audited build gives.
        audited: B256,
    },
    /// Of [`Gate::Accounting`]: base units of one unit of account.
    Balance {
        /// The sum of claims.
        claims: U256,
        /// The assets.
        assets: U256,
    },
    /// Of [`Gate::LimitsLowered`].
    Limit {
        /// What is left of ordinary capacity, in basis points.
        bps: u32,
        /// For how long, in hours.
        hours: u32,
    },
}

/// Why figures do not pass a gate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Falls {
    /// They are missing.
    #[error("`{}` is proved by figures: {}", .0.word(), wanted(.0))]
    Missing(Gate),
    /// They belong to another gate.
    #[error("these figures prove another gate than `{}`", .0.word())]
    Other(Gate),
    /// Too few variants were tried.
    #[error("{0} variants failed, at least {VARIANTS_MIN} have to")]
    Variants(u32),
    /// What runs is not what was audited.
    #[error("the code on chain, {runtime}, is not the audited one, {audited}")]
    Code {
        /// What runs.
        runtime: B256,
        /// What was audited.
        audited: B256,
    },
    /// Claims exceed the assets.
    #[error("{missing} of the claims have no assets")]
    Uncovered {
        /// By how much, in base units.
        missing: U256,
    },
    /// The limit is too wide or too short.
    #[error(
        "a limit of {bps} basis points for {hours} h: at most {LIMIT_BPS_MAX} for at least {LIMIT_HOURS_MIN} h"
    )]
    Limit {
        /// What is left, in basis points.
        bps: u32,
        /// For how long, in hours.
        hours: u32,
    },
}

fn wanted(gate: &Gate) -> &'static str {
    match gate {
        Gate::CauseGone => "the patched codehash and the number of variants",
        Gate::CodeMatches => "the runtime hash and the audited hash",
        Gate::Accounting => "claims and assets",
        Gate::LimitsLowered => "the limit in basis points and its hours",
        _ => "none",
    }
}

/// Whether `figures` pass `gate`.
///
/// # Errors
/// How they fall short.
pub fn check(gate: Gate, figures: Option<&Figures>) -> Result<(), Falls> {
    let wants = matches!(
        gate,
        Gate::CauseGone | Gate::CodeMatches | Gate::Accounting | Gate::LimitsLowered
    );
    match (gate, figures) {
        (_, None) if wants => Err(Falls::Missing(gate)),
        (_, None) => Ok(()),
        (Gate::CauseGone, Some(Figures::Replay { variants, .. })) => {
            if *variants < VARIANTS_MIN {
                Err(Falls::Variants(*variants))
            } else {
                Ok(())
            }
        }
        (Gate::CodeMatches, Some(Figures::Code { runtime, audited })) => {
            let (runtime, audited) = (*runtime, *audited);
            if runtime == audited { Ok(()) } else { Err(Falls::Code { runtime, audited }) }
        }
        (Gate::Accounting, Some(Figures::Balance { claims, assets })) => {
            match claims.checked_sub(*assets) {
                Some(missing) if !missing.is_zero() => Err(Falls::Uncovered { missing }),
                _ => Ok(()),
            }
        }
        (Gate::LimitsLowered, Some(Figures::Limit { bps, hours })) => {
            let (bps, hours) = (*bps, *hours);
            let low = bps > 0 && bps <= LIMIT_BPS_MAX && hours >= LIMIT_HOURS_MIN;
            if low { Ok(()) } else { Err(Falls::Limit { bps, hours }) }
        }
        (_, Some(_)) => Err(Falls::Other(gate)),
    }
}
