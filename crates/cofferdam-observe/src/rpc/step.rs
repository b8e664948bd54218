//! One step of the walk with the help of one endpoint. Changes nothing but what is known of it.

use alloy_primitives::B256;
use cofferdam_core::Observation;

use super::{
    cursor::Cursor,
    endpoint::Endpoint,
    fault::RpcFault,
    fetch::{Fetched, Fetcher},
    ring::Kinship,
};

/// A node that lacks a block although its head is this many blocks above it lies or lost something.
/// One that is nearer may be several machines behind one address, one of which lags.
const LACKS_BLOCKS: u64 = 16;

/// What an endpoint has to say about the next block.
#[derive(Debug)]
pub(crate) enum Step {
    /// The next block, complete and checked.
    Block(Box<Observation>),
    /// Another branch than the delivered one.
    Fork(Fork),
    /// It has no next block.
    Absent,
}

/// A branch other than the delivered one.
#[derive(Debug)]
pub(crate) struct Fork {
    /// Its blocks after the common ancestor, newest first.
    pub(crate) branch: Vec<(u64, B256)>,
    /// Whether it is longer than what was delivered.
    pub(crate) longer: bool,
}

/// Why the walk cannot go on.
#[derive(Debug)]
pub(crate) enum Hold {
    /// The endpoint failed.
    Fault(RpcFault),
    /// For people.
    Because(String),
}

/// Asks `fetcher`'s endpoint for what `cursor` wants next.
pub(crate) async fn step(
    fetcher: Fetcher<'_>,
    cursor: &Cursor,
    reorg_blocks_max: u64,
) -> Result<Step, Hold> {
    let wanted = cursor.wanted();
    let walk = Walkback { fetcher, cursor, reorg_blocks_max };
    let fetched = match announced(fetcher.endpoint, cursor) {
        Some(hash) => fetcher.block_with_receipts(wanted, hash).await,
        None => fetcher.block(wanted).await,
    };
    let Some(fetched) = fetched.map_err(Hold::Fault)? else {
        let looks = wanted.hash.is_none();
        return if looks { walk.same_height_fork().await } else { Ok(Step::Absent) };
    };
    fetcher.endpoint.has_block(fetched.head());
    let (number, hash, parent) = fetched.place();
    if cursor.continues(hash, parent) {
        return complete(fetcher, fetched).await;
    }
    let branch = walk.back(number, hash, Some(parent)).await?;
    Ok(Step::Fork(Fork { branch, longer: true }))
}

/// The hash of the block that is wanted, if `endpoint` told of it and nothing speaks against it.
fn announced(endpoint: &Endpoint, cursor: &Cursor) -> Option<B256> {
    let wanted = cursor.wanted();
    let told = endpoint.with_health(|it| it.told_of(wanted.number?))?;
    match wanted.hash {
        Some(hash) => Some(hash),
        None => cursor.continues(told.hash, told.parent).then_some(told.hash),
    }
}

async fn complete(fetcher: Fetcher<'_>, fetched: Fetched) -> Result<Step, Hold> {
    let observation = fetcher.complete(fetched).await.map_err(Hold::Fault)?;
    Ok(Step::Block(Box::new(observation)))
}

struct Walkback<'a> {
    fetcher: Fetcher<'a>,
    cursor: &'a Cursor,
    reorg_blocks_max: u64,
}

impl Walkback<'_> {
    /// Without a next block the newest ones may still have been replaced.
    async fn same_height_fork(&self) -> Result<Step, Hold> {
        let endpoint: &Endpoint = self.fetcher.endpoint;
        let Some(mut head) = endpoint.head() else { return Ok(Step::Absent) };
        if self.cursor.wanted().number.is_some_and(|next| head.number >= next) {
            // It told of a block that it no longer has.
            head = self.fetcher.newest().await.map_err(Hold::Fault)?;
            endpoint.saw_head(head);
        }
        if let Some(next) = self.cursor.wanted().number
            && head.number >= next.saturating_add(LACKS_BLOCKS)
        {
            let text = format!("says that block {} is its newest but lacks {next}", head.number);
            return Err(Hold::Fault(endpoint.contradicted("eth_getBlockByNumber", text)));
        }
        if self.cursor.delivered_at(head.number).is_none_or(|ours| ours == head.hash) {
            return Ok(Step::Absent);
        }
        // The announcement may be the outdated one: what the node says now decides.
        let now = self.fetcher.header_at(head.number).await.map_err(Hold::Fault)?;
        let Some(now) = now else { return Ok(Step::Absent) };
        endpoint.saw_head(now);
        if self.cursor.delivered_at(now.number) == Some(now.hash) {
            return Ok(Step::Absent);
        }
        let branch = self.back(now.number, now.hash, None).await?;
        Ok(Step::Fork(Fork { branch, longer: false }))
    }

    /// Walks back from block `hash` at `number`, whose parent may be known, to the common ancestor.
    /// Returns the blocks after it, newest first.
    async fn back(
        &self,
        mut number: u64,
        mut hash: B256,
        mut parent: Option<B256>,
    ) -> Result<Vec<(u64, B256)>, Hold> {
        let (tip, max) = (self.cursor.tip().map_or(0, |it| it.0), self.reorg_blocks_max);
        let mut branch = Vec::new();
        loop {
            let near = tip.saturating_sub(number) <= max;
            match self.cursor.kinship(number, hash) {
                Kinship::Ancestor => return Ok(branch),
                Kinship::AllReplaced(_) if near => return Ok(branch),
                Kinship::Stranger if near => {}
                _ => return Err(Hold::Because(too_deep(number, max))),
            }
            branch.push((number, hash));
            let its_parent = match parent.take() {
                Some(it) => it,
                None => self.parent(number, hash).await?,
            };
            let Some(below) = number.checked_sub(1) else {
                return Err(Hold::Because("the chain has another first block".to_owned()));
            };
            (number, hash) = (below, its_parent);
        }
    }

    async fn parent(&self, number: u64, hash: B256) -> Result<B256, Hold> {
        let header = self.fetcher.header(hash).await.map_err(Hold::Fault)?;
        if header.number != number {
            let text = format!("block {hash} says it is {}, not {number}", header.number);
            let fault = self.fetcher.endpoint.contradicted("eth_getBlockByHash", text);
            return Err(Hold::Fault(fault));
        }
        Ok(header.parent)
    }
}

fn too_deep(number: u64, max: u64) -> String {
    format!(
        "reorganisation below block {number} is deeper than the {max} blocks that are followed, or \
         than the blocks that are known"
    )
}
