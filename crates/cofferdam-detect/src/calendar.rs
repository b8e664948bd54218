//! Expected changes of the control plane, by contract and block time.

use alloy_primitives::Address;
use cofferdam_core::Timestamp;

use crate::BuildCx;

/// The plan's calendar on one chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calendar(Vec<Change>);

#[derive(Clone, Copy, Debug)]
struct Change {
    contract: Address,
    /// Milliseconds, both inclusive.
    from: Timestamp,
    until: Timestamp,
    to: Option<Address>,
}

impl Calendar {
    pub(crate) fn new(cx: &BuildCx<'_>) -> Self {
        let here = cx.plan.calendar.iter().filter(|it| it.contract.chain == cx.chain);
        let change = here.map(|it| Change {
            contract: it.contract.address,
            from: Timestamp::from_secs(it.not_before),
            until: Timestamp::from_secs(it.not_after),
            to: it.to.map(|it| it.address),
        });
        Self(change.collect())
    }

    /// Whether a change of `contract` to `to` is expected at `time`. An entry that names its target
    /// covers no change to anything else, nor one whose target is not known.
    pub(crate) fn expects(&self, contract: Address, to: Option<Address>, time: Timestamp) -> bool {
        self.0.iter().any(|it| {
            it.contract == contract
                && (it.from..=it.until).contains(&time)
                && it.to.is_none_or(|named| to == Some(named))
        })
    }
}
