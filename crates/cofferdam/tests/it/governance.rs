//! A proposal on a chain of our own: its payload is tried at its time before anybody can execute it.

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use cofferdam::runtime::complete;
use cofferdam_core::{Class, Finding, Record, Severity, Timestamp, plan::Plan};
use cofferdam_engine::{Effect, Engine, Input, Limits};
use cofferdam_sim::{LocalChain, LocalConfig, Unsigned, local::GENESIS_SECONDS};

const GOVERNOR: Address = Address::with_last_byte(0x60);
const TIMELOCK: Address = Address::with_last_byte(0x61);
const VAULT: Address = Address::with_last_byte(0xaa);
const PROPOSER: Address = Address::with_last_byte(0xee);
const THIEF: Address = Address::with_last_byte(0xec);

const PLAN: &str = r#"
version = 1
name = "governed"
chains = [{ id = "eip155:31337" }]
[[entities]]
id = "vault"
accounts = ["eip155:31337:0x00000000000000000000000000000000000000aa"]
assets = [{ token = "native", symbol = "ETH", decimals = 18, price = "2000 usd" }]
[[rules]]
id = "governance"
detector = "governance"
[rules.settings]
governors = [{ account = "eip155:31337:0x0000000000000000000000000000000000000060", executor = "eip155:31337:0x0000000000000000000000000000000000000061" }]
executes-after = "2d"
"#;

/// Says whatever it is told: the first two words are topics, the rest is data.
const ECHO: [u8; 17] = hex!("602035" "5f35" "60403603" "80" "60405f37" "5fa2" "00");

/// Two days after genesis its balance goes to the thief if the timelock calls; before, nothing does.
fn vault() -> Bytes {
    let ready = (GENESIS_SECONDS + 2 * 86_400).to_be_bytes();
    let mut code = hex!("3373").to_vec();
    code.extend_from_slice(TIMELOCK.as_slice());
    code.extend(hex!("14" "67"));
    code.extend_from_slice(&ready);
    code.extend(hex!("421116" "6027" "57" "00"));
    code.extend(hex!("5b" "5f5f5f5f" "47" "73"));
    code.extend_from_slice(THIEF.as_slice());
    code.extend(hex!("5af1" "00"));
    code.into()
}

/// `ProposalCreated` with one call without arguments to `to`, as the governor is told to say it.
fn proposal(to: Address) -> Bytes {
    let signature = "ProposalCreated(uint256,address,address[],uint256[],string[],bytes[],uint256,uint256,string)";
    let word = |it: u64| U256::from(it);
    let account = |it: Address| U256::from_be_bytes(it.into_word().0);
    let words = [
        U256::from_be_bytes(keccak256(signature).0),
        U256::ZERO,
        word(7),
        account(PROPOSER),
        word(0x120),
        word(0x160),
        word(0x1a0),
        word(0x200),
        word(1),
        word(2),
        word(0x260),
        word(1),
        account(to),
        word(1),
        word(0),
        word(1),
        word(0x20),
        word(0),
        word(1),
        word(0x20),
        word(0),
        word(0),
    ];
    words.iter().flat_map(|it| it.to_be_bytes::<32>()).collect::<Vec<u8>>().into()
}

/// What the engine finds in the next block, in which the governor says this.
fn found(chain: &LocalChain, engine: &mut Engine, input: Bytes, block: u64) -> Vec<Finding> {
    let to = Some(GOVERNOR);
    let sent = Unsigned { from: PROPOSER, to, input, ..Unsigned::default() };
    chain.impersonate(sent).expect("it is taken");
    let at = Timestamp::from_secs(GENESIS_SECONDS + 12 * block);
    let mined = chain.mine(at).expect("a block");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let seen = runtime.block_on(complete((*mined).clone(), engine, chain)).expect("state");
    let effects = engine.step(at, Input::Block(seen));
    let found = effects.into_iter().filter_map(|it| match it {
        Effect::Record(Record::Found { finding }) => Some(finding),
        _ => None,
    });
    found.collect()
}

#[test]
fn a_payload_that_drains_only_once_it_is_due_is_found_in_the_block_of_its_proposal() {
    let chain = LocalChain::new(LocalConfig::default());
    let ether = U256::from(10).pow(U256::from(18));
    chain.set_code(GOVERNOR, &Bytes::from_static(&ECHO)).expect("code");
    chain.set_code(VAULT, &vault()).expect("code");
    chain.set_balance(VAULT, U256::from(1_000) * ether).expect("a balance");
    chain.set_balance(PROPOSER, ether).expect("a balance");
    let plan: Plan = toml::from_str(PLAN).expect("a plan");
    let mut engine = Engine::new(plan, Limits::default()).expect("rules that build");

    let harmless = found(&chain, &mut engine, proposal(THIEF), 1);
    assert_eq!(harmless, vec![], "a call that does nothing");

    let harmful = found(&chain, &mut engine, proposal(VAULT), 2);
    let [it] = harmful.as_slice() else { panic!("{harmful:?}") };
    assert_eq!((it.entity.as_str(), it.class), ("vault", Class::Damage));
    assert!(it.severity >= Severity::High, "{it:?}");
    assert!(it.summary.contains("would do this when executed"), "{}", it.summary);
    assert_eq!(it.actors.first(), Some(&PROPOSER));
    assert_ne!(it.tx, None::<B256>);
}
