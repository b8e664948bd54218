//! Observations as text, findings as text. Tests name behaviour, never our API.
//!
//! ```text
//! block 7 time 84
//!   read token 0x70 of 0xaa 1000 -> 600      (also: native A · view TO DATA · storage A SLOT · codehash A)
//!   tx 0xee -> 0xec value 5 nonce 3          (also: untraced · incomplete · mismatch · reverted)
//!     transfer 0x70 400 from 0xaa to 0xee
//! ```
//! Numbers may end in `e18`; an answer may be `?` (unavailable) or `!` (reverted). Addresses are short
//! numbers. Every transaction counts as traced by us unless it says otherwise. Every block is also
//! peeked at first, which must say the same and change nothing, and every memo takes a trip through text.

use std::fmt::Write as _;

use alloy_primitives::{Address, B256, Bytes, Log, U256};
use cofferdam_core::{
    BlockEnv, BlockRef, ChainId, Fact, Observation, Stage, Timestamp, Tx,
    evidence::Tracing,
    fact::SafeChange,
    plan::Plan,
    read::{Answer, Reading, Readings, StateRead},
    tx::{BalanceChange, CallKind, CodeChange, Frame, StaleWrite, StorageChange},
};
use expect_test::Expect;

use crate::RuleSet;

/// An entity `vault` of contracts 0xaa and 0xab that holds `USD` (0x70, $1), `ETHX` (0x71, $2,000) and
/// ether ($2,000), all with 18 decimals.
pub(crate) const VAULT: &str = r#"
    [[entities]]
    id = "vault"
    accounts = [
        "eip155:1:0x00000000000000000000000000000000000000aa",
        "eip155:1:0x00000000000000000000000000000000000000ab",
    ]
    assets = [
        { token = "0x0000000000000000000000000000000000000070", symbol = "USD", decimals = 18, price = "1 usd" },
        { token = "0x0000000000000000000000000000000000000071", symbol = "ETHX", decimals = 18, price = "2000 usd" },
        { token = "native", symbol = "ETH", decimals = 18, price = "2000 usd" },
    ]
"#;

/// Runs `detector` with `settings` over [`VAULT`] and compares what it finds.
#[track_caller]
pub(crate) fn check(detector: &str, settings: &str, blocks: &str, expect: Expect) {
    let rule =
        format!("[[rules]]\nid = \"r\"\ndetector = \"{detector}\"\n[rules.settings]\n{settings}");
    check_plan(&format!("{VAULT}\n{rule}"), blocks, expect);
}

/// Runs the rules of a whole plan (without its head) and compares what they find, one finding a line:
/// block, severity, detector, subject, loss, summary.
#[track_caller]
pub(crate) fn check_plan(plan: &str, blocks: &str, expect: Expect) {
    let mut rules = RuleSet::build(&self::plan(plan), ChainId(1)).expect("the rules build");
    let mut actual = String::new();
    for block in parse(blocks) {
        let peeked = rules.peek(&block);
        let evaluation = rules.observe(&block);
        assert_eq!(
            peeked, evaluation.findings,
            "a peek says what the block says, and keeps nothing"
        );
        for (rule, _, after) in &evaluation.changed {
            let text = after.to_string();
            rules.recall(rule, Some(&serde_json::from_str(&text).expect("a memo is JSON")));
        }
        for it in &evaluation.findings {
            let subject = U256::from_be_slice(it.subject.as_slice());
            let (number, loss) = (it.block.number, it.loss);
            writeln!(
                actual,
                "{number} {} {} {subject:#x} {loss}: {}",
                it.severity, it.detector, it.summary
            )
            .expect("writing to a string cannot fail");
        }
    }
    expect.assert_eq(&actual);
}

/// A plan from its entities and rules.
pub(crate) fn plan(text: &str) -> Plan {
    let head = "version = 1\nname = \"test\"\nchains = [{ id = \"eip155:1\" }]\n";
    toml::from_str(&format!("{head}{text}")).expect("the fixture's plan parses")
}

