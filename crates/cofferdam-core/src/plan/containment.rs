//! From an action of the plan to its exact call and to the reads that prove its effect.
//!
//! **Invariant:** the calldata of every containment function is fixed here. There is no argument that
//! could be chosen at incident time.

use alloy_primitives::{Address, Bytes, U256};

use super::{Action, ActionCall, ContainmentFunction};
use crate::{
    order::{EffectCheck, Expectation, OrderCall},
    read::StateRead,
};

/// `paused()` of OpenZeppelin Pausable, GuardedPausable and others.
pub const PAUSED: [u8; 4] = [0x5c, 0x97, 0x5a, 0xbb];
/// Longest pause that `pauseFor` is asked for, in seconds: one day. The target bounds it further.
pub const PAUSE_FOR_SECONDS: u64 = 86_400;

/// The calldata of `function`.
pub fn calldata(function: ContainmentFunction) -> Bytes {
    let with = |selector: [u8; 4], word: U256| -> Bytes {
        [&selector[..], &word.to_be_bytes::<32>()[..]].concat().into()
    };
    let yes = U256::from(1);
    match function {
        ContainmentFunction::Pause => Bytes::from_static(&[0x84, 0x56, 0xcb, 0x59]),
        ContainmentFunction::VenusSetProtocolPaused => with([0x2a, 0x6a, 0x60, 0x65], yes),
        ContainmentFunction::CompoundSetTransferPaused => with([0x8e, 0xbf, 0x63, 0x64], yes),
        ContainmentFunction::CompoundSetSeizePaused => with([0x2d, 0x70, 0xdb, 0x78], yes),
        ContainmentFunction::AaveSetPoolPause => with([0x76, 0x41, 0xf3, 0xd9], yes),
        ContainmentFunction::PauseFor => {
            with([0xf3, 0xf4, 0x49, 0xc7], U256::from(PAUSE_FOR_SECONDS))
        }
    }
}

/// What an order for `action` calls.
pub fn order_call(action: &Action) -> OrderCall {
    match &action.call {
        ActionCall::Guardian { guardian, action_id, tier, .. } => {
            OrderCall::Guardian { guardian: guardian.address, action_id: *action_id, tier: *tier }
        }
        ActionCall::Direct { target, function, .. } => {
            OrderCall::Direct { target: target.address, data: calldata(*function) }
        }
        ActionCall::SafeModule { module, safe, target, function, .. } => OrderCall::SafeModule {
            module: module.address,
            safe: safe.address,
            target: target.address,
            data: calldata(*function),
        },
    }
}

/// What must be true once `action` is effective: the plan's own checks, or the usual one of its kind.
/// Empty for a function without a usual check (Aave's pool has one flag per reserve): then the plan
/// must name one, which `plan check` demands.
pub fn effect_checks(action: &Action) -> Vec<EffectCheck> {
    if !action.verify.is_empty() {
        return action.verify.iter().filter_map(plan_check).collect();
    }
    let flag = |to: Address, selector: [u8; 4]| {
        let read = StateRead::Call { to, data: Bytes::copy_from_slice(&selector) };
        vec![EffectCheck { read, expect: Expectation::Word(U256::from(1)) }]
    };
    match &action.call {
        ActionCall::Guardian { target, .. } => flag(target.address, PAUSED),
        ActionCall::Direct { target, function, .. }
        | ActionCall::SafeModule { target, function, .. } => {
            match function {
                ContainmentFunction::Pause | ContainmentFunction::PauseFor => {
                    flag(target.address, PAUSED)
                }
                // protocolPaused()
                ContainmentFunction::VenusSetProtocolPaused => {
                    flag(target.address, [0x42, 0x5f, 0xad, 0x58])
                }
                // transferGuardianPaused()
                ContainmentFunction::CompoundSetTransferPaused => {
                    flag(target.address, [0x87, 0xf7, 0x63, 0x03])
                }
                // seizeGuardianPaused()
                ContainmentFunction::CompoundSetSeizePaused => {
                    flag(target.address, [0xac, 0x0b, 0x0b, 0xb7])
                }
                ContainmentFunction::AaveSetPoolPause => Vec::new(),
            }
        }
    }
}

/// The plan's check; `None` if its expectation is neither a number nor `reverts`, which `plan check`
/// refuses.
fn plan_check(verify: &super::Verify) -> Option<EffectCheck> {
    let expect = match verify.expect.as_str() {
        "reverts" => Expectation::Reverts,
        number => Expectation::Word(U256::from_str_radix(number, 10).ok()?),
    };
    let read = StateRead::Call { to: verify.contract.address, data: verify.data.clone() };
    Some(EffectCheck { read, expect })
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::{ContainmentFunction, calldata};

    #[test]
    fn selectors_are_hashes_of_their_signatures() {
        let cases = [
            (ContainmentFunction::Pause, "pause()"),
            (ContainmentFunction::VenusSetProtocolPaused, "_setProtocolPaused(bool)"),
            (ContainmentFunction::CompoundSetTransferPaused, "_setTransferPaused(bool)"),
            (ContainmentFunction::CompoundSetSeizePaused, "_setSeizePaused(bool)"),
            (ContainmentFunction::AaveSetPoolPause, "setPoolPause(bool)"),
            (ContainmentFunction::PauseFor, "pauseFor(uint256)"),
        ];
        for (function, signature) in cases {
            assert_eq!(calldata(function)[..4], keccak256(signature)[..4], "{signature}");
        }
        let views = [
            ([0x5c, 0x97, 0x5a, 0xbb], "paused()"),
            ([0x42, 0x5f, 0xad, 0x58], "protocolPaused()"),
            ([0x87, 0xf7, 0x63, 0x03], "transferGuardianPaused()"),
            ([0xac, 0x0b, 0x0b, 0xb7], "seizeGuardianPaused()"),
        ];
        for (selector, signature) in views {
            assert_eq!(selector, keccak256(signature)[..4], "{signature}");
        }
    }
}
