//! S08: code, admin, owner, role or guarded state of an entity changed unexpectedly. The page beside this file says how and with which limits.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, uint};
use cofferdam_core::{
    AccountId, Class, Fact, Finding, Severity, Tx, finding::Evidence, read::Answer,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need, Question,
    calendar::Calendar,
    guarded::Guarded,
    index::touches,
    report::{About, Voice, group},
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "control-change",
        signal: "S08",
        summary: "code, admin, owner, role or guarded state of an entity changed unexpectedly",
        needs: &[Need::Logs, Need::Diff, Need::Reads],
        docs: include_str!("control_change.md"),
    },
    build: |cx| Ok(Box::new(ControlChange::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Slots that hold an implementation, admin or beacon, with what they hold.
const SLOTS: [(U256, Kind); 5] = [
    // ERC-1967: keccak256("eip1967.proxy.implementation") − 1 and so on.
    (
        uint!(0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc_U256),
        Kind::Implementation,
    ),
    (uint!(0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103_U256), Kind::Admin),
    (uint!(0xa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50_U256), Kind::Beacon),
    // keccak256("org.zeppelinos.proxy.implementation") and "…admin", used before ERC-1967.
    (
        uint!(0x7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3_U256),
        Kind::Implementation,
    ),
    (uint!(0x10d6a54a4754c8869d6886b5f5d7fbfa5b4522237ea5c60d11bc4e7a1ff9390b_U256), Kind::Admin),
];

/// Settings of `control-change`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Implementations that were reviewed: an upgrade to one is high instead of critical.
    approved_implementations: Vec<AccountId>,
    /// Code hashes that were reviewed, as `approved-implementations`.
    #[schemars(with = "Vec<String>")]
    approved_code_hashes: Vec<B256>,
    /// Whether code that vanishes (self-destruct) is critical rather than high. Set it for libraries and
    /// implementations that other contracts run; wallets and auctions end this way every day.
    destruction_critical: bool,
    /// Roles (besides the default admin role 0x00…00) whose grant is critical.
    #[schemars(with = "Vec<String>")]
    critical_roles: Vec<B256>,
    /// State that only operators may change, such as the keys of bridge keepers.
    guarded: Vec<Guarded>,
}

/// What changed, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    RoleLost,
    Role,
    Owner,
    Admin,
    Beacon,
    Implementation,
    Code,
    Guarded,
}

/// One change of one contract.
#[derive(Clone, Debug)]
struct Change {
    kind: Kind,
    severity: Severity,
    to: Option<Address>,
    text: String,
}

#[derive(Debug)]
struct ControlChange {
    voice: Voice,
    settings: Settings,
    wards: Wards,
    calendar: Calendar,
    chain: cofferdam_core::ChainId,
}