/// Observations from text.
pub(crate) fn parse(text: &str) -> Vec<Observation> {
    let mut blocks: Vec<Observation> = Vec::new();
    for line in text.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["block", number, rest @ ..] => blocks.push(block(number, rest)),
            ["read", rest @ ..] => {
                let block = blocks.last_mut().expect("a read follows its block");
                let (question, reading) = read(rest, line);
                block.readings.insert(question, reading);
            }
            ["tx", rest @ ..] => {
                let block = blocks.last_mut().expect("a transaction follows its block");
                let tx = tx(block, rest);
                block.txs.push(tx);
            }
            rest => {
                let tx = blocks.last_mut().and_then(|it| it.txs.last_mut());
                happen(tx.expect("a fact follows its transaction"), rest, line);
            }
        }
    }
    for block in &mut blocks {
        block.txs.iter_mut().for_each(|it| it.diff.storage.sort_by_key(|it| (it.address, it.slot)));
    }
    blocks
}

fn block(number: &str, rest: &[&str]) -> Observation {
    let number: u64 = number.parse().expect("a block number");
    let secs = match rest {
        ["time", secs] => secs.parse().expect("a time in seconds"),
        _ => number * 12,
    };
    let hash = |it: u64| B256::from(U256::from(it));
    Observation {
        block: BlockRef {
            chain: ChainId(1),
            number,
            hash: hash(number),
            parent: hash(number.saturating_sub(1)),
            time: Timestamp::from_secs(secs),
        },
        env: BlockEnv::default(),
        stage: Stage::Provisional,
        witnesses: 1,
        txs: Vec::new(),
        readings: Readings::default(),
    }
}

fn tx(block: &Observation, words: &[&str]) -> Tx {
    let [from, "->", to, flags @ ..] = words else { panic!("fixture: tx FROM -> TO") };
    let index = block.txs.len() as u32;
    let mut tx = Tx {
        hash: B256::from(U256::from(block.block.number * 1_000 + u64::from(index) + 1)),
        index,
        from: address(from),
        to: Some(address(to)),
        nonce: 100,
        succeeded: true,
        tracing: Tracing::Reexecuted,
        ..Tx::default()
    };
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let mut next = || number(flags.next().expect("a value follows the flag"));
        match *flag {
            "value" => tx.value = next(),
            "nonce" => tx.nonce = next().to(),
            "input" => tx.input = bytes(flags.next().expect("calldata")),
            "untraced" => tx.tracing = Tracing::None,
            "incomplete" => tx.tracing = Tracing::Incomplete { missing: vec![], count: 3 },
            "mismatch" => tx.tracing = Tracing::Mismatch { difference: "gas".into() },
            "reverted" => tx.succeeded = false,
            other => panic!("fixture: unknown flag `{other}`"),
        }
    }
    tx
}

fn read(words: &[&str], line: &str) -> (StateRead, Reading) {
    let (question, answers) = match words {
        ["token", token, "of", account, rest @ ..] => {
            (crate::reads::holding(asset(token), address(account)), rest)
        }
        ["native", account, rest @ ..] => (StateRead::Balance(address(account)), rest),
        ["view", to, data, rest @ ..] => {
            (StateRead::Call { to: address(to), data: bytes(data) }, rest)
        }
        ["storage", account, slot, rest @ ..] => {
            (StateRead::Storage { address: address(account), slot: number(slot) }, rest)
        }
        ["codehash", account, rest @ ..] => (StateRead::CodeHash(address(account)), rest),
        _ => panic!("fixture: cannot read `{line}`"),
    };
    let [before, "->", after] = answers else { panic!("fixture: BEFORE -> AFTER in `{line}`") };
    (question, Reading { before: answer(before), after: answer(after) })
}

/// `?`, `!`, or words joined by commas.
fn answer(text: &str) -> Answer {
    match text {
        "?" => Answer::Unavailable,
        "!" => Answer::Reverted,
        words => {
            let words = words.split(',').flat_map(|it| number(it).to_be_bytes::<32>());
            Answer::Bytes(words.collect::<Vec<u8>>().into())
        }
    }
}

