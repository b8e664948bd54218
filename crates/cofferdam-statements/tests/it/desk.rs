//! A journal in memory, and a person at each end of it.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256};
use cofferdam_core::{
    BlockRef, ChainId, Class, Finding, FindingId, IncidentId, Record, Severity, Stage, Timestamp,
    Usd,
    incident::{Incident, IncidentState},
};
use cofferdam_respond::{CaseEvent, CaseId, CaseState, Cases};
use cofferdam_statements::{
    Audience, Draft, Impact, Phase, Refusal, StatementEvent, StatementId, Statements, Template,
    Tlp, fill::fill,
};

pub(crate) const T0: u64 = 1_795_651_200_000;

pub(crate) struct Desk {
    pub(crate) cases: Cases,
    pub(crate) statements: Statements,
    pub(crate) journal: Vec<(Timestamp, Record)>,
    pub(crate) now: Timestamp,
}

pub(crate) fn incident(byte: u8) -> IncidentId {
    IncidentId(B256::repeat_byte(byte))
}

pub(crate) fn case(byte: u8) -> CaseId {
    CaseId::of(&incident(byte))
}

impl Desk {
    /// A journal in which incident `byte` was found, its attacker `0x…byte`.
    pub(crate) fn found(byte: u8) -> Self {
        let mut desk = Self {
            cases: Cases::default(),
            statements: Statements::default(),
            journal: Vec::new(),
            now: Timestamp(T0),
        };
        desk.incident(byte);
        desk
    }

    pub(crate) fn incident(&mut self, byte: u8) {
        let chain: ChainId = "eip155:1".parse().unwrap();
        let finding = Finding {
            id: FindingId(B256::repeat_byte(byte)),
            detector: "outflow".into(),
            rule: "vault-outflow".into(),
            entity: "vault".into(),
            severity: Severity::Critical,
            class: Class::Damage,
            stage: Stage::Provisional,
            block: BlockRef {
                chain,
                number: 7,
                hash: B256::ZERO,
                parent: B256::ZERO,
                time: self.now,
            },
            tx: None,
            subject: Address::ZERO,
            actors: vec![Address::repeat_byte(byte)],
            llr_millinats: 9_000,
            group: "outflow".into(),
            loss: Usd::ZERO,
            summary: "it drains".into(),
            evidence: Vec::new(),
        };
        let opened = Incident {
            id: incident(byte),
            entity: "vault".into(),
            chain,
            state: IncidentState::Detected,
            opened_at: self.now,
            held: None,
            findings: BTreeSet::new(),
            actors: BTreeSet::new(),
            orders: Vec::new(),
            ledger: None,
        };
        let id = finding.id;
        self.record(Record::Found { finding });
        self.record(Record::IncidentOpened { incident: opened });
        self.record(Record::Attached { incident: incident(byte), finding: id });
    }

    pub(crate) fn record(&mut self, record: Record) {
        self.cases.apply(self.now, &record);
        self.statements.apply(self.now, &record);
        self.journal.push((self.now, record));
    }

    pub(crate) fn contained(&mut self, byte: u8) {
        let state = IncidentState::Contained;
        let because = "pause-vault is in effect".into();
        self.record(Record::IncidentMoved { incident: incident(byte), state, because });
    }

    pub(crate) fn moved(&mut self, byte: u8, to: CaseState) {
        let event = CaseEvent::Moved { to, by: "alice".into(), because: "so it is".into() };
        self.record(event.record(case(byte)).unwrap());
    }

    pub(crate) fn wait(&mut self, minutes: u64) {
        self.now = self.now.plus_ms(minutes * 60_000);
    }

    /// Takes what a command gave into the journal.
    pub(crate) fn done(
        &mut self,
        byte: u8,
        event: Result<StatementEvent, Refusal>,
    ) -> Result<(), Refusal> {
        let event = event?;
        self.record(event.record(case(byte)).unwrap());
        Ok(())
    }

    pub(crate) fn draft(
        &mut self,
        byte: u8,
        by: &str,
        draft: Draft,
    ) -> Result<StatementId, Refusal> {
        let event = self.statements.draft(&self.cases, self.now, case(byte), by, draft)?;
        let StatementEvent::StatementDrafted { statement, .. } = &event else { unreachable!() };
        let id = *statement;
        self.record(event.record(case(byte)).unwrap());
        Ok(id)
    }

    pub(crate) fn approve(&mut self, byte: u8, id: StatementId, by: &str) -> Result<(), Refusal> {
        let event = self.statements.approve(&self.cases, id, by);
        self.done(byte, event)
    }

    pub(crate) fn publish(&mut self, byte: u8, id: StatementId, by: &str) -> Result<(), Refusal> {
        let event = self.statements.publish(&self.cases, id, by);
        self.done(byte, event)
    }

    /// Drafted, approved and published by three people.
    pub(crate) fn say(&mut self, byte: u8, draft: Draft) -> StatementId {
        let id = self.draft(byte, "alice", draft).unwrap();
        self.approve(byte, id, "bob").unwrap();
        self.publish(byte, id, "carol").unwrap();
        id
    }

    /// The statements as a restart would have them.
    pub(crate) fn again(&self) -> Statements {
        let mut statements = Statements::default();
        self.journal.iter().for_each(|(at, it)| statements.apply(*at, it));
        statements
    }

    /// A draft from the template of the program.
    pub(crate) fn filled(&self, byte: u8, audience: Audience, phase: Phase) -> Draft {
        let given: BTreeMap<String, String> = [
            ("protocol", "Example Protocol"),
            ("scope", "the ETH vault; no other pool"),
            ("action", "nothing; wait for the next update"),
            ("next-update", "2026-11-26 01:00 UTC"),
            ("contact", "security@example.org"),
            ("page", "https://status.example.org"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let template = Template::builtin(audience, phase).unwrap();
        let case = self.cases.get(&case(byte)).unwrap();
        let filled = fill(&template, case, &self.statements, &given).unwrap();
        Draft {
            audience,
            phase,
            impact: Impact::Major,
            tlp: Tlp::Clear,
            title: filled.title,
            body: filled.body,
            evidence: Vec::new(),
            corrects: None,
        }
    }
}