impl ControlChange {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let settings: Settings = cx.settings()?;
        Ok(Self {
            voice: Voice::new("control-change", cx),
            settings,
            wards: Wards::new(cx),
            calendar: Calendar::new(cx),
            chain: cx.chain,
        })
    }

    fn guarded(&self) -> impl Iterator<Item = &Guarded> {
        self.settings.guarded.iter().filter(|it| it.account.chain == self.chain)
    }

    /// The change that `fact` is, with the contract, if it concerns control.
    fn change(&self, tx: &Tx, fact: &Fact) -> Option<(Address, Change)> {
        let (contract, kind, to, text) = match fact {
            Fact::Upgraded { proxy, implementation: to } => {
                (*proxy, Kind::Implementation, Some(*to), format!("implementation is now {to}"))
            }
            Fact::BeaconUpgraded { proxy, beacon } => {
                (*proxy, Kind::Beacon, Some(*beacon), format!("beacon is now {beacon}"))
            }
            Fact::AdminChanged { proxy, old, new } => {
                (*proxy, Kind::Admin, Some(*new), format!("admin is now {new}, was {old}"))
            }
            Fact::OwnershipTransferred { contract, old, new } => {
                (*contract, Kind::Owner, Some(*new), format!("owner is now {new}, was {old}"))
            }
            Fact::RoleGranted { contract, role, account } => {
                (*contract, Kind::Role, Some(*account), format!("role {role} granted to {account}"))
            }
            Fact::RoleRevoked { contract, role, account } => (
                *contract,
                Kind::RoleLost,
                Some(*account),
                format!("role {role} revoked from {account}"),
            ),
            Fact::StorageChanged { address, slot, before, after } => {
                return self.slot_change(tx, *address, *slot, *before, *after);
            }
            Fact::CodeChanged { address, before, after } => {
                let name = |it: &Option<B256>| it.map_or("none".into(), |it| it.to_string());
                let text = format!("code is now {}, was {}", name(after), name(before));
                (*address, Kind::Code, None, text)
            }
            _ => return None,
        };
        let severity = self.severity(tx, fact, kind)?;
        Some((contract, Change { kind, severity, to, text }))
    }

    fn slot_change(
        &self,
        tx: &Tx,
        address: Address,
        slot: U256,
        before: U256,
        after: U256,
    ) -> Option<(Address, Change)> {
        if let Some((_, kind)) = SLOTS.iter().find(|(it, _)| *it == slot) {
            let to = Address::from_word(after.into());
            // A first value is the contract's initialisation.
            let severity = match self.approved(tx, to) || before.is_zero() {
                true => Severity::High,
                false => Severity::Critical,
            };
            let text = format!("slot of {} holds {to}", kind.phrase());
            return Some((address, Change { kind: *kind, severity, to: Some(to), text }));
        }
        let guard = self.guarded().find(|it| it.account.address == address && it.covers(slot))?;
        if guard.allows(tx.from) {
            return None;
        }
        let text = format!("{}: slot {slot:#x} changed from {before:#x} to {after:#x}", guard.name);
        let (kind, severity) = (Kind::Guarded, Severity::Critical);
        Some((address, Change { kind, severity, to: None, text }))
    }

    fn severity(&self, tx: &Tx, fact: &Fact, kind: Kind) -> Option<Severity> {
        Some(match fact {
            Fact::Upgraded { implementation, .. } if self.approved(tx, *implementation) => {
                Severity::High
            }
            // Giving up ownership harms nobody by itself; a first owner is an initialisation, which
            // an attacker may have made.
            Fact::OwnershipTransferred { new, .. } if new.is_zero() => Severity::Medium,
            Fact::OwnershipTransferred { old, .. } | Fact::AdminChanged { old, .. }
                if old.is_zero() =>
            {
                Severity::High
            }
            Fact::RoleGranted { role, .. } => {
                let critical = role.is_zero() || self.settings.critical_roles.contains(role);
                if critical { Severity::Critical } else { Severity::High }
            }
            Fact::RoleRevoked { .. } => Severity::Medium,
            Fact::CodeChanged { after: Some(hash), .. }
                if self.settings.approved_code_hashes.contains(hash) =>
            {
                Severity::High
            }
            Fact::CodeChanged { before: None, .. } => Severity::High,
            Fact::CodeChanged { after: None, .. } if !self.settings.destruction_critical => {
                Severity::High
            }
            _ if kind == Kind::RoleLost => return None,
            _ => Severity::Critical,
        })
    }

    /// Whether an implementation was reviewed, by address or by the code seen to be put there.
    fn approved(&self, tx: &Tx, implementation: Address) -> bool {
        let here = AccountId { chain: self.chain, address: implementation };
        let hash = tx.diff.codes.iter().find(|it| it.address == implementation);
        self.settings.approved_implementations.contains(&here)
            || hash
                .and_then(|it| it.after)
                .is_some_and(|it| self.settings.approved_code_hashes.contains(&it))
    }

    fn report(
        &self,
        cx: &Context<'_>,
        tx: Option<&Tx>,
        subject: Address,
        mut changes: Vec<Change>,
    ) -> Option<Finding> {
        changes.sort_by_key(|it| std::cmp::Reverse((it.severity, it.kind)));
        let worst = changes.first()?;
        let entity = self.wards.of(subject).map_or("", |it| it.id.as_str());
        let about = About { tx, entity, subject };
        Some(Finding {
            summary: worst.text.clone(),
            evidence: changes.iter().map(|it| Evidence::new(it.kind.phrase(), &it.text)).collect(),
            ..self.voice.finding(cx, about, worst.severity, Class::Control, group::CONTROL)
        })
    }

    /// Guarded views whose answer changed, unless every sender in the block is an operator.
    fn view_change(&self, cx: &Context<'_>, it: &Guarded) -> Option<Finding> {
        let reading = cx.observation.readings.get(&it.question()?)?;
        let known = |it: &Answer| !matches!(it, Answer::Unavailable);
        if !known(&reading.before) || !known(&reading.after) || reading.before == reading.after {
            return None;
        }
        let subject = it.account.address;
        let txs: Vec<&Tx> = cx.observation.txs.iter().filter(|it| touches(it, subject)).collect();
        let traced = !it.slots.is_empty() && txs.iter().all(|it| it.tracing.is_evidence());
        let time = cx.observation.block.time;
        if txs.iter().all(|tx| it.allows(tx.from))
            || traced
            || self.calendar.expects(subject, None, time)
        {
            return None;
        }
        let text = format!("{}: a guarded view answers differently", it.name);
        let (kind, severity) = (Kind::Guarded, Severity::Critical);
        let change = Change { kind, severity, to: None, text };
        let only = match txs.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        self.report(cx, only, subject, vec![change])
    }
}