fn happen(tx: &mut Tx, words: &[&str], line: &str) {
    match words {
        ["deploy", from, to, code] => {
            let call =
                frame(CallKind::Create, address(from), address(to), Bytes::new(), U256::ZERO);
            tx.frames.push(Frame { output: bytes(code), ..call });
        }
        ["call" | "delegatecall" | "staticcall", from, to, data, rest @ ..] => {
            let kind = match words[0] {
                "call" => CallKind::Call,
                "staticcall" => CallKind::StaticCall,
                _ => CallKind::DelegateCall,
            };
            let (depth, rest) = match rest {
                ["depth", depth, rest @ ..] => (depth.parse().expect("a depth"), rest),
                rest => (1, rest),
            };
            let value = rest.first().map_or(U256::ZERO, |it| number(it));
            let call = frame(kind, address(from), address(to), bytes(data), value);
            let parent = tx.frames.iter().rposition(|it| it.depth + 1 == depth);
            let parent = parent.and_then(|it| u32::try_from(it).ok());
            tx.frames.push(Frame { depth, parent, ..call });
            if kind == CallKind::DelegateCall {
                tx.facts.push(Fact::Delegated {
                    context: address(from),
                    code: address(to),
                    selector: tx.frames.last().and_then(Frame::selector),
                    caller_kind: kind,
                });
            }
        }
        ["log", emitter, topic, data] => tx.logs.push(Log::new_unchecked(
            address(emitter),
            vec![topic.parse().expect("a topic")],
            match answer(data) {
                Answer::Bytes(bytes) => bytes,
                _ => Bytes::new(),
            },
        )),
        ["store", account, slot, before, "->", after] => {
            let (address, slot) = (address(account), number(slot));
            let (before, after) = (number(before), number(after));
            tx.diff.storage.push(StorageChange { address, slot, before, after });
            tx.facts.push(Fact::StorageChanged { address, slot, before, after });
        }
        ["stale", account, slot, "outer", outer, "inner", inner] => {
            let [outer, inner] = [outer, inner].map(|it| it.parse().expect("the index of a frame"));
            let (address, slot) = (address(account), number(slot));
            tx.stale_writes.push(StaleWrite { address, slot, outer, inner });
        }
        ["balance", account, before, "->", after] => tx.diff.balances.push(BalanceChange {
            address: address(account),
            before: number(before),
            after: number(after),
        }),
        ["code", account, before, "->", after] => {
            let hash = |it: &str| (it != "none").then(|| B256::from(number(it)));
            let (address, before, after) = (address(account), hash(before), hash(after));
            tx.diff.codes.push(CodeChange { address, before, after });
            tx.facts.push(Fact::CodeChanged { address, before, after });
        }
        _ => {
            let fact = fact(words).unwrap_or_else(|| panic!("fixture: cannot read `{line}`"));
            if let Some(emitter) = emitter(&fact) {
                tx.logs.push(Log::new_unchecked(emitter, vec![], Bytes::new()));
            }
            tx.facts.push(fact);
        }
    }
}

fn frame(kind: CallKind, from: Address, to: Address, input: Bytes, value: U256) -> Frame {
    let (output, succeeded) = (Bytes::new(), true);
    Frame { parent: None, depth: 1, kind, from, to, value, input, output, succeeded, undone: false }
}

fn fact(words: &[&str]) -> Option<Fact> {
    let (a, n) = (address, number);
    Some(match words {
        ["native", amount, "from", from, "to", to] => {
            Fact::NativeTransfer { from: a(from), to: a(to), amount: n(amount) }
        }
        ["transfer", token, amount, "from", from, "to", to] => {
            Fact::Transfer { token: a(token), from: a(from), to: a(to), amount: n(amount) }
        }
        ["wrap", token, to, amount] => {
            Fact::Wrapped { token: a(token), to: a(to), amount: n(amount) }
        }
        ["unwrap", token, from, amount] => {
            Fact::Unwrapped { token: a(token), from: a(from), amount: n(amount) }
        }
        ["flash", lender, receiver, asset, amount] => Fact::FlashLoan {
            provider: a(lender),
            receiver: a(receiver),
            asset: a(asset),
            amount: n(amount),
        },
        ["create", contract, "by", creator] => {
            Fact::Created { contract: a(contract), creator: a(creator) }
        }
        ["sync", pair, reserve0, reserve1] => {
            Fact::PairSync { pair: a(pair), reserve0: n(reserve0), reserve1: n(reserve1) }
        }
        ["swap", pair, "in", in0, in1, "out", out0, out1, "to", to] => Fact::PairSwap {
            pair: a(pair),
            sender: a(to),
            to: a(to),
            in0: n(in0),
            in1: n(in1),
            out0: n(out0),
            out1: n(out1),
        },
        ["vault-deposit", vault, owner, assets, shares] => Fact::VaultDeposit {
            vault: a(vault),
            owner: a(owner),
            assets: n(assets),
            shares: n(shares),
        },
        ["vault-withdraw", vault, owner, assets, shares] => Fact::VaultWithdraw {
            vault: a(vault),
            receiver: a(owner),
            owner: a(owner),
            assets: n(assets),
            shares: n(shares),
        },
        ["market-mint", market, minter, amount, tokens] => Fact::MarketMint {
            market: a(market),
            minter: a(minter),
            amount: n(amount),
            tokens: n(tokens),
        },
        ["market-redeem", market, redeemer, amount, tokens] => Fact::MarketRedeem {
            market: a(market),
            redeemer: a(redeemer),
            amount: n(amount),
            tokens: n(tokens),
        },
        ["market-borrow", market, borrower, amount] => Fact::MarketBorrow {
            market: a(market),
            borrower: a(borrower),
            amount: n(amount),
            borrows: n(amount),
        },
        _ => return control(words),
    })
}

