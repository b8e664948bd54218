//! One attack, block by block.

use alloy::{
    consensus::{SignableTransaction, TxEip7702, TxEnvelope},
    eips::{eip2718::Encodable2718, eip7702::Authorization},
    signers::SignerSync,
    sol,
    sol_types::{SolCall, SolValue},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::{Observation, Severity, Usd, plan::Plan, read::StateRead};
use cofferdam_sim::{LocalChain, Rules, Unsigned};

use super::{AttackLine, Outcome, Variant, asset_id};
use crate::{
    corpus::{
        CorpusOptions,
        baselines::Baselines,
        failed,
        stage::{
            self, Scene, Stage, TX_GAS, atomicCall, bystanderCall, config, endowCall,
            loanAmountCall, ownCall, phasesCall, preludeCall, stakeCall,
        },
        watch::Watch,
    },
    replay::ReplayError,
};

/// Pieces of a split attack.
const PIECES: u64 = 3;
/// Blocks between a delayed attack and its profit.
const DELAY_BLOCKS: usize = 30;
/// Source of money: one's own.
const OWN: u64 = 4;
/// Tip of a gated attack, in wei.
const TIP: u128 = 2_000_000_000;
/// `balanceOf(address)`
const BALANCE_OF: [u8; 4] = alloy_primitives::hex!("70a08231");

sol! {
    function run(uint256 phase, uint256 index, uint256 count, uint256 source, address to) external payable;
    function gated(address builder, uint256 price, uint256 phase, uint256 source, address to) external payable;
    function collect(address to) external;
}

/// An attack that is being played on a chain of its own.
pub(super) struct Play<'a> {
    scene: &'a Scene,
    users: &'a [Address],
    relay: &'a Bytes,
    rules: &'a Rules,
    variant: Variant,
    chain: LocalChain,
    watch: Watch,
    baselines: Option<Baselines>,
    source: u64,
    phases: u64,
    pieces: u64,
    /// Native value that goes along in all.
    stake: U256,
    flags: u16,
}

/// Who is on the attacker's side.
struct Gang {
    /// What is called: the contract, what runs its code, or the account that runs it as its own.
    target: Address,
    all: Vec<Address>,
}

impl<'a> Play<'a> {
    /// Sets it up; `None` if the class has no such variant.
    pub(super) fn new(
        stage: &'a Stage,
        scene: &'a Scene,
        variant: Variant,
        plan: &Plan,
        baselines: &Option<Baselines>,
        options: &CorpusOptions,
    ) -> Result<Option<Self>, ReplayError> {
        let number = |it: U256| it.to::<u64>();
        let phases = number(stage.view(scene.address, phasesCall {})?);
        let atomic = stage.view(scene.address, atomicCall {})?;
        let loan = stage.view(scene.address, loanAmountCall {})?;
        let stake = stage.view(scene.address, stakeCall {})?;
        // Between phases lie other people's transactions: no loan lasts that long.
        let own = stage.view(scene.address, ownCall {})?;
        let borrows = !loan.is_zero() && phases == 1 && !own;
        if (variant == Variant::Flash && !borrows) || (variant == Variant::Split && atomic) {
            return Ok(None);
        }
        let source = match variant {
            _ if !borrows => OWN,
            Variant::Split => OWN,
            Variant::Plain | Variant::Masked | Variant::Delegated => 0,
            Variant::Proxied | Variant::Gated => 1,
            Variant::Delayed => 2,
            Variant::Flash => 3,
        };
        let head = stage.chain.head();
        let chain = LocalChain::new(config(Some((stage.chain.state(), head.number, head.time))));
        // What goes along, and a hundred ether for gas: an attacker who is rich beforehand hides what he takes.
        let purse = stake + U256::from(10u64).pow(U256::from(20));
        let done = |it| failed("the attacker has no money", it);
        chain.set_balance(scene.thief.address(), purse).map_err(done)?;
        Ok(Some(Self {
            scene,
            users: &stage.users,
            relay: &stage.relay,
            rules: &stage.rules,
            variant,
            chain,
            watch: Watch::new(plan.clone(), stage.rules.clone(), options.ungated)?,
            baselines: baselines.clone(),
            source,
            phases,
            pieces: if variant == Variant::Split { PIECES } else { 1 },
            stake,
            flags: 0,
        }))
    }

