//! S13: a Safe ran foreign code as its own, or its singleton was replaced. The page beside this file says how and with which limits.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256, address, hex};
use cofferdam_core::{
    AccountId, ChainId, Class, Fact, Finding, Severity, Tx, finding::Evidence, tx::selector,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need,
    calendar::Calendar,
    report::{About, Voice, group},
    suspicion,
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "safe-delegatecall",
        signal: "S13",
        summary: "a Safe ran foreign code as its own, or its singleton was replaced",
        needs: &[Need::Logs, Need::Frames, Need::Diff],
        docs: include_str!("safe_delegatecall.md"),
    },
    build: |cx| Ok(Box::new(SafeDelegatecall::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Functions by which a Safe executes, with `(to, value, data, operation, …)` as first parameters.
const EXECUTE: [[u8; 4]; 3] = [
    hex!("6a761202"), // execTransaction
    hex!("468721a7"), // execTransactionFromModule
    hex!("5229073f"), // execTransactionFromModuleReturnData
];

/// Functions of ERC-20 that make no sense in the context of a Safe.
const TOKEN_FUNCTIONS: [[u8; 4]; 3] = [
    hex!("a9059cbb"), // transfer
    hex!("23b872dd"), // transferFrom
    hex!("095ea7b3"), // approve
];

/// Contracts of the Safe project that are made to be called this way, at the same address everywhere.
const LIBRARIES: [Address; 10] = [
    address!("8D29bE29923b68abfDD21e541b9374737B49cdAD"), // MultiSend 1.1.1
    address!("A238CBeb142c10Ef7Ad8442C6D1f9E89e07e7761"), // MultiSend 1.3.0
    address!("998739BFdAAdde7C933B942a68053933098f9EDa"), // MultiSend 1.3.0, EIP-155 deployment
    address!("38869bf66a61cF6bDB996A6aE40D5853Fd43B526"), // MultiSend 1.4.1
    address!("40A2aCCbd92BCA938b02010E17A5b8929b49130D"), // MultiSendCallOnly 1.3.0
    address!("A1dabEF33b3B82c7814B6D82A79e50F4AC44102B"), // MultiSendCallOnly 1.3.0, EIP-155
    address!("9641d764fc13c8B624c04430C7356C1C7C8102e2"), // MultiSendCallOnly 1.4.1
    address!("A65387F16B013cf2Af4605Ad8aA5ec25a2cbA3a2"), // SignMessageLib 1.3.0
    address!("d53cd0aB83D845Ac265BE939c57F53AD838012c9"), // SignMessageLib 1.4.1
    address!("7cbB62EaA69F79e6873cD1ecB2392971036cFAa4"), // CreateCall 1.3.0
];

/// The slot of a Safe's nonce: the only one its own bookkeeping writes when it executes.
const NONCE_SLOT: U256 = U256::from_limbs([5, 0, 0, 0]);

/// Settings of `safe-delegatecall`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// The Safes, if not all contracts of the entities are. Slot 0 of these holds the singleton.
    safes: Vec<AccountId>,
    /// Contracts that the Safes may run as their own, besides the Safe project's libraries.
    allowed: Vec<AccountId>,
    /// Whether any other contract is critical, even if it is not seen to write the Safe's state.
    strict: bool,
}

#[derive(Debug)]
struct SafeDelegatecall {
    voice: Voice,
    settings: Settings,
    chain: ChainId,
    wards: Wards,
    calendar: Calendar,
}

/// What a transaction did to one Safe.
#[derive(Debug, Default)]
struct Seen {
    severity: Option<Severity>,
    summary: String,
    evidence: Vec<Evidence>,
}

/// One execution with operation 1.
struct Execution {
    safe: Address,
    code: Address,
    selector: Option<[u8; 4]>,
}

impl SafeDelegatecall {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        Ok(Self {
            voice: Voice::new("safe-delegatecall", cx),
            settings: cx.settings()?,
            chain: cx.chain,
            wards: Wards::new(cx),
            calendar: Calendar::new(cx),
        })
    }

    /// Whether `account` is a Safe by the settings, not just a contract that behaves like one.
    fn is_named(&self, account: Address) -> bool {
        self.settings.safes.contains(&AccountId { chain: self.chain, address: account })
    }

    fn is_watched(&self, account: Address) -> bool {
        match self.settings.safes.is_empty() {
            true => self.wards.position(account).is_some(),
            false => self.is_named(account),
        }
    }

    fn is_allowed(&self, code: Address) -> bool {
        let code = AccountId { chain: self.chain, address: code };
        LIBRARIES.contains(&code.address) || self.settings.allowed.contains(&code)
    }

    /// Every execution with operation 1 by a watched Safe, from calldata alone: works pending and
    /// without a trace. Nested ones need the call tree.
    fn executions(&self, tx: &Tx) -> Vec<Execution> {
        let outer = tx.to.and_then(|safe| execution(safe, &tx.input)).filter(|_| tx.succeeded);
        let inner = tx.calls().filter(|_| tx.tracing.is_evidence());
        let inner = inner.filter_map(|it| execution(it.to, &it.input));
        let mut found: Vec<Execution> = Vec::new();
        for it in outer.into_iter().chain(inner).filter(|it| self.is_watched(it.safe)) {
            if !found.iter().any(|known| known.safe == it.safe && known.code == it.code) {
                found.push(it);
            }
        }
        found
    }

    fn judge(&self, cx: &Context<'_>, tx: &Tx, it: &Execution) -> Severity {
        let token = it.selector.is_some_and(|it| TOKEN_FUNCTIONS.contains(&it));
        let fresh = suspicion::fresh_code(cx, tx, &[it.code], |it| self.voice.is_ours(it));
        let writes = |fact: &Fact| {
            matches!(fact, Fact::StorageChanged { address, slot, .. }
                if *address == it.safe && *slot != NONCE_SLOT)
        };
        let blind = !tx.tracing.is_evidence();
        let written = blind || tx.facts.iter().any(writes);
        match self.settings.strict || token || fresh || written {
            true => Severity::Critical,
            false => Severity::High,
        }
    }

    fn look(&self, cx: &Context<'_>, tx: &Tx) -> BTreeMap<Address, Seen> {
        let mut seen: BTreeMap<Address, Seen> = BTreeMap::new();
        let executions = self.executions(tx);
        for it in executions.iter().filter(|it| !self.is_allowed(it.code)) {
            let text = format!("ran {} as its own code", it.code);
            seen.entry(it.safe).or_default().add(self.judge(cx, tx, it), text);
        }
        for fact in &tx.facts {
            let Fact::StorageChanged { address, slot, before, after } = fact else { continue };
            let safe = self.is_named(*address) || executions.iter().any(|it| it.safe == *address);
            // Before a proxy's set-up the slot is empty.
            if safe && slot.is_zero() && !before.is_zero() {
                let to = Address::from_word((*after).into());
                let text = format!("its singleton was replaced by {to}");
                seen.entry(*address).or_default().add(Severity::Critical, text);
            }
        }
        let time = cx.observation.block.time;
        seen.retain(|safe, _| {
            let targets = executions.iter().filter(|it| it.safe == *safe).map(|it| Some(it.code));
            !targets.chain([None]).any(|to| self.calendar.expects(*safe, to, time))
        });
        seen
    }
}

