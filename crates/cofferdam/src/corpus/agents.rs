//! Who does what in ordinary life: for each transaction of a block a protocol, a user and dice, all from one
//! seed; the scene says what that user would do next (`menu`), or what somebody with a role would (`errand`).

use alloy::sol_types::SolCall;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cofferdam_core::read::{Answer, StateRead};
use cofferdam_sim::Unsigned;

use super::{
    failed,
    stage::{Stage, errandCall, menuCall},
};
use crate::replay::ReplayError;

/// One of so many transactions is by somebody with a role, where a scene has such.
const ERRAND_PART: u64 = 8;
/// Gas limits that wallets set.
const GAS_LIMITS: [u64; 3] = [300_000, 500_000, 1_000_000];
/// Gas limit of those with a role: they work in batches.
const ERRAND_GAS: u64 = 6_000_000;

/// The source of all dice.
#[derive(Clone, Debug)]
pub(super) struct Agents {
    seed: B256,
    drawn: u64,
}

/// Somebody at a protocol.
struct Turn {
    scene: Address,
    /// `None` for somebody with a role.
    user: Option<Address>,
    dice: U256,
}

impl Agents {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed: keccak256(format!("cofferdam/corpus/agents/{seed}")), drawn: 0 }
    }

    fn draw(&mut self) -> B256 {
        self.drawn += 1;
        keccak256([&self.seed[..], &self.drawn.to_be_bytes()].concat())
    }

    fn turn(&mut self, stage: &Stage) -> Turn {
        let word = self.draw();
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&word[at..at + 8]);
            u64::from_be_bytes(bytes)
        };
        let pick = |it: u64, of: usize| usize::try_from(it % of.max(1) as u64).unwrap_or(0);
        let scene = stage.scenes[pick(number(0), stage.scenes.len())].address;
        let user = stage.users[pick(number(8), stage.users.len())];
        let errand = number(16).is_multiple_of(ERRAND_PART);
        let dice = U256::from_be_bytes(keccak256(word).0);
        Turn { scene, user: (!errand).then_some(user), dice }
    }

    /// Sends about `count` transactions for the next block; who has nothing to do does nothing.
    pub(super) fn fill(
        &mut self,
        stage: &mut Stage,
        count: usize,
    ) -> Result<Vec<B256>, ReplayError> {
        let turns: Vec<Turn> = (0..count).map(|_| self.turn(stage)).collect();
        let read = |it: &Turn| {
            let data = match it.user {
                Some(who) => menuCall { who, dice: it.dice }.abi_encode(),
                None => errandCall { dice: it.dice }.abi_encode(),
            };
            StateRead::Call { to: it.scene, data: data.into() }
        };
        let reads: Vec<StateRead> = turns.iter().map(read).collect();
        let answers = stage.views(&reads)?;
        let mut sent = Vec::with_capacity(turns.len());
        for (turn, answer) in turns.iter().zip(answers) {
            let Answer::Bytes(bytes) = answer else {
                return Err(failed(
                    "a scene does not know what its users do",
                    format!("{answer:?}"),
                ));
            };
            if let Some(tx) = act(turn, &bytes)? {
                sent.push(stage.send(tx)?);
            }
        }
        Ok(sent)
    }
}

fn act(turn: &Turn, bytes: &Bytes) -> Result<Option<Unsigned>, ReplayError> {
    let (from, to, value, data, gas_limit) = match turn.user {
        Some(user) => {
            let it = menuCall::abi_decode_returns(bytes).map_err(|it| failed("menu", it))?;
            let wallet = (turn.dice.as_limbs()[3] % GAS_LIMITS.len() as u64) as usize;
            (user, it.to, it.value, it.data, GAS_LIMITS[wallet])
        }
        None => {
            let it = errandCall::abi_decode_returns(bytes).map_err(|it| failed("errand", it))?;
            (it.from, it.to, it.value, it.data, ERRAND_GAS)
        }
    };
    let tx = Unsigned { from, to: Some(to), value, input: data, gas_limit, ..Unsigned::default() };
    Ok((to != Address::ZERO).then_some(tx))
}
