//! Records to store: one of each variant, with the extreme values that the vocabulary allows.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bytes, U256};
use cofferdam_core::{
    AccountId, BlockRef, ChainId, Class, Finding, FindingId, IncidentId, OrderKey, Probability,
    Record, Severity, Stage, Timestamp, Usd,
    finding::Evidence,
    incident::{Incident, IncidentState, Ledger, OptionLine, Quantity, Room, Term, Verdict},
    order::{Bid, EffectCheck, Expectation, Order, OrderCall, Outcome, Prepared, Sent},
    plan::{Autonomy, DurationText, Rung},
    read::StateRead,
};

/// A text that breaks careless storing: quotes, escapes, control characters, beyond the BMP.
pub const HARD_TEXT: &str =
    "quote \" backslash \\ newline \n nul \0 tab \t é 漢 🛟 \u{2028} </script> '; DROP TABLE entry";

/// A small record that carries `number`.
pub fn numbered(number: u64) -> Record {
    Record::Alerted { incident: None, text: format!("alert {number}") }
}

/// A snapshot that carries `number`.
pub fn snapshot(number: u64) -> Record {
    Record::Snapshot { version: 1, state: serde_json::json!({ "z": number, "a": [1, null, "é"] }) }
}

/// One record of every variant.
pub fn every_variant() -> Vec<Record> {
    let mut records = chain_records();
    records.extend(case_records());
    records.extend(order_records());
    records
}

/// The block that the samples speak of.
pub fn block() -> BlockRef {
    BlockRef {
        chain: ChainId(u64::MAX),
        number: u64::MAX,
        hash: B256::repeat_byte(0x11),
        parent: B256::repeat_byte(0x22),
        time: Timestamp(u64::MAX),
    }
}

fn chain_records() -> Vec<Record> {
    let chain = ChainId(1);
    let memo = serde_json::json!({ "big": "115792089237316195423570985008687907853269984665640564039457584007913129639935", "none": null, "f": 0.1 });
    vec![
        Record::Started { plan: B256::repeat_byte(0xaa), version: "0.1.0".to_owned() },
        Record::BlockEvaluated {
            block: block(),
            memos: vec![(HARD_TEXT.to_owned(), memo)],
            witnesses: 2,
        },
        Record::Reorged { to: block(), dropped: vec![block(), block()] },
        Record::Found { finding: finding(Usd(i128::MAX)) },
        Record::Found { finding: finding(Usd(0)) },
        Record::Retracted { finding: finding_id(), because: HARD_TEXT.to_owned() },
        Record::Finalized { finding: finding_id() },
        Record::Blind { chain, from: 7, because: HARD_TEXT.to_owned() },
        Record::Sighted { chain, at: 8 },
        Record::Readiness {
            action: "pause".to_owned(),
            ready: false,
            because: vec![String::new()],
        },
        snapshot(9),
    ]
}

fn case_records() -> Vec<Record> {
    let incident = incident_id();
    let opened = Incident {
        id: incident,
        entity: "vault".to_owned(),
        chain: ChainId(1),
        state: IncidentState::Detected,
        opened_at: Timestamp(1),
        held: Some(Usd(i128::MIN)),
        findings: BTreeSet::from([finding_id()]),
        actors: BTreeSet::from([Address::repeat_byte(0x33)]),
        orders: vec![order_key()],
        ledger: Some(ledger()),
    };
    let because = HARD_TEXT.to_owned();
    vec![
        Record::IncidentOpened { incident: opened },
        Record::Attached { incident, finding: finding_id() },
        Record::Decided { incident, ledger: ledger() },
        Record::IncidentMoved { incident, state: IncidentState::FalseAlarm, because },
        Record::Alerted { incident: Some(incident), text: HARD_TEXT.to_owned() },
    ]
}

