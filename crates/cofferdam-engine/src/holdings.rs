//! What a protected entity holds, in money: read at the parent block when the entity is touched.

use alloy_primitives::{Address, Bytes};
use cofferdam_core::{
    ChainId, Fact, Observation, Usd,
    plan::{AssetId, Entity, Plan},
    read::{Answer, StateRead},
};

/// Prefix of the engine's own memo that keeps an entity's holdings.
pub(crate) const HOLDINGS_KEY: &str = "engine/holdings/";

/// `balanceOf(address)`.
const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];

/// The balance reads of every entity without a fixed value at risk that the observation touches.
pub(crate) fn wanted(plan: &Plan, observation: &Observation) -> Vec<StateRead> {
    let chain = observation.block.chain;
    let mut out = Vec::new();
    for entity in touched(plan, observation) {
        out.extend(reads(entity, chain).map(|(read, _)| read));
    }
    out
}

/// Entities that the observation touches, with what they held before it. An unavailable answer gives
/// nothing for that entity rather than a figure that is too small.
pub(crate) fn observed<'a>(plan: &'a Plan, observation: &Observation) -> Vec<(&'a Entity, Usd)> {
    let chain = observation.block.chain;
    let value = |entity: &Entity| -> Option<Usd> {
        let mut sum = Usd::ZERO;
        for (read, index) in reads(entity, chain) {
            let asset = entity.assets.get(index)?;
            let amount = match &observation.readings.get(&read)?.before {
                Answer::Reverted => continue,
                answer => answer.word(0)?,
            };
            sum = sum.plus(Usd::of(amount, asset.decimals, asset.price.0));
        }
        Some(sum)
    };
    touched(plan, observation).filter_map(|it| Some((it, value(it)?))).collect()
}

fn reads(entity: &Entity, chain: ChainId) -> impl Iterator<Item = (StateRead, usize)> + '_ {
    entity.addresses(chain).flat_map(move |account| {
        entity.assets.iter().enumerate().map(move |(index, asset)| {
            let read = match asset.token {
                AssetId::Native => StateRead::Balance(account),
                AssetId::Token(token) => StateRead::Call { to: token, data: balance_of(account) },
            };
            (read, index)
        })
    })
}

fn balance_of(account: Address) -> Bytes {
    [&BALANCE_OF[..], account.into_word().as_slice()].concat().into()
}

fn touched<'a>(plan: &'a Plan, observation: &Observation) -> impl Iterator<Item = &'a Entity> {
    let chain = observation.block.chain;
    let hit = move |entity: &&Entity| {
        let ours = |it: Address| entity.addresses(chain).any(|account| account == it);
        observation.txs.iter().any(|tx| {
            ours(tx.from)
                || tx.to.is_some_and(ours)
                || tx.logs.iter().any(|log| ours(log.address))
                || tx.facts.iter().any(|fact| match fact {
                    Fact::Transfer { from, to, .. } | Fact::NativeTransfer { from, to, .. } => {
                        ours(*from) || ours(*to)
                    }
                    Fact::StorageChanged { address, .. } => ours(*address),
                    _ => false,
                })
        })
    };
    let open = |entity: &&Entity| entity.value_at_risk.is_none();
    let hits: Vec<&Entity> = plan.entities.iter().filter(open).filter(hit).collect();
    hits.into_iter()
}
