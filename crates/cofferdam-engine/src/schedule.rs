//! What may run when: the one sequencing of effects, shared by the live shell and the simulator.
//!
//! **Invariant:** pure. A shell that carries out a [`Schedule`] in its stated order keeps the promise
//! that nothing rests on a record that is not durable.

use cofferdam_core::{
    Alert, ChainId, OrderKey, Record,
    order::{Bid, Order},
};

use crate::Effect;

/// The effects of one step, sorted by when they may begin.
///
/// 1. `records` begins at once, as one append, and `hot` beside it.
/// 2. When the append is durable, all others begin: `cold`, `outbids`, `settles`, `deliveries`,
///    `fetches`. None of them waits for another; a delivery never holds up anything.
/// 3. If the append fails, nothing of 2 begins and the process restores from its journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// To append to the journal, in order.
    pub records: Vec<Record>,
    /// To hand to the network at once: pre-authorised orders that expire by themselves.
    pub hot: Vec<Dispatch>,
    /// To hand to the network once the records are durable.
    pub cold: Vec<Dispatch>,
    /// Orders that are out, with what the attacker bids now.
    pub outbids: Vec<(Box<Order>, Bid)>,
    /// To ask the chain about.
    pub settles: Vec<Box<Order>>,
    /// To offer to receivers, each by itself.
    pub deliveries: Vec<Deliver>,
    /// Chains to be delivered again, with the first block wanted.
    pub fetches: Vec<(ChainId, u64)>,
}

/// An order to hand to the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// The order.
    pub order: Box<Order>,
    /// Counts from 1.
    pub attempt: u32,
}

/// An alert to offer to a receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Deliver {
    /// Id of the notifier in the plan.
    pub sink: String,
    /// The alert.
    pub alert: Box<Alert>,
    /// Counts from 1.
    pub attempt: u32,
}

/// Sorts the effects of one step.
pub fn schedule(effects: Vec<Effect>) -> Schedule {
    let mut out = Schedule { records: Vec::with_capacity(effects.len()), ..Schedule::default() };
    let mut dispatches = Vec::new();
    for effect in effects {
        match effect {
            Effect::Record(record) => out.records.push(record),
            Effect::Dispatch { order, attempt } => dispatches.push(Dispatch { order, attempt }),
            Effect::Outbid { order, bid } => out.outbids.push((order, bid)),
            Effect::Settle { order } => out.settles.push(order),
            Effect::Deliver { sink, alert, attempt } => {
                out.deliveries.push(Deliver { sink, alert, attempt });
            }
            Effect::Fetch { chain, from } => out.fetches.push((chain, from)),
        }
    }
    for it in dispatches {
        match it.order.self_expiring && !approved_here(&out.records, it.order.key) {
            true => out.hot.push(it),
            false => out.cold.push(it),
        }
    }
    out
}

/// Whether the order rests on an approval that is not durable yet. Then a restart would not know who
/// released it, so that it has to wait.
fn approved_here(records: &[Record], key: OrderKey) -> bool {
    records.iter().any(|it| matches!(it, Record::Approved { key: other, .. } if *other == key))
}