fn control(words: &[&str]) -> Option<Fact> {
    let a = address;
    let role = |it: &str| B256::from(number(it));
    Some(match words {
        ["upgraded", proxy, "to", to] => Fact::Upgraded { proxy: a(proxy), implementation: a(to) },
        ["beacon", proxy, "to", to] => Fact::BeaconUpgraded { proxy: a(proxy), beacon: a(to) },
        ["admin", proxy, "from", old, "to", new] => {
            Fact::AdminChanged { proxy: a(proxy), old: a(old), new: a(new) }
        }
        ["owner", contract, "from", old, "to", new] => {
            Fact::OwnershipTransferred { contract: a(contract), old: a(old), new: a(new) }
        }
        ["grant", contract, id, account] => {
            Fact::RoleGranted { contract: a(contract), role: role(id), account: a(account) }
        }
        ["revoke", contract, id, account] => {
            Fact::RoleRevoked { contract: a(contract), role: role(id), account: a(account) }
        }
        ["paused", contract] => Fact::Paused { contract: a(contract) },
        ["unpaused", contract] => Fact::Unpaused { contract: a(contract) },
        ["safe", safe, change, to] => {
            let change = match *change {
                "owner-added" => SafeChange::OwnerAdded { owner: a(to) },
                "owner-removed" => SafeChange::OwnerRemoved { owner: a(to) },
                "threshold" => SafeChange::Threshold { threshold: number(to) },
                "module" => SafeChange::ModuleEnabled { module: a(to) },
                "module-off" => SafeChange::ModuleDisabled { module: a(to) },
                "guard" => SafeChange::Guard { guard: a(to) },
                "fallback" => SafeChange::FallbackHandler { handler: a(to) },
                "singleton" => SafeChange::MasterCopy { singleton: a(to) },
                _ => return None,
            };
            Fact::SafeChanged { safe: a(safe), change }
        }
        _ => return None,
    })
}

/// The contract whose log a fact is.
fn emitter(fact: &Fact) -> Option<Address> {
    Some(match fact {
        Fact::Transfer { token, .. }
        | Fact::Wrapped { token, .. }
        | Fact::Unwrapped { token, .. } => *token,
        Fact::FlashLoan { provider, .. } => *provider,
        Fact::PairSwap { pair, .. } | Fact::PairSync { pair, .. } => *pair,
        Fact::VaultDeposit { vault, .. } | Fact::VaultWithdraw { vault, .. } => *vault,
        Fact::MarketMint { market, .. }
        | Fact::MarketRedeem { market, .. }
        | Fact::MarketBorrow { market, .. } => *market,
        Fact::Upgraded { proxy, .. }
        | Fact::BeaconUpgraded { proxy, .. }
        | Fact::AdminChanged { proxy, .. } => *proxy,
        Fact::OwnershipTransferred { contract, .. }
        | Fact::RoleGranted { contract, .. }
        | Fact::RoleRevoked { contract, .. }
        | Fact::Paused { contract }
        | Fact::Unpaused { contract } => *contract,
        Fact::SafeChanged { safe, .. } => *safe,
        _ => return None,
    })
}

fn asset(text: &str) -> cofferdam_core::plan::AssetId {
    cofferdam_core::plan::AssetId::Token(address(text))
}

/// A number, decimal or hexadecimal, with an optional power of ten: `5`, `0xff`, `12e18`.
fn number(text: &str) -> U256 {
    let hex = text.starts_with("0x");
    let (digits, places) = text.split_once('e').filter(|_| !hex).unwrap_or((text, "0"));
    let scale = U256::from(10u8).pow(places.parse().expect("a power of ten"));
    digits.parse::<U256>().expect("a number") * scale
}

fn address(text: &str) -> Address {
    Address::from_word(B256::from(number(text)))
}

fn bytes(text: &str) -> Bytes {
    text.parse().expect("bytes in hex")
}