impl Detector for ControlChange {
    fn interests(&self) -> Vec<Interest> {
        let guarded = self.guarded().map(|it| Interest::Account(it.account.address));
        self.wards.interests().into_iter().chain(guarded).collect()
    }

    fn questions(&self) -> Vec<Question> {
        let ask = |it: &Guarded| {
            Some(Question { read: it.question()?, touched: vec![it.account.address] })
        };
        self.guarded().filter_map(ask).collect()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        let mut by_contract: BTreeMap<Address, Vec<Change>> = BTreeMap::new();
        for fact in &tx.facts {
            let Some((contract, change)) = self.change(tx, fact) else { continue };
            let ours = self.wards.position(contract).is_some() || change.kind == Kind::Guarded;
            let time = cx.observation.block.time;
            if ours && !self.calendar.expects(contract, change.to, time) {
                by_contract.entry(contract).or_default().push(change);
            }
        }
        // What a contract does while it is created is its birth, not a change.
        let born = |contract: &Address| {
            tx.facts
                .iter()
                .any(|it| matches!(it, Fact::Created { contract: it, .. } if it == contract))
        };
        by_contract.retain(|contract, _| !born(contract));
        for (contract, changes) in by_contract {
            out.extend(self.report(cx, Some(tx), contract, changes));
        }
    }

    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        for it in self.guarded() {
            let told = |out: &[Finding]| {
                let mut ours = out.iter().filter(|it| self.voice.spoke(it));
                ours.any(|told| told.subject == it.account.address)
            };
            if !told(out) {
                out.extend(self.view_change(cx, it));
            }
        }
    }
}

