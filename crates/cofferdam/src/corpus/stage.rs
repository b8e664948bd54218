//! The stage: every scene on one in-process chain, with its users.
//!
//! **Invariant:** what happens here happens before the curtain rises and is seen by nobody.

use std::collections::HashMap;

use alloy::{
    signers::{SignerSync, local::PrivateKeySigner},
    sol,
    sol_types::{SolCall, SolValue},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::{
    Observation, Timestamp,
    ports::StateSource,
    read::{Answer, StateRead},
};
use cofferdam_drill::keys;
use cofferdam_sim::{
    LocalChain, LocalConfig, On, Rules, SpecId, Unsigned, answer_reads,
    local::{BaseFee, World},
};

use super::{artifacts::artifacts, failed};
use crate::replay::ReplayError;

/// Seconds between two blocks.
pub(super) const BLOCK_SECONDS: u64 = 12;
/// Users who have an account with every protocol.
const USERS: u64 = 240;
/// Strangers with bots, by the addresses that scenes name: the arbitrageur and the liquidator.
const BOTS: [u64; 2] = [0xa4b, 0x11d];
/// Gas of a block: its users' transactions always fit.
const BLOCK_GAS: u64 = 400_000_000;
/// Gas limit of a transaction.
pub(super) const TX_GAS: u64 = 12_000_000;

sol! {
    #[derive(Debug)]
    struct SceneAsset { address token; string symbol; uint8 decimals; uint256 price; }
    function accounts() external view returns (address[] memory);
    function assets() external view returns (SceneAsset[] memory);
    function enrol(address[] calldata users) external;
    function menu(address who, uint256 dice) external view returns (address to, uint256 value, bytes memory data);
    function errand(uint256 dice) external view returns (address from, address to, uint256 value, bytes memory data);
    function prelude(address attack) external view returns (address to, bytes memory data);
    function bystander(uint256 phase) external view returns (address to, bytes memory data);
    function endow(address attacker) external;
    function digest() external view returns (bytes32);
    function signed(uint8 v, bytes32 r, bytes32 s) external;
    function phases() external view returns (uint256);
    function atomic() external view returns (bool);
    function own() external view returns (bool);
    function stake() external view returns (uint256);
    function loanAmount() external view returns (uint256);
}

/// One scene as it stands.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    /// Its class, or its name if nobody attacks here.
    pub(super) class: String,
    pub(super) address: Address,
    /// Creation code of the attacker's contract, constructor arguments included; empty if there is none.
    pub(super) attack: Bytes,
    /// What is protected.
    pub(super) accounts: Vec<Address>,
    pub(super) assets: Vec<SceneAsset>,
    /// The attacker's account, whose key is a drill key.
    pub(super) thief: PrivateKeySigner,
}

/// The chain with everything on it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) chain: LocalChain,
    pub(super) scenes: Vec<Scene>,
    pub(super) users: Vec<Address>,
    pub(super) relay: Bytes,
    pub(super) rules: Rules,
    pub(super) seed: u64,
    nonces: HashMap<Address, u64>,
}

fn ether(whole: u64) -> U256 {
    U256::from(whole) * U256::from(10u64).pow(U256::from(18))
}

/// A chain on `state`.
pub(super) fn config(state: Option<(World, u64, Timestamp)>) -> LocalConfig {
    let base = LocalConfig {
        gas_limit: BLOCK_GAS,
        base_fee: BaseFee::Fixed(1_000_000_000),
        history: 2,
        ..LocalConfig::default()
    };
    match state {
        None => base,
        Some((world, first, time)) => {
            LocalConfig { state: std::sync::Arc::new(world), first, time, ..base }
        }
    }
}

impl Stage {
    /// Sets every scene, or those of `classes` if there are any.
    pub(super) fn set(seed: u64, classes: &[String]) -> Result<Self, ReplayError> {
        let artifacts = artifacts()?;
        let chain = LocalChain::new(config(None));
        let owner = Address::from_word(keccak256("cofferdam/corpus/owner"));
        let done = |it| failed("a scene cannot be set", it);
        chain.set_balance(owner, ether(10_000_000)).map_err(done)?;
        let bank = chain.deploy(owner, artifacts.bank).map_err(done)?;
        let user =
            |it: u64| Address::from_word(keccak256([seed, it].map(u64::to_be_bytes).concat()));
        let users: Vec<Address> = (0..USERS).map(user).collect();
        let bot = |it: u64| Address::from_word(U256::from(it).into());
        for it in users.iter().copied().chain(BOTS.map(bot)) {
            chain.set_balance(it, ether(1_000_000)).map_err(done)?;
        }
        let mut stage = Self {
            chain,
            scenes: Vec::new(),
            users,
            relay: artifacts.relay,
            rules: Rules::fixed(SpecId::PRAGUE),
            seed,
            nonces: HashMap::new(),
        };
        for (class, it) in artifacts.classes {
            if classes.is_empty() || classes.contains(&class) {
                stage.raise(owner, bank, class, &it.scene, &it.attack)?;
            }
        }
        Ok(stage)
    }

