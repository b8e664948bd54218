//! S09: tokens of a bystander were moved without leave. The page beside this file says how and with which limits.

use std::collections::BTreeSet;

use alloy_primitives::{Address, U256, hex};
use cofferdam_core::{
    AccountId, Class, Fact, Finding, Severity, Tx, Usd,
    finding::Evidence,
    plan::{AssetId, UsdText},
    read::{Answer, StateRead},
    tx::{CallKind, Frame},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need, reads,
    report::{About, Voice, group},
    suspicion::initiators,
    watch::{Ward, Wards, value},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "unauthorised-transfer",
        signal: "S09",
        summary: "tokens of a bystander were moved without leave",
        needs: &[Need::Logs, Need::Frames, Need::Reads],
        docs: include_str!("unauthorised_transfer.md"),
    },
    build: |cx| Ok(Box::new(Unauthorised::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// `transferFrom(address,address,uint256)`
const TRANSFER_FROM: [u8; 4] = hex!("23b872dd");

/// Calls that carry a signature of the holder instead of an approval: EIP-3009, native meta-transactions.
const SIGNED: &[[u8; 4]] = &[
    hex!("e3ee160e"), // transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)
    hex!("ef55bec6"), // receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)
    hex!("0c53c51c"), // executeMetaTransaction(address,bytes,bytes32,bytes32,uint8)
];

/// Holders and callers of one transaction that are looked at.
const PARTIES_MAX: usize = 8;

/// Settings of `unauthorised-transfer`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Less is not reported; a token without a price counts as more.
    min_loss: UsdText,
    /// Holders of one transaction from which on a loss of any size is critical.
    holders: usize,
    /// Contracts that may move the entity's own tokens without approval: minters, bridges, forwarders.
    operators: Vec<AccountId>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { min_loss: UsdText(Usd::whole(1_000)), holders: 3, operators: Vec::new() }
    }
}

#[derive(Debug)]
struct Unauthorised {
    voice: Voice,
    settings: Settings,
    wards: Wards,
}

/// A token or an amount of tokens that left a holder who took no part in the transaction and got
/// nothing for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Taking {
    ward: usize,
    token: Address,
    holder: Address,
    to: Address,
    amount: U256,
    /// The token's number, if it has one.
    id: Option<U256>,
}