impl Kind {
    fn phrase(self) -> &'static str {
        match self {
            Self::RoleLost => "role revoked",
            Self::Role => "role granted",
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Beacon => "beacon",
            Self::Implementation => "implementation",
            Self::Code => "code",
            Self::Guarded => "guarded state",
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{U256, keccak256};
    use expect_test::expect;

    use super::SLOTS;
    use crate::fixture::{VAULT, check, check_plan};

    #[test]
    fn the_slots_are_those_of_the_standards() {
        let hash = |it: &str| U256::from_be_bytes(keccak256(it).0);
        let one = U256::from(1);
        for ((slot, _), expected) in SLOTS.iter().zip([
            hash("eip1967.proxy.implementation") - one,
            hash("eip1967.proxy.admin") - one,
            hash("eip1967.proxy.beacon") - one,
            hash("org.zeppelinos.proxy.implementation"),
            hash("org.zeppelinos.proxy.admin"),
        ]) {
            assert_eq!(*slot, expected);
        }
    }

    #[test]
    fn an_upgrade_to_unknown_code_is_critical_with_or_without_its_event() {
        check(
            "control-change",
            "",
            "
            block 1
              tx 0xee -> 0xaa
                upgraded 0xaa to 0xbad
            block 2
              tx 0xee -> 0xaa
                store 0xaa 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc 0x900d -> 0xbad
            block 3
              tx 0xee -> 0xaa
                code 0xaa 1 -> none
            ",
            expect![[r#"
                1 critical control-change 0xaa $0.00: implementation is now 0x0000000000000000000000000000000000000Bad
                2 critical control-change 0xaa $0.00: slot of implementation holds 0x0000000000000000000000000000000000000Bad
                3 high control-change 0xaa $0.00: code is now none, was 0x0000000000000000000000000000000000000000000000000000000000000001
            "#]],
        );
    }

    #[test]
    fn an_approved_upgrade_is_high_and_a_renounced_owner_medium() {
        check(
            "control-change",
            r#"approved-implementations = ["eip155:1:0x00000000000000000000000000000000000000cc"]"#,
            "
            block 1
              tx 0xee -> 0xaa
                upgraded 0xaa to 0xcc
              tx 0xee -> 0xaa
                owner 0xaa from 0xee to 0
              tx 0xee -> 0xaa
                grant 0xaa 0 0xbad
                grant 0xaa 5 0xbad
            ",
            expect![[r#"
                1 high control-change 0xaa $0.00: implementation is now 0x00000000000000000000000000000000000000cc
                1 medium control-change 0xaa $0.00: owner is now 0x0000000000000000000000000000000000000000, was 0x00000000000000000000000000000000000000eE
                1 critical control-change 0xaa $0.00: role 0x0000000000000000000000000000000000000000000000000000000000000000 granted to 0x0000000000000000000000000000000000000Bad
            "#]],
        );
    }

    #[test]
    fn scheduled_changes_foreign_contracts_and_births_are_silent() {
        let rule = "[[rules]]\nid = \"r\"\ndetector = \"control-change\"";
        let calendar = r#"
            [[calendar]]
            contract = "eip155:1:0x00000000000000000000000000000000000000aa"
            not-before = 100
            not-after = 200
            to = "eip155:1:0x00000000000000000000000000000000000000cc"
            reason = "release 7"
        "#;
        check_plan(
            &format!("{VAULT}\n{rule}\n{calendar}"),
            "
            block 1 time 100
              tx 0xee -> 0xaa
                upgraded 0xaa to 0xcc
              tx 0xee -> 0xdd
                upgraded 0xdd to 0xbad
                transfer 0x70 1 from 0xaa to 0xdd
              tx 0xee -> 0xfac
                create 0xab by 0xfac
                owner 0xab from 0 to 0xee
                grant 0xab 0 0xee
            block 2 time 201
              tx 0xee -> 0xaa
                upgraded 0xaa to 0xcc
            ",
            expect![[r#"
                2 critical control-change 0xaa $0.00: implementation is now 0x00000000000000000000000000000000000000cc
            "#]],
        );
    }

    const KEEPERS: &str = r#"
        [[rules.settings.guarded]]
        account = "eip155:1:0x00000000000000000000000000000000000000aa"
        name = "keeper keys"
        slots = ["0x3"]
        dynamic = true
        operators = ["eip155:1:0x00000000000000000000000000000000000000ce"]
    "#;

    #[test]
    fn guarded_state_may_be_changed_by_operators_only() {
        check(
            "control-change",
            KEEPERS,
            "
            block 1
              tx 0xce -> 0xaa
                store 0xaa 0x3 1 -> 2
              tx 0xee -> 0xaa
                store 0xaa 0x4 1 -> 2
              tx 0xee -> 0xaa
                store 0xaa 0xc2575a0e9e593c00f959f8c92f12db2869c3395a3b0502d05e2516446f71f85c 1 -> 2
            ",
            expect![[r#"
                1 critical control-change 0xaa $0.00: keeper keys: slot 0xc2575a0e9e593c00f959f8c92f12db2869c3395a3b0502d05e2516446f71f85c changed from 0x1 to 0x2
            "#]],
        );
    }

    #[test]
    fn a_guarded_view_speaks_where_there_is_no_trace() {
        check(
            "control-change",
            r#"
            [[rules.settings.guarded]]
            account = "eip155:1:0x00000000000000000000000000000000000000aa"
            name = "keeper keys"
            view = "0xaf4a5ebf"
            "#,
            "
            block 1
              read view 0xaa 0xaf4a5ebf 7 -> 7
              tx 0xee -> 0xaa untraced
            block 2
              read view 0xaa 0xaf4a5ebf 7 -> ?
              tx 0xee -> 0xaa untraced
            block 3
              read view 0xaa 0xaf4a5ebf 7 -> 8
              tx 0xee -> 0xaa untraced
            ",
            expect![[r#"
                2 medium blind 0xaa $0.00: 1 of 1 state reads unavailable
                3 critical control-change 0xaa $0.00: keeper keys: a guarded view answers differently
            "#]],
        );
    }
}
