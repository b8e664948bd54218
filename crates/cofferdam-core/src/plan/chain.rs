//! Chains as a plan names them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Builder, DurationText};
use crate::ChainId;

/// A chain that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Chain {
    /// CAIP-2 identifier, e.g. `eip155:1`.
    pub id: ChainId,
    /// Where nodes are reached: `ws://`, `wss://`, `http://`, `https://`, a socket path as
    /// `ipc:/path`, or `env:NAME` for a URL that holds a key.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// Expected time between blocks.
    #[serde(default = "default_block_time")]
    pub block_time: DurationText,
    /// Blocks on top after which a finding counts as final.
    #[serde(default = "default_depth")]
    pub finality_blocks: u64,
    /// The deepest reorganisation that is followed; a deeper one is a *blind* finding.
    #[serde(default = "default_depth")]
    pub reorg_blocks_max: u64,
    /// Whether pending transactions are watched.
    #[serde(default)]
    pub pending: bool,
    /// How often the block in the making is asked for by the `pending` tag, e.g. `"200ms"`, for chains
    /// that tell of it several times per block (OP Stack Flashblocks) and have no public pool. Its
    /// transactions are looked at like pending ones. Left out: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_blocks: Option<DurationText>,
    /// How long pending transactions may be simulated per hour, waiting for state included. What
    /// touches a protected account itself is always simulated; the rest is left out, the least
    /// telling first, when the hour's time is spent, and `/health` says so.
    #[serde(default = "default_simulation")]
    pub simulation_per_hour: DurationText,
    /// Block builders and private relays that take containment transactions.
    #[serde(default)]
    pub builders: Vec<Builder>,
    /// Endpoints that must agree on a block's hash and receipts root before an order that does not
    /// expire by itself goes out for it. Left out: two, or one if the chain has a single endpoint.
    /// For an order that expires by itself one is always enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnesses_min: Option<u16>,
    /// How long we may be unable to look before somebody is paged.
    #[serde(default = "default_blind")]
    pub blind_page_after: DurationText,
}

impl Chain {
    /// How many endpoints must vouch for a block before an order goes out for it.
    pub fn quorum(&self, self_expiring: bool) -> u16 {
        let usual = if self.endpoints.len() >= 2 { 2 } else { 1 };
        if self_expiring { 1 } else { self.witnesses_min.unwrap_or(usual) }
    }
}

fn default_block_time() -> DurationText {
    DurationText(12_000)
}
fn default_simulation() -> DurationText {
    DurationText(1_800_000)
}
fn default_depth() -> u64 {
    64
}
fn default_blind() -> DurationText {
    DurationText(30_000)
}

#[cfg(test)]
mod tests {
    use super::Chain;

    #[test]
    fn the_block_in_the_making_is_asked_for_only_if_the_plan_says_so() {
        let sub_blocks = |text: &str| toml::from_str::<Chain>(text).map(|it| it.sub_blocks);
        assert_eq!(sub_blocks("id = \"eip155:8453\""), Ok(None));
        let text = "id = \"eip155:8453\"\nsub-blocks = \"200ms\"";
        assert_eq!(sub_blocks(text), Ok(Some(super::DurationText(200))));
    }

    #[test]
    fn an_order_that_lasts_needs_two_endpoints_where_there_are_two() {
        let chain = |text: &str| toml::from_str::<Chain>(text).map(|it| it.quorum(false));
        assert_eq!(chain("id = \"eip155:1\"\nendpoints = [\"env:A\", \"env:B\"]"), Ok(2));
        assert_eq!(chain("id = \"eip155:1\"\nendpoints = [\"env:A\"]"), Ok(1));
        assert_eq!(chain("id = \"eip155:1\"\nwitnesses-min = 3"), Ok(3));
    }
}
