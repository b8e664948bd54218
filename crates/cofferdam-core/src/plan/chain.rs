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
    fn an_order_that_lasts_needs_two_endpoints_where_there_are_two() {
        let chain = |text: &str| toml::from_str::<Chain>(text).map(|it| it.quorum(false));
        assert_eq!(chain("id = \"eip155:1\"\nendpoints = [\"env:A\", \"env:B\"]"), Ok(2));
        assert_eq!(chain("id = \"eip155:1\"\nendpoints = [\"env:A\"]"), Ok(1));
        assert_eq!(chain("id = \"eip155:1\"\nwitnesses-min = 3"), Ok(3));
    }
}
