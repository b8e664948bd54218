//! The local chain as a block source.

use std::task::{Context, Poll};

use cofferdam_core::{
    BlockRef, ChainId, Observation, Stage,
    ports::{BlockSource, Boxed, SourceError, SourceEvent},
    read::Readings,
};

use super::{Inner, LocalChain};

/// Delivered blocks that are remembered to find where a new branch leaves the old one.
const REMEMBERED_MAX: usize = 1_024;

/// Delivers the blocks and pending transactions of a [`LocalChain`].
#[derive(Debug)]
pub struct LocalSource {
    chain: LocalChain,
    /// Height of the last block that needs no delivery.
    from: u64,
    /// Delivered blocks, newest last.
    delivered: Vec<BlockRef>,
    /// Arrival of the last pending transaction delivered.
    arrival: u64,
    /// The blindness that was told already.
    blind: Option<(u64, String)>,
}

impl LocalSource {
    pub(super) fn new(chain: LocalChain, from: u64) -> Self {
        Self { chain, from, delivered: Vec::new(), arrival: 0, blind: None }
    }

    /// The next event if there is one now.
    pub fn try_next(&mut self) -> Option<Result<SourceEvent, SourceError>> {
        let chain = self.chain.clone();
        let inner = chain.lock();
        self.event(&inner)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<SourceEvent, SourceError>> {
        let chain = self.chain.clone();
        let mut inner = chain.lock();
        match self.event(&inner) {
            Some(event) => Poll::Ready(event),
            None => {
                inner.wait(context.waker());
                Poll::Pending
            }
        }
    }

    fn event(&mut self, inner: &Inner) -> Option<Result<SourceEvent, SourceError>> {
        if inner.blind != self.blind {
            self.blind.clone_from(&inner.blind);
            if let Some((from, because)) = self.blind.clone() {
                return Some(Ok(SourceEvent::Blind { from, because }));
            }
        }
        let next = self.next_height(inner);
        let blind = self.blind.as_ref().is_some_and(|it| next >= it.0);
        let head = inner.head().seen.block.number;
        if next <= head && !blind {
            let Some(block) = inner.at(next) else {
                let what = format!("block {next} is no longer kept");
                return Some(Err(SourceError::Unavailable { source: what.clone().into(), what }));
            };
            self.delivered.push(block.seen.block);
            if self.delivered.len() > REMEMBERED_MAX {
                self.delivered.remove(0);
            }
            return Some(Ok(SourceEvent::Block((*block.seen).clone())));
        }
        if !blind && let Some(waiting) = inner.pool.public_after(self.arrival) {
            self.arrival = waiting.arrival;
            let head = &inner.head().seen;
            return Some(Ok(SourceEvent::Pending(Observation {
                block: head.block,
                env: head.env.clone(),
                stage: Stage::Pending,
                witnesses: 1,
                txs: vec![waiting.tx.clone()],
                readings: Readings::default(),
            })));
        }
        inner.closed.then_some(Ok(SourceEvent::End))
    }

    /// The height to deliver next: after the last delivered block that is still canonical.
    fn next_height(&mut self, inner: &Inner) -> u64 {
        let canonical =
            |it: &BlockRef| inner.at(it.number).is_some_and(|at| at.seen.block.hash == it.hash);
        // A block that is no longer kept cannot have been reorganised.
        while let Some(last) = self.delivered.last()
            && last.number >= inner.first()
            && !canonical(last)
        {
            self.delivered.pop();
        }
        self.delivered.last().map_or(self.from, |it| it.number).saturating_add(1)
    }
}

impl BlockSource for LocalSource {
    fn chain(&self) -> ChainId {
        self.chain.chain()
    }

    fn next(&mut self) -> Boxed<'_, Result<SourceEvent, SourceError>> {
        Box::pin(std::future::poll_fn(|context| self.poll(context)))
    }
}
