//! S22: an authority we rely on is used up, about to expire, revoked or cannot pay its fee. The page beside this file says how and with which limits.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bytes, U256};
use cofferdam_core::{
    AccountId, ChainId, Class, Finding, Severity, Tx,
    finding::Evidence,
    plan::{ActionCall, DurationText, Plan},
    read::StateRead,
    record::Memo,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, MemoError, Meta, Need, Question,
    reads,
    report::{About, Voice, group},
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "defence-health",
        signal: "S22",
        summary: "an authority we rely on is used up, about to expire, revoked or cannot pay its fee",
        needs: &[Need::Reads],
        docs: include_str!("defence_health.md"),
    },
    build: |cx| Ok(Box::new(DefenceHealth::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// A relayer must be able to pay this many times the dearest action's fee budget.
const FEES: u64 = 3;

/// Settings of `defence-health`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Signers of the guardians of the plan; each must stay valid for `signer_notice`.
    signers: Vec<AccountId>,
    /// How long before its expiry a signer is reported.
    signer_notice: DurationText,
    /// Roles that must be held, e.g. of a relayer to pause.
    roles: Vec<Held>,
    /// Other things that must be true.
    checks: Vec<Check>,
}

/// A role that an account must hold (OpenZeppelin `hasRole`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Held {
    /// The contract that knows roles.
    contract: AccountId,
    /// Id of the role.
    #[schemars(with = "String")]
    role: B256,
    /// Who must hold it.
    account: AccountId,
}

/// A view call whose first word must be at least a number.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Check {
    /// What it is, for people, e.g. `breaker armed`.
    name: String,
    /// The contract read.
    contract: AccountId,
    /// Calldata in hex.
    #[schemars(with = "String")]
    data: Bytes,
    /// The least value of the first word.
    #[schemars(with = "String")]
    at_least: U256,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            signers: Vec::new(),
            signer_notice: DurationText(14 * 86_400_000),
            roles: Vec::new(),
            checks: Vec::new(),
        }
    }
}

/// Something that must hold in every block.
#[derive(Clone, Debug)]
struct Demand {
    /// What is wrong if it does not.
    complaint: String,
    subject: Address,
    read: StateRead,
    least: Least,
}

/// The least value of the first word of an answer.
#[derive(Clone, Copy, Debug)]
enum Least {
    Value(U256),
    /// A time in seconds, this many milliseconds after the block.
    Notice(u64),
}

#[derive(Debug)]
struct DefenceHealth {
    voice: Voice,
    entity: String,
    demands: Vec<Demand>,
    /// Positions of the demands that were not met at the last block.
    unmet: BTreeSet<usize>,
}

impl DefenceHealth {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let settings: Settings = cx.settings()?;
        let wards = Wards::new(cx);
        let mut demands = relayers(cx.plan, cx.chain);
        demands.extend(charges(cx.plan, cx.chain));
        demands.extend(signers(cx.plan, cx.chain, &settings));
        let here = |it: &AccountId| it.chain == cx.chain;
        demands.extend(settings.roles.iter().filter(|it| here(&it.contract)).map(|it| Demand {
            complaint: format!("{} no longer holds role {}", it.account.address, it.role),
            subject: it.contract.address,
            read: reads::view_with(
                it.contract.address,
                reads::HAS_ROLE,
                &[it.role.into(), reads::word(it.account.address)],
            ),
            least: Least::Value(U256::from(1)),
        }));
        demands.extend(settings.checks.iter().filter(|it| here(&it.contract)).map(|it| Demand {
            complaint: format!("{} is below {}", it.name, it.at_least),
            subject: it.contract.address,
            read: StateRead::Call { to: it.contract.address, data: it.data.clone() },
            least: Least::Value(it.at_least),
        }));
        Ok(Self {
            voice: Voice::new("defence-health", cx),
            entity: wards.at(0).map(|it| it.id.clone()).unwrap_or_default(),
            demands,
            unmet: BTreeSet::new(),
        })
    }
}