    /// Plays it to its end and writes down what was seen.
    pub(super) fn run(mut self, line: &mut AttackLine) -> Result<(), ReplayError> {
        let gang = self.gather(line)?;
        let protected = self.scene.accounts.clone();
        let (held, owned) = (self.worth(&protected)?, self.worth(&gang.all)?);
        self.prelude(&gang, line)?;
        for phase in 0..self.phases {
            for index in 0..self.pieces {
                let tx = self.strike(&gang, phase, index);
                let block = self.mine(vec![tx], line, true)?;
                if block.txs.iter().any(|it| !it.succeeded) {
                    line.outcome = Outcome::Stops;
                    line.flagged(self.flags);
                    return Ok(());
                }
            }
            let call = bystanderCall { phase: U256::from(phase) };
            let (to, data) = self.view(call).map(|it| (it.to, it.data))?;
            if to != Address::ZERO {
                let tx = Unsigned { from: self.users[0], ..unsigned(to, data) };
                self.mine(vec![tx], line, false)?;
            }
        }
        if self.variant == Variant::Delayed {
            for _ in 0..DELAY_BLOCKS {
                self.mine(Vec::new(), line, false)?;
            }
            let to = gang.all.last().copied().unwrap_or_default();
            let data = collectCall { to }.abi_encode().into();
            let tx = Unsigned { from: self.scene.thief.address(), ..unsigned(gang.target, data) };
            self.mine(vec![tx], line, false)?;
        }
        let lost = held.minus(self.worth(&protected)?);
        let gained = self.worth(&gang.all)?.minus(owned);
        line.harm = lost.max(gained).max(Usd::ZERO);
        line.flagged(self.flags);
        Ok(())
    }

    /// The attacker's contracts are made, each by a transaction, a block before the rest.
    fn gather(&mut self, line: &mut AttackLine) -> Result<Gang, ReplayError> {
        let thief = self.scene.thief.address();
        let attack = self.create(self.scene.attack.clone(), line)?;
        let third = Address::from_word(keccak256(thief));
        let mut all = vec![thief, attack];
        let mut target = attack;
        match self.variant {
            Variant::Proxied => {
                for _ in 0..2 {
                    let code = [&self.relay[..], &(target,).abi_encode_params()].concat();
                    target = self.create(code.into(), line)?;
                    all.push(target);
                }
            }
            Variant::Delegated => {
                self.delegate(attack, line)?;
                target = thief;
            }
            _ => {}
        }
        all.push(third);
        if self.source == OWN {
            let data = endowCall { attacker: target }.abi_encode().into();
            let done = self.chain.setup_call(thief, self.scene.address, U256::ZERO, data);
            done.map_err(|it| failed("the attacker has no money", it))?;
        }
        Ok(Gang { target, all })
    }

    fn create(&mut self, code: Bytes, line: &mut AttackLine) -> Result<Address, ReplayError> {
        let from = self.scene.thief.address();
        let tx = Unsigned { from, to: None, ..unsigned(Address::ZERO, code) };
        let block = self.mine(vec![tx], line, false)?;
        let made = block.txs.first().filter(|it| it.succeeded).and_then(|it| it.created);
        made.ok_or_else(|| failed(self.scene.class.clone(), "the attack cannot be deployed"))
    }

    /// A transaction of type 4 by which the attacker's account runs `code` from now on.
    fn delegate(&mut self, code: Address, line: &mut AttackLine) -> Result<(), ReplayError> {
        let signer = &self.scene.thief;
        let wrong = |it| failed("an authorisation", it);
        // One transaction so far; the authorisation comes after this one's nonce is spent.
        let chain_id = self.chain.chain().0;
        let it = Authorization { chain_id: U256::from(chain_id), address: code, nonce: 2 };
        let signature = signer.sign_hash_sync(&it.signature_hash()).map_err(wrong)?;
        let tx = TxEip7702 {
            chain_id,
            nonce: 1,
            gas_limit: 200_000,
            max_fee_per_gas: 3_000_000_000,
            max_priority_fee_per_gas: 0,
            to: signer.address(),
            authorization_list: vec![it.into_signed(signature)],
            ..TxEip7702::default()
        };
        let signature = signer.sign_hash_sync(&tx.signature_hash()).map_err(wrong)?;
        let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
        let hash = self.chain.submit(&raw).map_err(|it| failed("the delegation", it))?;
        self.block(&[hash], line, false)?;
        Ok(())
    }

    fn prelude(&mut self, gang: &Gang, line: &mut AttackLine) -> Result<(), ReplayError> {
        let call = preludeCall { attack: gang.target };
        let it = self.view(call)?;
        if it.to != Address::ZERO {
            let from = self.scene.thief.address();
            let tx = Unsigned { from, ..unsigned(it.to, it.data) };
            self.mine(vec![tx], line, true)?;
        }
        Ok(())
    }

