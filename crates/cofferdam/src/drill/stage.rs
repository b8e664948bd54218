//! The stage of a drill: accounts, contracts, names, and the sending of steps.

use std::{collections::BTreeMap, path::PathBuf};

use alloy::{
    consensus::{SignableTransaction, TxEip1559},
    eips::eip2718::Encodable2718,
    signers::{SignerSync, local::PrivateKeySigner},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use cofferdam_core::{
    Usd,
    ports::{BroadcastError, Call, Inclusion},
    read::StateRead,
};
use cofferdam_drill::{ArgError, Names, Scenario, keys, scenario::Holding, scenario::Step};

use super::{
    artifacts::{ArtifactError, creation_code},
    world::{World, WorldError},
};

/// Gas limit of a drill step whose simulation fails.
const STEP_GAS: u64 = 12_000_000;
/// Tip of drill users, in wei.
const USER_TIP: u128 = 1_000_000_000;

/// Why a drill cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The chain failed.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The scenario has a wrong argument or name.
    #[error("scenario is wrong")]
    Arg(#[from] ArgError),
    /// An artifact cannot be had.
    #[error("artifact cannot be had")]
    Artifact(#[from] ArtifactError),
    /// The network refused a step.
    #[error("step {what} was refused")]
    Refused {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: BroadcastError,
    },
    /// A step reverted that must not.
    #[error("step {0} reverted")]
    Reverted(String),
    /// Something else of the drill's own making.
    #[error("drill cannot go on: {0}")]
    Other(String),
}

/// Accounts, names and nonces of one run.
pub struct Stage {
    /// The chain.
    pub world: Box<dyn World>,
    /// What names stand for.
    pub names: Names,
    keys: BTreeMap<String, PrivateKeySigner>,
    nonces: BTreeMap<Address, u64>,
    packages: PathBuf,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Stage {
    /// Sets the stage of `scenario`: accounts funded, setup steps run, each in its own block.
    ///
    /// # Errors
    /// See [`StageError`].
    pub async fn set(
        world: Box<dyn World>,
        scenario: &Scenario,
        seed: u64,
        packages: PathBuf,
    ) -> Result<Self, StageError> {
        let mut stage = Self {
            world,
            names: Names::default(),
            keys: BTreeMap::new(),
            nonces: BTreeMap::new(),
            packages,
        };
        for (name, number) in &scenario.numbers {
            let value = stage.names.number(number)?;
            stage.names.0.insert(name.clone(), value);
        }
        for (name, ether) in &scenario.accounts {
            let key = keys::private_key(&scenario.id, name, seed);
            let signer = PrivateKeySigner::from_bytes(&key)
                .map_err(|it| StageError::Other(it.to_string()))?;
            stage.names.set_address(name, signer.address());
            let wei = U256::from(*ether) * U256::from(10u64).pow(U256::from(18));
            stage.world.fund(signer.address(), wei).await?;
            stage.keys.insert(name.clone(), signer);
        }
        for step in &scenario.setup {
            stage.perform(step).await?;
        }
        Ok(stage)
    }

    /// The key of a drill account.
    ///
    /// # Errors
    /// If no account has this name.
    pub fn key(&self, name: &str) -> Result<&PrivateKeySigner, StageError> {
        self.keys.get(name).ok_or_else(|| StageError::Arg(ArgError::Unknown(name.to_owned())))
    }

    /// Runs one step in a block of its own.
    ///
    /// # Errors
    /// If it reverts without being allowed to.
    pub async fn perform(&mut self, step: &Step) -> Result<(), StageError> {
        if let Some(name) = &step.read {
            return self.read_into(step, name).await;
        }
        let (hash, _) = self.send(step).await?;
        self.world.mine().await?;
        if !self.succeeded(hash).await? && !step.may_revert {
            return Err(StageError::Reverted(describe(step)));
        }
        Ok(())
    }

    /// Signs and sends one step; names what it deploys. Returns hash and raw bytes.
    ///
    /// # Errors
    /// See [`StageError`].
    pub async fn send(&mut self, step: &Step) -> Result<(B256, Bytes), StageError> {
        let (hash, raw) = self.sign(step).await?;
        if !step.ghost {
            let sent = self.world.broadcaster().send(raw.clone()).await;
            sent.map_err(|source| StageError::Refused { what: describe(step), source })?;
        }
        Ok((hash, raw))
    }

    async fn sign(&mut self, step: &Step) -> Result<(B256, Bytes), StageError> {
        let from = step.from.as_deref().unwrap_or("governance");
        let signer = self.key(from)?.clone();
        let address = signer.address();
        let (to, input) = self.payload(step)?;
        let nonce = self.nonces.get(&address).copied().unwrap_or(0);
        if !step.ghost {
            self.nonces.insert(address, nonce + 1);
        }
        if let (Some(name), TxKind::Create) = (&step.r#as, to) {
            self.names.set_address(name, address.create(nonce));
        }
        let head = self.world.broadcaster().head().await;
        let base_fee = head.map_err(|it| WorldError::new("ask for the base fee", it))?.1;
        let tx = TxEip1559 {
            chain_id: self.world.chain().0,
            nonce,
            gas_limit: self.gas(address, to, &input).await,
            // As wallets do it.
            max_fee_per_gas: u128::from(base_fee) * 2 + USER_TIP,
            max_priority_fee_per_gas: USER_TIP,
            to,
            value: step
                .value
                .as_deref()
                .map(|it| self.names.number(it))
                .transpose()?
                .unwrap_or_default(),
            access_list: Default::default(),
            input,
        };
        let signature = signer
            .sign_hash_sync(&tx.signature_hash())
            .map_err(|it| StageError::Other(it.to_string()))?;
        let signed = tx.into_signed(signature);
        let hash = *signed.hash();
        Ok((hash, alloy::consensus::TxEnvelope::from(signed).encoded_2718().into()))
    }

    fn payload(&self, step: &Step) -> Result<(TxKind, Bytes), StageError> {
        if let Some(artifact) = &step.deploy {
            let code = creation_code(artifact, &self.packages)?;
            let params = match &step.call {
                Some(signature) => self.names.params(signature, &step.args)?,
                None => Vec::new(),
            };
            return Ok((TxKind::Create, [&code[..], &params].concat().into()));
        }
        let to = self.names.address(step.to.as_deref().unwrap_or_default())?;
        let input = match &step.call {
            Some(signature) => self.names.calldata(signature, &step.args)?,
            None => Bytes::new(),
        };
        Ok((TxKind::Call(to), input))
    }

    async fn gas(&self, from: Address, to: TxKind, input: &Bytes) -> u64 {
        let TxKind::Call(to) = to else { return STEP_GAS };
        let call = Call { from, to, data: input.clone(), then: Vec::new() };
        match self.world.broadcaster().simulate(&call).await {
            Ok(it) if it.succeeded => (it.gas_used * 3 / 2).max(100_000),
            _ => STEP_GAS,
        }
    }

    async fn read_into(&mut self, step: &Step, name: &str) -> Result<(), StageError> {
        let (TxKind::Call(to), data) = self.payload(step)? else {
            return Err(StageError::Other(format!("{} reads from no contract", describe(step))));
        };
        let word = self.word(StateRead::Call { to, data }).await?;
        self.names.0.insert(name.to_owned(), word);
        Ok(())
    }

    /// The first word of a read at the head.
    ///
    /// # Errors
    /// If the read fails.
    pub async fn word(&mut self, read: StateRead) -> Result<U256, StageError> {
        let head = self.world.head().await?.block;
        let answers = self.world.reader().read(&head, std::slice::from_ref(&read)).await;
        let answers = answers.map_err(|it| WorldError::new("read", it))?;
        let word = answers.first().and_then(|it| it.word(0));
        word.ok_or_else(|| StageError::Other(format!("{read:?} has no answer")))
    }

    /// Whether an included transaction succeeded; false if it is not included.
    ///
    /// # Errors
    /// If the chain cannot tell.
    pub async fn succeeded(&self, hash: B256) -> Result<bool, StageError> {
        Ok(self.inclusion(hash).await?.is_some_and(|it| it.succeeded))
    }

    /// Where a transaction was included.
    ///
    /// # Errors
    /// If the chain cannot tell.
    pub async fn inclusion(&self, hash: B256) -> Result<Option<Inclusion>, StageError> {
        let inclusion = self.world.broadcaster().inclusion(hash).await;
        inclusion.map_err(|source| StageError::Refused { what: "inclusion".into(), source })
    }

    /// What the losers of `holdings` own, less what the winners own, in money.
    ///
    /// # Errors
    /// If a balance cannot be read.
    pub async fn worth(&mut self, holdings: &[Holding]) -> Result<Usd, StageError> {
        let mut sum = Usd::ZERO;
        for it in holdings {
            let price = Usd::whole(i128::from(it.price));
            for name in &it.holders {
                sum = sum.plus(Usd::of(self.balance(&it.token, name).await?, it.decimals, price));
            }
            for name in &it.gain_of {
                sum = sum.minus(Usd::of(self.balance(&it.token, name).await?, it.decimals, price));
            }
        }
        Ok(sum)
    }

    async fn balance(&mut self, token: &str, holder: &str) -> Result<U256, StageError> {
        let holder = self.names.address(holder)?;
        if token == "native" {
            return self.word(StateRead::Balance(holder)).await;
        }
        let to = self.names.address(token)?;
        let holder = holder.to_string().into();
        let data = self.names.calldata("balanceOf(address)", &[holder])?;
        self.word(StateRead::Call { to, data }).await
    }
}

/// A step in a few words.
pub fn describe(step: &Step) -> String {
    let what = step.deploy.as_deref().or(step.call.as_deref()).unwrap_or("transfer");
    let to = step.to.as_deref().or(step.r#as.as_deref()).unwrap_or_default();
    format!("{what} → {to} by {}", step.from.as_deref().unwrap_or("governance"))
}