fn order_records() -> Vec<Record> {
    let key = order_key();
    let sent = Sent {
        relayer: AccountId { chain: ChainId(1), address: Address::repeat_byte(0x44) },
        nonce: u64::MAX,
        tx: B256::repeat_byte(0x55),
        max_fee_per_gas: u128::MAX,
        max_priority_fee_per_gas: 1,
    };
    let prepared = Prepared {
        key,
        to: Address::repeat_byte(0x66),
        data: Bytes::from_static(&[0x84, 0x56, 0xcb, 0x59]),
        gas_limit: u64::MAX,
        simulated_on: Some(block()),
        effect_simulated: None,
    };
    let effective =
        Outcome::Effective { tx: Some(B256::repeat_byte(0x77)), block: block(), gas_used: 1 };
    vec![
        Record::Intended { order: order() },
        Record::Approved { key, by: HARD_TEXT.to_owned() },
        Record::Vetoed { key, by: "signer".to_owned(), reason: HARD_TEXT.to_owned() },
        Record::Dispatched { key, attempt: 1, prepared, sent: vec![sent.clone()] },
        Record::Replaced { key, sent: vec![sent] },
        Record::DispatchFailed { key, attempt: u32::MAX, reason: HARD_TEXT.to_owned() },
        Record::Settled { key, outcome: effective },
        Record::Settled { key, outcome: Outcome::Expired },
        Record::Settled { key, outcome: Outcome::Failed { reason: HARD_TEXT.to_owned() } },
    ]
}

fn finding(loss: Usd) -> Finding {
    Finding {
        id: finding_id(),
        detector: "outflow".to_owned(),
        rule: "vault-outflow".to_owned(),
        entity: "vault".to_owned(),
        severity: Severity::Critical,
        class: Class::Damage,
        stage: Stage::Pending,
        block: block(),
        tx: None,
        subject: Address::repeat_byte(0x88),
        actors: vec![Address::ZERO],
        llr_millinats: i32::MIN,
        group: "outflow".to_owned(),
        loss,
        summary: HARD_TEXT.to_owned(),
        evidence: vec![Evidence { label: "net outflow".to_owned(), value: HARD_TEXT.to_owned() }],
    }
}

fn ledger() -> Ledger {
    let term = |value, interval| Term {
        name: "value at risk".to_owned(),
        value,
        interval,
        source: "plan".to_owned(),
    };
    let large = Quantity::Usd(Usd(i128::MAX));
    let option = OptionLine {
        action: "pause".to_owned(),
        rung: Rung::PauseMarket,
        avoided: Usd(i128::MAX),
        cost: Usd(1),
        threshold: Probability(1),
        net: Usd(i128::MIN),
        verdict: Verdict::Withheld(HARD_TEXT.to_owned()),
        room: Room { waiting: Usd(i128::MIN), ..Room::default() },
    };
    Ledger {
        at: Timestamp(2),
        prior: Probability(16),
        posterior: Probability::CERTAIN,
        terms: vec![term(large, Some((large, large))), term(Quantity::Millinats(i32::MIN), None)],
        options: vec![option],
        chosen: Some("pause".to_owned()),
        flips: vec![HARD_TEXT.to_owned()],
    }
}

fn order() -> Order {
    let target = Address::repeat_byte(0x99);
    let data = Bytes::from_static(&[0x5c, 0x97, 0x5a, 0xbb]);
    Order {
        key: order_key(),
        incident: incident_id(),
        action: "pause".to_owned(),
        rung: Rung::PauseProtocol,
        chain: ChainId(1),
        call: OrderCall::Direct { target, data: data.clone() },
        effect: vec![EffectCheck {
            read: StateRead::Call { to: target, data },
            expect: Expectation::Word(U256::MAX),
        }],
        stage: Stage::Provisional,
        self_expiring: true,
        autonomy: Autonomy::Veto { window: DurationText(60_000) },
        decided_at: Timestamp(3),
        expires_at: Timestamp(u64::MAX),
        fee_budget_wei: U256::MAX,
        outbid: Some(Bid { max_fee_per_gas: u128::MAX, max_priority_fee_per_gas: u128::MAX }),
    }
}

fn finding_id() -> FindingId {
    FindingId::derive(&[b"sample"])
}

fn incident_id() -> IncidentId {
    IncidentId::derive(&[b"sample"])
}

fn order_key() -> OrderKey {
    OrderKey::derive(&[b"sample"])
}