    fn raise(
        &mut self,
        owner: Address,
        bank: Address,
        class: String,
        code: &Bytes,
        attack: &Bytes,
    ) -> Result<(), ReplayError> {
        let done = |it| failed(format!("scene `{class}`"), it);
        let key = |name: &str| {
            let key = keys::private_key(&class, name, self.seed);
            PrivateKeySigner::from_bytes(&key).map_err(|it| failed(format!("scene `{class}`"), it))
        };
        let (thief, signer) = (key("thief")?, key("signer")?);
        let arguments = (bank, thief.address(), signer.address()).abi_encode_params();
        let init = [&code[..], &arguments].concat();
        // The scene's own money: what it puts into its victims.
        let expected = owner.create(self.nonce_of(owner)?);
        self.chain.set_balance(expected, ether(20_000)).map_err(done)?;
        let address = self.chain.deploy(owner, init.into()).map_err(done)?;
        let setup = |data: Vec<u8>| {
            let call = self.chain.setup_call(owner, address, U256::ZERO, data.into());
            call.map_err(|it| failed(format!("scene `{class}`"), it))
        };
        setup(enrolCall { users: self.users.clone() }.abi_encode())?;
        let digest = self.view(address, digestCall {})?;
        if digest != B256::ZERO {
            let signature =
                signer.sign_hash_sync(&digest).map_err(|it| failed("a signature", it))?;
            let call = signedCall {
                v: 27 + u8::from(signature.v()),
                r: signature.r().into(),
                s: signature.s().into(),
            };
            setup(call.abi_encode())?;
        }
        let attack = match attack.is_empty() {
            true => Bytes::new(),
            false => [&attack[..], &(address,).abi_encode_params()].concat().into(),
        };
        let (accounts, assets) =
            (self.view(address, accountsCall {})?, self.view(address, assetsCall {})?);
        self.scenes.push(Scene { class, address, attack, accounts, assets, thief });
        Ok(())
    }

    /// Answers a view on the state after the head.
    pub(super) fn view<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, ReplayError> {
        view(&self.chain, &self.rules, to, call)
    }

    /// Answers many views at once.
    pub(super) fn views(&self, reads: &[StateRead]) -> Result<Vec<Answer>, ReplayError> {
        answers(&self.chain, &self.rules, reads)
    }

    fn nonce_of(&self, account: Address) -> Result<u64, ReplayError> {
        let found = self.chain.state().account(account);
        found.map(|it| it.map_or(0, |it| it.nonce)).map_err(|it| failed("an account", it))
    }

    /// Puts a transaction into the next block.
    pub(super) fn send(&mut self, tx: Unsigned) -> Result<B256, ReplayError> {
        let nonce = match self.nonces.get(&tx.from) {
            Some(it) => *it,
            None => self.nonce_of(tx.from)?,
        };
        let from = tx.from;
        let hash = self.chain.impersonate(Unsigned { nonce: Some(nonce), ..tx });
        let hash = hash.map_err(|it| failed("a transaction was refused", it))?;
        self.nonces.insert(from, nonce + 1);
        Ok(hash)
    }

    /// Mines `hashes` in this order.
    pub(super) fn mine(&self, hashes: &[B256]) -> Result<Observation, ReplayError> {
        mine(&self.chain, hashes)
    }
}

/// Mines exactly `hashes`, one block later. Every one of them must be valid.
pub(super) fn mine(chain: &LocalChain, hashes: &[B256]) -> Result<Observation, ReplayError> {
    let time = chain.head().time.plus_ms(BLOCK_SECONDS * 1_000);
    let mined = chain.mine_only(hashes, time).map_err(|it| failed("a block", it))?;
    if mined.txs.len() != hashes.len() {
        let what = format!("{} of {} transactions", hashes.len() - mined.txs.len(), hashes.len());
        return Err(failed("a block", format!("{what} are invalid")));
    }
    Ok((*mined).clone())
}

/// Answers `reads` on the state after the head.
pub(super) fn answers(
    chain: &LocalChain,
    rules: &Rules,
    reads: &[StateRead],
) -> Result<Vec<Answer>, ReplayError> {
    let (_, env) = chain.next(BLOCK_SECONDS);
    let env = cofferdam_core::BlockEnv { base_fee: 0, ..env };
    let (block, state) = (chain.head(), chain.state());
    let on = On { block: &block, env: &env, state: &state, rules };
    answer_reads(reads, on).map_err(|it| failed("state cannot be read", it))
}

/// Answers one typed view on the state after the head.
pub(super) fn view<C: SolCall>(
    chain: &LocalChain,
    rules: &Rules,
    to: Address,
    call: C,
) -> Result<C::Return, ReplayError> {
    let data = call.abi_encode().into();
    let answer = answers(chain, rules, &[StateRead::Call { to, data }])?;
    match answer.first() {
        Some(Answer::Bytes(bytes)) => {
            C::abi_decode_returns(bytes).map_err(|it| failed(C::SIGNATURE, it))
        }
        _ => Err(failed(C::SIGNATURE, "the view reverted")),
    }
}