/// Every relayer can pay for what it may have to send.
fn relayers(plan: &Plan, chain: ChainId) -> Vec<Demand> {
    let actions = plan.actions.iter().filter(|it| it.call.chain() == chain);
    let dearest = actions.map(|it| it.fee_budget.0).max().unwrap_or_default();
    let least = dearest.saturating_mul(U256::from(FEES));
    let here = plan.relayers.iter().filter(|it| it.account.chain == chain);
    let demand = |it: &cofferdam_core::plan::Relayer| Demand {
        complaint: format!("relayer {} holds less than {FEES} fee budgets", it.id),
        subject: it.account.address,
        read: StateRead::Balance(it.account.address),
        least: Least::Value(least),
    };
    here.map(demand).collect()
}

/// Every guardian action of the plan on `chain`: its guardian and its id there.
fn guardians(plan: &Plan, chain: ChainId) -> impl Iterator<Item = (&str, Address, B256)> {
    plan.actions.iter().filter_map(move |it| match &it.call {
        ActionCall::Guardian { guardian, action_id, .. } if guardian.chain == chain => {
            Some((it.id.as_str(), guardian.address, *action_id))
        }
        _ => None,
    })
}

/// Every guardian action has a pause left.
fn charges(plan: &Plan, chain: ChainId) -> Vec<Demand> {
    let demand = |(id, guardian, action): (&str, Address, B256)| Demand {
        complaint: format!("action {id} has no charges left"),
        subject: guardian,
        read: reads::view_of(guardian, reads::CHARGES_LEFT, action.into()),
        least: Least::Value(U256::from(1)),
    };
    guardians(plan, chain).map(demand).collect()
}

/// Every signer is valid at every guardian for a while yet.
fn signers(plan: &Plan, chain: ChainId, settings: &Settings) -> Vec<Demand> {
    let guardians: BTreeSet<Address> = guardians(plan, chain).map(|it| it.1).collect();
    let signers = settings.signers.iter().filter(|it| it.chain == chain);
    let mut demands = Vec::new();
    for signer in signers {
        demands.extend(guardians.iter().map(|guardian| Demand {
            complaint: format!(
                "signer {} expires within {} or is unknown",
                signer.address, settings.signer_notice
            ),
            subject: *guardian,
            read: reads::view_of(*guardian, reads::SIGNER_EXPIRY, reads::word(signer.address)),
            least: Least::Notice(settings.signer_notice.0),
        }));
    }
    demands
}

impl Detector for DefenceHealth {
    fn interests(&self) -> Vec<Interest> {
        vec![Interest::EveryBlock]
    }

    fn questions(&self) -> Vec<Question> {
        let ask = |it: &Demand| Question { read: it.read.clone(), touched: Vec::new() };
        self.demands.iter().map(ask).collect()
    }

    fn on_tx(&mut self, _: &Context<'_>, _: &Tx, _: &mut Vec<Finding>) {}

    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        // Demands on one subject share a finding: an id names a block and a subject once.
        let mut news: std::collections::BTreeMap<Address, Vec<Evidence>> = Default::default();
        for (at, demand) in self.demands.iter().enumerate() {
            let Some(reading) = cx.observation.readings.get(&demand.read) else { continue };
            // An answer that reverts or is too short does not meet a demand; one we could not get is
            // reported as blindness.
            if matches!(reading.after, cofferdam_core::read::Answer::Unavailable) {
                continue;
            }
            let least = match demand.least {
                Least::Value(least) => least,
                Least::Notice(ms) => U256::from(cx.observation.block.time.plus_ms(ms).0 / 1_000),
            };
            let value = reading.after.word(0);
            if value.is_some_and(|it| it >= least) {
                self.unmet.remove(&at);
            } else if self.unmet.insert(at) {
                let value = value.map_or("no answer".to_owned(), |it| it.to_string());
                let line = Evidence::new(demand.complaint.clone(), value);
                news.entry(demand.subject).or_default().push(line);
            }
        }
        for (subject, evidence) in news {
            let about = About { tx: None, entity: &self.entity, subject };
            let complaints: Vec<&str> = evidence.iter().map(|it| it.label.as_str()).collect();
            out.push(Finding {
                summary: complaints.join("; "),
                evidence: evidence.clone(),
                ..self.voice.finding(cx, about, Severity::High, Class::Defence, group::DEFENCE)
            });
        }
    }

