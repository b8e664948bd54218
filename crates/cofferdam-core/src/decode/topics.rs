//! Event signatures (topic 0): the keccak-256 of the canonical signature named beside each.

use alloy_primitives::{B256, b256};

/// `Transfer(address,address,uint256)`
pub const TRANSFER: B256 =
    b256!("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
/// `TransferSingle(address,address,address,uint256,uint256)`
pub const TRANSFER_SINGLE: B256 =
    b256!("0xc3d58168c5ae7397731d063d5bbf3d657854427343f4c083240f7aacaa2d0f62");
/// `TransferBatch(address,address,address,uint256[],uint256[])`
pub const TRANSFER_BATCH: B256 =
    b256!("0x4a39dc06d4c0dbc64b70af90fd698a233a518aa5d07e595d983b8c0526c8f7fb");
/// `Approval(address,address,uint256)`
pub const APPROVAL: B256 =
    b256!("0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925");
/// `Deposit(address,uint256)`
pub const WRAPPED: B256 =
    b256!("0xe1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c");
/// `Withdrawal(address,uint256)`
pub const UNWRAPPED: B256 =
    b256!("0x7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65");
/// `FlashLoan(address,address,address,uint256,uint8,uint256,uint16)`
pub const FLASH_AAVE_V3: B256 =
    b256!("0xefefaba5e921573100900a3ad9cf29f222d995fb3b6045797eaea7521bd8d6f0");
/// `FlashLoan(address,address,address,uint256,uint256,uint16)`
pub const FLASH_AAVE_V2: B256 =
    b256!("0x631042c832b07452973831137f2d73e395028b44b250dedc5abb0ee766e168ac");
/// `FlashLoan(address,address,uint256,uint256)`
pub const FLASH_BALANCER: B256 =
    b256!("0x0d7d75e01ab95780d3cd1c8ec0dd6c2ce19e3a20427eec8bf53283b6fb8e95f0");
/// `FlashLoan(address,address,uint256)`
pub const FLASH_MORPHO: B256 =
    b256!("0xc76f1b4fe4396ac07a9fa55a415d4ca430e72651d37d3401f3bed7cb13fc4f12");
/// `Flash(address,address,uint256,uint256,uint256,uint256)`
pub const FLASH_UNISWAP_V3: B256 =
    b256!("0xbdbdb71d7860376ba52b25a5028beea23581364a40522f6bcfb86bb1f2dca633");
/// `LogFlashLoan(address,address,uint256,uint256,address)`
pub const FLASH_DYDX: B256 =
    b256!("0x3be9b85936d5d30a1655ea116a17ee3d827b2cd428cc026ce5bf2ac46a223204");
/// `Swap(address,uint256,uint256,uint256,uint256,address)`
pub const PAIR_SWAP: B256 =
    b256!("0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822");
/// `Sync(uint112,uint112)`
pub const PAIR_SYNC: B256 =
    b256!("0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1");
/// `Deposit(address,address,uint256,uint256)`
pub const VAULT_DEPOSIT: B256 =
    b256!("0xdcbc1c05240f31ff3ad067ef1ee35ce4997762752e3a095284754544f4c709d7");
/// `Withdraw(address,address,address,uint256,uint256)`
pub const VAULT_WITHDRAW: B256 =
    b256!("0xfbde797d201c681b91056529119e0b02407c7bb96a4a2c75c01fc9667232c8db");
/// `Mint(address,uint256,uint256)`
pub const MARKET_MINT: B256 =
    b256!("0x4c209b5fc8ad50758f13e2e1088ba56a560dff690a1c6fef26394f4c03821c4f");
/// `Redeem(address,uint256,uint256)`
pub const MARKET_REDEEM: B256 =
    b256!("0xe5b754fb1abb7f01b499791d0b820ae3b6af3424ac1c59768edb53f4ec31a929");
/// `Borrow(address,uint256,uint256,uint256)`
pub const MARKET_BORROW: B256 =
    b256!("0x13ed6866d4e1ee6da46f845c46d7e54120883d75c5ea9a2dacc1c4ca8984ab80");
/// `Upgraded(address)`
pub const UPGRADED: B256 =
    b256!("0xbc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b");
/// `AdminChanged(address,address)`
pub const ADMIN_CHANGED: B256 =
    b256!("0x7e644d79422f17c01e4894b5f4f588d331ebfa28653d42ae832dc59e38c9798f");
/// `BeaconUpgraded(address)`
pub const BEACON_UPGRADED: B256 =
    b256!("0x1cf3b03a6cf19fa2baba4df148e9dcabedea7f8a5c07840e207e5c089be95d3e");
/// `OwnershipTransferred(address,address)`
pub const OWNERSHIP_TRANSFERRED: B256 =
    b256!("0x8be0079c531659141344cd1fd0a4f28419497f9722a3daafe3b4186f6b6457e0");
/// `RoleGranted(bytes32,address,address)`
pub const ROLE_GRANTED: B256 =
    b256!("0x2f8788117e7eff1d82e926ec794901d17c78024a50270940304540a733656f0d");
/// `RoleRevoked(bytes32,address,address)`
pub const ROLE_REVOKED: B256 =
    b256!("0xf6391f5c32d9c69d2a47ea670b442974b53935d1edc7fd64eb21e047a839171b");
/// `RoleGranted(uint64,address,uint32,uint48,bool)`
pub const MANAGER_ROLE_GRANTED: B256 =
    b256!("0xf98448b987f1428e0e230e1f3c6e2ce15b5693eaf31827fbd0b1ec4b424ae7cf");
/// `RoleRevoked(uint64,address)`
pub const MANAGER_ROLE_REVOKED: B256 =
    b256!("0xf229baa593af28c41b1d16b748cd7688f0c83aaf92d4be41c44005defe84c166");
/// `AddedOwner(address)`
pub const ADDED_OWNER: B256 =
    b256!("0x9465fa0c962cc76958e6373a993326400c1c94f8be2fe3a952adfa7f60b2ea26");
/// `RemovedOwner(address)`
pub const REMOVED_OWNER: B256 =
    b256!("0xf8d49fc529812e9a7c5c50e69c20f0dccc0db8fa95c98bc58cc9a4f1c1299eaf");
/// `ChangedThreshold(uint256)`
pub const CHANGED_THRESHOLD: B256 =
    b256!("0x610f7ff2b304ae8903c3de74c60c6ab1f7d6226b3f52c5161905bb5ad4039c93");
/// `EnabledModule(address)`
pub const ENABLED_MODULE: B256 =
    b256!("0xecdf3a3effea5783a3c4c2140e677577666428d44ed9d474a0b3a4c9943f8440");
/// `DisabledModule(address)`
pub const DISABLED_MODULE: B256 =
    b256!("0xaab4fa2b463f581b2b32cb3b7e3b704b9ce37cc209b5fb4d77e593ace4054276");
/// `ChangedGuard(address)`
pub const CHANGED_GUARD: B256 =
    b256!("0x1151116914515bc0891ff9047a6cb32cf902546f83066499bcf8ba33d2353fa2");
/// `ChangedModuleGuard(address)`
pub const CHANGED_MODULE_GUARD: B256 =
    b256!("0xcd1966d6be16bc0c030cc741a06c6e0efaf8d00de2c8b6a9e11827e125de8bb8");
/// `ChangedFallbackHandler(address)`
pub const CHANGED_FALLBACK_HANDLER: B256 =
    b256!("0x5ac6c46c93c8d0e53714ba3b53db3e7c046da994313d7ed0d192028bc7c228b0");
/// `ChangedMasterCopy(address)`
pub const CHANGED_MASTER_COPY: B256 =
    b256!("0x75e41bc35ff1bf14d81d1d2f649c0084a0f974f9289c803ec9898eeec4c8d0b8");
/// `Paused(address)`
pub const PAUSED: B256 =
    b256!("0x62e78cea01bee320cd4e420270b5ea74000d11b0c9f74754ebdbfc544b05a258");
/// `Unpaused(address)`
pub const UNPAUSED: B256 =
    b256!("0x5db9ee0a495bf2e6ff9c91a7834c1ba4fdd244a5e8aa4e537bd38aeae4b073aa");
/// `GuardianPaused(uint256)`
pub const GUARDIAN_PAUSED: B256 =
    b256!("0x21ae7ce98972ed39116bb1000fe8f92cafae45fea217b405307bb530442b0c5c");
/// `GovernancePaused(bool)`
pub const GOVERNANCE_PAUSED: B256 =
    b256!("0xb2b3df050294368aa3de363c37a4b16375bd8967b9565258408d5ab672984862");

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    #[test]
    fn every_topic_is_the_hash_of_its_signature() {
        let source = include_str!("topics.rs");
        let mut checked = 0;
        let mut lines = source.lines().peekable();
        while let Some(line) = lines.next() {
            let Some(signature) = line.strip_prefix("/// `").and_then(|it| it.strip_suffix('`'))
            else {
                continue;
            };
            let text: String = lines.by_ref().take(2).collect();
            let hash = format!("{:?}", keccak256(signature));
            assert!(text.contains(&hash), "{signature} is {hash}");
            checked += 1;
        }
        assert!(checked >= 40, "only {checked} topics were checked");
    }
}