impl Seen {
    fn add(&mut self, severity: Severity, text: String) {
        self.evidence.push(Evidence::new("seen", &text));
        if self.severity.is_none_or(|it| severity >= it) {
            self.severity = Some(severity);
            self.summary = text;
        }
    }
}

/// The execution that a call of `safe` with `input` asks for, if its operation is a delegate call.
fn execution(safe: Address, input: &[u8]) -> Option<Execution> {
    if !EXECUTE.contains(&selector(input)?) {
        return None;
    }
    let arguments = input.get(4..)?;
    let word = |index: usize| arguments.get(index * 32..index * 32 + 32).map(U256::from_be_slice);
    if word(3)? != U256::from(1) {
        return None;
    }
    let inner = || {
        let offset = usize::try_from(word(2)?).ok()?;
        let start = offset.checked_add(32)?;
        selector(arguments.get(start..)?)
    };
    Some(Execution { safe, code: Address::from_word(word(0)?.into()), selector: inner() })
}

impl Detector for SafeDelegatecall {
    fn interests(&self) -> Vec<Interest> {
        let named = self.settings.safes.iter().filter(|it| it.chain == self.chain);
        let named = named.map(|it| Interest::Account(it.address));
        self.wards.interests().into_iter().chain(named).collect()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        for (safe, seen) in self.look(cx, tx) {
            let Some(severity) = seen.severity else { continue };
            let entity = self.wards.of(safe).or_else(|| self.wards.at(0)).map_or("", |it| &it.id);
            let about = About { tx: Some(tx), entity, subject: safe };
            out.push(Finding {
                summary: seen.summary,
                evidence: seen.evidence,
                ..self.voice.finding(cx, about, severity, Class::Control, group::CONTROL)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    /// `execTransaction(to, 0, data, operation, …)` with `transfer` or another selector as data.
    fn execute(to: &str, operation: u8, selector: &str) -> String {
        let word = |it: &str| format!("{it:0>64}");
        let head = [word(to), word("0"), word("80"), word(&operation.to_string())].concat();
        format!("0x6a761202{head}{}{selector:0<64}", word("4"))
    }

    #[test]
    fn the_addresses_of_the_libraries_carry_their_checksum() {
        for (line, library) in include_str!("safe_delegatecall.rs")
            .lines()
            .filter_map(|it| it.strip_prefix("    address!(\""))
            .zip(super::LIBRARIES)
        {
            assert!(library.to_checksum(None).ends_with(&line[..40]), "{line}");
        }
    }

    #[test]
    fn a_delegatecall_to_unknown_code_is_high_and_critical_with_another_sign() {
        let (plain, token) = (execute("bad", 1, "deadbeef"), execute("bad", 1, "a9059cbb"));
        check(
            "safe-delegatecall",
            "",
            &format!(
                "
                block 1
                  tx 0xee -> 0xaa input {plain}
                    store 0xaa 5 7 -> 8
                block 2
                  tx 0xee -> 0xaa input {token}
                block 3
                  tx 0xee -> 0xaa input {plain}
                    store 0xaa 5 8 -> 9
                    store 0xaa 0 0x900d -> 0xbad
                block 4
                  tx 0xee -> 0xe7
                    call 0xe7 0xaa {plain}
                    store 0xaa 3 0 -> 1
                block 5
                  tx 0xee -> 0xaa untraced input {plain}
                "
            ),
            expect![[r#"
                1 high safe-delegatecall 0xaa $0.00: ran 0x0000000000000000000000000000000000000Bad as its own code
                2 critical safe-delegatecall 0xaa $0.00: ran 0x0000000000000000000000000000000000000Bad as its own code
                3 critical safe-delegatecall 0xaa $0.00: its singleton was replaced by 0x0000000000000000000000000000000000000Bad
                4 critical safe-delegatecall 0xaa $0.00: ran 0x0000000000000000000000000000000000000Bad as its own code
                5 critical safe-delegatecall 0xaa $0.00: ran 0x0000000000000000000000000000000000000Bad as its own code
            "#]],
        );
    }

    #[test]
    fn calls_libraries_allowed_code_and_other_contracts_are_silent() {
        let library = execute("38869bf66a61cf6bdb996a6ae40d5853fd43b526", 1, "8d80ff0a");
        let (call, allowed) = (execute("bad", 0, "a9059cbb"), execute("cc", 1, "deadbeef"));
        let short = "0x6a7612020000";
        check(
            "safe-delegatecall",
            r#"allowed = ["eip155:1:0x00000000000000000000000000000000000000cc"]"#,
            &format!(
                "
                block 1
                  tx 0xee -> 0xaa input {library}
                  tx 0xee -> 0xaa input {call}
                  tx 0xee -> 0xaa input {allowed}
                  tx 0xee -> 0xaa input {short}
                  tx 0xee -> 0xaa reverted input {library}
                  tx 0xee -> 0xaa
                    store 0xaa 0 1 -> 2
                "
            ),
            expect![[""]],
        );
    }
}