    fn memo(&self) -> Option<Memo> {
        if self.unmet.is_empty() { None } else { serde_json::to_value(&self.unmet).ok() }
    }

    fn recall(&mut self, memo: Option<&Memo>) -> Result<(), MemoError> {
        self.unmet.clear();
        if let Some(memo) = memo {
            self.unmet = BTreeSet::deserialize(memo).map_err(MemoError)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::{VAULT, check_plan};

    const DEFENCE: &str = r#"
        [[actions]]
        id = "pause"
        rung = "pause-protocol"
        contains = ["vault"]
        cost = { fixed = "1 usd" }
        fee-budget = "1 eth"
        call = { via = "guardian", guardian = "eip155:1:0x0000000000000000000000000000000000000099", action-id = "0x0000000000000000000000000000000000000000000000000000000000000007", target = "eip155:1:0x00000000000000000000000000000000000000aa", authorisations = "auth" }
        [[relayers]]
        id = "lane-1"
        account = "eip155:1:0x0000000000000000000000000000000000000091"
        key = { from = "env", name = "KEY" }
        [[rules]]
        id = "r"
        detector = "defence-health"
        [rules.settings]
        signers = ["eip155:1:0x0000000000000000000000000000000000000092"]
        roles = [{ contract = "eip155:1:0x00000000000000000000000000000000000000aa", role = "0x0000000000000000000000000000000000000000000000000000000000000000", account = "eip155:1:0x0000000000000000000000000000000000000091" }]
    "#;
    const CHARGES: &str =
        "0xb311e3ad0000000000000000000000000000000000000000000000000000000000000007";

    #[test]
    fn what_fails_is_told_once_and_again_after_it_was_well() {
        check_plan(
            &format!("{VAULT}{DEFENCE}"),
            &format!(
                "
                block 1
                  read native 0x91 3e18 -> 2e18
                  read view 0x99 {CHARGES} 1 -> 0
                block 2
                  read native 0x91 2e18 -> 2e18
                  read view 0x99 {CHARGES} 0 -> ?
                block 3
                  read native 0x91 2e18 -> 3e18
                block 4
                  read native 0x91 3e18 -> 1
                "
            ),
            expect![[r#"
                1 high defence-health 0x91 $0.00: relayer lane-1 holds less than 3 fee budgets
                1 high defence-health 0x99 $0.00: action pause has no charges left
                2 medium blind 0x99 $0.00: 1 of 2 state reads unavailable
                4 high defence-health 0x91 $0.00: relayer lane-1 holds less than 3 fee budgets
            "#]],
        );
    }

    #[test]
    fn a_revoked_role_and_an_expiring_signer_are_told_and_valid_ones_are_silent() {
        let role = "0x91d1485400000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000091";
        let signer = "0x9219bbea0000000000000000000000000000000000000000000000000000000000000092";
        check_plan(
            &format!("{VAULT}{DEFENCE}"),
            &format!(
                "
                block 1 time 1000000
                  read view 0xaa {role} 1 -> 1
                  read view 0x99 {signer} 9000000 -> 9000000
                  read view 0x99 {CHARGES} 1 -> 1
                block 2 time 8000000
                  read view 0xaa {role} 1 -> 0
                  read view 0x99 {signer} 9000000 -> 9000000
                "
            ),
            expect![[r#"
                2 high defence-health 0x99 $0.00: signer 0x0000000000000000000000000000000000000092 expires within 14d or is unknown
                2 high defence-health 0xaa $0.00: 0x0000000000000000000000000000000000000091 no longer holds role 0x0000000000000000000000000000000000000000000000000000000000000000
            "#]],
        );
    }
}