impl Unauthorised {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        Ok(Self {
            voice: Voice::new("unauthorised-transfer", cx),
            settings: cx.settings()?,
            wards: Wards::new(cx),
        })
    }

    /// What was taken of the entities' own tokens.
    fn takings(&self, tx: &Tx) -> Vec<Taking> {
        if !tx.tracing.is_evidence() {
            return Vec::new();
        }
        let mut takings = Vec::new();
        for fact in &tx.facts {
            let (token, holder, to, amount, id) = match *fact {
                Fact::Transfer { token, from, to, amount } => (token, from, to, amount, None),
                Fact::NftTransfer { token, from, to, id } => {
                    (token, from, to, U256::from(1u8), Some(id))
                }
                _ => continue,
            };
            let Some(ward) = self.wards.position(token) else { continue };
            if !holder.is_zero() && !amount.is_zero() && is_bystander(tx, holder) {
                takings.push(Taking { ward, token, holder, to, amount, id });
            }
        }
        takings.truncate(PARTIES_MAX);
        takings
    }

    fn is_operator(&self, account: Address) -> bool {
        self.voice.is_ours(account)
            || self.settings.operators.iter().any(|it| it.address == account)
    }

    /// Whether any of those who called the token had leave; `None` if that is not known.
    fn allowed(&self, cx: &Context<'_>, tx: &Tx, it: &Taking) -> Option<bool> {
        let callers = callers(tx, it.token);
        let signed = entries(tx, it.token)
            .any(|frame| frame.selector().is_some_and(|it| SIGNED.contains(&it)));
        if signed || callers.iter().any(|it| self.is_operator(*it)) {
            return Some(true);
        }
        let approved = |spender: &Address| {
            tx.facts.iter().any(|fact| {
                matches!(fact, Fact::Approval { token, owner, spender: to, .. }
                    if token == &it.token && owner == &it.holder && to == spender)
            })
        };
        if callers.is_empty() || callers.iter().any(approved) {
            return Some(true);
        }
        for caller in callers {
            for read in leave(it, caller) {
                let reading = cx.observation.readings.get(&read)?;
                let enough = match (&reading.before, it.id) {
                    (Answer::Unavailable, _) => return None,
                    (Answer::Reverted, _) => false,
                    (answer, None) => answer.word(0).is_some_and(|left| left >= it.amount),
                    (answer, Some(_)) => answer
                        .word(0)
                        .is_some_and(|word| word == U256::from(1u8) || word == reads::word(caller)),
                };
                if enough {
                    return Some(true);
                }
            }
        }
        Some(false)
    }

    /// Payments that a contract of an entity pulled from bystanders for those who started the
    /// transaction: the allowance was given, but not for this.
    fn pulled(&self, tx: &Tx) -> Vec<Taking> {
        let cluster = initiators(tx, |it| self.voice.is_ours(it));
        let mut out = Vec::new();
        for frame in tx.calls().filter(|it| it.selector() == Some(TRANSFER_FROM)) {
            let Some(ward) = self.wards.position(frame.from) else { continue };
            let [Some(holder), Some(to), Some(amount)] = [0, 1, 2].map(|it| argument(frame, it))
            else {
                continue;
            };
            let [holder, to] = [holder, to].map(|it| Address::from_word(it.into()));
            if is_bystander(tx, holder) && cluster.contains(&to) && !amount.is_zero() {
                out.push(Taking { ward, token: frame.to, holder, to, amount, id: None });
            }
        }
        out.truncate(PARTIES_MAX);
        out
    }

    fn worth(ward: &Ward, it: &Taking) -> Option<Usd> {
        let asset = ward.asset(AssetId::Token(it.token)).and_then(|at| ward.assets.get(at))?;
        Some(value(asset, it.amount))
    }

    fn report(&self, cx: &Context<'_>, tx: &Tx, takings: &[Taking], what: &str) -> Option<Finding> {
        let first = takings.first()?;
        let ward = self.wards.at(first.ward)?;
        let priced: Vec<Option<Usd>> = takings.iter().map(|it| Self::worth(ward, it)).collect();
        let loss = priced.iter().flatten().fold(Usd::ZERO, |sum, it| sum.plus(*it));
        let holders: BTreeSet<Address> = takings.iter().map(|it| it.holder).collect();
        let many = holders.len() >= self.settings.holders;
        let unpriced = priced.iter().any(Option::is_none);
        let large = loss >= self.settings.min_loss.0;
        let severity = match (large || many, unpriced) {
            (true, _) => Severity::Critical,
            (false, true) => Severity::High,
            (false, false) => return None,
        };
        let about = About { tx: Some(tx), entity: &ward.id, subject: first.token };
        let evidence = takings.iter().map(|it| {
            let what = it.id.map_or(it.amount.to_string(), |id| format!("number {id}"));
            Evidence::new(format!("of {}", it.holder), format!("{what} to {}", it.to))
        });
        Some(Finding {
            loss,
            summary: format!("{what} of {} bystanders, {loss}", holders.len()),
            evidence: evidence.collect(),
            ..self.voice.finding(cx, about, severity, Class::Damage, group::VALUE)
        })
    }
}

/// Whether `holder` neither sent nor called anything in `tx`, nor received anything.
fn is_bystander(tx: &Tx, holder: Address) -> bool {
    let paid = |it: &Fact| match it {
        Fact::Transfer { to, .. }
        | Fact::NftTransfer { to, .. }
        | Fact::MultiTransfer { to, .. }
        | Fact::NativeTransfer { to, .. }
        | Fact::Wrapped { to, .. } => *to == holder,
        _ => false,
    };
    let acts = |it: &Frame| it.from == holder || it.to == holder;
    holder != tx.from && !tx.calls().any(acts) && !tx.facts.iter().any(paid)
}

/// The frames by which others entered `token`.
fn entries(tx: &Tx, token: Address) -> impl Iterator<Item = &Frame> {
    tx.calls().filter(move |it| it.kind == CallKind::Call && it.to == token && it.from != token)
}

fn callers(tx: &Tx, token: Address) -> BTreeSet<Address> {
    entries(tx, token).map(|it| it.from).take(PARTIES_MAX).collect()
}

/// The reads that tell whether `caller` had leave. Nobody approves a stranger to burn one token: for that,
/// only an approval for all counts.
fn leave(it: &Taking, caller: Address) -> Vec<StateRead> {
    let parties = [reads::word(it.holder), reads::word(caller)];
    match it.id {
        None => vec![reads::view_with(it.token, reads::ALLOWANCE, &parties)],
        Some(_) if it.to.is_zero() => {
            vec![reads::view_with(it.token, reads::IS_APPROVED_FOR_ALL, &parties)]
        }
        Some(id) => vec![
            reads::view_with(it.token, reads::IS_APPROVED_FOR_ALL, &parties),
            reads::view_of(it.token, reads::GET_APPROVED, id),
        ],
    }
}

