//! Balances against what logs and calls say about them: what is gone without a trace.

use std::collections::BTreeMap;

use alloy_primitives::{I256, U256};
use cofferdam_core::{Tx, Usd, finding::Evidence};

use crate::{
    Context, flows,
    loss::Loss,
    reads,
    watch::{Ward, value},
};

/// What the logs and calls of one observation explain: base units that left, net, by entity and asset.
#[derive(Debug, Default)]
pub(crate) struct Explained(BTreeMap<(usize, usize), I256>);

impl Explained {
    /// Adds what `tx` moved of `ward`, the entity at `position`.
    pub(crate) fn note(&mut self, position: usize, ward: &Ward, tx: &Tx) {
        for (asset, leg) in flows::gained(ward, tx, &ward.accounts).into_iter().enumerate() {
            let net = signed(leg.net_out()).saturating_sub(signed(leg.net_in()));
            let sum = self.0.entry((position, asset)).or_default();
            *sum = sum.saturating_add(net);
        }
    }

    /// What fell further than logs and calls tell: tokens that move without a log, transactions that
    /// could not be traced. Only balances that are known before and after count.
    pub(crate) fn unexplained(
        &self,
        cx: &Context<'_>,
        position: usize,
        ward: &Ward,
    ) -> Option<Loss> {
        let (mut lost, mut held) = (Usd::ZERO, Usd::ZERO);
        let mut evidence = Vec::new();
        for (at, asset) in ward.assets.iter().enumerate() {
            let told = self.0.get(&(position, at)).copied().unwrap_or_default();
            let mut fell = I256::ZERO;
            for account in &ward.accounts {
                let read = reads::pair(cx, &reads::holding(asset.token, *account));
                let Some((before, after)) = read.both() else { continue };
                fell = fell.saturating_add(signed(before).saturating_sub(signed(after)));
                held = held.plus(value(asset, before));
            }
            let silent = fell.saturating_sub(told.max(I256::ZERO));
            if silent.is_positive() {
                let worth = value(asset, silent.into_raw());
                lost = lost.plus(worth);
                evidence
                    .push(Evidence::new(format!("{} gone without a trace", asset.symbol), worth));
            }
        }
        let subject = ward.accounts.first().copied()?;
        let loss = Loss { value: lost, held: Some(held), subject, signs: Vec::new(), evidence };
        Some(loss).filter(|it| it.value > Usd::ZERO)
    }
}

fn signed(amount: U256) -> I256 {
    I256::try_from(amount).unwrap_or(I256::MAX)
}