    /// The transaction of one piece of one phase.
    fn strike(&self, gang: &Gang, phase: u64, index: u64) -> Unsigned {
        let thief = self.scene.thief.address();
        let keeps = matches!(self.variant, Variant::Delayed | Variant::Delegated);
        let last = phase + 1 == self.phases && index + 1 == self.pieces;
        let to = if keeps || !last { Address::ZERO } else { thief };
        let (phase, source) = (U256::from(phase), U256::from(self.source));
        let (index, count) = (U256::from(index), U256::from(self.pieces));
        let clear = runCall { phase, index, count, source, to }.abi_encode();
        let (data, tip) = match self.variant {
            Variant::Masked => (masked(&clear), 0),
            Variant::Gated => {
                let builder = self.chain.next(stage::BLOCK_SECONDS).1.beneficiary;
                let price = U256::from(TIP);
                (gatedCall { builder, price, phase, source, to }.abi_encode(), TIP)
            }
            _ => (clear, 0),
        };
        let value = if phase.is_zero() { self.stake / count } else { U256::ZERO };
        let max_priority_fee_per_gas = tip;
        let max_fee_per_gas = Some(tip + 3_000_000_000);
        let tx = unsigned(gang.target, data.into());
        Unsigned { from: thief, value, max_priority_fee_per_gas, max_fee_per_gas, ..tx }
    }

    fn mine(
        &mut self,
        txs: Vec<Unsigned>,
        line: &mut AttackLine,
        strikes: bool,
    ) -> Result<Observation, ReplayError> {
        let send = |it| self.chain.impersonate(it);
        let hashes: Result<Vec<B256>, _> = txs.into_iter().map(send).collect();
        let hashes = hashes.map_err(|it| failed("a transaction was refused", it))?;
        self.block(&hashes, line, strikes)
    }

    /// Mines a block and shows it to the engines and the baselines.
    fn block(
        &mut self,
        hashes: &[B256],
        line: &mut AttackLine,
        strikes: bool,
    ) -> Result<Observation, ReplayError> {
        let before = self.chain.state();
        let mut block = stage::mine(&self.chain, hashes)?;
        let after = self.chain.state();
        block.decode_facts();
        let more = self.baselines.as_ref().map_or_else(Vec::new, |it| it.reads(&block));
        let seen = self.watch.see(&mut block, more, (&before, &after))?;
        line.steps += usize::from(strikes);
        if let Some(it) = self.baselines.as_mut().filter(|_| strikes) {
            self.flags |= it.see(&mut block)?.into_iter().fold(0, |all, it| all | it);
        }
        let ours = |it: &String| *it == format!("pause-{}", self.scene.class);
        line.ordered |= seen.orders.iter().any(ours);
        line.ungated |= seen.ungated.iter().any(ours);
        for it in seen.findings.iter().filter(|it| it.entity == self.scene.class && !it.is_blind())
        {
            line.worst = line.worst.max(Some(it.severity));
            let critical = it.severity == Severity::Critical;
            if critical && line.found_at.is_none() {
                line.found_at = Some(line.steps);
            }
            let (list, name) = match critical {
                true => (&mut line.detectors, it.detector.clone()),
                false => (&mut line.lesser, format!("{} {}", it.detector, it.severity)),
            };
            if !list.contains(&name) {
                list.push(name);
            }
        }
        Ok(block)
    }

    fn view<C: SolCall>(&self, call: C) -> Result<C::Return, ReplayError> {
        stage::view(&self.chain, self.rules, self.scene.address, call)
    }

    /// What `accounts` hold of the scene's assets, at plan prices.
    fn worth(&self, accounts: &[Address]) -> Result<Usd, ReplayError> {
        let pairs: Vec<_> = self
            .scene
            .assets
            .iter()
            .flat_map(|it| accounts.iter().map(move |of| (it, *of)))
            .collect();
        let read = |(asset, of): &(&stage::SceneAsset, Address)| match asset_id(asset.token) {
            cofferdam_core::plan::AssetId::Native => StateRead::Balance(*of),
            cofferdam_core::plan::AssetId::Token(to) => {
                let data = [&BALANCE_OF[..], of.into_word().as_slice()].concat().into();
                StateRead::Call { to, data }
            }
        };
        let reads: Vec<StateRead> = pairs.iter().map(read).collect();
        let answers = stage::answers(&self.chain, self.rules, &reads)?;
        let worth = pairs.iter().zip(answers).map(|((asset, _), answer)| {
            let amount = answer.word(0).unwrap_or_default();
            Usd::of(amount, asset.decimals, Usd(asset.price.to::<i128>()))
        });
        Ok(worth.fold(Usd::ZERO, Usd::plus))
    }
}

fn unsigned(to: Address, input: Bytes) -> Unsigned {
    Unsigned { to: Some(to), input, gas_limit: TX_GAS, ..Unsigned::default() }
}

/// `clear` under a key that comes first.
fn masked(clear: &[u8]) -> Vec<u8> {
    let key = keccak256(clear);
    let hidden = clear.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b);
    key.iter().copied().chain(hidden).collect()
}