fn argument(frame: &Frame, index: usize) -> Option<U256> {
    let start = 4 + 32 * index;
    frame.input.get(start..start + 32).map(U256::from_be_slice)
}

impl Detector for Unauthorised {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn asks(&self, tx: &Tx) -> Vec<StateRead> {
        let takings = self.takings(tx);
        let of = |it: &Taking| {
            let callers = callers(tx, it.token);
            callers.into_iter().flat_map(|caller| leave(it, caller)).collect::<Vec<_>>()
        };
        takings.iter().flat_map(of).collect()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        let takings = self.takings(tx).into_iter();
        let taken: Vec<Taking> =
            takings.filter(|it| self.allowed(cx, tx, it) == Some(false)).collect();
        let told = self.report(cx, tx, &taken, "moved without leave: tokens");
        match told {
            Some(it) => out.push(it),
            None if tx.tracing.is_evidence() => {
                out.extend(self.report(cx, tx, &self.pulled(tx), "pulled by allowance: tokens"));
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{hex, keccak256};
    use expect_test::expect;

    use crate::fixture::check_plan;

    /// An entity whose contracts are a token (0xaa, $1) and a router (0xab).
    fn plan(settings: &str) -> String {
        format!(
            r#"
            [[entities]]
            id = "issuer"
            accounts = [
                "eip155:1:0x00000000000000000000000000000000000000aa",
                "eip155:1:0x00000000000000000000000000000000000000ab",
            ]
            assets = [
                {{ token = "0x00000000000000000000000000000000000000aa", symbol = "TOK", decimals = 18, price = "1 usd" }},
                {{ token = "0x0000000000000000000000000000000000000070", symbol = "USD", decimals = 18, price = "1 usd" }},
            ]
            [[rules]]
            id = "r"
            detector = "unauthorised-transfer"
            [rules.settings]
            {settings}
            "#
        )
    }

    const WORD: &str = "000000000000000000000000000000000000000000000000000000000000";

    fn taken(allowance: &str) -> String {
        format!(
            "
            block 1
              read view 0xaa 0xdd62ed3e{WORD}0dad{WORD}00ec {allowance} -> 0
              tx 0xee -> 0xec
                call 0xec 0xaa 0x01020304
                transfer 0xaa 5000e18 from 0xdad to 0xec
            "
        )
    }

    #[test]
    fn every_selector_is_the_hash_of_its_signature() {
        for line in include_str!("unauthorised_transfer.rs").lines() {
            let Some(line) = line.strip_prefix("    hex!") else { continue };
            let Some((code, signature)) = line.split_once(", // ") else { continue };
            let hash = hex::encode(&keccak256(signature)[..4]);
            assert!(code.contains(&hash), "{signature} is {hash}");
        }
    }

    #[test]
    fn what_is_moved_without_approval_or_pulled_for_the_caller_is_critical() {
        check_plan(
            &plan(""),
            &taken("0"),
            expect![[r#"
                1 critical unauthorised-transfer 0xaa $5,000: moved without leave: tokens of 1 bystanders, $5,000
            "#]],
        );
        check_plan(
            &plan(""),
            &format!(
                "
                block 1
                  tx 0xee -> 0xec
                    call 0xab 0x70 0x23b872dd{WORD}0dad{WORD}00ec{WORD}0000
                    call 0xab 0x70 0x23b872dd{WORD}0dad{WORD}00ec000000000000000000000000000000000000000000001000000000000000ffff
                "
            ),
            expect![[r#"
                1 critical unauthorised-transfer 0x70 $75,557: pulled by allowance: tokens of 1 bystanders, $75,557
            "#]],
        );
    }

    #[test]
    fn approvals_signatures_payment_and_operators_are_silent() {
        check_plan(&plan(""), &taken("5000e18"), expect![[""]]);
        let operators = r#"operators = ["eip155:1:0x00000000000000000000000000000000000000ec"]"#;
        check_plan(&plan(operators), &taken("0"), expect![[""]]);
        for more in [
            "native 1 from 0xec to 0xdad",
            "call 0xdad 0xec 0x01020304",
            "call 0x99 0xaa 0xe3ee160e",
        ] {
            check_plan(&plan(""), &format!("{}\n{more}", taken("0")), expect![[""]]);
        }
    }
}
